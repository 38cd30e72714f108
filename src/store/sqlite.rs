//! The embedded store: one SQLite file that one process holds.
//!
//! One thread writes and puts the commits that wait together into one durable transaction; a few connections read, each
//! read at one moment. Followers are told of a commit after it is on disk, and before its committer is.

mod cases;
mod commit;
mod error;
mod feed;
mod file;
mod lists;
mod objects;
mod outbox;
mod readers;
#[cfg(feature = "etcd")]
pub(super) mod replay;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use self::feed::{ChangeLog, Feed};
use self::lists::Page;
use self::readers::{Readers, closed};
use self::writer::{Request, Shared, WRITE_PATIENCE, Writer};
use super::{
    ActivityFilter, Barrier, BoxFuture, CaseRef, ChangeFeed, Commit, CommitError, Committed, Epoch, Key, Letter,
    LetterId, ListPosition, ListedConsent, Member, MemberId, NumberedActivity, NumberedAnnouncement, NumberedTask,
    Object, Outbox, OutboxChange, RememberedAnswer, Renewal, Rollout, Seq, SignedReceipt, Slot, SnapshotItem, Store,
    StoreError, StoredCase, Term, Versioned, Write,
};
use crate::model::{AccessRequest, ConsentId, PersonId, SupportRequest, SupportRequestId, Tenant, TenantId, Timestamp};

/// How many changes are kept at least for followers that lag.
pub const KEPT_CHANGES: u64 = 10_000;

/// How many commits may wait for the writer before committers wait to be let in.
const QUEUE: usize = 1_024;

/// How long closing waits for the writer. A disk that hangs must not keep the process from ending.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// How many objects one commit of a bulk load holds, and how many such commits are under way at once.
const BULK_OBJECTS: usize = 500;
const BULK_COMMITS: usize = 32;

/// The embedded store. Dropping it closes it.
#[derive(Debug)]
pub struct SqliteStore {
    epoch: Epoch,
    /// Whose copy it was when it was opened.
    copy_of: Option<Epoch>,
    last_commit_at: Option<Timestamp>,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    head: watch::Receiver<Seq>,
    /// None once the store is closed.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    /// Its other end is the writer thread's; it hangs up when the thread ends.
    writer: Mutex<std_mpsc::Receiver<()>>,
}

