//! `If-Match`, `ETag` and `Idempotency-Key`: how a caller says "this version" and "only once".

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method, header};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::identity::Caller;
use crate::workflow::Once;

/// The longest idempotency key, in characters.
const MAX_KEY: usize = 128;

/// What [`once`] takes for a key, as a regular expression.
pub(super) const KEY_PATTERN: &str = "^[!-~]{1,128}$";

/// What [`if_match`] takes, as a regular expression: `*`, or versions as we write them.
pub(super) const IF_MATCH_PATTERN: &str = r#"^(\*|"(0|[1-9][0-9]{0,8})"(, ?"(0|[1-9][0-9]{0,8})")*)$"#;

/// The header of the IETF draft "The Idempotency-Key HTTP Header Field".
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The versions named by `If-Match` (RFC 9110, section 13.1.1); `None`: any.
///
/// # Errors
/// 400 when it is neither `*` nor a list of our entity tags.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<Vec<u32>>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let invalid = || Problem::invalid("If-Match", "must be `*` or entity tags such as `\"3\"`");
    let value = value.to_str().map_err(|_| invalid())?.trim();
    if value == "*" {
        return Ok(None);
    }
    let version = |tag: &str| {
        let tag = tag.trim();
        let version: u32 =
            tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.parse().ok())?;
        // Only as we write it: `"+3"` and `"03"` are no tags of ours.
        (etag(version) == tag).then_some(version)
    };
    value.split(',').map(|tag| version(tag).ok_or_else(invalid)).collect::<Result<Vec<u32>, _>>().map(Some)
}

/// The entity tag of a version.
pub(super) fn etag(version: u32) -> String {
    format!("\"{version}\"")
}

/// The idempotency key of a request, bound to its caller and its content.
///
/// # Errors
/// 400 when the key is empty, too long or not printable ASCII.
pub(super) fn once(
    headers: &HeaderMap,
    caller: &Caller,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Option<Once>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let invalid = || Problem::invalid("Idempotency-Key", format!("must be 1 to {MAX_KEY} printable ASCII characters"));
    let key = printable(value).filter(|key| (1..=MAX_KEY).contains(&key.len())).ok_or_else(invalid)?;
    let mut digest = Sha256::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), body] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let request_digest = URL_SAFE_NO_PAD.encode(digest.finalize());
    // A person and a program may bear the same name.
    let kind = if caller.person().is_some() { "person" } else { "program" };
    Ok(Some(Once { caller_and_key: format!("{kind} {caller} {key}"), request_digest }))
}

fn printable(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim).filter(|text| text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)))
}
