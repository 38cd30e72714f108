//! Why a command was not carried out, or a view not shown.

use crate::audit::{DecisionId, LogError};
use crate::decision::{PolicyRef, Reason};
use crate::model::{InvalidId, Refusal};
use crate::store::StoreError;

/// A denial with its reason.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The decision.
    pub decision_id: DecisionId,
    /// Why.
    pub reason: Reason,
    /// Which policies.
    pub policies: Vec<PolicyRef>,
}

/// Why not. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// There is no such thing, or the caller may not know of it: the answer is the same (R19).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The policies deny it.
    #[error("{}", .0.reason.message)]
    Denied(Box<Denied>),
    /// The case, as it is, does not take the command.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller saw an older version than the present one (`If-Match`).
    #[error("it has changed since: the present version is {present}")]
    Outdated {
        /// The present version.
        present: u32,
    },
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// A part of the command is malformed.
    #[error("{field}: {message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Others kept changing the same objects.
    #[error("others are changing this at the same moment: try again")]
    Busy,
    /// The decision could not be recorded (G3).
    #[error("the decision log cannot be written: {0}")]
    Unrecorded(#[from] LogError),
    /// The decision log cannot be read back.
    #[error("the decision log cannot be read: {0}")]
    LogUnreadable(LogError),
    /// The store cannot be used.
    #[error("the store cannot be used now: {0}")]
    Unavailable(String),
    /// Another process does this: this one only decides reads.
    #[error("this process only decides reads: ask an authority of the fleet")]
    Elsewhere,
    /// The change may have been made, but nobody can vouch that it is in force everywhere (G1). Retrying is safe.
    #[error("the change may not be in force yet: try again")]
    Unconfirmed,
}

impl WorkflowError {
    /// A malformed field.
    #[must_use]
    pub fn invalid(field: &'static str, error: &InvalidId) -> Self {
        Self::Invalid { field, message: error.to_string() }
    }
}

impl From<StoreError> for WorkflowError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Elsewhere => Self::Elsewhere,
            StoreError::Unavailable(_)
            | StoreError::Damaged(_)
            | StoreError::NewerSchema { .. }
            | StoreError::InUse(_)
            | StoreError::Compacted(_)
            | StoreError::Unusable(_)
            | StoreError::Fenced
            | StoreError::Regressed(_) => Self::Unavailable(error.to_string()),
        }
    }
}
