//! Letters in lanes, one for each support request: the first of a lane is tried until it is delivered or dead, and holds
//! back those behind it, but no other lane. No I/O and no clock.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::event::{Content, Event};
use super::sender::Failure;
use super::settings::WebhookSettings;
use crate::model::Timestamp;
use crate::store::{Letter, LetterId, OutboxChange, OutboxPlaces, Stream};

/// When failed letters are tried again, and given up.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the unit is what matters")]
pub(super) struct Patience {
    first_retry_ms: u64,
    longest_retry_ms: u64,
    dead_after_ms: u64,
}

impl Patience {
    pub(super) const fn of(settings: &WebhookSettings) -> Self {
        Self {
            first_retry_ms: settings.first_retry_ms,
            longest_retry_ms: settings.longest_retry_ms,
            dead_after_ms: settings.dead_after_ms,
        }
    }

    /// How long to wait after so many tries: twice as long each time, less a random part of up to a half.
    fn pause_ms(&self, attempts: u32, dice: u64) -> u64 {
        let doubled =
            self.first_retry_ms.saturating_mul(1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX));
        let longest = doubled.min(self.longest_retry_ms);
        longest - dice % (longest / 2 + 1)
    }
}

/// A letter in its lane.
#[derive(Debug)]
struct Held {
    letter: Letter,
    /// What it says, where that is at hand: after a failure it is read again.
    event: Option<Event>,
    /// Whether the store has it, and whether as it is now.
    in_store: bool,
    as_kept: bool,
}

#[derive(Debug, Default)]
struct Lane {
    letters: VecDeque<Held>,
    /// The first letter is being delivered.
    under_way: bool,
}

/// A letter whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) about: String,
    pub(super) id: LetterId,
    pub(super) event: Option<Event>,
}

/// The lanes of one endpoint.
#[derive(Debug)]
pub(super) struct Lanes {
    patience: Patience,
    by_request: HashMap<String, Lane>,
    waiting: usize,
    /// Letters of the store that were delivered, or that died, since it was last told.
    done: Vec<LetterId>,
    dead: Vec<Letter>,
    dice: RandomState,
}

impl Lanes {
    pub(super) fn new(patience: Patience) -> Self {
        let (by_request, done, dead) = (HashMap::new(), Vec::new(), Vec::new());
        Self { patience, by_request, waiting: 0, done, dead, dice: RandomState::new() }
    }

    /// How many letters wait or are under way.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes in what is new in a stream.
    pub(super) fn take_in(&mut self, stream: Stream, content: Content, now: Timestamp) {
        let Content { number, about, at, event } = content;
        let id = LetterId { stream, number };
        let letter = Letter { id, about, at, since: now, attempts: 0, due: now, failure: None, died: None };
        self.hold(Held { letter, event: Some(event), in_store: false, as_kept: false });
    }

    /// Takes in a letter as the store has it.
    pub(super) fn restore(&mut self, letter: Letter) {
        self.hold(Held { letter, event: None, in_store: true, as_kept: true });
    }

    /// Takes in a dead letter of the store's, to be tried as if it were new.
    pub(super) fn revive(&mut self, letter: Letter, now: Timestamp) {
        let letter = Letter { since: now, attempts: 0, due: now, died: None, ..letter };
        self.hold(Held { letter, event: None, in_store: true, as_kept: false });
    }

    /// Letters of one lane stand in the order in which things happened. What is being tried stays in front.
    fn hold(&mut self, held: Held) {
        let lane = self.by_request.entry(held.letter.about.clone()).or_default();
        let place = (held.letter.at, held.letter.id);
        let mut index = lane.letters.partition_point(|before| (before.letter.at, before.letter.id) <= place);
        if lane.under_way {
            index = index.max(1);
        }
        lane.letters.insert(index, held);
        self.waiting += 1;
    }

    /// The letters whose turn it is, at most so many; from now on they are under way.
    pub(super) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Turn> {
        let idle = self.by_request.values_mut().filter(|lane| !lane.under_way);
        let mut ready: Vec<&mut Lane> =
            idle.filter(|lane| lane.letters.front().is_some_and(|first| first.letter.due <= now)).collect();
        ready.sort_by_key(|lane| lane.letters.front().map(|first| (first.letter.at, first.letter.id)));
        let turns = ready.into_iter().take(most).filter_map(|lane| {
            lane.under_way = true;
            let first = lane.letters.front_mut()?;
            Some(Turn { about: first.letter.about.clone(), id: first.letter.id, event: first.event.take() })
        });
        turns.collect()
    }

