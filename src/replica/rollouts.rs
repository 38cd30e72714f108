//! Policies that come with the commits: in force before the follower says that it has applied them.

use crate::store::Rollout;

/// Takes policies into force that were rolled out to the fleet (G6).
pub trait Rollouts: Send + Sync + std::fmt::Debug {
    /// Judges them and takes them into force; those that are in force already stay. Blocks for as long as judging takes.
    ///
    /// # Errors
    /// Why they cannot be used here: the one in force stays, and nothing may be decided by it.
    fn take(&self, rollout: &Rollout) -> Result<(), String>;
}
