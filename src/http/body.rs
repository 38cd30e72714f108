//! Bodies: bounded in size and time, JSON, and every complaint names its field.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;

use super::problem::Problem;
use super::{Edge, Limits};

/// Bodies up to this many bytes need no room: questions are smaller, and must not wait for those who send much.
const SMALL_BYTES: u64 = 4 * 1024;
/// Room is counted in pieces of so many bytes.
const PIECE_BYTES: usize = 1024;

/// Room for the bodies that are being read or worked on, so that many large ones at once cannot take all memory.
#[derive(Debug)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(PIECE_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    /// Waits for room for a body that is announced to be so long.
    async fn hold(&self, announced: Option<u64>, limits: Limits) -> Option<OwnedSemaphorePermit> {
        if announced.is_some_and(|bytes| bytes <= SMALL_BYTES) {
            return None;
        }
        let bytes =
            announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX).min(limits.body_bytes);
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        // It is never closed.
        Arc::clone(&self.0).acquire_many_owned(pieces).await.ok()
    }
}

/// A body, and the room that it takes until nobody looks at it any more.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body as it comes from a connection.
pub(super) trait Received: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send {}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send> Received for B {}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 408 when it takes too long, 503 when there is no room for it, 400 when the connection breaks.
pub(super) async fn read<B: Received>(body: B, edge: &Edge) -> Result<Bytes, Problem> {
    let limits = edge.limits;
    let announced = body.size_hint().upper();
    let Ok(room) = within(limits.read_timeout, edge.room.hold(announced, limits)).await else {
        return Err(Problem::unavailable("no_room", "too much is being read at once: try again"));
    };
    let collected = Limited::new(body, limits.body_bytes).collect();
    let bytes = match within(limits.read_timeout, collected).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than {} bytes", limits.body_bytes);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail));
        }
        Ok(Err(_)) => return Err(Problem::invalid("body", "the body could not be read to its end")),
        // Whoever trickles is not waited for any longer.
        Err(_) => {
            let detail = "the body took too long to arrive";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
                .with_header(header::CONNECTION, HeaderValue::from_static("close")));
        }
    };
    Ok(match room {
        Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
        None => bytes,
    })
}

/// The same as a timeout of the runtime's, without a timer for what is there when it is asked for again: a body that came
/// with its head is handed over only then.
async fn within<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut asked_before = false;
    let at_once = poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if asked_before => Poll::Ready(None),
        Poll::Pending => {
            asked_before = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match at_once.await {
        Some(output) => Ok(output),
        None => tokio::time::timeout(time, future).await,
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
        let bytes = read(body, self).await?;
        let value = parse(&bytes)?;
        Ok((value, bytes))
    }
}

/// A body is a JSON object: a derived reader would take a list for one, member by member. And it is UTF-8 everywhere (RFC
/// 8259, section 8.1): the reader does not look at what it skips.
///
/// # Errors
/// 400.
pub(super) fn must_be_object(bytes: &[u8]) -> Result<(), Problem> {
    if std::str::from_utf8(bytes).is_err() {
        return Err(Problem::invalid("body", "must be UTF-8"));
    }
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
