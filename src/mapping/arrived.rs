//! A request as it arrived, before anything is made of it.

use super::Unmapped;

/// Headers by which frameworks take another method or another path than the request's own.
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// A request to the diagnostic API.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// Path and query, as they were sent.
    pub target: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
}

/// The headers of a request, in lower case, each as often as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(&'a [(&'a str, &'a str)]);

impl<'a> Headers<'a> {
    /// These headers; names in lower case.
    #[must_use]
    pub const fn of(pairs: &'a [(&'a str, &'a str)]) -> Self {
        Self(pairs)
    }

    /// The value of a header; none when it was not sent.
    ///
    /// # Errors
    /// [`Unmapped::HeaderTwice`] when it was sent more than once: others could take the other one.
    pub fn one(&self, name: &str) -> Result<Option<&'a str>, Unmapped> {
        let mut values = self.0.iter().filter(|(header, _)| *header == name).map(|(_, value)| *value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Unmapped::HeaderTwice(name.to_owned())),
        }
    }

    /// The names of the headers that begin with this.
    pub fn names_beginning_with(&self, prefix: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| *name).filter(move |name| name.starts_with(prefix))
    }

    fn is_sent(&self, name: &str) -> bool {
        self.0.iter().any(|(header, _)| *header == name)
    }
}

impl Arrived<'_> {
    /// The API must do what is judged here, and nothing else.
    pub(super) fn must_be_what_it_seems(&self) -> Result<(), Unmapped> {
        if let Some(header) = OVERRIDES.into_iter().find(|header| self.headers.is_sent(header)) {
            return Err(Unmapped::Override(header));
        }
        if self.method == "CONNECT" || self.headers.is_sent("upgrade") {
            return Err(Unmapped::Upgrade);
        }
        Ok(())
    }
}
