//! What every store promises, as tests: each store runs the same suite, over an empty store each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{
    ActivityFilter, CaseRef, Change, Commit, CommitError, Committed, Key, ListPosition, Member, MemberId, Object,
    Precondition, RememberedAnswer, Revision, Seq, Slot, Store, StoreError, StoredCase, Term, Write,
};
use crate::model::{
    self, AccessRequest, AccessRequestId, Activity, ActivityKind, Actor, Case, Command, ConsentId, ConsentStatus,
    NewAccessRequest, NewSupportRequest, PersonId, Scope, SubmittedIn, SupportRequestId, Tenant, TenantId, Timestamp,
};

/// Makes one test of each promise. `$open` gives an empty store, and what must live as long as the test.
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store::contract::store_contract! { @tests $open;
            a_key_that_must_be_absent_is_created_once
            a_conflict_names_the_key_and_writes_nothing
            the_same_transaction_commits_once
            concurrent_writers_get_a_dense_sequence
            one_of_many_writers_of_the_same_key_wins
            a_commit_tells_the_members
            a_renewal_tells_the_head
            a_feed_waits_for_the_next_change
            a_feed_starts_in_the_middle
            a_feed_shows_each_commit_as_it_was
            a_follower_ahead_of_the_store_is_told
            snapshot_and_changes_lead_to_the_same_state
            activities_are_numbered_per_tenant
            activities_are_filtered
            a_case_is_found_by_each_of_its_parts
            access_requests_of_one_moment_keep_their_order
            lists_page_by_page_equal_the_whole
            answers_are_remembered_and_forgotten
            slots_and_tenants_are_read_back
        }
    };
    (@tests $open:expr; $($promise:ident)+) => {
        $(#[tokio::test]
        async fn $promise() {
            let (store, _kept) = $open;
            $crate::store::contract::$promise(store).await;
        })+
    };
}
pub(super) use store_contract;

/// A generator of numbers for random histories: small, and the same on every run.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

pub(super) fn at(seconds: usize) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + i64::try_from(seconds).unwrap() * 1_000)
}

pub(super) fn tenant_id(n: usize) -> TenantId {
    TenantId::new(&format!("tenant-{n}")).unwrap()
}

pub(super) fn tenant(n: usize) -> Tenant {
    Tenant { id: tenant_id(n), display_name: format!("Tenant {n}"), version: 1 }
}

pub(super) fn support_request_id(n: usize) -> SupportRequestId {
    SupportRequestId::new(&format!("sr-{n}")).unwrap()
}

fn engineer(n: usize) -> PersonId {
    format!("vendor/engineer-{n}").parse().unwrap()
}

fn administrator(tenant: &TenantId) -> Actor {
    Actor::Person(PersonId::new(tenant, "admin").unwrap())
}

fn ticketing() -> Actor {
    Actor::Service("ticketing".to_owned())
}

pub(super) fn commit(txn_id: &str, objects: impl IntoIterator<Item = Object>) -> Commit {
    Commit {
        txn_id: txn_id.to_owned(),
        at: at(0),
        preconditions: Vec::new(),
        writes: objects.into_iter().map(Write).collect(),
        activities: Vec::new(),
    }
}

fn must_be(key: Key, revision: Option<Revision>) -> Precondition {
    Precondition { key, revision }
}

pub(super) fn open_command(n: usize, opened_by: usize, assignee: usize) -> Command {
    Command::OpenSupportRequest(NewSupportRequest {
        id: support_request_id(n),
        number: format!("2611{n:06}"),
        summary: "sign-ins fail".to_owned(),
        tenant: tenant_id(opened_by),
        submitted_in: SubmittedIn::AdminCenter,
        advanced_diagnostic_information: true,
        assignee: Some(engineer(assignee)),
    })
}

pub(super) fn ask_command(n: usize, resource_tenant: usize) -> Command {
    Command::CreateAccessRequest(NewAccessRequest {
        id: AccessRequestId::new(&format!("ar-{n}")).unwrap(),
        resource_tenant_consent: ConsentId::new(&format!("rc-{n}")).unwrap(),
        support_request_tenant_consent: ConsentId::new(&format!("sc-{n}")).unwrap(),
        resource_tenant: tenant_id(resource_tenant),
        reason: "compare the sign-in logs".to_owned(),
    })
}

