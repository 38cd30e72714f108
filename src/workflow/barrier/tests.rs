//! The barrier, line by line, with members that speak when they are told to and a clock turned by hand.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::*;
use crate::clock::ManualClock;
use crate::model::Timestamp;
use crate::store::leasing::{LeasingStore, WAIT};

struct Scene {
    store: Arc<LeasingStore>,
    clock: ManualClock,
    waiting: JoinHandle<Result<(), StoreError>>,
}

impl Scene {
    /// Two members were there at commit 5, and have applied commit 4.
    async fn begin() -> Self {
        Self::of(Arc::new(LeasingStore::new())).await
    }

    async fn of(store: Arc<LeasingStore>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
        store.says("ada", 4);
        store.says("ben", 4);
        let committed = Committed { seq: Seq(5), members: store.watch_members().borrow().clone() };
        let scene = Self::waiting_for(store, clock, committed);
        scene.look().await;
        scene
    }

    fn waiting_for(store: Arc<LeasingStore>, clock: ManualClock, committed: Committed) -> Self {
        let answered_at = clock.boot();
        let (watched, time) = (Arc::clone(&store), clock.clone());
        let waiting = tokio::spawn(async move { waited_for(&*watched, &time, &committed, answered_at, WAIT).await });
        Self { store, clock, waiting }
    }

    /// Lets it look as often as there is something to see.
    async fn look(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn is_waiting(&self) -> bool {
        self.look().await;
        !self.waiting.is_finished() && self.store.barriers.borrow().is_empty()
    }

    /// Ends, and tells whom it has heard and whom it has waited out.
    async fn ended(mut self) -> (Vec<String>, Vec<(String, u64)>) {
        (&mut self.waiting).await.unwrap().unwrap();
        let barriers = self.store.barriers.borrow().clone();
        let [barrier] = barriers.as_slice() else { panic!("{barriers:?}") };
        assert_eq!(barrier.seq, Seq(5));
        let waited_out = barrier.waited_out.iter().map(|member| (member.id.0.clone(), member.applied.0));
        (barrier.acknowledged.iter().map(|id| id.0.clone()).collect(), waited_out.collect())
    }
}

#[tokio::test]
async fn success_comes_when_every_member_has_said_that_it_decides_by_the_change() {
    let scene = Scene::begin().await;
    scene.store.says("ada", 5);
    assert!(scene.is_waiting().await, "one has not");
    scene.store.says("ben", 4);
    assert!(scene.is_waiting().await, "what it said is about the change before");
    scene.store.says("ben", 9);
    assert_eq!(scene.ended().await, (vec!["ada".to_owned(), "ben".to_owned()], vec![]));
}

#[tokio::test]
async fn a_member_that_says_nothing_is_waited_out_from_the_answer_on_and_not_a_moment_less() {
    let scene = Scene::begin().await;
    scene.store.says("ada", 5);
    scene.clock.advance_millis(6_349);
    // Whatever it is woken by.
    scene.store.says("cid", 5);
    assert!(scene.is_waiting().await);
    scene.clock.advance_millis(1);
    scene.store.says("cid", 6);
    assert_eq!(scene.ended().await, (vec!["ada".to_owned()], vec![("ben".to_owned(), 4)]));
}

#[tokio::test]
async fn a_clock_that_jumps_is_noticed_without_anybody_saying_anything() {
    let scene = Scene::begin().await;
    scene.clock.advance_millis(60_000);
    let (acknowledged, waited_out) = scene.ended().await;
    assert_eq!((acknowledged.len(), waited_out.len()), (0, 2));
}

#[tokio::test]
async fn a_member_that_vanishes_is_waited_out_and_a_new_entry_of_its_name_does_not_speak_for_it() {
    let scene = Scene::begin().await;
    scene.store.says("ada", 5);
    scene.store.strike("ben");
    assert!(scene.is_waiting().await);
    scene.store.says("ben", 5);
    assert!(scene.is_waiting().await);
    scene.clock.advance_millis(6_350);
    scene.store.says("cid", 5);
    assert_eq!(scene.ended().await, (vec!["ada".to_owned()], vec![("ben".to_owned(), 4)]));
}

#[tokio::test]
async fn a_new_entry_does_not_speak_for_the_one_before_when_nobody_saw_that_go() {
    let scene = Scene::begin().await;
    scene.store.says("ada", 5);
    // Both at once, as a list that is told seldom shows it.
    scene.store.enters_anew("ben", 5);
    assert!(scene.is_waiting().await);
    scene.clock.advance_millis(6_350);
    scene.store.says("cid", 5);
    assert_eq!(scene.ended().await, (vec!["ada".to_owned()], vec![("ben".to_owned(), 4)]));
}

#[tokio::test]
async fn a_member_that_the_list_does_not_show_yet_is_heard_when_it_does() {
    let (store, clock) = (Arc::new(LeasingStore::new()), ManualClock::at(Timestamp::from_millis(1_000_000)));
    store.says("ada", 4);
    store.says("ben", 4);
    let committed = Committed { seq: Seq(5), members: store.watch_members().borrow().clone() };
    // As the list was before the commit.
    let ben = store.strike("ben");
    let scene = Scene::waiting_for(store, clock, committed);
    scene.store.says("ada", 5);
    assert!(scene.is_waiting().await);
    scene.store.show(ben);
    assert!(scene.is_waiting().await);
    scene.store.says("ben", 5);
    assert_eq!(scene.ended().await, (vec!["ada".to_owned(), "ben".to_owned()], vec![]));
}

#[tokio::test]
async fn who_registers_after_the_change_is_not_waited_for() {
    let scene = Scene::begin().await;
    scene.store.says("cid", 0);
    scene.store.says("ada", 5);
    scene.store.says("ben", 5);
    assert_eq!(scene.ended().await.0.len(), 2);
}

#[tokio::test]
async fn without_a_kept_note_there_is_no_success() {
    let scene = Scene::begin().await;
    *scene.store.barriers_fail.lock() = true;
    scene.store.says("ada", 5);
    scene.store.says("ben", 5);
    assert!(scene.is_waiting().await);
    scene.clock.advance_millis(3_000);
    assert!(scene.waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_store_that_cannot_be_written_for_a_moment_costs_nobody_the_wait() {
    let scene = Scene::begin().await;
    *scene.store.barriers_fail.lock() = true;
    scene.store.says("ada", 5);
    scene.clock.advance_millis(6_350);
    scene.store.says("cid", 5);
    assert!(scene.is_waiting().await);
    scene.clock.advance_millis(2_999);
    assert!(scene.is_waiting().await);
    *scene.store.barriers_fail.lock() = false;
    assert_eq!(scene.ended().await, (vec!["ada".to_owned()], vec![("ben".to_owned(), 4)]));
}

#[tokio::test]
async fn many_changes_wait_at_once_and_each_for_its_own() {
    let store = Arc::new(LeasingStore::new());
    store.says("ada", 0);
    let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
    let waiting: Vec<_> = (1..=100)
        .map(|seq| {
            let (store, clock) = (Arc::clone(&store), clock.clone());
            let committed = Committed { seq: Seq(seq), members: store.watch_members().borrow().clone() };
            tokio::spawn(async move { waited_for(&*store, &clock, &committed, clock.boot(), WAIT).await })
        })
        .collect();
    store.says("ada", 40);
    store.barriers.subscribe().wait_for(|barriers| barriers.len() == 40).await.unwrap();
    assert_eq!(waiting.iter().filter(|waiting| !waiting.is_finished()).count(), 60);
    store.says("ada", 100);
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
}
