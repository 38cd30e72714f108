//! What is read back: cases, lists in pages, activities, remembered answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::history::*;
use crate::model::{
    self, AccessRequest, AccessRequestId, ActivityKind, Actor, Case, Command, ConsentId, ConsentStatus, Scope,
};
use crate::store::{
    ActivityFilter, CaseRef, Commit, CommitError, Key, ListPosition, ListedConsent, Object, RolledOut, Rollout, Seq,
    SignedReceipt, Slot, Store, Write,
};

pub(in crate::store) async fn activities_are_numbered_per_tenant(store: Arc<dyn Store>) {
    for n in 0..12 {
        let activities = vec![activity(1, n), activity(n % 3, n), activity(1, n)];
        store.commit(Commit { activities, ..commit(&n.to_string(), []) }).await.unwrap();
    }
    for (tenant, entries) in [(0, 4), (1, 28), (2, 4), (3, 0)] {
        let log = store.activities_of(tenant_id(tenant), ActivityFilter::default(), None, 100).await.unwrap();
        let numbers: Vec<u64> = log.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=entries).rev().collect::<Vec<_>>(), "tenant {tenant}");
        assert!(log.iter().all(|entry| entry.activity.tenant == tenant_id(tenant)));
    }
}

pub(in crate::store) async fn activities_are_filtered(store: Arc<dyn Store>) {
    for n in 0..40 {
        // The clock of whoever commits may be behind: numbers, not times, give the order.
        let mine = activity(1, if n % 7 == 3 { n - 3 } else { n });
        store.commit(Commit { activities: vec![mine], ..commit(&n.to_string(), []) }).await.unwrap();
    }
    let all = store.activities_of(tenant_id(1), ActivityFilter::default(), None, 100).await.unwrap();
    let mut dice = Dice::seeded(7);
    for _ in 0..200 {
        let filter = ActivityFilter {
            from: (dice.below(3) == 0).then(|| at(dice.below(40))),
            to: (dice.below(3) == 0).then(|| at(dice.below(40))),
            kind: (dice.below(4) == 0).then(|| ActivityKind::ALL[dice.below(8)]),
            actor: (dice.below(4) == 0).then(|| engineer(dice.below(3))),
            support_request: (dice.below(4) == 0).then(|| support_request_id(dice.below(4))),
        };
        let before = (dice.below(2) == 0).then(|| u64::try_from(dice.below(42)).unwrap());
        let limit = dice.below(12);
        let expected = all.iter().filter(|entry| {
            let activity = &entry.activity;
            before.is_none_or(|before| entry.number < before)
                && filter.from.is_none_or(|from| activity.at >= from)
                && filter.to.is_none_or(|to| activity.at < to)
                && filter.kind.is_none_or(|kind| activity.kind == kind)
                && filter.actor.as_ref().is_none_or(|actor| activity.actor == Actor::Person(actor.clone()))
                && filter.support_request.as_ref().is_none_or(|id| activity.support_request == *id)
        });
        let expected: Vec<_> = expected.take(limit).cloned().collect();
        let found = store.activities_of(tenant_id(1), filter.clone(), before, limit).await.unwrap();
        assert_eq!(found, expected, "{filter:?} before {before:?} limit {limit}");
    }
}

pub(in crate::store) async fn a_case_is_found_by_each_of_its_parts(store: Arc<dyn Store>) {
    let engineer = Actor::Person(engineer(0));
    let steps = [
        (1, open_command(1, 1, 0), ticketing()),
        (2, open_command(2, 1, 0), ticketing()),
        (1, ask_command(1, 2), engineer.clone()),
        (1, ask_command(2, 1), engineer.clone()),
        (2, ask_command(3, 2), engineer),
        (1, Command::ApproveConsent(ConsentId::new("rc-1").unwrap(), Scope::WHOLE), administrator(&tenant_id(2))),
    ];
    for (n, (case, command, by)) in steps.iter().enumerate() {
        take(&*store, &n.to_string(), *case, command, by, at(n)).await.unwrap().unwrap();
    }
    let case = |wanted| store.case(wanted);
    let by_support_request = case(CaseRef::SupportRequest(support_request_id(1))).await.unwrap().unwrap();
    assert_eq!(by_support_request.case.access_requests.len(), 2);
    // Opened, asked twice, approved: each object carries the state of its last write.
    assert_eq!(by_support_request.access_request_revisions.len(), 2);
    assert_ne!(by_support_request.access_request_revisions[0], by_support_request.access_request_revisions[1]);
    let approved = by_support_request.case.consent(&ConsentId::new("rc-1").unwrap()).unwrap().1;
    assert_eq!(approved.status, ConsentStatus::Approved);
    for part in ["ar-1", "ar-2"] {
        let found = case(CaseRef::AccessRequest(AccessRequestId::new(part).unwrap())).await.unwrap().unwrap();
        assert_eq!(found, by_support_request, "{part}");
    }
    for part in ["rc-1", "sc-1", "rc-2"] {
        let found = case(CaseRef::Consent(ConsentId::new(part).unwrap())).await.unwrap().unwrap();
        assert_eq!(found, by_support_request, "{part}");
    }
    // Its two tenants are one: the second consent was never made.
    assert_eq!(case(CaseRef::Consent(ConsentId::new("sc-2").unwrap())).await.unwrap(), None);
    assert_eq!(case(CaseRef::SupportRequest(support_request_id(9))).await.unwrap(), None);
    assert_eq!(case(CaseRef::AccessRequest(AccessRequestId::new("ar-9").unwrap())).await.unwrap(), None);
}

