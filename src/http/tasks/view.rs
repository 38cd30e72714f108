//! A task as whoever asked for it sees it: which consents are missing, not who decided (R20).

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::views::{MissingConsent, missing};
use crate::model::{AccessRequest, AccessRequestId, TaskStatus, Timestamp};
use crate::reference::{Approval, References};

/// An access request, as whoever asked for it after a denial follows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskAnswer)]
pub(in crate::http) struct TaskView<'a> {
    task: Handle<'a>,
    /// There once it is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    result: Option<Completion>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
struct Handle<'a> {
    #[schema(value_type = AccessRequestId)]
    id: &'a str,
    status: TaskStatus,
    status_endpoint: String,
    /// There while it is pending, as are the links.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    links: Option<Links>,
}

/// Tenants decide side by side: there is no current step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskProgress)]
struct Progress {
    total_steps: usize,
    awaiting: Vec<MissingConsent>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskLinks)]
struct Links {
    cancel: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskResult)]
struct Completion {
    mode: Mode,
    approval: Approval,
}

/// What to do with an approval.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = TaskMode)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Ask for the decision again.
    Reevaluate,
}

impl<'a> TaskView<'a> {
    /// None: nobody follows this access request as a task.
    pub(super) fn of(request: &'a AccessRequest, references: &References, now: Timestamp) -> Option<Self> {
        let status = request.task_status(now)?;
        let is_pending = status == TaskStatus::Pending;
        let address = references.task(request.id.as_str());
        let progress = Progress {
            total_steps: request.consents().count(),
            awaiting: request.missing_consents().map(missing).collect(),
        };
        let approval = references.approval(request, now);
        Some(Self {
            task: Handle {
                id: request.id.as_str(),
                status,
                progress: is_pending.then_some(progress),
                links: is_pending.then(|| Links { cancel: format!("{address}/cancel") }),
                status_endpoint: address,
            },
            result: approval.map(|approval| Completion { mode: Mode::Reevaluate, approval }),
        })
    }

    pub(super) fn is_pending(&self) -> bool {
        self.task.progress.is_some()
    }
}
