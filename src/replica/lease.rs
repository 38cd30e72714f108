//! Leases: until when a picture that has taken in so much may be used. Pure: who calls tells the time.
//!
//! A renewal is a write to the store that names its head. Whatever is acknowledged to have taken access away before it is
//! in a picture that has come to that head; whoever takes access away after it waits for the member that wrote it, or until
//! its lease has run out. So the lease counts from before the renewal was sent, and once the head has been applied (G1).

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::clock::BootTime;
use crate::store::Seq;

/// How many renewals that are ahead of the picture are remembered.
const MOST_AHEAD: usize = 64;

/// A renewal that the store has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Before it was sent.
    pub sent_at: BootTime,
    /// When its answer had come.
    pub answered_at: BootTime,
    /// For how long the store grants it.
    pub length: Duration,
    /// The newest commit there was when the store took it.
    pub head: Seq,
}

/// A discipline of leases: which renewals make a picture usable, and until when.
pub trait Leases: Send + fmt::Debug {
    /// The store has answered a renewal. They come in the order in which they were sent, one after the other.
    fn renewed(&mut self, granted: Granted);

    /// Until when a picture may be used in which every commit up to `applied` is in force; none: it may not.
    fn usable_until(&mut self, applied: Seq) -> Option<BootTime>;

    /// The member was struck off: nothing that was granted counts any more.
    fn fenced(&mut self);
}

/// Makes the leases of a follower, anew each time that it begins anew.
pub type MakeLeases = fn() -> Box<dyn Leases>;

/// The discipline of the product: a lease counts from before its renewal was sent, and is usable once the head that the
/// renewal named is applied. Until then an older one stays usable, as long as it lasts.
#[derive(Debug, Default)]
pub struct SoundLeases {
    usable: Option<BootTime>,
    ahead: Ahead<BootTime>,
}

impl SoundLeases {
    /// A member that was granted nothing yet.
    #[must_use]
    pub fn boxed() -> Box<dyn Leases> {
        Box::<Self>::default()
    }
}

impl Leases for SoundLeases {
    fn renewed(&mut self, granted: Granted) {
        self.ahead.push(granted.head, granted.sent_at.plus(granted.length));
    }

    fn usable_until(&mut self, applied: Seq) -> Option<BootTime> {
        self.usable = self.usable.max(self.ahead.reached(applied));
        self.usable
    }

    fn fenced(&mut self) {
        *self = Self::default();
    }
}

/// What counts once the picture has come to a commit, the earliest first.
#[derive(Debug)]
pub(super) struct Ahead<T> {
    waiting: VecDeque<(Seq, T)>,
}

impl<T> Default for Ahead<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<T> Ahead<T> {
    /// Something that counts from `head` on. Where too much waits, the newest is left out for it: a picture that is far
    /// behind comes to the oldest first.
    pub(super) fn push(&mut self, head: Seq, what: T) {
        let is_same_head = self.waiting.back().is_some_and(|(last, _)| *last == head);
        if is_same_head || self.waiting.len() >= MOST_AHEAD {
            self.waiting.pop_back();
        }
        self.waiting.push_back((head, what));
    }

    /// The last that counts for a picture that has come to `applied`; none: nothing new does.
    pub(super) fn reached(&mut self, applied: Seq) -> Option<T> {
        let mut reached = None;
        while self.waiting.front().is_some_and(|(head, _)| *head <= applied) {
            reached = self.waiting.pop_front().map(|(_, what)| what);
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(5);

    fn at(second: u64) -> BootTime {
        BootTime(second * 1_000_000_000)
    }

    fn granted(sent: u64, answered: u64, head: u64) -> Granted {
        Granted { sent_at: at(sent), answered_at: at(answered), length: LENGTH, head: Seq(head) }
    }

    #[test]
    fn nothing_is_usable_before_a_renewal() {
        assert_eq!(SoundLeases::default().usable_until(Seq(9)), None);
    }

    #[test]
    fn a_lease_counts_from_before_its_renewal_was_sent() {
        let mut leases = SoundLeases::default();
        leases.renewed(granted(10, 14, 3));
        assert_eq!(leases.usable_until(Seq(3)), Some(at(15)));
    }

    #[test]
    fn a_lease_is_usable_once_the_head_of_its_renewal_is_applied() {
        let mut leases = SoundLeases::default();
        leases.renewed(granted(10, 10, 3));
        for (applied, usable) in [(0, None), (2, None), (3, Some(at(15))), (4, Some(at(15)))] {
            assert_eq!(leases.usable_until(Seq(applied)), usable, "{applied}");
        }
    }

    #[test]
    fn an_older_lease_stays_usable_until_its_own_deadline() {
        let mut leases = SoundLeases::default();
        leases.renewed(granted(10, 10, 3));
        assert_eq!(leases.usable_until(Seq(3)), Some(at(15)));
        leases.renewed(granted(12, 12, 5));
        assert_eq!(leases.usable_until(Seq(4)), Some(at(15)), "the newer one is not usable, and lengthens nothing");
        assert_eq!(leases.usable_until(Seq(5)), Some(at(17)));
    }

    #[test]
    fn of_renewals_that_waited_the_newest_that_is_reached_counts() {
        let mut leases = SoundLeases::default();
        for (sent, head) in [(10, 3), (11, 4), (12, 6)] {
            leases.renewed(granted(sent, sent, head));
        }
        assert_eq!(leases.usable_until(Seq(5)), Some(at(16)));
        assert_eq!(leases.usable_until(Seq(6)), Some(at(17)));
    }

    #[test]
    fn who_was_struck_off_has_no_lease_until_a_renewal() {
        let mut leases = SoundLeases::default();
        leases.renewed(granted(10, 10, 3));
        leases.renewed(granted(11, 11, 5));
        assert_eq!(leases.usable_until(Seq(3)), Some(at(15)));
        leases.fenced();
        assert_eq!(leases.usable_until(Seq(9)), None);
        leases.renewed(granted(12, 12, 9));
        assert_eq!(leases.usable_until(Seq(9)), Some(at(17)));
    }

    #[test]
    fn however_far_the_picture_is_behind_little_is_remembered_and_what_is_reached_first_counts() {
        let mut leases = SoundLeases::default();
        for head in 1..=10_000 {
            leases.renewed(granted(head, head, head));
        }
        assert_eq!(leases.ahead.waiting.len(), MOST_AHEAD);
        assert_eq!(leases.usable_until(Seq(1)), Some(at(6)));
        assert_eq!(leases.usable_until(Seq(9_999)), Some(at(63 + 5)), "no later than a renewal that it has reached");
        assert_eq!(leases.usable_until(Seq(10_000)), Some(at(10_005)));
    }
}
