//! Who calls: a bearer token, or the socket they came through.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::Problem;
use super::{Edge, Entrance};
use crate::identity::{Caller, LastToken};

impl Entrance {
    /// The caller of a request (RFC 6750, section 2.1).
    ///
    /// # Errors
    /// 401 without a good token, 503 when nobody can tell whether it is good.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return self.local.clone().ok_or_else(|| no_token("a bearer token is needed"));
        };
        self.edge.bearer(Some(value.to_str().unwrap_or_default()), self.last_token.as_deref()).await
    }
}

impl Edge {
    /// Whom the value of an `Authorization` header proves, told the sooner when it is the connection's last token.
    ///
    /// # Errors
    /// As [`Entrance::caller`].
    pub(super) async fn bearer(&self, value: Option<&str>, last: Option<&LastToken>) -> Result<Caller, Problem> {
        let value = value.ok_or_else(|| no_token("a bearer token is needed"))?;
        let token = bearer(value).ok_or_else(|| no_token("the `Authorization` header must be `Bearer <token>`"))?;
        if let Some(caller) = self.identity.cached(token, last) {
            return Ok(caller);
        }
        // Boxed: the way of a known token does not carry the room for a check.
        Ok(Box::pin(self.identity.authenticate(token)).await?)
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

pub(super) fn no_token(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "token_missing", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"consentry\""))
}