    /// The letter under way in this lane was delivered.
    pub(super) fn delivered(&mut self, about: &str) {
        if let Some(held) = self.take_first(about)
            && held.in_store
        {
            self.done.push(held.letter.id);
        }
    }

    /// The letter under way in this lane was not delivered; says whether it has died of that.
    pub(super) fn failed(&mut self, about: &str, failure: Failure, now: Timestamp) -> bool {
        let (patience, dice) = (self.patience, self.dice.hash_one((about, now, self.waiting)));
        let Some(lane) = self.by_request.get_mut(about) else { return false };
        lane.under_way = false;
        let Some(first) = lane.letters.front_mut() else { return false };
        let letter = &mut first.letter;
        letter.attempts = letter.attempts.saturating_add(1);
        letter.failure = Some(failure.why);
        first.as_kept = false;
        if failure.gone || letter.since.plus_millis(millis(patience.dead_after_ms)) <= now {
            letter.died = Some(now);
            let died = self.take_first(about);
            self.dead.extend(died.map(|held| held.letter));
            return true;
        }
        let asked = failure.retry_after.map_or(0, |asked| u64::try_from(asked.as_millis()).unwrap_or(u64::MAX));
        let pause_ms = patience.pause_ms(letter.attempts, dice).max(asked.min(patience.longest_retry_ms));
        letter.due = now.plus_millis(millis(pause_ms));
        false
    }

    /// Gives up every letter that is not under way, untried; how many.
    pub(super) fn give_up(&mut self, why: &str, now: Timestamp) -> usize {
        let before = self.dead.len();
        for lane in self.by_request.values_mut() {
            let given_up = lane.letters.split_off(usize::from(lane.under_way).min(lane.letters.len()));
            self.dead.extend(given_up.into_iter().map(|held| Letter {
                failure: Some(why.to_owned()),
                died: Some(now),
                ..held.letter
            }));
        }
        self.by_request.retain(|_, lane| !lane.letters.is_empty());
        let given_up = self.dead.len() - before;
        self.waiting -= given_up;
        given_up
    }

    fn take_first(&mut self, about: &str) -> Option<Held> {
        let lane = self.by_request.get_mut(about)?;
        lane.under_way = false;
        let first = lane.letters.pop_front()?;
        if lane.letters.is_empty() {
            self.by_request.remove(about);
        }
        self.waiting -= 1;
        Some(first)
    }

    /// What the store does not know yet.
    pub(super) fn change(&self, places: &OutboxPlaces) -> OutboxChange {
        let held = self.by_request.values().flat_map(|lane| &lane.letters);
        let put = held.filter(|held| !held.as_kept).map(|held| &held.letter).chain(&self.dead).cloned().collect();
        OutboxChange { places: places.clone(), put, done: self.done.clone() }
    }

    /// The store knows everything now.
    pub(super) fn kept(&mut self) {
        for held in self.by_request.values_mut().flat_map(|lane| &mut lane.letters) {
            held.in_store = true;
            held.as_kept = true;
        }
        self.done.clear();
        self.dead.clear();
    }
}

fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::effort::{effort, random};

    const PATIENCE: Patience = Patience { first_retry_ms: 1_000, longest_retry_ms: 60_000, dead_after_ms: 600_000 };

    fn content(number: u64) -> Content {
        let event = Event { id: format!("activity-{number}"), body: bytes::Bytes::new() };
        let at = Timestamp::from_millis(i64::try_from(number).unwrap());
        Content { number, about: format!("SR-{}", number % 3), at, event }
    }

    fn failure() -> Failure {
        Failure::because("status 500")
    }

    /// A store, an endpoint and a courier that may crash between any two steps.
    #[derive(Default)]
    struct World {
        now_ms: i64,
        written: u64,
        places: OutboxPlaces,
        stored: BTreeMap<LetterId, Letter>,
        accepted: BTreeSet<u64>,
    }

    impl World {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.now_ms)
        }

        fn look(&self, lanes: &mut Lanes, places: &mut OutboxPlaces) {
            for number in places.activities + 1..=self.written {
                lanes.take_in(Stream::Activities, content(number), self.now());
            }
            places.activities = self.written;
        }

        fn keep(&mut self, lanes: &mut Lanes, places: &OutboxPlaces) {
            let change = lanes.change(places);
            self.places = change.places;
            self.stored.extend(change.put.into_iter().map(|letter| (letter.id, letter)));
            for id in change.done {
                self.stored.remove(&id).expect("what is delivered and known was kept");
            }
            lanes.kept();
        }

        fn is_dead(&self, number: u64, lanes: &Lanes) -> bool {
            let id = LetterId { stream: Stream::Activities, number };
            self.stored.get(&id).is_some_and(|letter| letter.died.is_some())
                || lanes.dead.iter().any(|letter| letter.id == id)
        }

        fn arrives(&mut self, turn: &Turn, takes: bool, lanes: &mut Lanes) {
            let number = turn.id.number;
            for earlier in (1..number).filter(|earlier| earlier % 3 == number % 3) {
                assert!(
                    self.accepted.contains(&earlier) || self.is_dead(earlier, lanes),
                    "{number} is tried before {earlier} was taken"
                );
            }
            if takes {
                self.accepted.insert(number);
                lanes.delivered(&turn.about);
            } else {
                lanes.failed(&turn.about, failure(), self.now());
            }
        }

        fn restarted(&self) -> (Lanes, OutboxPlaces) {
            let mut lanes = Lanes::new(PATIENCE);
            let waiting = self.stored.values().filter(|letter| letter.died.is_none());
            waiting.for_each(|letter| lanes.restore(letter.clone()));
            (lanes, self.places.clone())
        }
    }

    #[test]
    fn every_letter_arrives_in_the_order_of_its_lane_or_is_among_the_dead_whatever_crashes() {
        let mut dice = random("every_letter_arrives_in_the_order_of_its_lane");
        let mut died = 0;
        for _ in 0..effort(300) {
            let mut world = World::default();
            let (mut lanes, mut places) = world.restarted();
            let mut under_way: Vec<Turn> = Vec::new();
            for _ in 0..120 {
                match dice.u8(..12) {
                    0..=2 => world.written += dice.u64(..4),
                    3 => world.look(&mut lanes, &mut places),
                    4..=5 => under_way.extend(lanes.due(world.now(), dice.usize(1..4))),
                    6..=8 if !under_way.is_empty() => {
                        let turn = under_way.swap_remove(dice.usize(..under_way.len()));
                        world.arrives(&turn, dice.u8(..3) > 0, &mut lanes);
                    }
                    9 => world.now_ms += dice.i64(0..200_000),
                    10 => world.keep(&mut lanes, &places),
                    11 if dice.u8(..3) == 0 => {
                        // What is under way may arrive, and nobody is left to note it.
                        let arrived = under_way.drain(..).filter(|_| dice.bool());
                        world.accepted.extend(arrived.map(|turn| turn.id.number));
                        (lanes, places) = world.restarted();
                    }
                    _ => {}
                }
            }
            world.look(&mut lanes, &mut places);
            while lanes.waiting() > 0 {
                under_way.extend(lanes.due(world.now(), 8));
                for turn in std::mem::take(&mut under_way) {
                    world.arrives(&turn, true, &mut lanes);
                }
                world.now_ms += 60_000;
            }
            world.keep(&mut lanes, &places);
            for number in 1..=world.written {
                let dead = world.is_dead(number, &lanes);
                died += usize::from(dead);
                assert!(world.accepted.contains(&number) || dead, "{number} is lost");
            }
            assert!(world.stored.values().all(|letter| letter.died.is_some()), "nothing is kept that was delivered");
            assert_eq!(world.places.activities, world.written);
        }
        assert!(died > 0, "some letters must have been given up");
    }

    #[test]
    fn a_lane_that_fails_holds_back_itself_alone() {
        let mut lanes = Lanes::new(PATIENCE);
        let now = Timestamp::from_millis(1_000);
        (1..=6).for_each(|number| lanes.take_in(Stream::Activities, content(number), now));
        let turns = lanes.due(now, 8);
        assert_eq!(turns.iter().map(|turn| turn.id.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(lanes.due(now, 8), [], "one of each lane at a time");
        lanes.failed("SR-1", failure(), now);
        lanes.delivered("SR-2");
        lanes.delivered("SR-0");
        let turns = lanes.due(now, 8);
        assert_eq!(turns.iter().map(|turn| turn.id.number).collect::<Vec<_>>(), [5, 6]);
        let later = lanes.due(now.plus_millis(1_000), 8);
        assert_eq!(later.iter().map(|turn| turn.id.number).collect::<Vec<_>>(), [1]);
        assert_eq!(later[0].event, None, "what is tried again is read again");
    }

    #[test]
    fn what_comes_late_is_put_where_it_belongs_but_not_before_what_is_under_way() {
        let mut lanes = Lanes::new(PATIENCE);
        let now = Timestamp::from_millis(1_000);
        lanes.take_in(Stream::Activities, content(9), now);
        lanes.take_in(Stream::Reads, content(6), now);
        lanes.take_in(Stream::Announcements, content(6), now);
        let mut order = Vec::new();
        while let Some(turn) = lanes.due(now, 1).pop() {
            if order.is_empty() {
                lanes.take_in(Stream::Activities, content(3), now);
            }
            order.push((turn.id.stream, turn.id.number));
            lanes.delivered(&turn.about);
        }
        let expected =
            [(Stream::Announcements, 6), (Stream::Activities, 3), (Stream::Reads, 6), (Stream::Activities, 9)];
        assert_eq!(order, expected);
    }

    #[test]
    fn what_an_endpoint_that_is_gone_would_have_got_is_given_up_but_not_what_is_under_way() {
        let mut lanes = Lanes::new(PATIENCE);
        let now = Timestamp::from_millis(1_000);
        (1..=7).for_each(|number| lanes.take_in(Stream::Activities, content(number), now));
        assert_eq!(lanes.due(now, 2).iter().map(|turn| turn.id.number).collect::<Vec<_>>(), [1, 2]);
        assert!(lanes.failed("SR-1", Failure { gone: true, ..failure() }, now), "it is not tried again");
        assert_eq!((lanes.give_up("gone", now), lanes.waiting()), (5, 1));
        let change = lanes.change(&OutboxPlaces::default());
        let dead = change.put.iter().filter(|letter| letter.died == Some(now));
        let told: BTreeMap<_, _> = dead.map(|dead| (dead.id.number, (dead.attempts, dead.failure.clone()))).collect();
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), [1, 3, 4, 5, 6, 7]);
        assert_eq!((&told[&1], &told[&4]), (&(1, Some("status 500".to_owned())), &(0, Some("gone".to_owned()))));
        lanes.delivered("SR-2");
        assert_eq!(lanes.waiting(), 0);
    }

    #[test]
    fn pauses_double_up_to_the_longest_less_a_random_part() {
        for dice in [0, 1, 12_345, u64::MAX] {
            for (attempts, whole) in
                [(1, 1_000), (2, 2_000), (6, 32_000), (7, 60_000), (64, 60_000), (u32::MAX, 60_000)]
            {
                let pause = PATIENCE.pause_ms(attempts, dice);
                assert!((whole / 2..=whole).contains(&pause), "{attempts} {dice}: {pause}");
            }
        }
        assert_ne!(PATIENCE.pause_ms(5, 17), PATIENCE.pause_ms(5, 18));
    }

    #[test]
    fn an_endpoint_that_asks_for_time_gets_it_up_to_the_longest_pause() {
        for (asked_s, due_ms) in [(30, 30_000), (9_999, 60_000)] {
            let mut lanes = Lanes::new(PATIENCE);
            let now = Timestamp::from_millis(0);
            lanes.take_in(Stream::Activities, content(1), now);
            lanes.due(now, 1);
            let retry_after = Some(std::time::Duration::from_secs(asked_s));
            lanes.failed("SR-1", Failure { retry_after, ..failure() }, now);
            assert_eq!(lanes.due(now.plus_millis(due_ms - 1), 1), []);
            assert_eq!(lanes.due(now.plus_millis(due_ms), 1).len(), 1);
        }
    }
}
