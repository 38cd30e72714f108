//! The clock at the edge: the one place that reads time. Everything below is told what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::Timestamp;

/// A moment on the machine's own clock (`CLOCK_BOOTTIME`), in nanoseconds since it was started. Two machines' cannot be
/// compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// Later than every other.
    pub const NEVER: Self = Self(u64::MAX);

    /// So much later.
    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is from `earlier` to here; nothing, if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Tells the time to the edges; the domain is given a [`Timestamp`].
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The time. Never earlier than an answer given before, but for one case: see [`SystemClock`].
    fn now(&self) -> Timestamp;

    /// For how long the machine has been up, suspended or not: leases are counted in it. It has nothing to do with the time
    /// of day, and runs on whatever becomes of that.
    fn boot(&self) -> BootTime;

    /// From here on the time is this at least: something that is already stored happened then.
    fn not_before(&self, _time: Timestamp) {}

    /// What somebody should know about the clock.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// The machine's wall clock, with the machine's uptime beside it, by which a wall clock that was set is told from time
/// that has passed.
///
/// Set back, it counts for nothing: our time goes on as if nobody had touched it, so what has ended stays ended and what
/// is to end does, on time (R9). Set forward, it counts at once, since that can only end things early; should it come
/// back within an hour, it was a mistake, and our time is again what it would have been without.
#[derive(Debug, Default)]
pub struct SystemClock {
    line: Line,
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
        let wall_ns = i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX);
        // In this order: a pause between the two then makes the wall clock look set back by it, which counts for nothing.
        Timestamp::from_millis(self.line.time_ns(wall_ns, up_ns()) / 1_000_000)
    }

    fn boot(&self) -> BootTime {
        boot_time()
    }

    fn not_before(&self, time: Timestamp) {
        self.now();
        let lead_ns = time.as_millis().saturating_mul(1_000_000).saturating_sub(up_ns());
        self.line.lead_ns.fetch_max(lead_ns, Ordering::AcqRel);
    }

    fn trouble(&self) -> Option<String> {
        self.now();
        self.line.trouble()
    }
}

/// The machine's own clock, for those who only count from one moment to another.
#[must_use]
pub fn boot_time() -> BootTime {
    BootTime(u64::try_from(up_ns()).unwrap_or_default())
}

/// For how long the machine has been up.
fn up_ns() -> i64 {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    up.tv_sec.saturating_mul(SECOND_NS).saturating_add(up.tv_nsec)
}

const SECOND_NS: i64 = 1_000_000_000;

/// A step forward of up to this is taken for a correction and not looked at again.
const STEP_NS: i64 = 60 * SECOND_NS;

/// For how long a wall clock that was set forward by more may come back.
const PROBATION_NS: i64 = 60 * 60 * SECOND_NS;

/// From here on somebody should know that the wall clock was set back.
const NOTABLE_NS: i64 = 5 * SECOND_NS;

/// The time as a line over the machine's uptime, in nanoseconds. It is never lowered.
#[derive(Debug)]
struct Line {
    /// How far the time is ahead of the uptime; the least number before the first reading.
    lead_ns: AtomicI64,
    /// Whether there is a jump: the common case looks no further.
    jumped: AtomicBool,
    jump: Mutex<Option<Jump>>,
    /// How far the wall clock is behind; 0 when it is not.
    behind_ns: AtomicI64,
}

/// The wall clock was set forward, and that is still on probation.
#[derive(Debug, Clone, Copy)]
struct Jump {
    lead_ns: i64,
    since_up_ns: i64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            lead_ns: AtomicI64::new(i64::MIN),
            jumped: AtomicBool::new(false),
            jump: Mutex::new(None),
            behind_ns: AtomicI64::new(0),
        }
    }
}

impl Line {
    /// The time, when the machine's clocks say this.
    fn time_ns(&self, wall_ns: i64, up_ns: i64) -> i64 {
        let lead_ns = wall_ns.saturating_sub(up_ns);
        let trusted_ns = self.lead_ns.load(Ordering::Acquire);
        let is_forward = trusted_ns != i64::MIN && lead_ns > trusted_ns.saturating_add(STEP_NS);
        if is_forward || self.jumped.load(Ordering::Acquire) {
            return up_ns.saturating_add(self.jumped_to(lead_ns, up_ns));
        }
        up_ns.saturating_add(self.on_the_line(lead_ns, trusted_ns))
    }

    fn on_the_line(&self, lead_ns: i64, trusted_ns: i64) -> i64 {
        // A plain load first: the common case must not make every core write the same line.
        if lead_ns > trusted_ns {
            self.note_behind(0);
            return self.lead_ns.fetch_max(lead_ns, Ordering::AcqRel).max(lead_ns);
        }
        self.note_behind(trusted_ns.saturating_sub(lead_ns));
        trusted_ns
    }

    fn note_behind(&self, behind_ns: i64) {
        let notable_ns = if behind_ns > NOTABLE_NS { behind_ns } else { 0 };
        if (self.behind_ns.load(Ordering::Relaxed) == 0) != (notable_ns == 0) {
            self.behind_ns.store(notable_ns, Ordering::Relaxed);
            if let Some(trouble) = self.trouble() {
                tracing::warn!(clock.trouble = trouble, "the wall clock cannot be right");
            }
        }
    }