/// Takes a command the way the product does: reads the case, decides, commits under what was read. None: refused.
pub(super) async fn take(
    store: &dyn Store,
    txn_id: &str,
    support_request: usize,
    command: &Command,
    by: &Actor,
    at: Timestamp,
) -> Option<Result<Committed, CommitError>> {
    let id = support_request_id(support_request);
    let stored = store.case(CaseRef::SupportRequest(id.clone())).await.unwrap();
    let before = stored.as_ref().map(|stored| &stored.case);
    let outcome = model::decide(before, command, by, at).ok()?;
    let mut preconditions =
        vec![must_be(Key::SupportRequest(id), stored.as_ref().map(|stored| stored.support_request_revision))];
    if let Some(StoredCase { case, access_request_revisions, .. }) = &stored {
        let keys = case.access_requests.iter().map(|request| Key::AccessRequest(request.id.clone()));
        preconditions.extend(keys.zip(access_request_revisions).map(|(key, revision)| must_be(key, Some(*revision))));
    }
    let mut writes = Vec::new();
    if before.map(|case| &case.support_request) != Some(&outcome.case.support_request) {
        writes.push(Write(Object::SupportRequest(outcome.case.support_request.clone())));
    }
    for request in &outcome.case.access_requests {
        if before.and_then(|case| case.access_request(&request.id)) != Some(request) {
            writes.push(Write(Object::AccessRequest(request.clone())));
            writes.push(Write(Object::Slot(slot_of(request))));
        }
    }
    let activities = model::activities(&outcome.case, &outcome.events, by, at);
    Some(store.commit(Commit { txn_id: txn_id.to_owned(), at, preconditions, writes, activities }).await)
}

fn slot_of(request: &AccessRequest) -> Slot {
    Slot {
        support_request: request.support_request.clone(),
        resource_tenant: request.resource_tenant.clone(),
        access_request: request.id.clone(),
    }
}

/// A random life of some cases: opened, assigned anew, asked for, approved, rejected, revoked, closed, reopened.
pub(super) async fn live_randomly(store: &dyn Store, seed: u64, steps: usize) {
    let mut dice = Dice::seeded(seed);
    for n in 0..4 {
        store.commit(commit(&format!("{seed}-tenant-{n}"), [Object::Tenant(tenant(n))])).await.unwrap();
    }
    for step in 0..steps {
        let case = dice.below(5);
        let stored = store.case(CaseRef::SupportRequest(support_request_id(case))).await.unwrap();
        let requests = stored.map(|stored| stored.case.access_requests).unwrap_or_default();
        let request = (!requests.is_empty()).then(|| &requests[dice.below(requests.len())]);
        let consent = request.and_then(|request| request.consents().nth(dice.below(2))).cloned();
        let engineer = engineer(dice.below(3));
        let ask = ask_command(usize::try_from(seed).unwrap() * 1_000 + step, dice.below(4));
        let (command, by) = match (dice.below(10), request, consent) {
            (0, ..) => (Command::Close, ticketing()),
            (1, ..) => (Command::Reopen, ticketing()),
            (2, ..) => (Command::Assign(Some(engineer)), ticketing()),
            (3, ..) => (Command::Assign(None), ticketing()),
            (4, Some(request), _) => (Command::CancelAccessRequest(request.id.clone()), Actor::Person(engineer)),
            (5, _, Some(consent)) => (Command::RejectConsent(consent.id), administrator(&consent.tenant)),
            (6, _, Some(consent)) => (Command::RevokeConsent(consent.id), administrator(&consent.tenant)),
            (7, _, Some(consent)) => {
                (Command::ApproveConsent(consent.id, Scope::WHOLE), administrator(&consent.tenant))
            }
            (4..7, ..) => (open_command(case, dice.below(4), dice.below(3)), ticketing()),
            _ => (ask, Actor::Person(engineer)),
        };
        // Steps share moments, so that lists have to order by id as well.
        let now = at(step / 3);
        if let Some(outcome) = take(store, &format!("{seed}-{step}"), case, &command, &by, now).await {
            outcome.unwrap();
        }
    }
}

/// What followers know: by key, the object and the place of its last write.
type Known = BTreeMap<Key, (Seq, Object)>;

