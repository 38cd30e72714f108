//! The clock at the edge: the one place that reads time. Everything below is told what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::Timestamp;

/// Tells the time to the edges; the domain is given a [`Timestamp`].
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The wall clock's time. Never earlier than an answer given before.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock, kept from running backwards: an end time that has passed stays passed (R9).
#[derive(Debug, Default)]
pub struct SystemClock {
    latest_ms: AtomicI64,
}

impl SystemClock {
    /// A clock that has not been read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let read = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        // A plain load first: the common case must not make every core write the same line.
        let latest = self.latest_ms.load(Ordering::Acquire);
        if read <= latest {
            return Timestamp::from_millis(latest);
        }
        Timestamp::from_millis(self.latest_ms.fetch_max(read, Ordering::AcqRel).max(read))
    }
}

/// A clock that tests and replays turn by hand.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now_ms: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that stands at this time.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self { now_ms: Arc::new(AtomicI64::new(time.as_millis())) }
    }

    /// Moves the clock on by this many milliseconds.
    pub fn advance_millis(&self, millis: i64) {
        self.now_ms.fetch_add(millis, Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::Acquire))
    }
}
