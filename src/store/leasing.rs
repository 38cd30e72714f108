//! A store for tests that grants leases, and does what etcd and the network between may do: late, wrong, or not at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::watch;

use super::sqlite::SqliteStore;
use super::*;

/// How long its leases are.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// After how long a silent member is waited out.
pub(crate) const WAIT: Duration = Duration::from_millis(6_350);

/// The store, and what is to go wrong.
#[derive(Debug)]
pub(crate) struct LeasingStore {
    inner: SqliteStore,
    _folder: TempDir,
    members: watch::Sender<Vec<Member>>,
    /// How many entries there have been, about.
    entries: AtomicU64,
    /// What the next renewals answer instead.
    pub(crate) refuse: Mutex<VecDeque<StoreError>>,
    /// Whether renewals reach the store.
    pub(crate) requests: watch::Sender<bool>,
    /// Whether the answers to renewals come back.
    pub(crate) replies: watch::Sender<bool>,
    /// Whether changes arrive.
    pub(crate) changes_arrive: watch::Sender<bool>,
    /// What followers are told instead of the next change.
    pub(crate) break_feed: watch::Sender<VecDeque<Breakage>>,
    /// How many commits it has lost, and whether it is another one.
    pub(crate) restored: Mutex<Option<(u64, bool)>>,
    /// Every renewal that has reached it: who, and how far.
    pub(crate) renewed: watch::Sender<Vec<(MemberId, Seq)>>,
    pub(crate) snapshots: AtomicUsize,
    pub(crate) barriers: watch::Sender<Vec<Barrier>>,
    pub(crate) barriers_fail: Mutex<bool>,
}

/// What followers are told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Breakage {
    Unavailable,
    Compacted,
    /// One change does not come.
    Gap,
}

impl LeasingStore {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            inner: SqliteStore::open(&folder.path().join("store.db")).unwrap(),
            _folder: folder,
            members: watch::Sender::default(),
            entries: AtomicU64::default(),
            refuse: Mutex::default(),
            requests: watch::Sender::new(true),
            replies: watch::Sender::new(true),
            changes_arrive: watch::Sender::new(true),
            break_feed: watch::Sender::default(),
            restored: Mutex::default(),
            renewed: watch::Sender::default(),
            snapshots: AtomicUsize::new(0),
            barriers: watch::Sender::default(),
            barriers_fail: Mutex::default(),
        }
    }

    /// Says for a member how far it is.
    pub(crate) fn says(&self, id: &str, applied: u64) {
        let (id, applied) = (MemberId(id.to_owned()), Seq(applied));
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        self.members.send_modify(|members| match members.binary_search_by(|member| member.id.cmp(&id)) {
            Ok(there) => members[there].applied = applied,
            Err(place) => members.insert(place, Member { id, entry, applied }),
        });
    }

    /// Takes a member off the list.
    pub(crate) fn strike(&self, id: &str) -> Member {
        let mut gone = None;
        self.members.send_modify(|members| gone = members.extract_if(.., |member| member.id.0 == id).next());
        gone.unwrap()
    }

    /// Shows an entry as it was.
    pub(crate) fn show(&self, member: Member) {
        self.members.send_modify(|members| members.insert(members.partition_point(|one| one.id < member.id), member));
    }

    /// Takes a member off the list and puts it there anew in one step.
    pub(crate) fn enters_anew(&self, id: &str, applied: u64) {
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        self.members.send_modify(|members| {
            let member = members.iter_mut().find(|member| member.id.0 == id).unwrap();
            (member.entry, member.applied) = (entry, Seq(applied));
        });
    }

    /// Commits something that no follower has facts of.
    pub(crate) async fn change_something(&self) -> Seq {
        let commit = Commit {
            txn_id: uuid::Uuid::now_v7().to_string(),
            at: Timestamp::from_millis(0),
            preconditions: Vec::new(),
            writes: Vec::new(),
            activities: Vec::new(),
            announcements: Vec::new(),
            takes_away: false,
        };
        self.inner.commit(commit).await.unwrap().seq
    }
}

async fn opened(gate: &watch::Sender<bool>) {
    let _ = gate.subscribe().wait_for(|open| *open).await;
}

/// Changes that arrive when they may.
struct Feed {
    inner: Box<dyn ChangeFeed>,
    arrive: watch::Receiver<bool>,
    breakages: watch::Sender<VecDeque<Breakage>>,
}

impl ChangeFeed for Feed {
    fn next(&mut self) -> BoxFuture<'_, Result<Change, StoreError>> {
        Box::pin(async {
            let mut broken = self.breakages.subscribe();
            let change = tokio::select! {
                _ = broken.wait_for(|broken| !broken.is_empty()) => None,
                change = self.inner.next() => Some(change),
            };
            let change = if let Some(change) = change {
                change?
            } else {
                let mut now = None;
                self.breakages.send_modify(|broken| now = broken.pop_front());
                match now {
                    Some(Breakage::Compacted) => return Err(StoreError::Compacted(Seq(0))),
                    Some(Breakage::Gap) => {
                        self.inner.next().await?;
                        self.inner.next().await?
                    }
                    Some(Breakage::Unavailable) | None => {
                        return Err(StoreError::Unavailable("the watch was cancelled".to_owned()));
                    }
                }
            };
            let _ = self.arrive.wait_for(|arrive| *arrive).await;
            Ok(change)
        })
    }
}

