//! What the assembler makes of a watch that shows too little, too much, or something else.

use crate::store::contract::{commit, tenant};
use crate::store::etcd::batch::{Amiss, Assembler, Event};
use crate::store::etcd::errors::Fault;
use crate::store::etcd::keys::{Keys, Watched};
use crate::store::etcd::records::Head;
use crate::store::{Epoch, Object, Seq};

fn event(key: String, value: String, revision: i64, version: u64) -> Event {
    let version = i64::try_from(version).unwrap();
    Event { key: key.into_bytes(), value: value.into_bytes(), revision, version, deleted: false }
}

/// A whole commit with two objects, as etcd shows it.
fn shown(seq: u64, revision: i64) -> Vec<Event> {
    let keys = Keys::below("");
    let txn_id = format!("txn-{seq}");
    let made = commit(&txn_id, [Object::Tenant(tenant(1)), Object::Tenant(tenant(2))]);
    let head = Head { txn_id: txn_id.clone(), n_events: 4 };
    let object = |n: usize| event(format!("/acc/v1/tenant/00/{n}"), "{}".to_owned(), revision, seq);
    vec![
        object(1),
        object(2),
        event(keys.log_entry(made.at, &txn_id), serde_json::to_string(&made).unwrap(), revision, 1),
        event(keys.head(), serde_json::to_string(&head).unwrap(), revision, seq),
    ]
}

fn after(seq: u64, revision: i64) -> Assembler {
    watching(Watched::Everything, seq, revision)
}

fn watching(watched: Watched, seq: u64, revision: i64) -> Assembler {
    Assembler::after(Keys::below(""), watched, Epoch("one".to_owned()), Seq(seq), revision)
}

/// The commits that come out, up to the first thing that is amiss.
fn all(assembler: &mut Assembler, events: impl IntoIterator<Item = Event>) -> Result<Vec<u64>, Amiss> {
    let mut out = Vec::new();
    for event in events {
        out.extend(assembler.push(event)?.map(|placed| placed.seq.0));
    }
    Ok(out)
}

fn in_turn(commits: impl IntoIterator<Item = (u64, i64)>) -> Vec<Event> {
    commits.into_iter().flat_map(|(seq, revision)| shown(seq, revision)).collect()
}

#[test]
fn whole_commits_come_out_once_each() {
    let mut assembler = after(0, 0);
    // Revisions between commits belong to others: members, barriers, answers.
    assert_eq!(all(&mut assembler, in_turn([(1, 5), (2, 9), (3, 10)])), Ok(vec![1, 2, 3]));
    assert_eq!(assembler.last(), (Seq(3), 10));
}

#[test]
fn a_commit_that_was_left_out_is_missed() {
    let gap = all(&mut after(0, 0), in_turn([(1, 5), (3, 10)]));
    assert_eq!(gap, Err(Amiss::Gap { expected: Seq(2), shown: Seq(3) }));
}

#[test]
fn a_torn_commit_is_noticed_whichever_event_is_missing() {
    for missing in 0..4 {
        let mut events = shown(1, 5);
        events.remove(missing);
        events.extend(shown(2, 6));
        assert_eq!(all(&mut after(0, 0), events), Err(Amiss::Torn { revision: 5 }), "without event {missing}");
    }
}

#[test]
fn an_event_shown_twice_within_a_commit_is_noticed() {
    for twice in 0..3 {
        let mut events = shown(1, 5);
        events.insert(twice, events[twice].clone());
        assert_eq!(all(&mut after(0, 0), events), Err(Amiss::Torn { revision: 5 }), "event {twice} twice");
    }
}

#[test]
fn who_watches_the_log_alone_notices_as_much() {
    let of_log = |commits: &[(u64, i64)]| -> Vec<Event> {
        commits.iter().flat_map(|(seq, revision)| shown(*seq, *revision).split_off(2)).collect()
    };
    let begin = || watching(Watched::Log, 0, 0);
    assert_eq!(all(&mut begin(), of_log(&[(1, 5), (2, 6), (1, 5), (3, 9)])), Ok(vec![1, 2, 3]));
    let gap = all(&mut begin(), of_log(&[(1, 5), (3, 9)]));
    assert_eq!(gap, Err(Amiss::Gap { expected: Seq(2), shown: Seq(3) }));
    for missing in 0..2 {
        let mut events = of_log(&[(1, 5), (2, 6)]);
        events.remove(missing);
        assert_eq!(all(&mut begin(), events), Err(Amiss::Torn { revision: 5 }), "without event {missing}");
    }
    let mut twice = of_log(&[(1, 5)]);
    twice.insert(0, twice[0].clone());
    assert_eq!(all(&mut begin(), twice), Err(Amiss::Torn { revision: 5 }));
    let mut others = of_log(&[(1, 5)]);
    others[0] = Event { revision: 5, ..shown(7, 5).remove(2) };
    assert_eq!(all(&mut begin(), others), Err(Amiss::Torn { revision: 5 }));
}

#[test]
fn another_commits_entry_does_not_make_it_whole() {
    let mut events = shown(1, 5);
    events[2] = Event { revision: 5, ..shown(7, 5).remove(2) };
    assert_eq!(all(&mut after(0, 0), events), Err(Amiss::Torn { revision: 5 }));
}

#[test]
fn what_was_shown_before_is_passed_over_if_it_is_the_same() {
    let mut assembler = after(0, 0);
    let again = in_turn([(1, 5), (2, 6), (1, 5), (2, 6), (3, 7)]);
    assert_eq!(all(&mut assembler, again), Ok(vec![1, 2, 3]));
    // The same number at another revision is another history.
    assert_eq!(all(&mut assembler, shown(2, 4)), Err(Amiss::Changed { seq: Seq(2) }));
}

#[test]
fn a_new_watch_shows_the_torn_commit_again() {
    let mut assembler = after(0, 0);
    assert_eq!(all(&mut assembler, shown(1, 5).into_iter().take(2)), Ok(vec![]));
    assembler.begin_anew();
    assert_eq!(all(&mut assembler, shown(1, 5)), Ok(vec![1]));
}

#[test]
fn deletions_other_epochs_and_nonsense_are_fatal() {
    let mut deleted = shown(1, 5).remove(0);
    deleted.deleted = true;
    assert!(
        matches!(after(0, 0).push(deleted), Err(Amiss::Fatal(Fault::Damaged(why))) if why.contains("/acc/v1/tenant/00/1"))
    );
    let epoch = |value: &str| event(Keys::below("").epoch(), value.to_owned(), 5, 1);
    assert!(after(0, 0).push(epoch("one")).unwrap().is_none());
    assert!(matches!(after(0, 0).push(epoch("two")), Err(Amiss::Fatal(Fault::Regressed(_)))));
    let mut events = shown(1, 5);
    events[2].value.truncate(40);
    assert!(matches!(all(&mut after(0, 0), events), Err(Amiss::Fatal(Fault::Damaged(_)))));
}
