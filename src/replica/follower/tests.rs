//! The follower under leases, line by line of the protocol, over a store that is late, wrong or away when it is told to be.

use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::model::Timestamp;
use crate::replica::LeaseStatus;
use crate::store::leasing::{Breakage, LEASE, LeasingStore};

const LEASE_MS: i64 = 5_000;

/// A broken follower fails a test, and does not keep it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    store: Arc<LeasingStore>,
    replica: Arc<Replica>,
    clock: ManualClock,
    following: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl Scene {
    /// A member that renews when it is asked to or has something to tell, and never because time passes.
    async fn begin() -> Self {
        Self::set(Arc::new(LeasingStore::new())).await
    }

    async fn set(store: Arc<LeasingStore>) -> Self {
        let scene = Self::at(store);
        scene.until(|replica| replica.fresh().is_ok()).await;
        scene
    }

    fn at(store: Arc<LeasingStore>) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
        let replica = Arc::new(Replica::new(Arc::new(clock.clone())));
        let following = Following {
            renew_every: Duration::from_hours(1),
            acknowledge_interval: Duration::from_millis(1),
            retry_every: Duration::from_millis(1),
            ..Following::as_member(MemberId("me".to_owned()))
        };
        let following = tokio::spawn(follow(Arc::clone(&replica), Arc::<LeasingStore>::clone(&store), following));
        Self { store, replica, clock, following }
    }

    async fn until(&self, so: impl Fn(&Replica) -> bool) {
        let waiting = async {
            while !so(&self.replica) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it does not come to that");
    }

    /// Asks for a renewal without waiting for it.
    fn ask(&self) -> JoinHandle<Result<(), NotFresh>> {
        let replica = Arc::clone(&self.replica);
        tokio::spawn(async move { replica.confirmed_anew().await })
    }

    async fn until_renewed(&self, so: impl Fn(&[(MemberId, Seq)]) -> bool) {
        let mut renewed = self.store.renewed.subscribe();
        let waiting = renewed.wait_for(|renewed| so(renewed));
        tokio::time::timeout(PATIENCE, waiting).await.expect("no such renewal comes").unwrap();
    }

    fn code(&self) -> Option<&'static str> {
        self.replica.fresh().err().map(|why| why.code())
    }

    fn status(&self) -> LeaseStatus {
        self.replica.lease().unwrap()
    }

    fn renewals(&self) -> usize {
        self.store.renewed.borrow().len()
    }
}

#[tokio::test]
async fn a_lease_counts_from_before_its_renewal_was_sent_however_late_the_answer_comes() {
    let scene = Scene::begin().await;
    scene.store.replies.send_replace(false);
    let (begun, before) = (scene.clock.boot(), scene.renewals());
    let asked = scene.ask();
    scene.until_renewed(|renewed| renewed.len() > before).await;
    scene.clock.advance_millis(3_000);
    scene.store.replies.send_replace(true);
    asked.await.unwrap().unwrap();
    assert_eq!(scene.replica.fresh().unwrap().valid_until(), Some(begun.plus(LEASE)));
    assert_eq!(scene.status().remaining, Some(Duration::from_secs(2)));
    scene.clock.advance_millis(LEASE_MS - 3_000);
    assert_eq!(scene.code(), Some("lease_expired"));
}

#[tokio::test]
async fn a_renewal_whose_head_is_not_applied_lengthens_nothing() {
    let scene = Scene::begin().await;
    let first = scene.replica.fresh().unwrap();
    scene.store.changes_arrive.send_replace(false);
    let head = scene.store.change_something().await;
    scene.clock.advance_millis(1_000);
    let asked = scene.ask();
    scene.until(|replica| replica.lease().is_some_and(|lease| lease.head == head)).await;
    assert_eq!(scene.replica.fresh(), Ok(first), "the older lease stays usable");
    scene.clock.advance_millis(LEASE_MS - 1_000);
    assert_eq!(scene.code(), Some("replica_behind"), "and no longer than its own deadline");
    assert!(!asked.is_finished());
    scene.store.changes_arrive.send_replace(true);
    asked.await.unwrap().unwrap();
    assert_eq!(scene.replica.applied(), head);
    assert!(scene.replica.fresh().is_ok(), "once it is applied, the lease of the renewal that named it counts");
}

