//! Cases that live a random life, and what followers make of it.

use std::collections::BTreeMap;

use crate::model::{
    self, AccessRequest, AccessRequestId, Activity, ActivityKind, Actor, Command, ConsentId, NewAccessRequest,
    NewSupportRequest, PersonId, Scope, SubmittedIn, SupportRequestId, Tenant, TenantId, Timestamp,
};
use crate::store::{
    CaseRef, Change, Commit, CommitError, Committed, Key, Object, Precondition, RememberedAnswer, Revision, Seq, Slot,
    Store, StoredCase, Write,
};

/// A generator of numbers for random histories: small, and the same on every run.
pub(in crate::store) struct Dice(u64);

impl Dice {
    pub(in crate::store) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(in crate::store) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

pub(in crate::store) fn at(seconds: usize) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + i64::try_from(seconds).unwrap() * 1_000)
}

pub(in crate::store) fn tenant_id(n: usize) -> TenantId {
    TenantId::new(&format!("tenant-{n}")).unwrap()
}

pub(in crate::store) fn tenant(n: usize) -> Tenant {
    Tenant { id: tenant_id(n), display_name: format!("Tenant {n}"), version: 1 }
}

pub(in crate::store) fn support_request_id(n: usize) -> SupportRequestId {
    SupportRequestId::new(&format!("sr-{n}")).unwrap()
}

pub(super) fn engineer(n: usize) -> PersonId {
    format!("vendor/engineer-{n}").parse().unwrap()
}

pub(super) fn administrator(tenant: &TenantId) -> Actor {
    Actor::Person(PersonId::new(tenant, "admin").unwrap())
}

pub(super) fn ticketing() -> Actor {
    Actor::Service("ticketing".to_owned())
}

pub(in crate::store) fn commit(txn_id: &str, objects: impl IntoIterator<Item = Object>) -> Commit {
    Commit {
        txn_id: txn_id.to_owned(),
        at: at(0),
        preconditions: Vec::new(),
        writes: objects.into_iter().map(Write).collect(),
        activities: Vec::new(),
        announcements: Vec::new(),
        takes_away: true,
    }
}

pub(super) fn must_be(key: Key, revision: Option<Revision>) -> Precondition {
    Precondition { key, revision }
}

pub(in crate::store) fn open_command(n: usize, opened_by: usize, assignee: usize) -> Command {
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

pub(in crate::store) fn ask_command(n: usize, resource_tenant: usize) -> Command {
    Command::CreateAccessRequest(NewAccessRequest {
        id: AccessRequestId::new(&format!("ar-{n}")).unwrap(),
        resource_tenant_consent: ConsentId::new(&format!("rc-{n}")).unwrap(),
        support_request_tenant_consent: ConsentId::new(&format!("sc-{n}")).unwrap(),
        resource_tenant: tenant_id(resource_tenant),
        reason: "compare the sign-in logs".to_owned(),
        denial: None,
    })
}

/// Takes a command the way the product does: reads the case, decides, commits under what was read. None: refused.
pub(in crate::store) async fn take(
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
    let activities = model::activities(&outcome, by, at);
    let announcements = model::announcements(&outcome);
    let txn_id = txn_id.to_owned();
    Some(store.commit(Commit { txn_id, at, preconditions, writes, activities, announcements, takes_away: true }).await)
}

pub(super) fn slot_of(request: &AccessRequest) -> Slot {
    Slot {
        support_request: request.support_request.clone(),
        resource_tenant: request.resource_tenant.clone(),
        access_request: request.id.clone(),
    }
}

/// A random life of some cases: opened, assigned anew, asked for, approved, rejected, revoked, closed, reopened.
pub(in crate::store) async fn live_randomly(store: &dyn Store, seed: u64, steps: usize) {
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
pub(super) type Known = BTreeMap<Key, (Seq, Object)>;

pub(in crate::store) async fn snapshot(store: &dyn Store) -> (Seq, Known) {
    let mut known = Known::new();
    let mut visit = |item: crate::store::SnapshotItem| {
        let twice = known.insert(item.object.key(), (item.seq, item.object));
        assert_eq!(twice, None, "a snapshot shows each object once");
    };
    let seq = store.snapshot(&mut visit).await.unwrap();
    (seq, known)
}

pub(in crate::store) async fn follow(store: &dyn Store, from: Seq, to: Seq) -> Vec<Change> {
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

pub(super) fn apply(known: &mut Known, changes: &[Change]) {
    for change in changes {
        for Write(object) in &change.writes {
            assert!(object.key().is_followed());
            known.insert(object.key(), (change.seq, object.clone()));
        }
    }
}

pub(super) fn named(name: &str) -> Object {
    Object::Tenant(Tenant { display_name: name.to_owned(), ..tenant(1) })
}

pub(super) fn tenant_key(n: usize) -> Key {
    Key::Tenant(tenant_id(n))
}

pub(super) fn activity(tenant: usize, seconds: usize) -> Activity {
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

pub(in crate::store) fn remembered(caller_and_key: &str, seconds: usize) -> RememberedAnswer {
    RememberedAnswer {
        caller_and_key: caller_and_key.to_owned(),
        request_digest: "sha256:00".to_owned(),
        status: 201,
        headers: vec![("location".to_owned(), "/v1/access-requests/1".to_owned())],
        body: "{\"a\":\"\u{0}é\"}".to_owned(),
        at: at(seconds),
    }
}
