//! When the next attempt of a call is made, and at which address.

use std::time::Duration;

use tokio::time::Instant;

/// How long to wait before another attempt where the service does not say; twice as long before each one after, up to a
/// second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Of each address, before when it wishes to be left alone.
    not_before: Vec<Instant>,
    /// The place of the address that is next.
    next: usize,
    /// When; never, if nothing fails.
    at: Option<Instant>,
    left: u32,
    pause: Duration,
    hedge_after: Option<Duration>,
}

impl Attempts {
    /// So many attempts at so many addresses, from this one on.
    pub(super) fn new(
        now: Instant,
        addresses: usize,
        first: usize,
        attempts: u32,
        hedge_after: Option<Duration>,
    ) -> Self {
        let not_before = vec![now; addresses.max(1)];
        Self { not_before, next: first, at: Some(now), left: attempts, pause: PAUSES.0, hedge_after }
    }

    /// When the next attempt is due, if none that is under way is settled before.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.at.filter(|_| self.left > 0)
    }

    /// An attempt is made now: gives the place of its address.
    pub(super) fn begin(&mut self, now: Instant) -> usize {
        let place = self.next;
        self.left = self.left.saturating_sub(1);
        self.next = (self.next + 1) % self.not_before.len();
        self.at = self.hedge_after.map(|after| self.left_alone().unwrap_or(now).max(now + after));
        place
    }

    /// The attempt at this place has failed; `wait`: how long it wishes to be left alone.
    pub(super) fn failed(&mut self, now: Instant, place: usize, wait: Option<Duration>) {
        if let (Some(not_before), Some(wait)) = (self.not_before.get_mut(place), wait) {
            *not_before = now + wait;
        }
        // Another address need not wait for what this one has said.
        let left_alone = self.left_alone().unwrap_or(now);
        let again = left_alone.max(now + self.pause);
        self.at = Some(self.at.map_or(again, |hedge| hedge.max(left_alone).min(again)));
        self.pause = (self.pause * 2).min(PAUSES.1);
    }

    /// Before when the next address is left alone.
    fn left_alone(&self) -> Option<Instant> {
        self.not_before.get(self.next).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn attempts_end_and_pauses_grow() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now, 1, 0, 3, None);
        assert_eq!((attempts.next_at(), attempts.begin(now)), (Some(now), 0));
        assert_eq!(attempts.next_at(), None, "one is under way");
        attempts.failed(now, 0, None);
        assert_eq!((attempts.next_at(), attempts.begin(now)), (Some(now + ms(25)), 0));
        attempts.failed(now, 0, Some(ms(1_000)));
        assert_eq!((attempts.next_at(), attempts.begin(now)), (Some(now + ms(1_000)), 0));
        attempts.failed(now, 0, None);
        assert_eq!(attempts.next_at(), None, "no attempt is left");

        let mut attempts = Attempts::new(now, 1, 0, u32::MAX, None);
        for _ in 0..100 {
            attempts.begin(now);
            attempts.failed(now, 0, None);
        }
        assert_eq!(attempts.next_at(), Some(now + ms(1_000)));
    }

    #[test]
    fn who_wishes_to_be_left_alone_is_and_another_is_asked_meanwhile() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now, 2, 1, 9, None);
        assert_eq!(attempts.begin(now), 1);
        attempts.failed(now, 1, Some(ms(1_000)));
        assert_eq!((attempts.next_at(), attempts.begin(now)), (Some(now + ms(25)), 0));
        attempts.failed(now, 0, None);
        assert_eq!((attempts.next_at(), attempts.begin(now)), (Some(now + ms(1_000)), 1));
        attempts.failed(now + ms(1_000), 1, None);
        assert_eq!((attempts.next_at(), attempts.begin(now)), (Some(now + ms(1_100)), 0));
    }

    #[test]
    fn a_hedge_is_due_while_one_is_under_way() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now, 2, 0, 3, Some(ms(500)));
        assert_eq!(attempts.begin(now), 0);
        assert_eq!((attempts.next_at(), attempts.begin(now + ms(500))), (Some(now + ms(500)), 1));
        // What fails makes the next one due earlier, not later, unless its address wishes otherwise.
        attempts.failed(now + ms(600), 0, Some(ms(5_000)));
        assert_eq!(attempts.next_at(), Some(now + ms(5_600)));
        attempts.failed(now + ms(700), 1, None);
        assert_eq!((attempts.next_at(), attempts.begin(now + ms(5_600))), (Some(now + ms(5_600)), 0));
        assert_eq!(attempts.next_at(), None);
    }
}