impl Store for LeasingStore {
    fn epoch(&self) -> Epoch {
        Store::epoch(&self.inner)
    }

    fn close(&self) -> bool {
        Store::close(&self.inner)
    }

    fn rollout(&self) -> BoxFuture<'_, Result<Option<Versioned<Rollout>>, StoreError>> {
        self.inner.rollout()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            let committed = self.inner.commit(commit).await?;
            Ok(Committed { members: self.members.borrow().clone(), ..committed })
        })
    }

    fn renew(&self, member: MemberId, applied: Seq) -> BoxFuture<'_, Result<Renewal, StoreError>> {
        Box::pin(async move {
            opened(&self.requests).await;
            let refused = self.refuse.lock().pop_front();
            if let Some(refused) = refused {
                self.renewed.send_modify(|renewed| renewed.push((member, applied)));
                return Err(refused);
            }
            self.says(&member.0, applied.0);
            let renewal = self.inner.renew(member.clone(), applied).await;
            self.renewed.send_modify(|renewed| renewed.push((member, applied)));
            opened(&self.replies).await;
            let Renewal { head, epoch, term: _ } = renewal?;
            let (lost, is_another) = self.restored.lock().unwrap_or_default();
            let epoch = if is_another { Epoch("another".to_owned()) } else { epoch };
            Ok(Renewal { head: Seq(head.0.saturating_sub(lost)), epoch, term: Term::Lease(LEASE) })
        })
    }

    fn watch_members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.subscribe()
    }

    fn wait_out(&self) -> Option<Duration> {
        Some(WAIT)
    }

    fn note_barrier(&self, barrier: Barrier) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if *self.barriers_fail.lock() {
                return Err(StoreError::Unavailable("the note was not taken".to_owned()));
            }
            self.members.send_modify(|members| members.retain(|member| !barrier.waited_out.contains(member)));
            self.barriers.send_modify(|barriers| barriers.push(barrier));
            Ok(())
        })
    }

    fn snapshot<'a>(
        &'a self,
        visit: &'a mut (dyn FnMut(SnapshotItem) + Send),
    ) -> BoxFuture<'a, Result<Seq, StoreError>> {
        self.snapshots.fetch_add(1, Ordering::SeqCst);
        self.inner.snapshot(visit)
    }

    fn changes(&self, from: Seq) -> Result<Box<dyn ChangeFeed>, StoreError> {
        let (arrive, breakages) = (self.changes_arrive.subscribe(), self.break_feed.clone());
        Ok(Box::new(Feed { inner: self.inner.changes(from)?, arrive, breakages }))
    }

    fn case(&self, case: CaseRef) -> BoxFuture<'_, Result<Option<StoredCase>, StoreError>> {
        self.inner.case(case)
    }

    fn tenant(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Versioned<Tenant>>, StoreError>> {
        self.inner.tenant(id)
    }

    fn slot(
        &self,
        support_request: SupportRequestId,
        resource_tenant: TenantId,
    ) -> BoxFuture<'_, Result<Option<Versioned<Slot>>, StoreError>> {
        self.inner.slot(support_request, resource_tenant)
    }

    fn remembered_answer(
        &self,
        caller_and_key: String,
    ) -> BoxFuture<'_, Result<Option<(Seq, RememberedAnswer)>, StoreError>> {
        self.inner.remembered_answer(caller_and_key)
    }

    fn receipt(&self, consent: ConsentId) -> BoxFuture<'_, Result<Option<SignedReceipt>, StoreError>> {
        self.inner.receipt(consent)
    }

    fn forget_answers(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.forget_answers(before)
    }

    fn consents_of(
        &self,
        tenant: TenantId,
        pending: bool,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ListedConsent>, StoreError>> {
        self.inner.consents_of(tenant, pending, before, limit)
    }

    fn support_requests_of(
        &self,
        assignee: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<SupportRequest>, StoreError>> {
        self.inner.support_requests_of(assignee, before, limit)
    }

    fn access_requests_by(
        &self,
        requested_by: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AccessRequest>, StoreError>> {
        self.inner.access_requests_by(requested_by, before, limit)
    }

    fn activities_of(
        &self,
        tenant: TenantId,
        filter: ActivityFilter,
        before: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>> {
        self.inner.activities_of(tenant, filter, before, limit)
    }

    fn activities_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>> {
        self.inner.activities_after(tenant, after, limit)
    }

    fn announcements_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedAnnouncement>, StoreError>> {
        self.inner.announcements_after(tenant, after, limit)
    }

    fn task_ends_after(
        &self,
        endpoint: String,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedTask>, StoreError>> {
        self.inner.task_ends_after(endpoint, after, limit)
    }

    fn outbox(&self, endpoint: String) -> BoxFuture<'_, Result<Option<Outbox>, StoreError>> {
        self.inner.outbox(endpoint)
    }

    fn keep_outbox(&self, endpoint: String, change: OutboxChange) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.keep_outbox(endpoint, change)
    }

    fn dead_letters(
        &self,
        endpoint: String,
        after: Option<LetterId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Letter>, StoreError>> {
        self.inner.dead_letters(endpoint, after, limit)
    }

    fn health(&self) -> Result<(), String> {
        self.inner.health()
    }
}
