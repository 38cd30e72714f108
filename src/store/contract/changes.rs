//! Commits, the sequence they make, and following it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::history::*;
use crate::store::{ActivityFilter, Commit, CommitError, MemberId, Object, Seq, Store, StoreError, Term, Write};

pub(in crate::store) async fn a_key_that_must_be_absent_is_created_once(store: Arc<dyn Store>) {
    let create =
        |txn_id| Commit { preconditions: vec![must_be(tenant_key(1), None)], ..commit(txn_id, [named("new")]) };
    assert_eq!(store.commit(create("first")).await.unwrap().seq, Seq(1));
    let second = store.commit(create("second")).await;
    assert!(matches!(second, Err(CommitError::Conflict { key }) if key == tenant_key(1)));
}

pub(in crate::store) async fn a_conflict_names_the_key_and_writes_nothing(store: Arc<dyn Store>) {
    store.commit(commit("one", [Object::Tenant(tenant(1)), Object::Tenant(tenant(2))])).await.unwrap();
    let stale = store.tenant(tenant_id(1)).await.unwrap().unwrap().revision;
    let fresh = store.commit(commit("two", [named("newer")])).await.unwrap().seq;
    let current = store.tenant(tenant_id(2)).await.unwrap().unwrap().revision;

    let refused = store
        .commit(Commit {
            preconditions: vec![must_be(tenant_key(2), Some(current)), must_be(tenant_key(1), Some(stale))],
            activities: vec![activity(1, 1)],
            ..commit("three", [Object::Tenant(tenant(3)), named("newest"), Object::Tenant(tenant(2))])
        })
        .await;
    assert!(matches!(refused, Err(CommitError::Conflict { key }) if key == tenant_key(1)));

    assert_eq!(store.tenant(tenant_id(3)).await.unwrap(), None);
    assert_eq!(store.tenant(tenant_id(2)).await.unwrap().unwrap().revision, current);
    assert_eq!(store.tenant(tenant_id(1)).await.unwrap().unwrap().value.display_name, "newer");
    assert_eq!(store.activities_of(tenant_id(1), ActivityFilter::default(), None, 9).await.unwrap(), []);
    assert_eq!(snapshot(&*store).await.0, fresh);

    let gone =
        store.commit(Commit { preconditions: vec![must_be(tenant_key(7), Some(current))], ..commit("four", []) }).await;
    assert!(matches!(gone, Err(CommitError::Conflict { key }) if key == tenant_key(7)));
}

pub(in crate::store) async fn the_same_transaction_commits_once(store: Arc<dyn Store>) {
    let once = Commit {
        preconditions: vec![must_be(tenant_key(1), None)],
        activities: vec![activity(1, 1)],
        ..commit("once", [named("once")])
    };
    let first = store.commit(once.clone()).await.unwrap();
    store.commit(commit("later", [named("later")])).await.unwrap();
    // Its precondition no longer holds: a retry must be told the first outcome all the same.
    let again = store.commit(once.clone()).await.unwrap();
    assert_eq!((first.seq, again.seq), (Seq(1), Seq(1)));
    let both = tokio::join!(store.commit(commit("twice", [])), store.commit(commit("twice", [])));
    assert_eq!((both.0.unwrap().seq, both.1.unwrap().seq), (Seq(3), Seq(3)));

    let (head, _) = snapshot(&*store).await;
    assert_eq!(head, Seq(3));
    assert_eq!(store.tenant(tenant_id(1)).await.unwrap().unwrap().value.display_name, "later");
    assert_eq!(store.activities_of(tenant_id(1), ActivityFilter::default(), None, 9).await.unwrap().len(), 1);
}

