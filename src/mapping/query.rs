//! Queries: only the parameters that a route names, each once.

use std::borrow::Cow;

use super::Unmapped;
use super::path;

/// The parameters of a query, still escaped.
///
/// # Errors
/// [`Unmapped::Query`] for a parameter that is not among these, for one that stands there twice, and for what different
/// servers take apart differently.
pub(super) fn parameters<'a>(query: Option<&'a str>, taken: &[String]) -> Result<Vec<(&'a str, &'a str)>, Unmapped> {
    let Some(query) = query else { return Ok(Vec::new()) };
    let mut found: Vec<(&str, &str)> = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !taken.iter().any(|taken| taken == name) {
            return Err(Unmapped::Query("it has a parameter that the route does not name"));
        }
        if found.iter().any(|(before, _)| *before == name) {
            return Err(Unmapped::Query("a parameter stands there twice"));
        }
        if !value.bytes().all(stands_in_a_query) {
            return Err(Unmapped::Query("a value has a character that must be escaped"));
        }
        found.push((name, value));
    }
    Ok(found)
}

/// What a parameter says that becomes a part of a question.
///
/// # Errors
/// [`Unmapped::Query`] when its value has more than one reading.
pub(super) fn decoded(value: &str) -> Result<Cow<'_, str>, Unmapped> {
    // A plus is a space for some, and a plus for others.
    if value.contains('+') {
        return Err(Unmapped::Query("a value that is mapped has a `+`"));
    }
    path::decoded(value).map_err(|_| Unmapped::Query("a value that is mapped is not in its one canonical spelling"))
}

/// Whether this byte may stand in a value as it is: what a query is made of (RFC 3986, section 3.4), but no `;`, by which some
/// divide parameters.
fn stands_in_a_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/?%".contains(&byte)
}