pub(super) async fn snapshot(store: &dyn Store) -> (Seq, Known) {
    let mut known = Known::new();
    let mut visit = |item: super::SnapshotItem| {
        let twice = known.insert(item.object.key(), (item.seq, item.object));
        assert_eq!(twice, None, "a snapshot shows each object once");
    };
    let seq = store.snapshot(&mut visit).await.unwrap();
    (seq, known)
}

pub(super) async fn follow(store: &dyn Store, from: Seq, to: Seq) -> Vec<Change> {
    let mut feed = store.changes(from).unwrap();
    let mut changes = Vec::new();
    let mut expected = from;
    while expected < to {
        let change = feed.next().await.unwrap();
        expected = expected.next();
        assert_eq!(change.seq, expected, "changes are dense");
        changes.push(change);
    }
    changes
}

fn apply(known: &mut Known, changes: &[Change]) {
    for change in changes {
        for Write(object) in &change.writes {
            assert!(object.key().is_followed());
            known.insert(object.key(), (change.seq, object.clone()));
        }
    }
}

fn named(name: &str) -> Object {
    Object::Tenant(Tenant { display_name: name.to_owned(), ..tenant(1) })
}

fn tenant_key(n: usize) -> Key {
    Key::Tenant(tenant_id(n))
}

pub(super) async fn a_key_that_must_be_absent_is_created_once(store: Arc<dyn Store>) {
    let create =
        |txn_id| Commit { preconditions: vec![must_be(tenant_key(1), None)], ..commit(txn_id, [named("new")]) };
    assert_eq!(store.commit(create("first")).await.unwrap().seq, Seq(1));
    let second = store.commit(create("second")).await;
    assert!(matches!(second, Err(CommitError::Conflict { key }) if key == tenant_key(1)));
}