pub(in crate::store) async fn access_requests_of_one_moment_keep_their_order(store: Arc<dyn Store>) {
    take(&*store, "open", 1, &open_command(1, 1, 0), &ticketing(), at(0)).await.unwrap().unwrap();
    let by = Actor::Person(engineer(0));
    for n in [7, 3, 9, 1] {
        take(&*store, &n.to_string(), 1, &ask_command(n, n), &by, at(5)).await.unwrap().unwrap();
    }
    take(&*store, "close", 1, &Command::Close, &ticketing(), at(6)).await.unwrap().unwrap();
    let stored = store.case(CaseRef::SupportRequest(support_request_id(1))).await.unwrap().unwrap();
    let Case { access_requests, .. } = stored.case;
    let ids: Vec<_> = access_requests.iter().map(|request| request.id.as_str()).collect();
    assert_eq!(ids, ["ar-7", "ar-3", "ar-9", "ar-1"]);
}

/// Sorts newest first and goes through the pages of this size.
fn pages<T: Clone>(items: &[T], place: impl Fn(&T) -> ListPosition, size: usize) -> Vec<Vec<T>> {
    let mut sorted = items.to_vec();
    sorted.sort_by_key(|item| {
        let ListPosition { at, id } = place(item);
        std::cmp::Reverse((at, id))
    });
    sorted.chunks(size).map(<[T]>::to_vec).collect()
}

macro_rules! assert_pages {
    ($expected:expr, $place:expr, |$before:ident, $size:ident| $page:expr) => {
        for $size in [1, 3, 50] {
            let mut $before = None;
            for expected in pages(&$expected, $place, $size) {
                let page = $page.await.unwrap();
                assert_eq!(page, expected, "before {:?}", $before);
                $before = page.last().map($place);
            }
            assert!($page.await.unwrap().is_empty());
        }
    };
}

pub(in crate::store) async fn lists_page_by_page_equal_the_whole(store: Arc<dyn Store>) {
    live_randomly(&*store, 11, 120).await;
    let (_, known) = snapshot(&*store).await;
    let (mut support_requests, mut access_requests) = (BTreeMap::new(), Vec::new());
    for (_, object) in known.into_values() {
        match object {
            Object::SupportRequest(request) => drop(support_requests.insert(request.id.clone(), request)),
            Object::AccessRequest(request) => access_requests.push(request),
            Object::Tenant(_)
            | Object::Slot(_)
            | Object::RememberedAnswer(_)
            | Object::Receipt(_)
            | Object::Rollout(_) => {}
        }
    }
    let mut listed = 0;
    for (n, pending) in (0..4).flat_map(|n| [(n, true), (n, false)]) {
        let of_tenant = access_requests.iter().flat_map(|request| {
            let mine = request.consents().filter(|consent| {
                consent.tenant == tenant_id(n) && (consent.status == ConsentStatus::Pending) == pending
            });
            mine.map(|consent| ListedConsent {
                support_request: support_requests[&request.support_request].clone(),
                access_request: request.clone(),
                consent: consent.id.clone(),
            })
        });
        let of_tenant: Vec<_> = of_tenant.collect();
        listed += of_tenant.len();
        let place = |listed: &ListedConsent| ListPosition {
            at: listed.access_request.created_at,
            id: listed.consent.as_str().to_owned(),
        };
        assert_pages!(of_tenant, place, |before, size| store.consents_of(tenant_id(n), pending, before.clone(), size));
    }
    for n in 0..3 {
        let assigned: Vec<_> =
            support_requests.values().filter(|request| request.assignee == Some(engineer(n))).cloned().collect();
        let asked: Vec<_> =
            access_requests.iter().filter(|request| request.requested_by == engineer(n)).cloned().collect();
        listed += assigned.len() + asked.len();
        let place = |request: &model::SupportRequest| ListPosition {
            at: request.opened_at,
            id: request.id.as_str().to_owned(),
        };
        assert_pages!(assigned, place, |before, size| store.support_requests_of(engineer(n), before.clone(), size));
        let place =
            |request: &AccessRequest| ListPosition { at: request.created_at, id: request.id.as_str().to_owned() };
        assert_pages!(asked, place, |before, size| store.access_requests_by(engineer(n), before.clone(), size));
    }
    assert!(listed > 30, "the history is long enough to say something: {listed}");
}

