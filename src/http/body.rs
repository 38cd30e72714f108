//! Bodies: bounded in size and time, JSON, and every complaint names its field.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::{Edge, Limits};

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 408 when it takes too long, 400 when the connection breaks.
pub(super) async fn read(body: Body, limits: Limits) -> Result<Bytes, Problem> {
    let collected = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.read_timeout, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {} bytes", limits.body_bytes);
            // The rest of the body is not read: the connection cannot be used again.
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
                .with_header(header::CONNECTION, HeaderValue::from_static("close")))
        }
        Ok(Err(_)) => Err(Problem::invalid("body", "the body could not be read to its end")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body took too long to arrive")
            .with_header(header::CONNECTION, HeaderValue::from_static("close"))),
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

/// Parses JSON, naming the member that is wrong.
///
/// # Errors
/// 400.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        Problem::invalid(field, error.inner().to_string())
    })?;
    json.end().map_err(|error| Problem::invalid("body", error.to_string()))?;
    Ok(value)
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
