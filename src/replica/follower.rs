//! The follower: takes a snapshot, then every change in order, and tells the store how far it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::facts::{NotFresh, Replica, Snapshot};
use super::lease::{MakeLeases, SoundLeases};
use super::renewal::Held;
use super::rollouts::Rollouts;
use crate::clock::BootTime;
use crate::store::{
    Change, ChangeFeed, Epoch, MemberId, Object, Renewal, Rollout, Seq, Store, StoreError, Term, Write,
};

/// A trouble that lasts is told of so seldom.
const TOLD_AGAIN: Duration = Duration::from_secs(10);

/// How a member follows its store.
#[derive(Debug, Clone)]
pub struct Following {
    /// Which process this is.
    pub member: MemberId,
    /// How often a lease is renewed. A store that only this process holds grants none.
    pub renew_every: Duration,
    /// How much time lies between two renewals at least: what is applied within it is told of together.
    pub acknowledge_interval: Duration,
    /// How long to wait before trying again to follow a store that failed.
    pub retry_every: Duration,
    /// What renewals are worth.
    pub leases: MakeLeases,
    /// Who takes policies into force that come with the commits; none: nobody, and they change nothing.
    pub rollouts: Option<Arc<dyn Rollouts>>,
}

impl Following {
    /// As this member, with leases of five seconds in mind.
    #[must_use]
    pub fn as_member(member: MemberId) -> Self {
        Self {
            member,
            renew_every: Duration::from_millis(1_500),
            acknowledge_interval: Duration::from_millis(20),
            retry_every: Duration::from_millis(500),
            leases: SoundLeases::boxed,
            rollouts: None,
        }
    }
}

/// Follows the store for ever. The replica is usable while this keeps up, and says why when it is not.
pub async fn follow(replica: Arc<Replica>, store: Arc<dyn Store>, following: Following) {
    let held = Mutex::new(Held::of((following.leases)()));
    let follower = Follower { replica, store, following, held, seen: Mutex::default(), installed: Mutex::default() };
    let mut told = None;
    loop {
        let error = match follower.run().await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let kind = std::mem::discriminant(&error);
        let is_known = |(known, at): (_, Instant)| known == kind && at.elapsed() < TOLD_AGAIN;
        if told.is_some_and(is_known) && !*follower.installed.lock() {
            tracing::debug!(%error, "the replica still cannot follow the store");
        } else {
            told = Some((kind, Instant::now()));
            tracing::error!(%error, "the replica cannot follow the store; nothing is allowed until it can");
        }
        follower.stop(&error);
        tokio::time::sleep(follower.following.retry_every).await;
    }
}

/// How far the store was seen to be, and which one it is; none: it has not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    epoch: Option<Epoch>,
    head: Seq,
}

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) replica: Arc<Replica>,
    pub(super) store: Arc<dyn Store>,
    pub(super) following: Following,
    pub(super) held: Mutex<Held>,
    seen: Mutex<Seen>,
    /// Whether the picture is whole: leases count for one that is.
    pub(super) installed: Mutex<bool>,
}

impl Follower {
    fn stop(&self, error: &StoreError) {
        *self.installed.lock() = false;
        self.replica.stop(match error {
            StoreError::Regressed(why) => NotFresh::Regressed(why.clone()),
            StoreError::Unavailable(_)
            | StoreError::Damaged(_)
            | StoreError::NewerSchema { .. }
            | StoreError::InUse(_)
            | StoreError::Compacted(_)
            | StoreError::Unusable(_)
            | StoreError::Elsewhere => NotFresh::Lost(error.to_string()),
            StoreError::Fenced => NotFresh::Fenced,
        });
        *self.held.lock() = Held::of((self.following.leases)());
    }

    async fn run(&self) -> Result<Infallible, StoreError> {
        if self.store.wait_out().is_none() {
            return self.follow_alone().await;
        }
        // Where others change the store too, a member registers before it looks: it is waited for from then on. One that
        // begins anew has told before how far it was, and does not take that back; but it vouches for nothing in a store
        // that is not the one it has seen.
        let vouched = if self.has_regressed() { Seq(0) } else { self.replica.applied() };
        self.renew(vouched).await?;
        self.bootstrap().await?;
        *self.installed.lock() = true;
        self.use_what_is_granted();
        tokio::select! {
            error = self.apply_always() => Err(error),
            error = self.renew_always() => Err(error),
        }
    }

