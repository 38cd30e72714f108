//! What is left of a body when the answer is there: read on and thrown away, so that the answer arrives.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// How much of a body is thrown away.
const DISCARDED_BYTES: usize = 8 * 1024 * 1024;
/// What is smaller has come with the head and waits in a buffer, from where it is thrown away anyhow.
const SMALL_BYTES: u64 = 8 * 1024;

/// A connection that is closed with bytes unread is reset, and an answer that nobody has read yet is lost with it: a
/// client that sends a large body with a bad token would see a broken connection instead of the 401.
pub(super) async fn discarded(State(within): State<Duration>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if parts.version >= Version::HTTP_2 || is_small(body.size_hint()) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    // Such a client sends its body when it is asked to; to read it would be to ask.
    let waits = waits_to_be_asked(&parts.headers);
    let (give_back, given_back) = oneshot::channel();
    let lent = Body::new(Lent { body: Some(body), give_back: Some(give_back) });
    let mut response = next.run(Request::from_parts(parts, lent)).await;
    let Ok(rest) = given_back.await else { return response };
    let given_up = response.headers().contains_key(header::CONNECTION);
    if given_up || waits || !discard(rest, within).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a body is so small that nothing is left of it.
pub(super) fn is_small(body: SizeHint) -> bool {
    body.upper().is_some_and(|bytes| bytes <= SMALL_BYTES)
}

fn waits_to_be_asked(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether the body came to its end, within this time and not too large.
async fn discard(mut body: Body, within: Duration) -> bool {
    let discarded = async {
        let mut left = DISCARDED_BYTES;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(within, discarded).await.unwrap_or(false)
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    give_back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take())
            && !body.is_end_stream()
        {
            // Nobody to take it: the request was given up as a whole.
            let _ = give_back.send(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_of_up_to_eight_mebibytes_is_thrown_away() {
        for (bytes, whole) in [(0, true), (8_388_608, true), (8_388_609, false)] {
            let body = Body::from(vec![b' '; bytes]);
            assert_eq!(discard(body, Duration::from_secs(60)).await, whole, "{bytes}");
        }
    }
}