impl SqliteStore {
    /// Opens the store in this file; makes the file, and the directory it is in, if they are missing. The work is small
    /// and does not grow with the store.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process, or another store of this one, holds the file;
    /// [`StoreError::Damaged`] when the file is not one of ours or is broken; [`StoreError::NewerSchema`];
    /// [`StoreError::Unavailable`] when the operating system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Self::open_keeping(path, KEPT_CHANGES, schema::MIGRATIONS)?;
        // What it committed would be missing in the store that it is a copy of, and in every other copy.
        if store.copy_of.is_some() {
            let name = path.display();
            return Err(StoreError::Damaged(format!(
                "`{name}` is an authority's copy of a fleet's store, and none itself"
            )));
        }
        Ok(store)
    }

    fn open_keeping(path: &Path, kept_changes: u64, migrations: &[&str]) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let lock = file::claim(path)?;
        let place = lock.place;
        let mut connection = file::open_for_writing(path).map_err(|trouble| trouble.reading(&name))?;
        let found = schema::check(&connection, &name, migrations)?;
        file::refuse_torn(&connection, path).map_err(|trouble| trouble.reading(&name))?;
        file::make_durable(&connection).map_err(|trouble| trouble.reading(&name))?;
        // What a process that was killed had not synced yet is in the journal, and nobody may be told of it before it stays.
        file::write_journal_again(path).map_err(|trouble| trouble.reading(&name))?;
        let epoch = schema::migrate(&mut connection, &name, found, migrations)?;
        let copy_of = schema::copy_of(&connection, &name)?;
        let (oldest, head) = writer::kept_range(&connection).map_err(|trouble| trouble.reading(&name))?;
        let last_commit_at = writer::last_commit_at(&connection).map_err(|trouble| trouble.reading(&name))?;

        let (head, seen_head) = watch::channel(head);
        let shared = Arc::new(Shared {
            log: Arc::new(ChangeLog::new(oldest)),
            members: watch::Sender::new(Vec::new()),
            trouble: Mutex::new(None),
            writing_since: Mutex::new(None),
        });
        let (requests, waiting) = mpsc::channel(QUEUE);
        let writer = Writer {
            requests: waiting,
            connection: Some(connection),
            head,
            shared: Arc::clone(&shared),
            path: path.to_owned(),
            kept_changes,
            lock,
        };
        let (hangs_up, writer_end) = std_mpsc::channel();
        let run = move || {
            writer.run();
            drop(hangs_up);
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(run)
            .map_err(|error| StoreError::Unavailable(format!("its writer cannot start: {error}")))?;
        Ok(Self {
            epoch,
            copy_of,
            last_commit_at,
            shared,
            readers: Arc::new(Readers::new(path.to_owned(), place)),
            head: seen_head,
            requests: Mutex::new(Some(requests)),
            writer: Mutex::new(writer_end),
        })
    }

    /// When the last commit was made that the store had when it was opened.
    #[must_use]
    pub const fn last_commit_at(&self) -> Option<Timestamp> {
        self.last_commit_at
    }

    /// Writes many objects without preconditions, as commits of some hundred each: for imports and measurements. Returns
    /// the place of the last one.
    ///
    /// # Errors
    /// As for a commit. What was written before the error stays.
    pub async fn bulk_load(
        &self,
        objects: impl IntoIterator<Item = Object, IntoIter: Send> + Send,
        at: Timestamp,
    ) -> Result<Seq, CommitError> {
        let mut writes = objects.into_iter().map(Write);
        let mut under_way = VecDeque::new();
        let mut last = *self.head.borrow();
        loop {
            let writes: Vec<Write> = writes.by_ref().take(BULK_OBJECTS).collect();
            let done = writes.is_empty();
            if !done {
                let txn_id = Uuid::new_v4().to_string();
                let commit = Commit {
                    txn_id,
                    at,
                    preconditions: Vec::new(),
                    writes,
                    activities: Vec::new(),
                    announcements: Vec::new(),
                    takes_away: true,
                };
                under_way.push_back(self.enqueue(commit).await?);
            }
            while under_way.len() > if done { 0 } else { BULK_COMMITS } {
                let Some(first) = under_way.pop_front() else { break };
                last = answer(first).await?.seq;
            }
            if done {
                return Ok(last);
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.requests.lock().as_ref().is_none_or(mpsc::Sender::is_closed)
    }

    async fn request(&self, request: Request) -> Result<(), StoreError> {
        let requests = self.requests.lock().clone();
        requests.ok_or_else(closed)?.send(request).await.map_err(|_| closed())
    }

    /// Queues the commit; it happens even if nobody waits for its outcome.
    async fn enqueue(&self, commit: Commit) -> Result<Answered, CommitError> {
        let (answer, answered) = oneshot::channel();
        let queued = self.request(Request::Commit(commit, answer)).await;
        queued.map_err(|_| CommitError::Unavailable("the store has been closed".to_owned()))?;
        Ok(answered)
    }
}

/// Where the outcome of a commit arrives.
type Answered = oneshot::Receiver<Result<Committed, CommitError>>;

async fn answer(answered: Answered) -> Result<Committed, CommitError> {
    let stopped = || CommitError::Unknown("the store's writer stopped before it answered".to_owned());
    answered.await.unwrap_or_else(|_| Err(stopped()))
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if !self.close() {
            tracing::error!("the store's writer did not end in time: its file stays locked");
        }
    }
}

