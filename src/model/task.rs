//! Tasks: how somebody who was denied a read follows the access request that would cure it, and what became of it
//! (AuthZEN Access Request and Approval Profile, Draft 1).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccessRequest, Consent, ConsentStatus, Timestamp};

/// The denial after which an access request was created, and how whoever was denied wants to hear of its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The denied evaluation: a decision id. One denial leads to one access request.
    pub evaluation: String,
    /// Until when an access request can be created after it.
    pub expires_at: Timestamp,
    /// Who was told of the denial.
    pub told: String,
    /// The verb that was denied.
    pub action: String,
    /// The resource that was denied, as the question named it.
    pub resource: String,
    /// Until when access is wanted, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_until: Option<Timestamp>,
    /// Who is called back, where that was wished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// Who is told of a task's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// The name that the operator gave the endpoint.
    pub endpoint: String,
    /// What the endpoint is told back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The ends that it wants to hear of.
    pub events: Vec<TaskStatus>,
}

/// What an access request is to whoever asked for it after a denial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The denial that it is about.
    pub denial: Denial,
    /// How and when it ended; it ends once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TaskEnd>,
}

/// The end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEnd {
    /// How it ended.
    pub status: TaskStatus,
    /// When.
    pub at: Timestamp,
}

/// Where a task stands. All but the first are ends, and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// A consent is missing.
    Pending,
    /// All consents were there. What became of the access later is told when it is asked for.
    Approved,
    /// A tenant rejected.
    Denied,
    /// One consent's end time passed before the other consent was there.
    Expired,
    /// The request was withdrawn, or ended with its support request or with what one tenant took back, before all
    /// consents were there.
    Cancelled,
}

impl TaskStatus {
    /// The ends that somebody can be told of.
    pub const ENDS: [Self; 4] = [Self::Approved, Self::Denied, Self::Expired, Self::Cancelled];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Task {
    /// A task that has just begun.
    #[must_use]
    pub const fn after(denial: Denial) -> Self {
        Self { denial, ended: None }
    }
}

impl AccessRequest {
    /// Where its task stands; none: it was not created after a denial.
    #[must_use]
    pub fn task_status(&self, now: Timestamp) -> Option<TaskStatus> {
        let task = self.task.as_ref()?;
        let end = task.ended.or_else(|| self.task_end(now));
        Some(end.map_or(TaskStatus::Pending, |end| end.status))
    }

    /// Writes down that the task has ended, if it has: what a consent does later is no concern of the task.
    pub(super) fn settle_task(&mut self, at: Timestamp) {
        let end = self.task_end(at);
        if let Some(task) = &mut self.task {
            task.ended = task.ended.or(end);
        }
    }

    /// The end of a task that had none before.
    fn task_end(&self, at: Timestamp) -> Option<TaskEnd> {
        let any = |status| self.consents().any(|consent| consent.status == status);
        // An end time that has passed before now did so before whatever happens now.
        let expired =
            self.consents().filter(|consent| consent.is_expired(at)).filter_map(|consent| consent.scope.until);
        if let Some(at) = expired.min() {
            return Some(TaskEnd { status: TaskStatus::Expired, at });
        }
        let status = if self.consents().all(|consent| consent.status == ConsentStatus::Approved) {
            TaskStatus::Approved
        } else if any(ConsentStatus::Rejected) {
            TaskStatus::Denied
        } else if self.consents().any(|consent| consent.status.is_final()) {
            TaskStatus::Cancelled
        } else {
            return None;
        };
        Some(TaskEnd { status, at })
    }

    /// The last moment up to which what was approved can count: as far as its consents reach, and no further than it was
    /// wanted. None: as long as the support request is open.
    #[must_use]
    pub fn approved_until(&self) -> Option<Timestamp> {
        let wanted = self.task.as_ref().and_then(|task| task.denial.wanted_until);
        self.consents().filter_map(Consent::ends_at).chain(wanted).min()
    }
}
