//! The barrier: who takes access away waits until nobody can allow anything any more by what was before (G1).
//!
//! A member that says that it decides by the change does so from before it said it. A member that says nothing, or whose
//! entry has vanished from the list, is waited out: from the answer to the commit on for longer than any lease lasts that it can have
//! got before. What is listed was read with the commit; whoever registers later is told of the change.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Workflow;
use super::error::WorkflowError;
use crate::clock::{BootTime, Clock};
use crate::store::{Barrier, Committed, Member, MemberId, Seq, Store, StoreError};

/// How long to sleep at most before looking at the machine's clock again: a timer knows nothing of a suspended machine.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For how long to try to keep what came of waiting: about as long as the fleet's store needs to elect a leader. Whoever is sent away
/// instead asks again, and waits again in full.
const KEEPING: Duration = Duration::from_secs(3);

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// The members of a commit, by what is known of them.
#[derive(Debug)]
struct RollCall {
    seq: Seq,
    /// By name.
    silent: Vec<Member>,
    acknowledged: Vec<MemberId>,
}

impl RollCall {
    fn of(committed: &Committed) -> Self {
        let mut silent = committed.members.clone();
        silent.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Self { seq: committed.seq, silent, acknowledged: Vec::new() }
    }

    /// The list is this now, by name. What a new entry of a name says does not speak for the one that was there, and of one
    /// that is not listed nothing is known.
    fn hear(&mut self, members: &[Member]) {
        let mut listed = members.iter().peekable();
        let (seq, acknowledged) = (self.seq, &mut self.acknowledged);
        self.silent.retain_mut(|silent| {
            while listed.next_if(|member| member.id < silent.id).is_some() {}
            let Some(said) = listed.next_if(|member| member.id == silent.id && member.entry == silent.entry) else {
                return true;
            };
            silent.applied = said.applied;
            if said.applied >= seq {
                acknowledged.push(silent.id.clone());
            }
            said.applied < seq
        });
    }
}

/// Waits until no member can allow anything by what was before the commit, whose answer came at `answered_at`, and keeps that
/// in the store.
async fn waited_for(
    store: &dyn Store,
    clock: &dyn Clock,
    committed: &Committed,
    answered_at: BootTime,
    wait_out: Duration,
) -> Result<(), StoreError> {
    let deadline = answered_at.plus(wait_out);
    let mut roll_call = RollCall::of(committed);
    let mut members = store.watch_members();
    let mut is_told = true;
    loop {
        roll_call.hear(&members.borrow_and_update());
        let left = deadline.since(clock.boot());
        if roll_call.silent.is_empty() || left.is_zero() {
            break;
        }
        tokio::select! {
            changed = members.changed(), if is_told => is_told = changed.is_ok(),
            () = tokio::time::sleep(left.min(LOOK_EVERY)) => {}
        }
    }
    let RollCall { acknowledged, silent: waited_out, .. } = roll_call;
    if !waited_out.is_empty() {
        tracing::warn!(seq = committed.seq.0, members = ?waited_out, "members that said nothing were waited out");
    }
    kept(store, clock, Barrier { seq: committed.seq, at: clock.now(), acknowledged, waited_out }).await
}

/// Keeps what came of waiting, also in a store that cannot be written for a moment.
async fn kept(store: &dyn Store, clock: &dyn Clock, barrier: Barrier) -> Result<(), StoreError> {
    let deadline = clock.boot().plus(KEEPING);
    loop {
        match store.note_barrier(barrier.clone()).await {
            Err(StoreError::Unavailable(why)) if !deadline.since(clock.boot()).is_zero() => {
                tracing::debug!(why, "what came of waiting for the members cannot be kept now");
                tokio::time::sleep(PAUSE).await;
            }
            kept => return kept,
        }
    }
}

impl Workflow {
    /// Waits until a commit that takes access away, whose answer came at `answered_at`, is in force everywhere.
    ///
    /// # Errors
    /// [`WorkflowError::Unconfirmed`] when what came of waiting could not be kept.
    pub(super) async fn taken_away(
        &self,
        committed: &Committed,
        answered_at: BootTime,
        wait_out: Duration,
    ) -> Result<(), WorkflowError> {
        waited_for(&*self.store, &*self.clock, committed, answered_at, wait_out).await.map_err(|error| {
            tracing::error!(%error, "what came of waiting for the members could not be kept");
            WorkflowError::Unconfirmed
        })?;
        self.in_force_up_to.fetch_max(committed.seq.0, Ordering::AcqRel);
        Ok(())
    }

    /// Whether this process has seen a commit through to where it is in force everywhere: it or a later one.
    pub(super) fn is_in_force(&self, seq: Seq) -> bool {
        self.in_force_up_to.load(Ordering::Acquire) >= seq.0
    }
}

#[cfg(test)]
mod tests;
