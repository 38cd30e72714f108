//! Several processes on one store: authorities that write at the same time, sidecars that follow, members that fall silent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::proxy::{Proxy, Way};
use super::{Fleet, etcdctl};
use crate::model::{AccessRequestId, Actor};
use crate::store::contract::{
    ask_command, at, commit, follow, live_randomly, open_command, snapshot, take, tenant, tenant_id,
};
use crate::store::etcd::EtcdStore;
use crate::store::{
    Barrier, Commit, CommitError, Key, Member, MemberId, Object, Precondition, Seq, Store, StoreError, Term,
};

fn named(name: &str) -> Object {
    Object::Tenant(crate::model::Tenant { display_name: name.to_owned(), ..tenant(1) })
}

#[tokio::test]
async fn an_unanswered_commit_is_found_by_its_transaction() {
    let fleet = Fleet::new();
    let proxy = Proxy::to(&fleet.settings.endpoints[0]).await;
    let store = fleet.through(&[proxy.endpoint()], 400).authority("a").await;
    store.commit(commit("one", [Object::Tenant(tenant(1))])).await.unwrap();
    let mut two = commit("two", [Object::Tenant(tenant(2))]);
    two.preconditions = vec![Precondition { key: Key::Tenant(tenant_id(2)), revision: None }];

    proxy.set(Way::Swallow);
    let unknown = store.commit(two.clone()).await;
    assert!(matches!(unknown, Err(CommitError::Unknown(_))), "{unknown:?}");
    assert!(store.health().is_err());
    // It did happen, and somebody else goes on meanwhile.
    let other = fleet.authority("b").await;
    assert_eq!(other.commit(commit("three", [])).await.unwrap().seq, Seq(3));

    proxy.cut().await;
    proxy.set(Way::Open);
    // Its precondition holds no longer, since it was written: it must be told its first outcome all the same.
    assert_eq!(store.commit(two.clone()).await.unwrap().seq, Seq(2));
    assert_eq!(other.commit(two).await.unwrap().seq, Seq(2));
    assert_eq!(snapshot(&store).await, snapshot(&other).await);
    assert_eq!(store.health(), Ok(()));
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_written() {
    let fleet = Fleet::new();
    let proxy = Proxy::to(&fleet.settings.endpoints[0]).await;
    let proxied = fleet.through(&[proxy.endpoint()], 2_000);
    let store = proxied.authority("a").await;
    drop(proxy);
    let refused = store.commit(commit("one", [])).await;
    // The connection that was there breaks with the request on it, or there is none any more.
    assert!(matches!(refused, Err(CommitError::Unavailable(_) | CommitError::Unknown(_))), "{refused:?}");
    let refused = store.commit(commit("one", [])).await;
    assert!(matches!(&refused, Err(CommitError::Unavailable(why)) if why.contains("cannot be reached")), "{refused:?}");
    let copy = fleet.directory.path().join("other.db");
    let refused = proxied.open(super::Role::Authority { copy: &copy }, "other").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // A sidecar comes up without it.
    assert!(proxied.sidecar("s").await.renew(MemberId("s".to_owned()), Seq(0)).await.is_err());
}

#[tokio::test]
async fn a_dead_or_hanging_member_of_etcd_costs_no_answer() {
    let fleet = Fleet::new();
    let hanging = Proxy::to(&fleet.settings.endpoints[0]).await;
    let dead = format!("http://127.0.0.1:{}", super::server::free_port());
    let endpoints = [dead, hanging.endpoint(), fleet.settings.endpoints[0].clone()];
    let store = fleet.through(&endpoints, 1_500).authority("a").await;
    for (n, place) in (0..4).zip(1..) {
        hanging.set(if n % 2 == 0 { Way::Swallow } else { Way::Cut });
        let committed = store.commit(commit(&n.to_string(), [Object::Tenant(tenant(n))])).await;
        assert_eq!(committed.unwrap().seq, Seq(place));
        hanging.set(Way::Open);
    }
}

#[tokio::test]
async fn writers_of_two_authorities_get_one_dense_sequence() {
    let fleet = Fleet::new();
    let stores = [Arc::new(fleet.authority("a").await), Arc::new(fleet.authority("b").await)];
    let writers = (0..16_usize).map(|writer| {
        let store = Arc::clone(&stores[writer % 2]);
        tokio::spawn(async move {
            let mut places = Vec::new();
            for n in 0..10 {
                let object = Object::Tenant(tenant(writer * 100 + n));
                places.push(store.commit(commit(&format!("{writer}-{n}"), [object])).await.unwrap().seq);
                assert!(store.tenant(tenant_id(writer * 100 + n)).await.unwrap().is_some());
            }
            assert!(places.is_sorted());
            places
        })
    });
    let mut places = BTreeSet::new();
    for writer in writers.collect::<Vec<_>>() {
        places.extend(writer.await.unwrap());
    }
    assert_eq!(places, (1..=160).map(Seq).collect());
    // A read waits for what the other one has written.
    assert_eq!(snapshot(&*stores[0]).await, snapshot(&*stores[1]).await);
    assert_eq!(follow(&*stores[1], Seq(0), Seq(160)).await.len(), 160);
}

#[tokio::test]
async fn one_of_many_writers_wins_across_authorities() {
    let fleet = Fleet::new();
    let stores = [Arc::new(fleet.authority("a").await), Arc::new(fleet.authority("b").await)];
    stores[0].commit(commit("zero", [named("0")])).await.unwrap();
    let writers = (0..6_usize).map(|writer| {
        let store = Arc::clone(&stores[writer % 2]);
        tokio::spawn(async move {
            let mut won = 0;
            for n in 0..12 {
                let read = store.tenant(tenant_id(1)).await.unwrap().unwrap();
                let count: usize = read.value.display_name.parse().unwrap();
                let preconditions =
                    vec![Precondition { key: Key::Tenant(tenant_id(1)), revision: Some(read.revision) }];
                let raised = commit(&format!("{writer}-{n}"), [named(&(count + 1).to_string())]);
                match store.commit(Commit { preconditions, ..raised }).await {
                    Ok(_) => won += 1,
                    Err(CommitError::Conflict { key }) => assert_eq!(key, Key::Tenant(tenant_id(1))),
                    Err(error) => panic!("{error}"),
                }
            }
            won
        })
    });
    let mut won = 0;
    for writer in writers.collect::<Vec<_>>() {
        won += writer.await.unwrap();
    }
    for store in stores {
        assert_eq!(store.tenant(tenant_id(1)).await.unwrap().unwrap().value.display_name, won.to_string());
    }
}

#[tokio::test]
async fn a_sidecar_sees_what_the_copies_hold() {
    let fleet = Fleet::new();
    let authority = fleet.authority("a").await;
    let sidecar = fleet.sidecar("s").await;
    let mut seen = vec![];
    for seed in 1..=2 {
        live_randomly(&authority, seed, 50).await;
        let (seq, known) = snapshot(&sidecar).await;
        assert_eq!((seq, &known), (snapshot(&authority).await.0, &snapshot(&authority).await.1));
        seen.push((seq, known));
    }
    let (head, last) = seen.last().cloned().unwrap();
    assert!(head.0 > 40 && last.len() > 15, "the history is long enough to say something");
    // From the beginning, from a snapshot, and from where no snapshot was.
    for from in [Seq(0), seen[0].0, Seq(seen[0].0.0 - 3)] {
        let told = follow(&sidecar, from, head).await;
        let kept = follow(&authority, from, head).await;
        let told: Vec<_> = told.into_iter().map(|change| (change.seq, change.at, change.writes)).collect();
        let kept: Vec<_> = kept.into_iter().map(|change| (change.seq, change.at, change.writes)).collect();
        assert_eq!(told, kept, "from {from:?}");
    }
    // A sidecar does nothing else.
    assert!(matches!(sidecar.tenant(tenant_id(1)).await, Err(StoreError::Elsewhere)));
    assert!(matches!(sidecar.commit(commit("no", [])).await, Err(CommitError::Unavailable(_))));
    let mut ahead = sidecar.changes(head.next()).unwrap();
    assert!(matches!(ahead.next().await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn access_requests_of_one_moment_keep_their_order_for_a_sidecar() {
    let fleet = Fleet::new();
    let (authority, sidecar) = (fleet.authority("a").await, fleet.sidecar("s").await);
    let ticketing = Actor::Service("ticketing".to_owned());
    take(&authority, "open", 1, &open_command(1, 1, 0), &ticketing, at(0)).await.unwrap().unwrap();
    let by = Actor::Person("vendor/engineer-0".parse().unwrap());
    let order = [7, 3, 9, 1];
    for n in order {
        take(&authority, &n.to_string(), 1, &ask_command(n, n), &by, at(5)).await.unwrap().unwrap();
    }
    let mut ids = Vec::new();
    let mut visit = |item: crate::store::SnapshotItem| {
        if let Object::AccessRequest(request) = item.object {
            ids.push(request.id);
        }
    };
    sidecar.snapshot(&mut visit).await.unwrap();
    assert_eq!(ids, order.map(|n| AccessRequestId::new(&format!("ar-{n}")).unwrap()));
}

fn id(name: &str) -> MemberId {
    MemberId(name.to_owned())
}

async fn members_become(store: &EtcdStore, expected: &[(&str, u64)]) {
    let is_there = |members: &Vec<Member>| {
        members.iter().map(|member| (member.id.0.as_str(), member.applied.0)).eq(expected.iter().copied())
    };
    let mut members = store.watch_members();
    let seen = tokio::time::timeout(Duration::from_secs(20), members.wait_for(is_there)).await;
    assert!(seen.is_ok(), "{:?}", *store.watch_members().borrow());
}

#[tokio::test]
async fn a_silent_member_is_struck_off_and_registers_anew() {
    let fleet = Fleet::new();
    let authority = fleet.authority("a").await;
    let (silent, awake) = (fleet.sidecar("silent").await, fleet.sidecar("awake").await);
    assert_eq!(silent.renew(id("silent"), Seq(0)).await.unwrap().term, Term::Lease(Duration::from_millis(500)));
    awake.renew(id("awake"), Seq(0)).await.unwrap();
    members_become(&authority, &[("awake", 0), ("silent", 0)]).await;
    let committed = authority.commit(commit("one", [])).await.unwrap();
    assert_eq!(committed.members.len(), 2);
    let quiet = Commit { takes_away: false, ..commit("quiet", []) };
    assert_eq!(authority.commit(quiet).await.unwrap().members, []);

    // `awake` says after the commit that it is still behind: it has a lease from after the commit, and stays.
    awake.renew(id("awake"), Seq(0)).await.unwrap();
    let waited_out = committed.members.clone();
    let barrier = Barrier { seq: committed.seq, at: at(1), acknowledged: vec![id("x")], waited_out };
    authority.note_barrier(barrier).await.unwrap();
    members_become(&authority, &[("awake", 0)]).await;
    let kept = etcdctl(&fleet, &["get", "--prefix", "--print-value-only", &format!("{}acc/barrier/", fleet.root())]);
    assert!(kept.contains(r#""seq":1"#) && kept.contains(r#""acknowledged":1"#), "{kept}");
    let rosters = etcdctl(&fleet, &["get", "--prefix", &format!("{}acc/roster/", fleet.root())]);
    let (at, roster) = rosters.trim_end().split_once('\n').unwrap();
    assert_eq!(roster, r#"["awake","silent","x"]"#);
    let digest = at.rsplit('/').next().unwrap();
    assert!(digest.len() == 64 && kept.contains(&format!(r#""roster":"{digest}""#)), "{at} {kept}");
    assert!(kept.contains(r#"{"member":"silent","applied_seq":0}"#), "{kept}");

    assert!(matches!(silent.renew(id("silent"), Seq(1)).await, Err(StoreError::Fenced)));
    assert_eq!(silent.renew(id("silent"), Seq(2)).await.unwrap().head, Seq(2));
    awake.renew(id("awake"), Seq(2)).await.unwrap();
    members_become(&authority, &[("awake", 2), ("silent", 2)]).await;
    let key = etcdctl(&fleet, &["get", "--print-value-only", &format!("{}fleet/v1/silent", fleet.root())]);
    assert!(key.contains(r#""applied_seq":2,"about":{"build": 1}"#), "{key}");
    silent.leave().await.unwrap();
    members_become(&authority, &[("awake", 2)]).await;
}

#[tokio::test]
async fn a_member_of_the_same_name_waits_until_the_other_one_cannot_decide_any_more() {
    let fleet = Fleet::new();
    fleet.authority("a").await;
    let (first, second) = (fleet.sidecar("s").await, fleet.sidecar("s").await);
    first.renew(id("s"), Seq(0)).await.unwrap();
    let waits = second.renew(id("s"), Seq(0)).await;
    assert!(matches!(&waits, Err(StoreError::Unavailable(why)) if why.contains("may still decide")), "{waits:?}");
    first.renew(id("s"), Seq(0)).await.unwrap();
    let in_use = second.renew(id("s"), Seq(0)).await;
    assert!(matches!(in_use, Err(StoreError::InUse(_))), "{in_use:?}");
    drop(first);
    let mut tries = Vec::new();
    let registered = loop {
        match second.renew(id("s"), Seq(0)).await {
            Ok(renewal) => break renewal,
            Err(error) => tries.push(error),
        }
    };
    assert_eq!(registered.head, Seq(0));
    let waited = |error: &StoreError| matches!(error, StoreError::Unavailable(why) if why.contains("may still decide"));
    assert!(tries.len() > 1 && tries.iter().all(waited), "{tries:?}");
}