#[tokio::test]
async fn what_was_applied_is_told_at_once_and_while_more_is_applied() {
    let scene = Scene::begin().await;
    for _ in 0..50 {
        scene.store.change_something().await;
    }
    scene.until_renewed(|renewed| renewed.last().is_some_and(|(_, applied)| *applied == Seq(50))).await;
    let told: Vec<u64> = scene.store.renewed.borrow().iter().map(|(_, applied)| applied.0).collect();
    assert!(told.is_sorted(), "what is told never goes back: {told:?}");
}

#[tokio::test]
async fn one_renewal_is_under_way_at_a_time_and_what_is_applied_meanwhile_is_told_together() {
    let scene = Scene::begin().await;
    scene.store.replies.send_replace(false);
    scene.store.change_something().await;
    let under_way = |renewed: &[(MemberId, Seq)]| renewed.last().is_some_and(|(_, applied)| *applied == Seq(1));
    scene.until_renewed(under_way).await;
    let before = scene.renewals();
    for _ in 0..20 {
        scene.store.change_something().await;
    }
    scene.until(|replica| replica.applied() == Seq(21)).await;
    assert_eq!(scene.renewals(), before);
    scene.store.replies.send_replace(true);
    scene.until_renewed(|renewed| renewed.last().is_some_and(|(_, applied)| *applied == Seq(21))).await;
    assert_eq!(scene.renewals(), before + 1);
}

#[tokio::test]
async fn renewals_that_fail_are_tried_again_and_nothing_is_torn_down_before_the_deadline() {
    let scene = Scene::begin().await;
    let lease = scene.replica.fresh();
    let away = || StoreError::Unavailable("no answer".to_owned());
    scene.store.refuse.lock().extend((0..3).map(|_| away()));
    for failures in 1..=3 {
        let _asked = scene.ask();
        scene.until(|replica| replica.lease().is_some_and(|lease| lease.failures == failures)).await;
        assert_eq!(scene.replica.fresh(), lease);
    }
    scene.clock.advance_millis(LEASE_MS);
    assert_eq!(scene.code(), Some("lease_expired"));
    scene.ask().await.unwrap().unwrap();
    assert!(scene.replica.fresh().is_ok());
    assert_eq!(scene.store.snapshots.load(Ordering::SeqCst), 1, "the picture was kept");
}

#[tokio::test]
async fn who_was_struck_off_allows_nothing_until_it_has_registered_anew() {
    let scene = Scene::begin().await;
    scene.store.refuse.lock().push_back(StoreError::Fenced);
    let before = scene.renewals();
    // It is told, and its next renewal, which would register it anew, does not reach the store.
    let refused = scene.store.renewed.subscribe();
    let store = Arc::clone(&scene.store);
    let shut = tokio::spawn(async move {
        let mut refused = refused;
        refused.wait_for(|renewed| renewed.len() > before).await.unwrap();
        store.requests.send_replace(false);
    });
    let asked = scene.ask();
    shut.await.unwrap();
    scene.until(|replica| replica.fresh().is_err()).await;
    assert_eq!(scene.code(), Some("fenced"));
    assert_eq!(scene.replica.at_rest(), None);
    scene.store.requests.send_replace(true);
    asked.await.unwrap().unwrap();
    assert!(scene.replica.fresh().is_ok());
    assert_eq!(scene.store.snapshots.load(Ordering::SeqCst), 1, "the picture was kept");
}

#[tokio::test]
async fn a_store_that_has_lost_changes_is_not_followed_until_it_is_where_it_was() {
    let scene = Scene::begin().await;
    for _ in 0..3 {
        scene.store.change_something().await;
    }
    scene.until_renewed(|renewed| renewed.last().is_some_and(|(_, applied)| *applied == Seq(3))).await;
    *scene.store.restored.lock() = Some((1, false));
    let _asked = scene.ask();
    scene.until(|replica| replica.fresh().is_err()).await;
    assert_eq!(scene.code(), Some("store_regressed"));
    // It goes on asking, stays stopped, and vouches for nothing there.
    scene.until_renewed(|renewed| renewed.iter().rev().take(3).all(|(_, applied)| *applied == Seq(0))).await;
    assert_eq!(scene.code(), Some("store_regressed"));
    *scene.store.restored.lock() = None;
    scene.until(|replica| replica.fresh().is_ok()).await;
    assert_eq!(scene.replica.applied(), Seq(3));
}

