//! A task as whoever asked for it sees it: which consents are missing, not who decided (R20).

use serde::Serialize;

use crate::model::{AccessRequest, TaskStatus, Timestamp};
use crate::reference::{Approval, References};

#[derive(Debug, Serialize)]
pub(super) struct TaskView<'a> {
    task: Handle<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Completion>,
}

#[derive(Debug, Serialize)]
struct Handle<'a> {
    id: &'a str,
    status: &'static str,
    status_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
}

/// Tenants decide side by side: there is no current step.
#[derive(Debug, Serialize)]
struct Progress {
    total_steps: usize,
    awaiting: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Links {
    cancel: String,
}

#[derive(Debug, Serialize)]
struct Completion {
    mode: &'static str,
    approval: Approval,
}

impl<'a> TaskView<'a> {
    /// None: nobody follows this access request as a task.
    pub(super) fn of(request: &'a AccessRequest, references: &References, now: Timestamp) -> Option<Self> {
        let status = request.task_status(now)?;
        let is_pending = status == TaskStatus::Pending;
        let address = references.task(request.id.as_str());
        let progress = Progress {
            total_steps: request.consents().count(),
            awaiting: request.missing_consents().map(crate::http::views::missing).collect(),
        };
        let approval = references.approval(request, now);
        Some(Self {
            task: Handle {
                id: request.id.as_str(),
                status: status.as_str(),
                progress: is_pending.then_some(progress),
                links: is_pending.then(|| Links { cancel: format!("{address}/cancel") }),
                status_endpoint: address,
            },
            result: approval.map(|approval| Completion { mode: "reevaluate", approval }),
        })
    }

    pub(super) fn is_pending(&self) -> bool {
        self.task.progress.is_some()
    }
}
