//! Bodies: bounded in size and time, JSON, and every complaint names its field.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::{Edge, Limits};

/// How much of a body that is too large is read on and thrown away. A connection that is closed with bytes unread is
/// reset, and the answer is lost with it.
const DISCARDED_BYTES: usize = 8 * 1024 * 1024;

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 408 when it takes too long, 400 when the connection breaks.
pub(super) async fn read(mut body: Body, limits: Limits) -> Result<Bytes, Problem> {
    let collected = Limited::new(&mut body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.read_timeout, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            // Whether the rest came, went on for too long or broke off: the answer is the same.
            let _ = tokio::time::timeout(limits.read_timeout, discard(body)).await;
            let detail = format!("the body is larger than {} bytes", limits.body_bytes);
            // There may be more of the body: the connection cannot be used again.
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
                .with_header(header::CONNECTION, HeaderValue::from_static("close")))
        }
        Ok(Err(_)) => Err(Problem::invalid("body", "the body could not be read to its end")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body took too long to arrive")
            .with_header(header::CONNECTION, HeaderValue::from_static("close"))),
    }
}

async fn discard(mut body: Body) {
    let mut left = DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => break,
        }
    }
}

/// Whether the body is said to be JSON; parameters such as `charset=utf-8` are fine.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// 415: the body is not said to be JSON.
pub(super) fn wrong_content_type() -> Problem {
    let detail = "the `Content-Type` must be `application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail)
}

impl Edge {
    /// Reads a JSON body of the workflow API. Unknown members are errors: a misspelt limit must not be taken for none.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(T, Bytes), Problem> {
        if !is_json(headers) {
            return Err(wrong_content_type());
        }
        let bytes = read(body, self.limits).await?;
        let value = parse(&bytes)?;
        Ok((value, bytes))
    }
}

/// A body is a JSON object: a derived reader would take a list for one, member by member.
///
/// # Errors
/// 400.
pub(super) fn must_be_object(bytes: &[u8]) -> Result<(), Problem> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(()),
        Some(_) | None => Err(Problem::invalid("body", "must be a JSON object")),
    }
}

/// Parses JSON, naming the member that is wrong.
///
/// # Errors
/// 400.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    must_be_object(bytes)?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let message = error.inner().to_string();
        Problem::invalid(field_of(&error.path().to_string(), &message), message)
    })?;
    json.end().map_err(|error| Problem::invalid("body", error.to_string()))?;
    Ok(value)
}

/// The field that a complaint of the JSON reader is about.
pub(super) fn field_of(path: &str, message: &str) -> String {
    // "missing field `x`" and "duplicate field `x`" are said of the object around it.
    let said = ["missing field `", "duplicate field `"].into_iter().find_map(|start| message.strip_prefix(start));
    match (path, said.and_then(|rest| rest.split('`').next())) {
        (".", Some(member)) => member.to_owned(),
        (path, Some(member)) => format!("{path}.{member}"),
        // A member may have no name.
        ("." | "", None) => "body".to_owned(),
        (path, None) => path.to_owned(),
    }
}

/// A text that people read: not empty, not too long, no control characters but line breaks and tabs.
///
/// # Errors
/// 400 naming the field.
pub(super) fn text(field: &str, value: &str, max_chars: usize) -> Result<String, Problem> {
    let length = value.chars().count();
    if value.trim().is_empty() {
        return Err(Problem::invalid(field, "must not be empty"));
    }
    if length > max_chars {
        return Err(Problem::invalid(field, format!("is {length} characters long, at most {max_chars} are allowed")));
    }
    if value.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
        return Err(Problem::invalid(field, "must not hold control characters"));
    }
    Ok(value.to_owned())
}