pub(in crate::store) async fn concurrent_writers_get_a_dense_sequence(store: Arc<dyn Store>) {
    let writers = (0..16).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut places = Vec::new();
            for n in 0..20 {
                let object = Object::Tenant(tenant(writer * 100 + n));
                let mine = commit(&format!("{writer}-{n}"), [object]);
                places.push(store.commit(mine).await.unwrap().seq);
                // What was acknowledged can be read.
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
    assert_eq!(places, (1..=320).map(Seq).collect());
    assert_eq!(follow(&*store, Seq(0), Seq(320)).await.len(), 320);
}

pub(in crate::store) async fn one_of_many_writers_of_the_same_key_wins(store: Arc<dyn Store>) {
    store.commit(commit("zero", [named("0")])).await.unwrap();
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut won = 0_usize;
            for n in 0..25 {
                let read = store.tenant(tenant_id(1)).await.unwrap().unwrap();
                let count: usize = read.value.display_name.parse().unwrap();
                let raise = Commit {
                    preconditions: vec![must_be(tenant_key(1), Some(read.revision))],
                    ..commit(&format!("{writer}-{n}"), [named(&(count + 1).to_string())])
                };
                match store.commit(raise).await {
                    Ok(_) => won += 1,
                    Err(CommitError::Conflict { .. }) => {}
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
    assert_eq!(store.tenant(tenant_id(1)).await.unwrap().unwrap().value.display_name, won.to_string());
}

pub(in crate::store) async fn a_commit_tells_the_members(store: Arc<dyn Store>) {
    assert_eq!(store.commit(commit("none", [])).await.unwrap().members, []);
    let (a, b) = (MemberId("a".to_owned()), MemberId("b".to_owned()));
    let mut watch = store.watch_members();
    store.renew(a.clone(), Seq(0)).await.unwrap();
    store.renew(b.clone(), Seq(1)).await.unwrap();
    store.renew(a.clone(), Seq(1)).await.unwrap();
    let committed = store.commit(commit("two", [])).await.unwrap().members;
    assert!(committed.iter().map(|member| &member.id).eq([&a, &b]), "{committed:?}");
    let told = watch.wait_for(|members| members.len() == 2 && members.iter().all(|m| m.applied == Seq(1))).await;
    // Of the same entries.
    assert!(
        told.unwrap().iter().map(|member| (&member.id, member.entry)).eq(committed.iter().map(|m| (&m.id, m.entry)))
    );
    // Whoever waits for the members to follow sees them do so.
    let waiting = tokio::spawn(async move {
        watch.wait_for(|members| members.len() == 2 && members.iter().all(|m| m.applied == Seq(2))).await.is_ok()
    });
    store.renew(a, Seq(2)).await.unwrap();
    store.renew(b, Seq(2)).await.unwrap();
    assert!(waiting.await.unwrap());
}

pub(in crate::store) async fn a_renewal_tells_the_head(store: Arc<dyn Store>) {
    let member = MemberId("a".to_owned());
    let first = store.renew(member.clone(), Seq(0)).await.unwrap();
    assert_eq!(first.head, Seq(0));
    // Whoever holds the store alone waits for nobody; a lease has run out before the wait for its holder has.
    match (first.term, store.wait_out()) {
        (Term::Exclusive, wait_out) => assert_eq!(wait_out, None),
        (Term::Lease(length), wait_out) => assert!(wait_out > Some(length)),
    }
    store.commit(commit("one", [])).await.unwrap();
    let second = store.renew(member, Seq(0)).await.unwrap();
    assert_eq!((second.head, second.epoch, second.term), (Seq(1), first.epoch, first.term));
}

pub(in crate::store) async fn a_feed_waits_for_the_next_change(store: Arc<dyn Store>) {
    let mut feed = store.changes(Seq(0)).unwrap();
    // Giving up the wait loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(5), feed.next()).await.is_err());
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(feed.next().await.unwrap());
        }
        seen
    });
    for (n, txn_id) in ["one", "two", "three"].into_iter().enumerate() {
        tokio::task::yield_now().await;
        store.commit(commit(txn_id, [Object::Tenant(tenant(n))])).await.unwrap();
    }
    let seen = follower.await.unwrap();
    assert_eq!(seen.iter().map(|change| change.seq.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(seen[2].writes, [Write(Object::Tenant(tenant(2)))]);
}

pub(in crate::store) async fn a_feed_starts_in_the_middle(store: Arc<dyn Store>) {
    for n in 0..10 {
        store.commit(commit(&n.to_string(), [Object::Tenant(tenant(n))])).await.unwrap();
    }
    let changes = follow(&*store, Seq(6), Seq(10)).await;
    assert_eq!(changes[0].writes, [Write(Object::Tenant(tenant(6)))]);
    assert_eq!(changes[3].writes, [Write(Object::Tenant(tenant(9)))]);
}

pub(in crate::store) async fn a_feed_shows_each_commit_as_it_was(store: Arc<dyn Store>) {
    let answer = Object::RememberedAnswer(remembered("tool/1", 0));
    store.commit(commit("one", [named("one"), answer.clone()])).await.unwrap();
    store.commit(commit("two", [answer])).await.unwrap();
    store.commit(commit("three", [named("three")])).await.unwrap();
    let writes: Vec<_> = follow(&*store, Seq(0), Seq(3)).await.into_iter().map(|change| change.writes).collect();
    // A commit that followers need not know of still has its place.
    assert_eq!(writes, [vec![Write(named("one"))], vec![], vec![Write(named("three"))]]);
}

pub(in crate::store) async fn a_follower_ahead_of_the_store_is_told(store: Arc<dyn Store>) {
    store.commit(commit("one", [])).await.unwrap();
    assert!(matches!(store.changes(Seq(2)), Err(StoreError::Damaged(_))));
}

pub(in crate::store) async fn snapshot_and_changes_lead_to_the_same_state(store: Arc<dyn Store>) {
    let mut snapshots = vec![snapshot(&*store).await];
    for seed in 1..=3 {
        live_randomly(&*store, seed, 60).await;
        snapshots.push(snapshot(&*store).await);
    }
    let (head, last) = snapshots.last().cloned().unwrap();
    assert!(head.0 > 60 && last.len() > 20, "the histories are long enough to say something");
    for (seq, mut known) in snapshots {
        assert!(known.values().all(|(written, _)| *written <= seq));
        apply(&mut known, &follow(&*store, seq, head).await);
        assert_eq!(known, last, "from {seq:?}");
    }
}