impl Store for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.epoch.clone()
    }

    /// When it says no, the disk hangs, and the file stays locked until the process ends.
    fn close(&self) -> bool {
        self.requests.lock().take();
        self.readers.close();
        self.writer.lock().recv_timeout(CLOSE_PATIENCE) == Err(std_mpsc::RecvTimeoutError::Disconnected)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            if let Some(why) = self.shared.hangs() {
                return Err(CommitError::Unavailable(why));
            }
            let answered = answer(self.enqueue(commit).await?);
            let late = || CommitError::Unknown("its disk hangs".to_owned());
            tokio::time::timeout(WRITE_PATIENCE, answered).await.unwrap_or_else(|_| Err(late()))
        })
    }

    fn renew(&self, member: MemberId, applied: Seq) -> BoxFuture<'_, Result<Renewal, StoreError>> {
        // The member first, the head second: see where a commit is published.
        self.shared.members.send_if_modified(|members| {
            if let Some(known) = members.iter_mut().find(|known| known.id == member) {
                return std::mem::replace(&mut known.applied, applied) != applied;
            }
            let place = members.partition_point(|known| known.id < member);
            members.insert(place, Member { id: member, entry: 0, applied });
            true
        });
        let head = *self.head.borrow();
        let closed = self.is_closed();
        let renewal = Renewal { head, epoch: self.epoch.clone(), term: Term::Exclusive };
        Box::pin(async move { if closed { Err(readers::closed()) } else { Ok(renewal) } })
    }

    fn watch_members(&self) -> watch::Receiver<Vec<Member>> {
        self.shared.members.subscribe()
    }

    fn wait_out(&self) -> Option<Duration> {
        None
    }

    fn note_barrier(&self, _barrier: Barrier) -> BoxFuture<'_, Result<(), StoreError>> {
        // The one member is this process: there is nobody to keep it for.
        Box::pin(async { Ok(()) })
    }

    fn snapshot<'a>(
        &'a self,
        visit: &'a mut (dyn FnMut(SnapshotItem) + Send),
    ) -> BoxFuture<'a, Result<Seq, StoreError>> {
        Box::pin(async move {
            // Parsing goes on while the visitor looks at what was parsed before.
            let (parsed, mut portions) = mpsc::channel(8);
            let read = self
                .readers
                .read(move |connection| cases::snapshot(connection, |portion| parsed.blocking_send(portion).is_ok()));
            let hand_over = async {
                while let Some(portion) = portions.recv().await {
                    portion.into_iter().for_each(&mut *visit);
                }
            };
            tokio::join!(read, hand_over).0
        })
    }

    fn changes(&self, from: Seq) -> Result<Box<dyn ChangeFeed>, StoreError> {
        let feed = Feed::new(from, self.head.clone(), Arc::clone(&self.shared.log), Arc::clone(&self.readers))?;
        Ok(Box::new(feed))
    }

    fn case(&self, case: CaseRef) -> BoxFuture<'_, Result<Option<StoredCase>, StoreError>> {
        Box::pin(self.readers.read(move |connection| cases::case(connection, &case)))
    }

    fn tenant(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Versioned<Tenant>>, StoreError>> {
        Box::pin(self.readers.read(move |connection| {
            let sql = "SELECT seq, body FROM tenant WHERE id = ?1";
            objects::read(connection, &Key::Tenant(id.clone()), sql, [id.as_str()])
        }))
    }

    fn slot(
        &self,
        support_request: SupportRequestId,
        resource_tenant: TenantId,
    ) -> BoxFuture<'_, Result<Option<Versioned<Slot>>, StoreError>> {
        Box::pin(self.readers.read(move |connection| {
            let sql = "SELECT seq, body FROM slot WHERE support_request = ?1 AND resource_tenant = ?2";
            let params = [support_request.as_str(), resource_tenant.as_str()];
            let key = Key::Slot(support_request.clone(), resource_tenant.clone());
            objects::read(connection, &key, sql, params)
        }))
    }

    fn remembered_answer(
        &self,
        caller_and_key: String,
    ) -> BoxFuture<'_, Result<Option<(Seq, RememberedAnswer)>, StoreError>> {
        Box::pin(self.readers.read(move |connection| {
            let sql = "SELECT seq, body FROM remembered_answer WHERE caller_and_key = ?1";
            let key = Key::RememberedAnswer(caller_and_key.clone());
            let read: Option<Versioned<RememberedAnswer>> = objects::read(connection, &key, sql, [&caller_and_key])?;
            // Here, an object's revision is the place of the commit that wrote it.
            Ok(read.map(|Versioned { revision, value }| (Seq(revision.0), value)))
        }))
    }

    fn receipt(&self, consent: ConsentId) -> BoxFuture<'_, Result<Option<SignedReceipt>, StoreError>> {
        Box::pin(self.readers.read(move |connection| {
            let sql = "SELECT seq, body FROM receipt WHERE consent = ?1";
            let key = Key::Receipt(consent.clone());
            let read: Option<Versioned<SignedReceipt>> = objects::read(connection, &key, sql, [consent.as_str()])?;
            Ok(read.map(|read| read.value))
        }))
    }

    fn rollout(&self) -> BoxFuture<'_, Result<Option<Versioned<Rollout>>, StoreError>> {
        Box::pin(
            self.readers
                .read(move |connection| objects::read(connection, &Key::Rollout, "SELECT seq, body FROM rollout", ())),
        )
    }

    fn forget_answers(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.request(Request::ForgetAnswers(before, answer)).await?;
            answered.await.map_err(|_| closed())?.map_err(StoreError::Unavailable)
        })
    }

    fn consents_of(
        &self,
        tenant: TenantId,
        pending: bool,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ListedConsent>, StoreError>> {
        let page = Page::new(before, limit);
        Box::pin(self.readers.read(move |connection| lists::consents_of(connection, &tenant, pending, &page)))
    }

    fn support_requests_of(
        &self,
        assignee: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<SupportRequest>, StoreError>> {
        let page = Page::new(before, limit);
        Box::pin(self.readers.read(move |connection| lists::support_requests_of(connection, &assignee, &page)))
    }

    fn access_requests_by(
        &self,
        requested_by: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AccessRequest>, StoreError>> {
        let page = Page::new(before, limit);
        Box::pin(self.readers.read(move |connection| lists::access_requests_by(connection, &requested_by, &page)))
    }

    fn activities_of(
        &self,
        tenant: TenantId,
        filter: ActivityFilter,
        before: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>> {
        Box::pin(self.readers.read(move |connection| lists::activities_of(connection, &tenant, &filter, before, limit)))
    }

    fn activities_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>> {
        Box::pin(self.readers.read(move |connection| outbox::activities_after(connection, &tenant, after, limit)))
    }

    fn announcements_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedAnnouncement>, StoreError>> {
        Box::pin(self.readers.read(move |connection| outbox::announcements_after(connection, &tenant, after, limit)))
    }

    fn task_ends_after(
        &self,
        endpoint: String,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedTask>, StoreError>> {
        Box::pin(self.readers.read(move |connection| outbox::task_ends_after(connection, &endpoint, after, limit)))
    }

    fn outbox(&self, endpoint: String) -> BoxFuture<'_, Result<Option<Outbox>, StoreError>> {
        Box::pin(self.readers.read(move |connection| outbox::outbox(connection, &endpoint)))
    }

    fn keep_outbox(&self, endpoint: String, change: OutboxChange) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.request(Request::KeepOutbox(endpoint, change, answer)).await?;
            answered.await.map_err(|_| closed())?.map_err(StoreError::Unavailable)
        })
    }

    fn dead_letters(
        &self,
        endpoint: String,
        after: Option<LetterId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Letter>, StoreError>> {
        Box::pin(self.readers.read(move |connection| outbox::dead_letters(connection, &endpoint, after, limit)))
    }

    fn health(&self) -> Result<(), String> {
        if self.is_closed() {
            return Err(closed().to_string());
        }
        if let Some(why) = self.shared.hangs() {
            return Err(format!("the store cannot be written: {why}"));
        }
        let Some(trouble) = self.shared.trouble.lock().clone() else { return Ok(()) };
        // For the next time that somebody asks. A full queue has writes enough to find out.
        if let Some(requests) = &*self.requests.lock() {
            let _ = requests.try_send(Request::Probe);
        }
        Err(format!("the store cannot be written: {trouble}"))
    }
}