pub(super) async fn a_conflict_names_the_key_and_writes_nothing(store: Arc<dyn Store>) {
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

pub(super) async fn the_same_transaction_commits_once(store: Arc<dyn Store>) {
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

pub(super) async fn concurrent_writers_get_a_dense_sequence(store: Arc<dyn Store>) {
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

pub(super) async fn one_of_many_writers_of_the_same_key_wins(store: Arc<dyn Store>) {
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

pub(super) async fn a_commit_tells_the_members(store: Arc<dyn Store>) {
    assert_eq!(store.commit(commit("none", [])).await.unwrap().members, []);
    let (a, b) = (MemberId("a".to_owned()), MemberId("b".to_owned()));
    let mut watch = store.watch_members();
    store.renew(a.clone(), Seq(0)).await.unwrap();
    store.renew(b.clone(), Seq(1)).await.unwrap();
    store.renew(a.clone(), Seq(1)).await.unwrap();
    let expected = [Member { id: a.clone(), applied: Seq(1) }, Member { id: b.clone(), applied: Seq(1) }];
    assert_eq!(store.commit(commit("two", [])).await.unwrap().members, expected);
    // Whoever waits for the members to follow sees them do so.
    let waiting = tokio::spawn(async move {
        watch.wait_for(|members| members.len() == 2 && members.iter().all(|m| m.applied == Seq(2))).await.is_ok()
    });
    store.renew(a, Seq(2)).await.unwrap();
    store.renew(b, Seq(2)).await.unwrap();
    assert!(waiting.await.unwrap());
}

pub(super) async fn a_renewal_tells_the_head(store: Arc<dyn Store>) {
    let member = MemberId("a".to_owned());
    let first = store.renew(member.clone(), Seq(0)).await.unwrap();
    assert_eq!((first.head, first.term), (Seq(0), Term::Exclusive));
    store.commit(commit("one", [])).await.unwrap();
    let second = store.renew(member, Seq(0)).await.unwrap();
    assert_eq!((second.head, second.epoch), (Seq(1), first.epoch));
}

pub(super) async fn a_feed_waits_for_the_next_change(store: Arc<dyn Store>) {
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

pub(super) async fn a_feed_starts_in_the_middle(store: Arc<dyn Store>) {
    for n in 0..10 {
        store.commit(commit(&n.to_string(), [Object::Tenant(tenant(n))])).await.unwrap();
    }
    let changes = follow(&*store, Seq(6), Seq(10)).await;
    assert_eq!(changes[0].writes, [Write(Object::Tenant(tenant(6)))]);
    assert_eq!(changes[3].writes, [Write(Object::Tenant(tenant(9)))]);
}

pub(super) async fn a_feed_shows_each_commit_as_it_was(store: Arc<dyn Store>) {
    let answer = Object::RememberedAnswer(remembered("tool/1", 0));
    store.commit(commit("one", [named("one"), answer.clone()])).await.unwrap();
    store.commit(commit("two", [answer])).await.unwrap();
    store.commit(commit("three", [named("three")])).await.unwrap();
    let writes: Vec<_> = follow(&*store, Seq(0), Seq(3)).await.into_iter().map(|change| change.writes).collect();
    // A commit that followers need not know of still has its place.
    assert_eq!(writes, [vec![Write(named("one"))], vec![], vec![Write(named("three"))]]);
}

pub(super) async fn a_follower_ahead_of_the_store_is_told(store: Arc<dyn Store>) {
    store.commit(commit("one", [])).await.unwrap();
    assert!(matches!(store.changes(Seq(2)), Err(StoreError::Damaged(_))));
}

pub(super) async fn snapshot_and_changes_lead_to_the_same_state(store: Arc<dyn Store>) {
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

fn activity(tenant: usize, seconds: usize) -> Activity {
    Activity {
        tenant: tenant_id(tenant),
        at: at(seconds),
        kind: ActivityKind::ALL[seconds % 8],
        actor: if seconds.is_multiple_of(5) { ticketing() } else { Actor::Person(engineer(seconds % 3)) },
        support_request: support_request_id(seconds % 4),
        access_request: AccessRequestId::new("ar-1").unwrap(),
        consent: ConsentId::new("rc-1").unwrap(),
    }
}

pub(super) async fn activities_are_numbered_per_tenant(store: Arc<dyn Store>) {
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

pub(super) async fn activities_are_filtered(store: Arc<dyn Store>) {
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

pub(super) async fn a_case_is_found_by_each_of_its_parts(store: Arc<dyn Store>) {
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

pub(super) async fn access_requests_of_one_moment_keep_their_order(store: Arc<dyn Store>) {
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

pub(super) async fn lists_page_by_page_equal_the_whole(store: Arc<dyn Store>) {
    live_randomly(&*store, 11, 120).await;
    let (_, known) = snapshot(&*store).await;
    let (mut support_requests, mut access_requests) = (BTreeMap::new(), Vec::new());
    for (_, object) in known.into_values() {
        match object {
            Object::SupportRequest(request) => drop(support_requests.insert(request.id.clone(), request)),
            Object::AccessRequest(request) => access_requests.push(request),
            Object::Tenant(_) | Object::Slot(_) | Object::RememberedAnswer(_) => {}
        }
    }
    let mut listed = 0;
    for (n, pending) in (0..4).flat_map(|n| [(n, true), (n, false)]) {
        let of_tenant = access_requests.iter().flat_map(|request| {
            let mine = request.consents().filter(|consent| {
                consent.tenant == tenant_id(n) && (consent.status == ConsentStatus::Pending) == pending
            });
            mine.map(|consent| super::ListedConsent {
                support_request: support_requests[&request.support_request].clone(),
                access_request: request.clone(),
                consent: consent.id.clone(),
            })
        });
        let of_tenant: Vec<_> = of_tenant.collect();
        listed += of_tenant.len();
        let place = |listed: &super::ListedConsent| ListPosition {
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

fn remembered(caller_and_key: &str, seconds: usize) -> RememberedAnswer {
    RememberedAnswer {
        caller_and_key: caller_and_key.to_owned(),
        request_digest: "sha256:00".to_owned(),
        status: 201,
        headers: vec![("location".to_owned(), "/v1/access-requests/1".to_owned())],
        body: "{\"a\":\"\u{0}é\"}".to_owned(),
        at: at(seconds),
    }
}

pub(super) async fn answers_are_remembered_and_forgotten(store: Arc<dyn Store>) {
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

pub(super) async fn slots_and_tenants_are_read_back(store: Arc<dyn Store>) {
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
    // The revision that was read lets the next write through, once.
    let key = Key::Slot(support_request_id(1), tenant_id(2));
    let next = |txn_id| Commit {
        preconditions: vec![must_be(key.clone(), Some(read.revision))],
        ..commit(txn_id, [Object::Slot(slot.clone())])
    };
    store.commit(next("two")).await.unwrap();
    assert!(matches!(store.commit(next("three")).await, Err(CommitError::Conflict { .. })));
}
