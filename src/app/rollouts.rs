//! An authority's part in rollouts: what is handed in goes to the whole fleet, one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::bundles::Course;
use crate::config::{FleetSettings, Role};
use crate::http::Edge;
use crate::store::Rollout;
use crate::workflow::WorkflowError;

/// How long to wait before a rollout whose outcome is unknown is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be rolled out: what a new fleet begins with, and then whatever is handed in.
#[derive(Debug)]
pub(super) struct HandedIn {
    first: Rollout,
    more: mpsc::Receiver<Rollout>,
}

/// What becomes of changed files in this process, and where those arrive that are handed in.
pub(super) fn course(fleet: Option<&FleetSettings>, first: Rollout) -> (Course, Option<HandedIn>) {
    match fleet.map(|fleet| fleet.role) {
        None => (Course::Here, None),
        Some(Role::Sidecar) => (Course::UntilRollout, None),
        Some(Role::Authority) => {
            let (roller, more) = mpsc::channel(1);
            (Course::HandedIn(roller), Some(HandedIn { first, more }))
        }
    }
}

impl HandedIn {
    /// Rolls it out, one after the other. What was rolled out before stays in force when an authority starts, whatever its
    /// own files say: a restart is nobody's wish to go back.
    pub(super) async fn roll_out(mut self, edge: Arc<Edge>) {
        until_known(&self.first, || async { edge.workflow.roll_out_first(&self.first).await.map(drop) }).await;
        while let Some(rollout) = self.more.recv().await {
            until_known(&rollout, || edge.workflow.roll_out(&rollout)).await;
        }
    }
}

/// Tries until it is known to be in force everywhere: a rollout that nobody knows about would leave a fleet of two minds.
async fn until_known<F: Future<Output = Result<(), WorkflowError>>>(rollout: &Rollout, attempt: impl Fn() -> F) {
    let version = &*rollout.policy_version;
    loop {
        match attempt().await {
            Ok(()) => {
                tracing::info!(policy.version = version, "the policies are in force with every member of the fleet");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, policy.version = version, "the policies are not rolled out yet: trying again");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}
