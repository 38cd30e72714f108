//! What can go wrong with a call.

use std::time::Duration;

use serde::Deserialize;

/// A client cannot be made of these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBuilt {
    /// The address is no `http` or `https` URL, or has more than a host, a port and a path.
    #[error("`{0}` is not the URL of a service, such as `https://consentry.example`")]
    Url(String),
    /// Other addresses beside a socket, which is reached in no other way.
    #[error("`{0}` cannot stand beside a socket")]
    BesideSocket(String),
    /// Certificates that are no PEM, or a TLS library that refuses them.
    #[error("the connection cannot be set up: {0}")]
    Connection(String),
}

/// An error as the service tells it (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// Stable, for programs: `consent_not_pending`, `version_changed` ...
    pub code: String,
    /// For people.
    #[serde(default)]
    pub detail: String,
    /// The field that it is about, if it is about one.
    #[serde(default)]
    pub field: Option<String>,
    /// The decision by which the policies deny.
    #[serde(default)]
    pub decision_id: Option<String>,
    /// The present status of what was to be changed, as far as the caller may know it.
    #[serde(default)]
    pub present_status: Option<String>,
}

/// Why a call has no answer. None of them is an allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The service refuses: the request is malformed, not permitted, or the case does not take it.
    #[error("the service refuses: {} ({})", .0.detail, .0.code)]
    Refused(Box<Problem>),
    /// The service cannot answer now, and says so.
    #[error("the service cannot answer now: {} ({})", .problem.detail, .problem.code)]
    Unavailable {
        /// What it said last.
        problem: Box<Problem>,
        /// For how long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Nobody answered: no connection, or one that broke.
    #[error("nobody answered: {0}")]
    NoAnswer(String),
    /// The time of the call was over first.
    #[error("there was no answer in time")]
    OutOfTime,
    /// An answer that the service does not give: another status, another kind of content, or content that cannot be read.
    #[error("the answer is none of the service's: {0}")]
    NotAnAnswer(String),
}

impl CallError {
    /// The service's own words, where it said any.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) | Self::Unavailable { problem, .. } => Some(problem),
            Self::NoAnswer(_) | Self::OutOfTime | Self::NotAnAnswer(_) => None,
        }
    }
}
