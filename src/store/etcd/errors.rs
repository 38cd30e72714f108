//! What went wrong, as far as anybody can tell, and what is said about it.

use std::error::Error as _;
use std::fmt;

use tonic::{Code, ConnectError};

use crate::store::{CommitError, Seq, StoreError};

/// Why a request to etcd had no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// It never left: no connection could be made.
    NotSent(String),
    /// etcd refused it and did nothing.
    Refused(String),
    /// Nobody knows whether etcd did it.
    Unknown(String),
    /// The revision asked for is no longer kept.
    Compacted,
}

impl From<etcd_client::Error> for Failed {
    fn from(error: etcd_client::Error) -> Self {
        let etcd_client::Error::GRpcStatus(status) = error else { return Self::Unknown(error.to_string()) };
        let mut cause = status.source();
        while let Some(known) = cause {
            if known.is::<ConnectError>() {
                return Self::NotSent(message(&status));
            }
            cause = known.source();
        }
        if status.message().contains("required revision has been compacted") {
            return Self::Compacted;
        }
        // Only etcd itself can tell that nothing was done: the same codes come from our side after an answer that could
        // not be read.
        let by_etcd = status.message().starts_with("etcdserver:") || status.message().starts_with("grpc: received");
        let nothing_done = matches!(
            status.code(),
            Code::InvalidArgument
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::OutOfRange
        );
        if by_etcd && nothing_done { Self::Refused(message(&status)) } else { Self::Unknown(message(&status)) }
    }
}

fn message(status: &tonic::Status) -> String {
    let mut message = status.message().to_owned();
    let mut cause = status.source();
    while let Some(known) = cause {
        let known_as = known.to_string();
        if !message.contains(&known_as) {
            message = format!("{message}: {known_as}");
        }
        cause = known.source();
    }
    message
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "etcd cannot be reached: {why}"),
            Self::Refused(why) => write!(f, "etcd refused: {why}"),
            Self::Unknown(why) => write!(f, "etcd did not answer: {why}"),
            Self::Compacted => f.write_str("etcd no longer keeps the revision asked for"),
        }
    }
}

impl From<Failed> for CommitError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unknown(_) => Self::Unknown(failed.to_string()),
            Failed::NotSent(_) | Failed::Refused(_) | Failed::Compacted => Self::Unavailable(failed.to_string()),
        }
    }
}

/// Why the store cannot be read or followed, for everybody who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not now.
    Unavailable(String),
    /// What etcd holds cannot be what was written.
    Damaged(String),
    /// It is behind what was seen of it, or another one.
    Regressed(String),
    /// Commits after this one are no longer kept.
    Compacted(Seq),
}

impl Fault {
    /// Whether trying again can help.
    pub(super) const fn passes(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Self {
        Self::Unavailable(failed.to_string())
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable(why) => Self::Unavailable(why),
            Fault::Damaged(why) => Self::Damaged(why),
            Fault::Regressed(why) => Self::Regressed(why),
            Fault::Compacted(after) => Self::Compacted(after),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StoreError::from(self.clone()).fmt(f)
    }
}
