//! Renewals: the member says how far it is and is told the store's head, again and again; counted, and asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::facts::NotFresh;
use super::follower::Follower;
use super::lease::{Ahead, Granted, Leases};
use crate::store::{Renewal, Seq, StoreError, Term};

/// How long somebody who wants a renewal of their own waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How a member's lease is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// For how long the picture may still be used; none: it may not.
    pub remaining: Option<Duration>,
    /// Every commit up to here is in force.
    pub applied: Seq,
    /// The newest commit that the store has told of.
    pub head: Seq,
    /// How many renewals have succeeded since the start.
    pub renewals: u64,
    /// How many have failed.
    pub failures: u64,
}

/// What is known of the renewals, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// Somebody wants one at once: what was applied is to be told, or a question waits.
    asked: Notify,
    head: AtomicU64,
    begun: AtomicU64,
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// The number of the newest whose head is in force.
    confirmed: watch::Sender<u64>,
}

impl Renewals {
    pub(super) fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    pub(super) fn status(&self, remaining: Option<Duration>, applied: Seq) -> Option<LeaseStatus> {
        (self.begun.load(Ordering::Acquire) > 0).then(|| LeaseStatus {
            remaining,
            applied,
            head: self.head(),
            renewals: self.succeeded.load(Ordering::Relaxed),
            failures: self.failed.load(Ordering::Relaxed),
        })
    }

    /// Whether a renewal that was sent after this call succeeded in time, and what it names is in force.
    pub(super) async fn confirmed_anew(&self) -> bool {
        let mut confirmed = self.confirmed.subscribe();
        // Of one that has begun nobody can tell whether it has been sent.
        let begun = self.begun.load(Ordering::SeqCst);
        self.asked.notify_one();
        let anew = confirmed.wait_for(|number| *number > begun);
        matches!(tokio::time::timeout(PATIENCE, anew).await, Ok(Ok(_)))
    }

    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// What the follower holds of its renewals.
#[derive(Debug)]
pub(super) struct Held {
    leases: Box<dyn Leases>,
    /// The numbers of renewals whose heads are not in force yet.
    unconfirmed: Ahead<u64>,
}

impl Held {
    pub(super) fn of(leases: Box<dyn Leases>) -> Self {
        Self { leases, unconfirmed: Ahead::default() }
    }
}

impl Follower {
    /// Renews for as long as that may help.
    ///
    /// # Errors
    /// Why the picture must be taken anew.
    pub(super) async fn renew_always(&self) -> StoreError {
        let renewals = &self.replica.renewals;
        let following = &self.following;
        loop {
            let sent = Instant::now();
            let next = match self.renew(self.replica.applied()).await {
                Ok(()) => sent + following.renew_every,
                Err(StoreError::Fenced) => {
                    tracing::warn!("this process was struck off the list of members; it registers anew");
                    self.held.lock().leases.fenced();
                    self.replica.stop(NotFresh::Fenced);
                    Instant::now()
                }
                Err(error @ StoreError::Regressed(_)) => return error,
                // What was granted before counts until it runs out.
                Err(error) => {
                    tracing::warn!(%error, "the lease could not be renewed");
                    Instant::now() + following.renew_every / 4
                }
            };
            tokio::time::sleep_until(sent + following.acknowledge_interval).await;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = renewals.asked.notified() => {}
            }
        }
    }

    /// Tells the store how far the picture is, and takes in what it grants.
    ///
    /// # Errors
    /// [`StoreError::Regressed`] where the store has gone back; and why it could not be asked.
    pub(super) async fn renew(&self, applied: Seq) -> Result<(), StoreError> {
        let renewals = &self.replica.renewals;
        let number = renewals.begin();
        let before = self.seen();
        let sent_at = self.replica.clock().boot();
        let renewal = self.store.renew(self.following.member.clone(), applied).await.inspect_err(|_| {
            renewals.failed.fetch_add(1, Ordering::Relaxed);
        })?;
        let answered_at = self.replica.clock().boot();
        let Renewal { head, epoch, term } = renewal;
        self.see(before, head, epoch)?;
        renewals.succeeded.fetch_add(1, Ordering::Relaxed);
        renewals.head.store(head.0, Ordering::Release);
        let length = match term {
            Term::Lease(length) => length,
            Term::Exclusive => Duration::MAX,
        };
        {
            let mut held = self.held.lock();
            held.leases.renewed(Granted { sent_at, answered_at, length, head });
            held.unconfirmed.push(head, number);
        }
        self.use_what_is_granted();
        Ok(())
    }

    /// A change was applied: the store is to know, and a lease that waited for it counts.
    pub(super) fn applied(&self) {
        self.use_what_is_granted();
        self.replica.renewals.asked.notify_one();
    }

    /// Puts the best lease in force that the picture, as far as it is, has.
    pub(super) fn use_what_is_granted(&self) {
        if !*self.installed.lock() {
            return;
        }
        let applied = self.replica.applied();
        let mut held = self.held.lock();
        // A member that was struck off has none, and keeps the reason.
        if let Some(until) = held.leases.usable_until(applied) {
            self.replica.use_until(Some(until));
        }
        if let Some(number) = held.unconfirmed.reached(applied) {
            self.replica.renewals.confirmed.send_replace(number);
        }
    }
}
