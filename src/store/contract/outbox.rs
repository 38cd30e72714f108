//! What outboxes live on: streams that are dense per tenant, and letters that are there until they are delivered.

use std::sync::Arc;

use super::history::*;
use crate::model::{
    AccessRequest, AccessRequestId, Announcement, Callback, Consent, ConsentId, Denial, Part, Task, TaskEnd, TaskStatus,
};
use crate::store::{
    ActivityFilter, Commit, CommitError, Key, Letter, LetterId, Object, Outbox, OutboxChange, OutboxPlaces, Seq, Store,
    Stream,
};

fn announcement(tenant: usize, n: usize) -> Announcement {
    Announcement {
        tenant: tenant_id(tenant),
        at: at(n),
        consent: ConsentId::new(&format!("co-{n}")).unwrap(),
        part: Part::ResourceTenant,
        access_request: AccessRequestId::new(&format!("ar-{n}")).unwrap(),
        support_request: support_request_id(n % 4),
        number: n.to_string(),
        summary: "it does not work".to_owned(),
        reason: "to see why".to_owned(),
        requested_by: engineer(0),
    }
}

fn letter(stream: Stream, number: u64, died: bool) -> Letter {
    let at = at(usize::try_from(number).unwrap());
    Letter {
        id: LetterId { stream, number },
        about: format!("SR-{}", number % 2),
        at,
        since: at,
        attempts: 3,
        due: at,
        failure: Some("status 500".to_owned()),
        died: died.then_some(at),
    }
}

pub(in crate::store) async fn streams_are_read_from_any_number_on(store: Arc<dyn Store>) {
    for n in 0..10 {
        let activities = vec![activity(1, n), activity(n % 3, n)];
        let announcements = vec![announcement(n % 3, n), announcement(1, n + 100)];
        store.commit(Commit { activities, announcements, ..commit(&n.to_string(), []) }).await.unwrap();
    }
    for tenant in 0..4 {
        let mut log = store.activities_of(tenant_id(tenant), ActivityFilter::default(), None, 100).await.unwrap();
        log.reverse();
        let told = store.announcements_after(tenant_id(tenant), 0, 100).await.unwrap();
        let numbers: Vec<u64> = told.iter().map(|told| told.number).collect();
        assert_eq!(numbers, (1..=[4, 13, 3, 0][tenant]).collect::<Vec<_>>(), "tenant {tenant}");
        assert!(told.iter().all(|told| told.announcement.tenant == tenant_id(tenant)));
        for after in [0, 1, 5, 13, 99, u64::MAX] {
            for limit in [1, 4, 100] {
                let from = usize::try_from(after).unwrap_or(usize::MAX);
                let expected: Vec<_> = log.iter().skip(from).take(limit).cloned().collect();
                assert_eq!(store.activities_after(tenant_id(tenant), after, limit).await.unwrap(), expected);
                let expected: Vec<_> = told.iter().skip(from).take(limit).cloned().collect();
                assert_eq!(store.announcements_after(tenant_id(tenant), after, limit).await.unwrap(), expected);
            }
        }
    }
}

pub(in crate::store) async fn announcements_are_part_of_their_commit(store: Arc<dyn Store>) {
    let refused = Commit {
        preconditions: vec![must_be(Key::Tenant(tenant_id(7)), Some(crate::store::Revision(7)))],
        announcements: vec![announcement(1, 1)],
        ..commit("refused", [])
    };
    assert!(matches!(store.commit(refused).await, Err(CommitError::Conflict { .. })));
    for _ in 0..2 {
        let once = Commit { announcements: vec![announcement(1, 2)], ..commit("once", [Object::Tenant(tenant(1))]) };
        store.commit(once).await.unwrap();
    }
    let told = store.announcements_after(tenant_id(1), 0, 9).await.unwrap();
    assert_eq!(
        told.iter().map(|told| (told.number, &told.announcement)).collect::<Vec<_>>(),
        [(1, &announcement(1, 2))]
    );
}

pub(in crate::store) async fn an_outbox_is_as_it_was_kept(store: Arc<dyn Store>) {
    let keep = |endpoint: &str, change| store.keep_outbox(endpoint.to_owned(), change);
    assert_eq!(store.outbox("contoso/a".to_owned()).await.unwrap(), None);
    let places = OutboxPlaces { announcements: 1, activities: 2, reads: 3, last_read: Some("id".to_owned()), tasks: 4 };
    let (one, two) = (letter(Stream::Reads, 9, false), letter(Stream::Activities, 10, false));
    let put = vec![two.clone(), one.clone()];
    keep("contoso/a", OutboxChange { places: places.clone(), put, done: Vec::new() }).await.unwrap();
    keep("contoso/b", OutboxChange { put: vec![one.clone()], ..OutboxChange::default() }).await.unwrap();
    let kept = Outbox { places: places.clone(), waiting: vec![one.clone(), two.clone()] };
    assert_eq!(store.outbox("contoso/a".to_owned()).await.unwrap(), Some(kept), "in the order of their times");
    let tried = Letter { attempts: 4, ..two };
    let later = OutboxPlaces { reads: 4, last_read: None, ..places };
    let change = OutboxChange { places: later.clone(), put: vec![tried.clone()], done: vec![one.id] };
    keep("contoso/a", change).await.unwrap();
    let kept = Outbox { places: later, waiting: vec![tried] };
    assert_eq!(store.outbox("contoso/a".to_owned()).await.unwrap(), Some(kept));
    let other = store.outbox("contoso/b".to_owned()).await.unwrap().unwrap();
    assert_eq!(other.waiting, [one]);
    // Keeping is no commit: followers have nothing to learn from it.
    assert_eq!(snapshot(&*store).await.0, Seq(0));
}

