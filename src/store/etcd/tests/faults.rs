//! Watches that fall silent, break off, or begin where nothing is kept any more; stores that went back.

use std::time::Duration;

use super::proxy::{Proxy, Way};
use super::{Fleet, Role, etcdctl};
use crate::store::contract::{at, commit, follow, remembered, snapshot, tenant};
use crate::store::{CommitError, MemberId, Object, Seq, Store, StoreError};

fn id(name: &str) -> MemberId {
    MemberId(name.to_owned())
}

async fn write(store: &dyn Store, numbers: std::ops::Range<usize>) {
    for n in numbers {
        store.commit(commit(&n.to_string(), [Object::Tenant(tenant(n))])).await.unwrap();
    }
}

/// Forgets every old state.
fn compact(fleet: &Fleet) {
    let status = etcdctl(fleet, &["endpoint", "status", "--write-out", "json"]);
    let (_, rest) = status.split_once(r#""revision":"#).unwrap();
    let revision: String = rest.chars().take_while(char::is_ascii_digit).collect();
    etcdctl(fleet, &["compact", &revision]);
}

#[tokio::test]
async fn followers_go_on_after_what_they_stopped_at_was_compacted() {
    let fleet = Fleet::alone();
    let authority = fleet.authority("a").await;
    let proxy = Proxy::to(&fleet.settings.endpoints[0]).await;
    let proxied = fleet.through(&[proxy.endpoint()], 1_000);
    let (late, sidecar) = (proxied.authority("late").await, proxied.sidecar("s").await);
    write(&authority, 0..5).await;
    let (seen, _) = snapshot(&sidecar).await;
    let mut feed = sidecar.changes(seen).unwrap();
    assert_eq!(snapshot(&late).await.0, Seq(5));
    assert!(tokio::time::timeout(Duration::from_millis(50), feed.next()).await.is_err());

    proxy.cut().await;
    write(&authority, 5..80).await;
    compact(&fleet);
    proxy.set(Way::Open);
    for expected in 6..=80 {
        assert_eq!(feed.next().await.unwrap().seq, Seq(expected));
    }
    // Nothing happens for long, and that is compacted too.
    sidecar.renew(id("s"), Seq(80)).await.unwrap();
    proxy.cut().await;
    compact(&fleet);
    proxy.set(Way::Open);
    write(&authority, 80..82).await;
    assert_eq!((feed.next().await.unwrap().seq, feed.next().await.unwrap().seq), (Seq(81), Seq(82)));
    assert_eq!(follow(&late, Seq(0), Seq(82)).await.len(), 82);
    assert_eq!(snapshot(&late).await, snapshot(&authority).await);
    // From the start, and a copy that has nothing yet.
    assert_eq!(follow(&fleet.sidecar("new").await, Seq(0), Seq(82)).await.len(), 82);
    assert_eq!(snapshot(&fleet.authority("new").await).await, snapshot(&sidecar).await);
}

#[tokio::test]
async fn a_log_that_was_cut_is_said_to_be() {
    let fleet = Fleet::alone();
    let authority = fleet.authority("a").await;
    write(&authority, 0..6).await;
    let whole = snapshot(&authority).await;
    authority.close();
    drop(authority);
    let log = etcdctl(&fleet, &["get", "--prefix", "--keys-only", &format!("{}acc/v1/log/", fleet.root())]);
    for n in ["/0", "/1"] {
        let key = log.lines().find(|key| key.ends_with(n)).unwrap();
        etcdctl(&fleet, &["del", key]);
    }
    compact(&fleet);
    // Whoever has seen them goes on; the state is whole; whoever has not is told.
    let sidecar = fleet.sidecar("s").await;
    assert_eq!(snapshot(&sidecar).await.1.len(), whole.1.len());
    assert_eq!(follow(&sidecar, Seq(3), Seq(6)).await.len(), 3);
    let mut cut = sidecar.changes(Seq(0)).unwrap();
    assert!(matches!(cut.next().await, Err(StoreError::Compacted(Seq(0)))));
    assert_eq!(snapshot(&fleet.authority("a").await).await, whole);
    let empty = fleet.authority("empty").await;
    let refused = empty.tenant(crate::store::contract::tenant_id(1)).await;
    assert!(matches!(refused, Err(StoreError::Compacted(Seq(0)))), "{refused:?}");
    assert!(empty.health().unwrap_err().contains("no longer kept"));
}

#[tokio::test]
async fn a_feed_survives_every_break() {
    let fleet = Fleet::new();
    let authority = fleet.authority("a").await;
    let proxy = Proxy::to(&fleet.settings.endpoints[0]).await;
    let sidecar = fleet.through(&[proxy.endpoint()], 500).sidecar("s").await;
    let mut feed = sidecar.changes(Seq(0)).unwrap();
    for round in 0..4_usize {
        let place = |n: usize| Seq(u64::try_from(round * 10 + n).unwrap());
        write(&authority, round * 10..round * 10 + 5).await;
        assert_eq!(feed.next().await.unwrap().seq, place(1));
        proxy.cut().await;
        write(&authority, round * 10 + 5..round * 10 + 10).await;
        proxy.set(Way::Open);
        for n in 2..=10 {
            assert_eq!(feed.next().await.unwrap().seq, place(n));
        }
    }
}

#[tokio::test]
async fn a_watch_that_falls_silent_is_left_for_the_log() {
    let fleet = Fleet::new();
    let authority = fleet.authority("a").await;
    let proxy = Proxy::to(&fleet.settings.endpoints[0]).await;
    let endpoints = [proxy.endpoint(), fleet.settings.endpoints[0].clone()];
    let sidecar = fleet.through(&endpoints, 600).sidecar("s").await;
    write(&authority, 0..1).await;
    let mut feed = sidecar.changes(Seq(0)).unwrap();
    assert_eq!(feed.next().await.unwrap().seq, Seq(1));
    proxy.set(Way::Swallow);
    write(&authority, 1..3).await;
    // The renewal gets through by another way, and says that there is something.
    assert_eq!(sidecar.renew(id("s"), Seq(1)).await.unwrap().head, Seq(3));
    assert_eq!((feed.next().await.unwrap().seq, feed.next().await.unwrap().seq), (Seq(2), Seq(3)));
}

#[tokio::test]
async fn a_restored_backup_is_noticed_by_everybody() {
    let mut fleet = Fleet::alone();
    let authority = fleet.authority("a").await;
    let sidecar = fleet.sidecar("s").await;
    write(&authority, 0..3).await;
    let backup = fleet.directory.path().join("backup");
    etcdctl(&fleet, &["snapshot", "save", backup.to_str().unwrap()]);
    write(&authority, 3..5).await;
    assert_eq!(sidecar.renew(id("s"), Seq(5)).await.unwrap().head, Seq(5));
    let mut feeds = [authority.changes(Seq(5)).unwrap(), sidecar.changes(Seq(5)).unwrap()];

    fleet.restore(&backup);
    let refused = loop {
        match sidecar.renew(id("s"), Seq(5)).await {
            // The backup has no key of ours, or it is the one before: what counts is how far it is.
            Err(StoreError::Unavailable(_) | StoreError::Fenced) => {}
            other => break other,
        }
    };
    assert!(matches!(refused, Err(StoreError::Regressed(_))), "{refused:?}");
    let refused = loop {
        match snapshot_or_error(&authority).await {
            Err(StoreError::Unavailable(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(refused, Err(StoreError::Regressed(_))), "{refused:?}");
    let refused = authority.commit(commit("no", [])).await;
    assert!(matches!(&refused, Err(CommitError::Unavailable(why)) if why.contains("earlier state")), "{refused:?}");
    for feed in &mut feeds {
        assert!(matches!(feed.next().await, Err(StoreError::Regressed(_))));
    }
    assert!(authority.health().is_err() && sidecar.health().is_err());
    authority.close();
    drop(authority);
    let copy = fleet.directory.path().join("a.db");
    let refused = fleet.open(Role::Authority { copy: &copy }, "a").await;
    assert!(matches!(refused, Err(StoreError::Regressed(_))), "{refused:?}");
}

async fn snapshot_or_error(store: &dyn Store) -> Result<Seq, StoreError> {
    store.snapshot(&mut |_| {}).await
}

#[tokio::test]
async fn another_epoch_is_another_store() {
    let fleet = Fleet::new();
    let authority = fleet.authority("a").await;
    let (followed, renewed) = (fleet.sidecar("followed").await, fleet.sidecar("renewed").await);
    write(&authority, 0..2).await;
    renewed.renew(id("renewed"), Seq(2)).await.unwrap();
    let mut feed = followed.changes(Seq(2)).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), feed.next()).await.is_err());
    etcdctl(&fleet, &["put", &format!("{}acc/v1/epoch", fleet.root()), "another"]);
    assert!(matches!(feed.next().await, Err(StoreError::Regressed(_))));
    assert!(matches!(renewed.renew(id("renewed"), Seq(2)).await, Err(StoreError::Regressed(_))));
    assert!(matches!(renewed.renew(id("renewed"), Seq(2)).await, Err(StoreError::Regressed(_))));
    assert!(matches!(authority.commit(commit("no", [])).await, Err(CommitError::Unavailable(_))));
    assert!(matches!(snapshot_or_error(&authority).await, Err(StoreError::Regressed(_))));
}

#[tokio::test]
async fn who_begins_with_the_epoch_of_a_restored_store_takes_the_ones_before_for_history() {
    let fleet = Fleet::new();
    let before = fleet.authority("before").await;
    write(&before, 0..2).await;
    before.close();
    etcdctl(&fleet, &["put", &format!("{}acc/v1/epoch", fleet.root()), "another"]);
    etcdctl(&fleet, &["del", "--prefix", &format!("{}fleet/v1/", fleet.root())]);

    let after = fleet.authority("after").await;
    assert_eq!(after.epoch().0, "another");
    write(&after, 2..4).await;
    assert_eq!(snapshot_or_error(&after).await.unwrap(), Seq(4));
    let sidecar = fleet.sidecar("sidecar").await;
    sidecar.renew(id("sidecar"), Seq(0)).await.unwrap();
    let mut feed = sidecar.changes(Seq(0)).unwrap();
    for seq in 1..=4 {
        assert_eq!(feed.next().await.unwrap().seq, Seq(seq));
    }
}

#[tokio::test]
async fn a_deleted_object_is_damage() {
    let fleet = Fleet::new();
    let authority = fleet.authority("a").await;
    write(&authority, 0..2).await;
    etcdctl(&fleet, &["del", "--prefix", &format!("{}acc/v1/tenant/", fleet.root())]);
    let mut feed = authority.changes(Seq(2)).unwrap();
    assert!(matches!(feed.next().await, Err(StoreError::Damaged(why)) if why.contains("was deleted")));
}

#[tokio::test]
async fn forgotten_answers_are_gone_from_etcd_too() {
    let fleet = Fleet::new();
    let (one, two) = (fleet.authority("a").await, fleet.authority("b").await);
    for n in 0..120 {
        let answer = Object::RememberedAnswer(remembered(&format!("tool/{n}"), n));
        one.commit(commit(&n.to_string(), [answer])).await.unwrap();
    }
    let kept = || {
        let answers = format!("{}acc/answer/", fleet.root());
        etcdctl(&fleet, &["get", "--prefix", "--keys-only", &answers]).lines().filter(|key| !key.is_empty()).count()
    };
    assert_eq!(kept(), 120);
    // One is given anew, and so is not old any more.
    let anew = Object::RememberedAnswer(remembered("tool/7", 500));
    two.commit(commit("anew", [anew])).await.unwrap();
    assert!(one.remembered_answer("tool/7".to_owned()).await.unwrap().is_some());
    assert_eq!(one.forget_answers(at(110)).await.unwrap(), 109);
    assert_eq!(kept(), 11);
    assert!(one.remembered_answer("tool/7".to_owned()).await.unwrap().is_some());
    assert_eq!(two.forget_answers(at(110)).await.unwrap(), 109);
}
