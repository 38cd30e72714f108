//! What came of each record: in the file, failed, or not known yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

/// How many separate failures are remembered for those who have not asked yet. In a row they count as one.
const REMEMBERED_FAILURES: usize = 1024;

/// Records from `first` to `last` failed.
#[derive(Debug)]
struct Failure {
    first: u64,
    last: u64,
    reason: String,
}

#[derive(Debug, Default)]
struct Failures {
    remembered: VecDeque<Failure>,
    /// Up to this record failures have been forgotten: whoever asks now is told that theirs failed (G3).
    forgotten_through: u64,
}

/// The outcomes of all records, as two watermarks and the failures between them.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// The outcome of every record up to this one is known.
    through: AtomicU64,
    /// No record after this one has failed: the common case looks no further.
    failed_through: AtomicU64,
    failures: Mutex<Failures>,
    /// Wakes those who wait in the mode `synced`.
    announced: watch::Sender<u64>,
}

impl Outcomes {
    pub(super) fn new() -> Self {
        Self {
            through: AtomicU64::new(0),
            failed_through: AtomicU64::new(0),
            failures: Mutex::default(),
            announced: watch::Sender::new(0),
        }
    }

    /// Whether the outcome of this record is known.
    pub(super) fn known(&self, sequence: u64) -> bool {
        self.through.load(Ordering::Acquire) >= sequence
    }

    /// The outcome of this record, `None` when it is not known yet; an error is the reason of the failure.
    pub(super) fn of(&self, sequence: u64) -> Option<Result<(), String>> {
        if !self.known(sequence) {
            return None;
        }
        if self.failed_through.load(Ordering::Acquire) < sequence {
            return Some(Ok(()));
        }
        let failures = self.failures.lock();
        if sequence <= failures.forgotten_through {
            return Some(Err("too many failures ago to tell".to_owned()));
        }
        let failure = failures.remembered.iter().find(|failure| (failure.first..=failure.last).contains(&sequence));
        Some(failure.map_or(Ok(()), |failure| Err(failure.reason.clone())))
    }

    /// All records up to `last` that have not failed are in the file.
    pub(super) fn succeed(&self, last: u64) {
        self.through.store(last, Ordering::Release);
    }

    /// The `count` records up to `last` have failed.
    pub(super) fn fail(&self, last: u64, count: u64, reason: &str) {
        let first = last.saturating_sub(count) + 1;
        let mut failures = self.failures.lock();
        match failures.remembered.back_mut() {
            Some(before) if before.last + 1 == first => before.last = last,
            Some(_) | None => failures.remembered.push_back(Failure { first, last, reason: reason.to_owned() }),
        }
        if failures.remembered.len() > REMEMBERED_FAILURES
            && let Some(forgotten) = failures.remembered.pop_front()
        {
            failures.forgotten_through = forgotten.last;
        }
        // In this order: whoever sees the outcome as known also sees that it may be a failure.
        self.failed_through.store(last, Ordering::Release);
        self.through.store(last, Ordering::Release);
    }

    /// Wakes those who wait for a record.
    pub(super) fn announce(&self) {
        self.announced.send_replace(self.through.load(Ordering::Acquire));
    }

    /// Returns once the outcome of this record is known and announced.
    pub(super) async fn wait(&self, sequence: u64) {
        // It fails when the sender is gone only, and that is `self`.
        let _ = self.announced.subscribe().wait_for(|through| *through >= sequence).await;
    }
}
