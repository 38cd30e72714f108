//! Who calls: a bearer token, or the socket they came through.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Entrance;
use super::problem::Problem;
use crate::identity::Caller;

impl Entrance {
    /// The caller of a request (RFC 6750, section 2.1).
    ///
    /// # Errors
    /// 401 without a good token, 503 when nobody can tell whether it is good.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return self.local.clone().ok_or_else(|| no_token("a bearer token is needed"));
        };
        let token = value
            .to_str()
            .ok()
            .and_then(bearer)
            .ok_or_else(|| no_token("the `Authorization` header must be `Bearer <token>`"))?;
        if let Some(caller) = self.edge.identity.cached(token, self.last_token.as_deref()) {
            return Ok(caller);
        }
        // Boxed: the way of a known token does not carry the room for a check.
        Ok(Box::pin(self.edge.identity.authenticate(token)).await?)
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn no_token(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "token_missing", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"consentry\""))
}