    /// Follows a store that nobody else changes: there is nothing to renew, and each change is told of by itself.
    async fn follow_alone(&self) -> Result<Infallible, StoreError> {
        let seq = self.bootstrap().await?;
        let mut changes = self.store.changes(seq)?;
        let head = self.told_alone().await?;
        while self.replica.applied() < head {
            self.apply(changes.next().await?).await?;
        }
        self.replica.use_until(Some(BootTime::NEVER));
        self.told_alone().await?;
        loop {
            self.apply(changes.next().await?).await?;
            self.told_alone().await?;
        }
    }

    async fn told_alone(&self) -> Result<Seq, StoreError> {
        let before = self.seen();
        let Renewal { head, epoch, term } =
            self.store.renew(self.following.member.clone(), self.replica.applied()).await?;
        self.see(before, head, epoch)?;
        match term {
            Term::Exclusive => Ok(head),
            Term::Lease(_) => Err(StoreError::Damaged("it grants leases, and says that they never end".to_owned())),
        }
    }

    async fn bootstrap(&self) -> Result<Seq, StoreError> {
        let (mut early, mut snapshot) = (Vec::new(), Snapshot::of(&self.replica));
        let mut rollout = None;
        let seq = self
            .store
            .snapshot(&mut |item| {
                if let Object::Rollout(found) = &item.object {
                    rollout = Some(found.clone());
                }
                if let Some(item) = snapshot.load(item) {
                    early.push(item);
                }
            })
            .await?;
        for item in early {
            if let Some(item) = snapshot.load(item) {
                return Err(StoreError::Damaged(format!("`{}` has no support request", item.object.key())));
            }
        }
        if seq < self.replica.applied() {
            return Err(StoreError::Regressed("its snapshot is older than what was in force before".to_owned()));
        }
        if let Some(rollout) = rollout {
            self.take(rollout).await?;
        }
        self.replica.install(snapshot, seq);
        Ok(seq)
    }

    /// Applies change after change. What was granted stays usable while the changes do not come.
    async fn apply_always(&self) -> StoreError {
        loop {
            let error = match self.store.changes(self.replica.applied()) {
                Ok(changes) => self.apply_all(changes).await,
                Err(error) => error,
            };
            if !matches!(error, StoreError::Unavailable(_)) {
                return error;
            }
            tracing::warn!(%error, "the store's changes do not arrive");
            tokio::time::sleep(self.following.retry_every).await;
        }
    }

    async fn apply_all(&self, mut changes: Box<dyn ChangeFeed>) -> StoreError {
        loop {
            let change = match changes.next().await {
                Ok(change) => change,
                Err(error) => return error,
            };
            if let Err(error) = self.apply(change).await {
                return error;
            }
            self.applied();
            // However many changes are there, the renewals get their turn.
            tokio::task::consume_budget().await;
        }
    }

    async fn apply(&self, change: Change) -> Result<(), StoreError> {
        let applied = self.replica.applied();
        if change.seq != applied.next() {
            return Err(StoreError::Damaged(format!("change {} follows {}: one is missing", change.seq.0, applied.0)));
        }
        for Write(object) in &change.writes {
            if let Object::Rollout(rollout) = object {
                self.take(rollout.clone()).await?;
            }
        }
        self.replica.apply(change);
        Ok(())
    }

    /// Policies are in force before it is said that their commit is. A member that cannot use them decides nothing.
    async fn take(&self, rollout: Rollout) -> Result<(), StoreError> {
        let Some(rollouts) = self.following.rollouts.clone() else { return Ok(()) };
        let taken = tokio::task::spawn_blocking(move || rollouts.take(&rollout)).await;
        taken.unwrap_or_else(|_| Err("judging them was given up".to_owned())).map_err(StoreError::Unusable)
    }

    /// How far the store was, as far as this process knows.
    pub(super) fn seen(&self) -> Seen {
        let mut seen = self.seen.lock();
        seen.head = seen.head.max(self.replica.applied());
        seen.clone()
    }

    fn has_regressed(&self) -> bool {
        matches!(self.replica.fresh(), Err(NotFresh::Regressed(_)))
    }

    /// The store answers that it is here, after it was `before`. It never goes back, and never becomes another one.
    ///
    /// # Errors
    /// [`StoreError::Regressed`].
    pub(super) fn see(&self, before: Seen, head: Seq, epoch: Epoch) -> Result<(), StoreError> {
        if before.epoch.is_some_and(|before| before != epoch) {
            return Err(StoreError::Regressed("it is another one than before".to_owned()));
        }
        if head < before.head {
            return Err(StoreError::Regressed("it has lost changes".to_owned()));
        }
        *self.seen.lock() = Seen { epoch: Some(epoch), head };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
