//! One way out: an attempt, its limits, and whether it may be tried again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until};

use super::attempts::Attempts;
use super::error::{CallError, Problem};
use super::settings::Tokens;

/// How much of an answer is read: a whole batch or page is smaller.
const MOST_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A client of the service. Its clones use the same connections.
#[derive(Clone)]
pub struct Client(Arc<Way>);

/// What a client is made of.
pub(super) struct Way {
    pub(super) http: reqwest::Client,
    /// Paths are put behind one of them. There is one at least.
    pub(super) bases: Vec<String>,
    /// The place of the one that answered last.
    pub(super) answered: AtomicUsize,
    pub(super) tokens: Option<Tokens>,
    pub(super) timeout: Duration,
    pub(super) attempts: u32,
    pub(super) hedge_after: Option<Duration>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("bases", &self.0.bases).finish_non_exhaustive()
    }
}

/// A call, to be sent as often as is safe.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// With its query, encoded.
    pub(super) path: &'a str,
    pub(super) body: Option<String>,
    /// Makes a change that happens once, however often it is sent. Nothing that changes anything goes without.
    pub(super) key: Option<String>,
    pub(super) if_match: Option<u32>,
}

impl<'a> Call<'a> {
    pub(super) const fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, body: None, key: None, if_match: None }
    }

    /// A question: it changes nothing, so that it can be asked again.
    pub(super) const fn ask(path: &'a str, body: String) -> Self {
        Self { method: Method::POST, path, body: Some(body), key: None, if_match: None }
    }
}

/// An answer of the service's, read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// What it says.
    ///
    /// # Errors
    /// [`CallError::NotAnAnswer`].
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|error| CallError::NotAnAnswer(error.to_string()))
    }
}

/// What came of an attempt that can be made again.
struct Failed {
    error: CallError,
    wait: Option<Duration>,
}

impl Client {
    pub(super) fn of(way: Way) -> Self {
        Self(Arc::new(way))
    }

    /// Sends a call until there is an answer, no attempt or no time is left. It begins where the last call was answered.
    ///
    /// # Errors
    /// [`CallError`]; of several attempts that of the last.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let way = &self.0;
        let deadline = Instant::now() + way.timeout;
        let first = way.answered.load(Ordering::Relaxed);
        let mut attempts = Attempts::new(Instant::now(), way.bases.len(), first, way.attempts, way.hedge_after);
        let mut under_way = FuturesUnordered::new();
        let mut last_error = None;
        loop {
            let next = attempts.next_at().filter(|at| *at < deadline);
            if under_way.is_empty() && next.is_none() {
                return Err(last_error.unwrap_or(CallError::OutOfTime));
            }
            tokio::select! {
                biased;
                Some((place, came)) = under_way.next(), if !under_way.is_empty() => match came {
                    Ok(settled) => {
                        way.answered.store(place, Ordering::Relaxed);
                        return settled;
                    }
                    Err(Failed { error, wait }) => {
                        attempts.failed(Instant::now(), place, wait);
                        last_error = Some(error);
                    }
                },
                () = sleep_until(next.unwrap_or(deadline)) => {
                    if next.is_none() {
                        return Err(CallError::OutOfTime);
                    }
                    let place = attempts.begin(Instant::now());
                    under_way.push(async move { (place, self.attempt(call, place).await) });
                }
            }
        }
    }

    /// One attempt: settled, or failed in a way that another one may cure. Everything that is sent here may be sent again:
    /// it changes nothing, or happens once under its key.
    async fn attempt(&self, call: &Call<'_>, place: usize) -> Result<Result<Answer, CallError>, Failed> {
        let no_answer = |error: &reqwest::Error| Failed { error: CallError::NoAnswer(in_our_words(error)), wait: None };
        let mut response = self.request(call, place).send().await.map_err(|error| no_answer(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| no_answer(&error))? {
            if body.len() + part.len() > MOST_ANSWER_BYTES {
                return Ok(Err(CallError::NotAnAnswer(format!("it is longer than {MOST_ANSWER_BYTES} bytes"))));
            }
            body.extend_from_slice(&part);
        }
        let kind = content_type(&headers);
        if status.is_success() {
            let is_ours = matches!(status, StatusCode::OK | StatusCode::CREATED) && kind == "application/json";
            let answer = Answer { headers, body };
            return Ok(if is_ours { Ok(answer) } else { Err(another(status, &kind)) });
        }
        let problem = serde_json::from_slice::<Problem>(&body).ok().filter(|_| kind == "application/problem+json");
        let retry_after = retry_after(&headers);
        match problem {
            Some(problem) if status == StatusCode::SERVICE_UNAVAILABLE => {
                let error = CallError::Unavailable { problem: Box::new(problem), retry_after };
                Err(Failed { error, wait: retry_after })
            }
            Some(problem) => Ok(Err(CallError::Refused(Box::new(problem)))),
            // Whoever stands between: a proxy that has lost the service, or has too much to do.
            None if matches!(status.as_u16(), 429 | 502..=504) => {
                Err(Failed { error: another(status, &kind), wait: retry_after })
            }
            None => Ok(Err(another(status, &kind))),
        }
    }

    fn request(&self, call: &Call<'_>, place: usize) -> reqwest::RequestBuilder {
        let way = &self.0;
        let base = way.bases.get(place).map(String::as_str).unwrap_or_default();
        let mut request = way.http.request(call.method.clone(), format!("{base}{}", call.path));
        if let Some(tokens) = &way.tokens {
            request = request.bearer_auth(tokens());
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(version) = call.if_match {
            request = request.header(header::IF_MATCH, format!("\"{version}\""));
        }
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request
    }
}

/// The kind of content, without parameters such as a charset.
fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn another(status: StatusCode, kind: &str) -> CallError {
    let kind: String = kind.chars().take(64).collect();
    CallError::NotAnAnswer(format!("status {} with `{kind}`", status.as_u16()))
}

/// How long `Retry-After` asks to wait, where it says so in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// A failure's kind: its text could repeat what the other side said.
fn in_our_words(error: &reqwest::Error) -> String {
    let why = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "it took too long"
    } else if error.is_builder() {
        "the request cannot be written"
    } else {
        "the exchange broke off"
    };
    why.to_owned()
}