    fn jumped_to(&self, lead_ns: i64, up_ns: i64) -> i64 {
        let mut jump = self.jump.lock();
        let trusted_ns = self.lead_ns.load(Ordering::Acquire);
        if lead_ns <= trusted_ns.saturating_add(STEP_NS) {
            if jump.take().is_some() {
                tracing::warn!("the wall clock is back from the time that it was set forward to");
            }
            self.jumped.store(false, Ordering::Release);
            return self.on_the_line(lead_ns, trusted_ns);
        }
        let before = jump.filter(|before| lead_ns <= before.lead_ns.saturating_add(STEP_NS));
        if before.is_none() {
            tracing::warn!(ahead_s = (lead_ns - trusted_ns) / SECOND_NS, "the wall clock was set forward");
        }
        let now = match before {
            Some(before) => Jump { lead_ns: before.lead_ns.max(lead_ns), ..before },
            None => Jump { lead_ns, since_up_ns: up_ns },
        };
        let is_trusted = up_ns.saturating_sub(now.since_up_ns) >= PROBATION_NS;
        if is_trusted {
            self.lead_ns.fetch_max(now.lead_ns, Ordering::AcqRel);
        }
        *jump = Some(now).filter(|_| !is_trusted);
        self.jumped.store(!is_trusted, Ordering::Release);
        now.lead_ns
    }

    fn trouble(&self) -> Option<String> {
        let behind_s = self.behind_ns.load(Ordering::Relaxed) / SECOND_NS;
        (behind_s > 0).then(|| {
            format!(
                "the machine's clock was set back by {behind_s} s, and this process goes on by the time before; if the \
                 clock is right now, restart"
            )
        })
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

    fn boot(&self) -> BootTime {
        BootTime(u64::try_from(self.now_ms.load(Ordering::Acquire)).unwrap_or_default().saturating_mul(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * SECOND_NS;
    const MONTH: i64 = 30 * 24 * HOUR;

    /// Starts at this wall clock, at an uptime of a minute.
    const START: i64 = 1_000 * MONTH;
    const UP: i64 = 60 * SECOND_NS;

    /// The time after so long, with the wall clock set off by this.
    fn at(line: &Line, passed: i64, off: i64) -> i64 {
        line.time_ns(START + passed + off, UP + passed) - START
    }

    fn started() -> Line {
        let line = Line::default();
        assert_eq!(at(&line, 0, 0), 0);
        line
    }

    #[test]
    fn a_clock_set_back_changes_nothing() {
        let line = started();
        for (passed, off) in [(10, -HOUR), (20, -HOUR), (HOUR, -MONTH), (2 * HOUR, -1), (3 * HOUR, 0)] {
            assert_eq!(at(&line, passed, off), passed, "time goes on");
            assert_eq!(line.trouble().is_some(), off < -NOTABLE_NS, "{off}");
        }
    }

    #[test]
    fn a_small_step_forward_is_a_correction_for_good() {
        let line = started();
        assert_eq!(at(&line, 10, STEP_NS), 10 + STEP_NS);
        assert_eq!(at(&line, 20, 0), 20 + STEP_NS);
    }

    #[test]
    fn a_clock_set_forward_counts_at_once_and_comes_back_to_what_it_would_have_been() {
        let line = started();
        assert_eq!(at(&line, 10, MONTH), 10 + MONTH);
        assert_eq!(at(&line, HOUR - 1, MONTH), HOUR - 1 + MONTH);
        assert_eq!(at(&line, HOUR, 0), HOUR);
        assert_eq!(at(&line, HOUR + 1, -HOUR), HOUR + 1, "and no further back");
    }

    #[test]
    fn a_clock_that_comes_back_in_part_counts_for_nothing() {
        let line = started();
        at(&line, 10, MONTH);
        assert_eq!(at(&line, 20, MONTH - HOUR), 20 + MONTH);
        assert_eq!(at(&line, 30, 2 * STEP_NS), 30 + MONTH);
        assert_eq!(at(&line, 40, STEP_NS), 40 + STEP_NS);
    }

    #[test]
    fn a_clock_that_stays_set_forward_is_right() {
        let line = started();
        at(&line, 10, MONTH);
        assert_eq!(at(&line, 10 + PROBATION_NS, MONTH), 10 + PROBATION_NS + MONTH);
        assert_eq!(at(&line, 20 + PROBATION_NS, 0), 20 + PROBATION_NS + MONTH);
        assert!(line.trouble().is_some_and(|trouble| trouble.contains("restart")));
    }

    #[test]
    fn time_never_runs_backwards_but_when_a_jump_is_taken_back() {
        let mut dice = fastrand::Rng::new();
        println!("seed {}", dice.get_seed());
        for _ in 0..2_000 {
            let line = started();
            let (mut passed, mut last) = (0, 0);
            for _ in 0..30 {
                passed += dice.i64(0..HOUR / 4);
                let off = [0, 1, -HOUR, HOUR, MONTH, -MONTH, dice.i64(-MONTH..MONTH)][dice.usize(..7)];
                let was_jumped = line.jumped.load(Ordering::Relaxed);
                let now = at(&line, passed, off);
                assert!(now >= passed, "an end that has passed has passed");
                assert!(now >= last || was_jumped && !line.jumped.load(Ordering::Relaxed), "{now} after {last}");
                last = now;
            }
        }
    }

    #[test]
    fn it_is_not_before_what_is_stored() {
        let clock = SystemClock::new();
        let stored = clock.now().plus_millis(240_000);
        clock.not_before(stored);
        assert!(clock.now() >= stored);
        assert!(clock.trouble().is_some());
        clock.not_before(Timestamp::from_millis(0));
        assert!(clock.now() >= stored);
    }
}
