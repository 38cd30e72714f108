//! Mappings: how a request that somebody sends to a diagnostic API becomes a question about diagnostic data.
//!
//! What lives here: the mapping file, its routes and templates, and which paths are read at all. Everything is pure: text
//! in, parts of a question out. What does not: who the engineer is (that is proved elsewhere, [`EngineerSource`] only says
//! where), the question itself, and any protocol by which requests arrive.

mod arrived;
mod engineer;
mod file;
mod path;
mod query;
mod route;
mod template;
#[cfg(test)]
mod tests;

pub use arrived::{Arrived, Headers};
pub use engineer::{EngineerSource, PrincipalPattern};
pub use file::InvalidMapping;
pub use route::{Mapped, ReadParts, Route};

/// The longest request target that is looked at, in bytes.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The largest mapping file, in bytes.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// What a mapping file says.
#[derive(Debug, Clone)]
pub struct Mapping {
    engineer: EngineerSource,
    routes: Vec<Route>,
}

/// Why a request is no question. It does not pass: what is not mapped is denied (G4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmapped {
    /// The path has more than one spelling, so that others could read it otherwise than it is read here.
    #[error("the path is not in its one canonical spelling: {0}")]
    NotCanonical(&'static str),
    /// A header by which many frameworks take another method or path than the request has.
    #[error("the header `{0}` may make another request of this one")]
    Override(&'static str),
    /// What follows an upgrade cannot be seen.
    #[error("upgraded connections are not mapped: nobody could see what is read through them")]
    Upgrade,
    /// No route has this method and path.
    #[error("no route of the mapping has this method and path")]
    NoRoute,
    /// A parameter of the query that the route does not name, or that stands there twice.
    #[error("the query is not what the route takes: {0}")]
    Query(&'static str),
    /// A header from which the route takes a part of the question is not there.
    #[error("the header `{0}` is missing")]
    HeaderMissing(String),
    /// The same, and it stands there more than once: others could take the other one.
    #[error("the header `{0}` stands there more than once")]
    HeaderTwice(String),
    /// A parameter from which the route takes a part of the question is not there.
    #[error("the parameter `{0}` of the query is missing")]
    ParameterMissing(String),
}

impl Unmapped {
    /// The stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotCanonical(_) => "path_not_canonical",
            Self::Override(_) => "override_not_taken",
            Self::Upgrade => "upgrade_not_mapped",
            Self::NoRoute => "not_mapped",
            Self::Query(_) => "query_not_mapped",
            Self::HeaderMissing(_) => "header_missing",
            Self::HeaderTwice(_) => "header_ambiguous",
            Self::ParameterMissing(_) => "parameter_missing",
        }
    }

    /// Whether the request could not be read, rather than being none that may pass.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        match self {
            Self::Upgrade | Self::NoRoute => false,
            Self::NotCanonical(_)
            | Self::Override(_)
            | Self::Query(_)
            | Self::HeaderMissing(_)
            | Self::HeaderTwice(_)
            | Self::ParameterMissing(_) => true,
        }
    }
}

impl Mapping {
    /// Reads the text of a mapping file, which is called `file` in complaints.
    ///
    /// # Errors
    /// [`InvalidMapping`] with everything that is wrong, each with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, InvalidMapping> {
        file::parse(file, text)
    }

    /// Where the engineer's identity comes from.
    #[must_use]
    pub const fn engineer(&self) -> &EngineerSource {
        &self.engineer
    }

    /// The routes, in their order.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// What the request asks: the first route that has its method and path says so.
    ///
    /// # Errors
    /// [`Unmapped`]: it asks nothing that this mapping knows.
    pub fn map(&self, arrived: &Arrived<'_>) -> Result<Mapped<'_>, Unmapped> {
        arrived.must_be_what_it_seems()?;
        let (path, query) = path::split(arrived.target)?;
        let segments = path::segments(path)?;
        for route in &self.routes {
            if let Some(captures) = route.captures(arrived.method, &segments) {
                return route.read(&captures?, query, &arrived.headers);
            }
        }
        Err(Unmapped::NoRoute)
    }
}
