//! Policies for a whole fleet: committed like any change, and in force everywhere before it is said that they are.

use super::Workflow;
use super::change::{ATTEMPTS, txn_id};
use super::error::WorkflowError;
use crate::store::{Commit, Key, Object, Precondition, Revision, Rollout, Write};

impl Workflow {
    /// Rolls policies out to every member of the fleet. Returns once each decides by them, or can no longer decide by what
    /// was before (G1, G6).
    ///
    /// # Errors
    /// [`WorkflowError::Unavailable`]: nothing was changed. [`WorkflowError::Unconfirmed`]: perhaps not everywhere yet.
    pub async fn roll_out(&self, rollout: &Rollout) -> Result<(), WorkflowError> {
        for _ in 0..ATTEMPTS {
            let before = self.store.rollout().await?;
            if self.rolled_out(before.map(|before| before.revision), rollout).await? {
                return Ok(());
            }
        }
        Err(WorkflowError::Busy)
    }

    /// Rolls policies out where none were: a fleet decides by the same policies from its beginning. Tells whether these are
    /// the first.
    ///
    /// # Errors
    /// As [`Workflow::roll_out`].
    pub async fn roll_out_first(&self, rollout: &Rollout) -> Result<bool, WorkflowError> {
        match self.store.rollout().await? {
            Some(_) => Ok(false),
            None => self.rolled_out(None, rollout).await,
        }
    }

    async fn rolled_out(&self, before: Option<Revision>, rollout: &Rollout) -> Result<bool, WorkflowError> {
        let commit = Commit {
            txn_id: txn_id(),
            at: rollout.at,
            preconditions: vec![Precondition { key: Key::Rollout, revision: before }],
            writes: vec![Write(Object::Rollout(rollout.clone()))],
            activities: Vec::new(),
            announcements: Vec::new(),
            takes_away: true,
        };
        self.committed(commit).await
    }
}