pub(in crate::store) async fn answers_are_remembered_and_forgotten(store: Arc<dyn Store>) {
    for n in 0..3 {
        let answer = remembered(&format!("tool/{n}"), n);
        let key = Key::RememberedAnswer(answer.caller_and_key.clone());
        let once = Commit {
            preconditions: vec![must_be(key, None)],
            ..commit(&n.to_string(), [Object::RememberedAnswer(answer)])
        };
        store.commit(once).await.unwrap();
    }
    let read = store.remembered_answer("tool/1".to_owned()).await.unwrap().unwrap();
    assert_eq!(read.1, remembered("tool/1", 1));
    assert_eq!(store.forget_answers(at(2)).await.unwrap(), 2);
    assert_eq!(store.forget_answers(at(2)).await.unwrap(), 0);
    assert_eq!(store.remembered_answer("tool/1".to_owned()).await.unwrap(), None);
    assert!(store.remembered_answer("tool/2".to_owned()).await.unwrap().is_some());
    // Forgetting is no commit: followers have nothing to learn from it.
    assert_eq!(snapshot(&*store).await.0, Seq(3));
}

pub(in crate::store) async fn slots_and_tenants_are_read_back(store: Arc<dyn Store>) {
    let slot = Slot {
        support_request: support_request_id(1),
        resource_tenant: tenant_id(2),
        access_request: AccessRequestId::new("ar-1").unwrap(),
    };
    let objects = [Object::Slot(slot.clone()), Object::Tenant(tenant(2))];
    store.commit(commit("one", objects)).await.unwrap();
    let read = store.slot(support_request_id(1), tenant_id(2)).await.unwrap().unwrap();
    assert_eq!(read.value, slot);
    assert_eq!(store.slot(support_request_id(2), tenant_id(2)).await.unwrap(), None);
    assert_eq!(store.tenant(tenant_id(2)).await.unwrap().unwrap().value, tenant(2));
    let receipt = |envelope: &str| SignedReceipt {
        id: "re-1".parse().unwrap(),
        consent: ConsentId::new("co-1").unwrap(),
        envelope: envelope.to_owned(),
    };
    store.commit(commit("signed", [Object::Receipt(receipt("{}"))])).await.unwrap();
    assert_eq!(store.receipt(ConsentId::new("co-1").unwrap()).await.unwrap(), Some(receipt("{}")));
    assert_eq!(store.receipt(ConsentId::new("co-2").unwrap()).await.unwrap(), None);
    // The revision that was read lets the next write through, once.
    let key = Key::Slot(support_request_id(1), tenant_id(2));
    let next = |txn_id| Commit {
        preconditions: vec![must_be(key.clone(), Some(read.revision))],
        ..commit(txn_id, [Object::Slot(slot.clone())])
    };
    store.commit(next("two")).await.unwrap();
    assert!(matches!(store.commit(next("three")).await, Err(CommitError::Conflict { .. })));
}

pub(in crate::store) async fn the_newest_rollout_is_read_back_and_followed(store: Arc<dyn Store>) {
    assert_eq!(store.rollout().await.unwrap(), None);
    let of = |version: &str| Rollout {
        policy_version: version.to_owned(),
        bundle_sha256: version.to_owned(),
        at: at(1),
        bundle: RolledOut::Texts("{}".to_owned()),
    };
    let write = |txn_id, revision, version| Commit {
        preconditions: vec![must_be(Key::Rollout, revision)],
        ..commit(txn_id, [Object::Rollout(of(version))])
    };
    let first = store.commit(write("one", None, "1")).await.unwrap();
    assert!(matches!(store.commit(write("two", None, "2")).await, Err(CommitError::Conflict { key: Key::Rollout })));
    let read = store.rollout().await.unwrap().unwrap();
    assert_eq!(read.value, of("1"));
    let second = store.commit(write("three", Some(read.revision), "2")).await.unwrap();
    assert_eq!(store.rollout().await.unwrap().unwrap().value, of("2"));
    let change = store.changes(first.seq).unwrap().next().await.unwrap();
    assert_eq!((change.seq, change.writes), (second.seq, vec![Write(Object::Rollout(of("2")))]));
    let (_, known) = snapshot(&*store).await;
    assert_eq!(known.get(&Key::Rollout), Some(&(second.seq, Object::Rollout(of("2")))));
}