#[tokio::test]
async fn another_store_is_not_followed() {
    let scene = Scene::begin().await;
    *scene.store.restored.lock() = Some((0, true));
    let _asked = scene.ask();
    scene.until(|replica| replica.fresh().is_err()).await;
    for _ in 0..10 {
        scene.store.change_something().await;
    }
    let probes = scene.renewals() + 3;
    scene.until_renewed(|renewed| renewed.len() >= probes).await;
    assert_eq!(scene.code(), Some("store_regressed"), "however far it is");
}

#[tokio::test]
async fn a_cancelled_watch_is_taken_up_again_and_the_lease_stays() {
    let scene = Scene::begin().await;
    let lease = scene.replica.fresh();
    scene.store.break_feed.send_modify(|broken| broken.push_back(Breakage::Unavailable));
    scene.until(|_| scene.store.break_feed.borrow().is_empty()).await;
    assert_eq!(scene.replica.fresh(), lease);
    scene.store.change_something().await;
    scene.until(|replica| replica.applied() == Seq(1)).await;
    assert_eq!(scene.store.snapshots.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn after_a_gap_or_a_compaction_a_new_snapshot_is_taken_and_the_old_picture_is_not_used_meanwhile() {
    for breakage in [Breakage::Gap, Breakage::Compacted] {
        let scene = Scene::begin().await;
        scene.store.requests.send_replace(false);
        for _ in 0..2 {
            scene.store.change_something().await;
        }
        // What the feed tells next is wrong; what comes of it waits for a renewal.
        scene.store.break_feed.send_modify(|broken| broken.push_back(breakage));
        scene.store.change_something().await;
        scene.store.change_something().await;
        scene.until(|replica| replica.fresh().is_err()).await;
        assert_eq!(scene.code(), Some("replica_behind"), "{breakage:?}");
        scene.store.requests.send_replace(true);
        scene.until(|replica| replica.fresh().is_ok()).await;
        assert!(scene.store.snapshots.load(Ordering::SeqCst) > 1);
        assert_eq!(scene.replica.applied(), Seq(4));
    }
}

#[tokio::test]
async fn a_member_registers_before_it_looks_and_is_usable_only_once_it_is_where_the_store_is() {
    let store = Arc::new(LeasingStore::new());
    store.change_something().await;
    store.requests.send_replace(false);
    let scene = Scene::at(Arc::clone(&store));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((scene.code(), store.snapshots.load(Ordering::SeqCst)), (Some("bootstrapping"), 0));
    store.requests.send_replace(true);
    scene.until(|replica| replica.fresh().is_ok()).await;
    assert_eq!(store.renewed.borrow().first(), Some(&(MemberId("me".to_owned()), Seq(0))));
    assert_eq!(scene.replica.applied(), Seq(1));
}

#[tokio::test]
async fn a_question_that_wants_a_renewal_of_its_own_is_not_served_by_one_that_was_under_way() {
    let scene = Scene::begin().await;
    scene.store.replies.send_replace(false);
    let before = scene.renewals();
    let first = scene.ask();
    scene.until_renewed(|renewed| renewed.len() > before).await;
    let others: Vec<_> = (0..20).map(|_| scene.ask()).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.renewals(), before + 1);
    scene.store.replies.send_replace(true);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(scene.renewals(), before + 2, "all of them share the next");
}

#[tokio::test]
async fn a_store_of_ones_own_is_followed_without_leases_and_without_a_look_at_the_clock() {
    #[derive(Debug)]
    struct Unseen;
    impl Clock for Unseen {
        fn now(&self) -> Timestamp {
            panic!("the clock was read")
        }
        fn boot(&self) -> BootTime {
            panic!("the clock was read")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(crate::store::sqlite::SqliteStore::open(&folder.path().join("store.db")).unwrap());
    let replica = Arc::new(Replica::new(Arc::new(Unseen)));
    let following = Following::as_member(MemberId("alone".to_owned()));
    let following = tokio::spawn(follow(Arc::clone(&replica), store, following));
    while replica.fresh().is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(replica.fresh().unwrap().valid_until(), None);
    assert_eq!(replica.facts("SR-1"), Ok(None));
    assert_eq!((replica.at_rest(), replica.lease()), (Some(Seq(0)), None));
    assert_eq!(replica.confirmed_anew().await, Ok(()));
    following.abort();
}