pub(in crate::store) async fn dead_letters_are_listed_by_themselves(store: Arc<dyn Store>) {
    let dead: Vec<Letter> = (1..=5)
        .map(|number| letter(Stream::Activities, number, true))
        .chain((1..=2).map(|number| letter(Stream::Reads, number, true)))
        .collect();
    let mut put = dead.clone();
    put.push(letter(Stream::Activities, 6, false));
    let change = OutboxChange { put, ..OutboxChange::default() };
    store.keep_outbox("contoso/a".to_owned(), change).await.unwrap();
    let list = |after, limit| store.dead_letters("contoso/a".to_owned(), after, limit);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = list(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        found.extend(page);
    }
    assert_eq!(found, dead);
    assert_eq!(store.outbox("contoso/a".to_owned()).await.unwrap().unwrap().waiting.len(), 1);
    let revived = OutboxChange { put: vec![letter(Stream::Reads, 1, false)], ..OutboxChange::default() };
    store.keep_outbox("contoso/a".to_owned(), revived).await.unwrap();
    assert_eq!(list(None, 9).await.unwrap().len(), 6);
    assert_eq!(store.outbox("contoso/a".to_owned()).await.unwrap().unwrap().waiting.len(), 2);
    assert_eq!(store.dead_letters("contoso/b".to_owned(), None, 9).await.unwrap(), []);
}

pub(in crate::store) async fn the_end_of_a_task_is_told_once_and_stays(store: Arc<dyn Store>) {
    let ends = async |endpoint: &str, after: u64| {
        let found = store.task_ends_after(endpoint.to_owned(), after, 9).await.unwrap();
        found.into_iter().map(|ended| (ended.number, ended.access_request)).collect::<Vec<_>>()
    };
    let asked = |n: usize, endpoint: Option<&str>, status: Option<TaskStatus>| {
        let callback = endpoint.map(|endpoint| Callback {
            endpoint: endpoint.to_owned(),
            state: None,
            events: vec![TaskStatus::Approved, TaskStatus::Denied],
        });
        let denial = Denial {
            evaluation: n.to_string(),
            expires_at: at(n),
            told: "program vendor/tooling".to_owned(),
            action: "read".to_owned(),
            resource: "t/signInLogs".to_owned(),
            wanted_until: None,
            callback,
        };
        let ended = status.map(|status| TaskEnd { status, at: at(n) });
        let consent = ConsentId::new(&format!("co-{n}")).unwrap();
        AccessRequest {
            id: AccessRequestId::new(&format!("ar-{n}")).unwrap(),
            support_request: support_request_id(1),
            resource_tenant: tenant_id(1),
            requested_by: engineer(1),
            reason: "to see why".to_owned(),
            created_at: at(n),
            resource_tenant_consent: Consent::pending(consent, tenant_id(1), Part::Only),
            support_request_tenant_consent: None,
            task: Some(Box::new(Task { denial, ended })),
        }
    };
    let write = async |txn: &str, request: &AccessRequest| {
        store.commit(commit(txn, [Object::AccessRequest(request.clone())])).await.unwrap();
    };
    let (one, two) =
        (asked(1, Some("pep"), Some(TaskStatus::Approved)), asked(2, Some("pep"), Some(TaskStatus::Denied)));
    for (n, request) in [
        asked(1, Some("pep"), None),
        asked(3, Some("pep"), Some(TaskStatus::Cancelled)),
        asked(4, None, Some(TaskStatus::Approved)),
        asked(5, Some("other"), Some(TaskStatus::Approved)),
        two.clone(),
        one.clone(),
        two.clone(),
    ]
    .iter()
    .enumerate()
    {
        write(&format!("txn-{n}"), request).await;
    }
    assert_eq!(ends("pep", 0).await, [(1, two), (2, one.clone())], "in the order in which they ended");
    assert_eq!(ends("pep", 1).await, [(2, one.clone())]);
    assert_eq!((ends("pep", 2).await, ends("none", 0).await), (Vec::new(), Vec::new()));
    assert_eq!(ends("other", 0).await.len(), 1);
    // What it shows is the access request as it is now, under the same number.
    let later = AccessRequest { reason: "later".to_owned(), ..one };
    write("later", &later).await;
    assert_eq!(ends("pep", 1).await, [(2, later)]);
}
