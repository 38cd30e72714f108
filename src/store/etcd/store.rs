//! The parts as one store.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::commit::{self, Outcome};
use super::connect::Cluster;
use super::copy::{self, Questions};
use super::errors::Fault;
use super::feed::Feed;
use super::keys::{Keys, Watched};
use super::members::{self, Listed, Seen};
use super::ranges;
use super::renew::Registrations;
use super::shared::{Shared, Start, gets};
use crate::model::{AccessRequest, ConsentId, PersonId, SupportRequest, SupportRequestId, Tenant, TenantId, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    ActivityFilter, Barrier, BoxFuture, CaseRef, Change, ChangeFeed, Commit, CommitError, Committed, Epoch,
    EtcdSettings, Key, Letter, LetterId, ListPosition, ListedConsent, Member, MemberId, NumberedActivity,
    NumberedAnnouncement, NumberedTask, Outbox, OutboxChange, RememberedAnswer, Renewal, Rollout, Seq, SignedReceipt,
    Slot, SnapshotItem, Store, StoreError, StoredCase, Term, Versioned,
};

/// How many remembered answers are deleted in one transaction.
const FORGOTTEN_AT_ONCE: usize = 50;

/// What a process of the fleet does with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role<'a> {
    /// It makes changes, and keeps a copy of everything in this file, which is made if it is missing.
    Authority {
        /// The file.
        copy: &'a Path,
    },
    /// It decides reads, and writes nothing but how far it is.
    Sidecar,
}

/// How the store is opened.
#[derive(Debug)]
pub struct EtcdOptions<'a> {
    /// How etcd is reached.
    pub settings: EtcdSettings,
    /// What this process does.
    pub role: Role<'a>,
    /// Which member it is.
    pub member: MemberId,
    /// For how long a renewed lease counts.
    pub lease: Duration,
    /// After how long a silent member can no longer allow anything.
    pub wait_out: Duration,
    /// What its key tells of it beside how far it is: a JSON object. It is read at each renewal.
    pub about: watch::Receiver<String>,
}

/// The fleet's store, as one of its processes sees it. Dropping it ends what it has under way.
#[derive(Debug)]
pub struct EtcdStore {
    shared: Arc<Shared>,
    /// An authority has one.
    authority: Option<Authority>,
    registrations: Registrations,
    members: watch::Sender<Vec<Member>>,
    lease: Duration,
    wait_out: Duration,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug)]
struct Authority {
    copy: Arc<SqliteStore>,
    questions: Questions,
    seen: Seen,
}

impl EtcdStore {
    /// Opens the store for one process. An authority's copy is brought up to date by and by: reads wait for that. A
    /// sidecar asks etcd for nothing before it renews.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the settings cannot be used, or, for an authority, no member of etcd answers;
    /// [`StoreError::Regressed`] when the copy is of another incarnation, or ahead; [`StoreError::Damaged`],
    /// [`StoreError::InUse`] and [`StoreError::NewerSchema`] as for the copy's file.
    pub async fn open(options: EtcdOptions<'_>) -> Result<Self, StoreError> {
        let EtcdOptions { settings, role, member, lease, wait_out, about } = options;
        let shared = Arc::new(Shared {
            cluster: Cluster::new(&settings)?,
            keys: Keys::below(&settings.prefix),
            member,
            boot_id: Uuid::new_v4().to_string(),
            about,
            epoch: OnceLock::new(),
            epoch_stood_at: AtomicI64::new(0),
            told: watch::Sender::new(Seq(0)),
            trouble: Mutex::new(None),
            lost: watch::Sender::new(None),
            patience: settings.timeout(),
            starts: Mutex::new(VecDeque::new()),
        });
        let members = watch::Sender::new(Vec::new());
        let mut tasks = Vec::new();
        let authority = match role {
            Role::Sidecar => None,
            Role::Authority { copy: path } => {
                let copy = Arc::new(SqliteStore::open_copy(path)?);
                let start = begin(&shared, &copy).await?;
                shared.remember(start);
                let (questions, asked) = Questions::new();
                let feed = Feed::after(Arc::clone(&shared), Watched::Everything, start.seq);
                tasks.push(spawn(copy::keep_up(Arc::clone(&shared), Arc::clone(&copy), feed)));
                tasks.push(spawn(copy::answer(Arc::clone(&shared), asked)));
                tasks.push(spawn(members::keep_watching(Arc::clone(&shared), members.clone())));
                Some(Authority { copy, questions, seen: Seen::default() })
            }
        };
        Ok(Self { shared, authority, registrations: Registrations::default(), members, lease, wait_out, tasks })
    }

    /// When the last commit was made that an authority's copy had when it was opened.
    #[must_use]
    pub fn last_commit_at(&self) -> Option<Timestamp> {
        self.authority.as_ref().and_then(|authority| authority.copy.last_commit_at())
    }

    /// The copy, once it has everything that was committed before this call.
    async fn fresh(&self) -> Result<&SqliteStore, StoreError> {
        let authority = self.authority.as_ref().ok_or(StoreError::Elsewhere)?;
        // Read before the question is asked: the copy goes on meanwhile.
        let copied = *authority.copy.head().borrow();
        let head = authority.questions.head().await?;
        if head < copied {
            let why = format!("commit {} was applied here, and etcd has got to {} only", copied.0, head.0);
            self.shared.lose(Fault::Regressed(why.clone()));
            return Err(StoreError::Regressed(why));
        }
        copy::caught_up(&self.shared, &authority.copy, head).await?;
        Ok(&authority.copy)
    }

    /// The copy as it is: for what each authority keeps for itself.
    fn own(&self) -> Result<&SqliteStore, StoreError> {
        self.authority.as_ref().map(|authority| &*authority.copy).ok_or(StoreError::Elsewhere)
    }

    async fn send(&self, commit: &Commit) -> Result<Committed, CommitError> {
        let elsewhere = || CommitError::Unavailable(StoreError::Elsewhere.to_string());
        let authority = self.authority.as_ref().ok_or_else(elsewhere)?;
        if let Some(lost) = &*self.shared.lost.borrow() {
            return Err(CommitError::Unavailable(lost.to_string()));
        }
        let grounds = authority.copy.grounds(commit).await;
        let grounds = grounds.map_err(|error| CommitError::Unavailable(error.to_string()))?;
        let transaction = commit::transaction(&self.shared, commit, &grounds)?;
        let answer = self.shared.transact(transaction.txn.clone()).await?;
        let (seq, members) = match commit::outcome(&self.shared, &transaction, &answer)? {
            Outcome::Written { seq, members } => {
                self.shared.tell(Seq(seq));
                // Whoever reads here next finds it; nobody who reads at all is misled when it takes longer.
                let _ = copy::caught_up(&self.shared, &authority.copy, Seq(seq)).await;
                (Seq(seq), members)
            }
            Outcome::Before { revision, head, members } => {
                self.shared.tell(Seq(head));
                (placed(&self.shared, authority, revision, Seq(head)).await?, members)
            }
            Outcome::Conflict(key) => return Err(CommitError::Conflict { key }),
            Outcome::OtherEpoch => {
                let other = Fault::Regressed("its epoch is another one".to_owned());
                self.shared.lose(other.clone());
                return Err(CommitError::Unavailable(other.to_string()));
            }
        };
        if !commit.takes_away {
            return Ok(Committed { seq, members: self.registrations.ours() });
        }
        authority.seen.keep(seq, &members);
        Ok(Committed { seq, members: members.into_iter().map(|Listed { member, .. }| member).collect() })
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let copy = self.own()?;
        let old = copy.answers_before(before).await?;
        for some in old.chunks(FORGOTTEN_AT_ONCE) {
            let deletions = some.iter().filter_map(|(answer, written)| {
                let key = self.shared.keys.object(&Key::RememberedAnswer(answer.clone()), || None)?;
                let unchanged = Compare::mod_revision(key.clone(), CompareOp::Equal, *written);
                Some(TxnOp::txn(Txn::new().when([unchanged]).and_then([TxnOp::delete(key, None)])))
            });
            let forgotten = Txn::new().and_then(deletions.collect::<Vec<_>>());
            self.shared.transact(forgotten).await.map_err(Fault::from)?;
        }
        copy.forget_answers(before).await
    }

    async fn renewed(&self, member: MemberId, applied: Seq) -> Result<Renewal, StoreError> {
        if let Some(lost) = self.shared.lost.borrow().clone() {
            return Err(lost.into());
        }
        let renewed = self.registrations.renew(&self.shared, &member, applied, self.wait_out).await;
        if let Err(StoreError::Regressed(why)) = &renewed {
            self.shared.lose(Fault::Regressed(why.clone()));
        }
        let head = renewed?.head;
        let epoch = self.shared.epoch.get().cloned();
        let epoch = epoch.ok_or_else(|| StoreError::Unavailable("its epoch is not known".to_owned()))?;
        Ok(Renewal { head, epoch, term: Term::Lease(self.lease) })
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    tokio::spawn(task).abort_handle()
}

/// Begins the store, if nobody has, and finds where the copy goes on.
async fn begin(shared: &Shared, copy: &SqliteStore) -> Result<Start, StoreError> {
    let key = shared.keys.epoch();
    let begun = Txn::new()
        .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
        .and_then([
            TxnOp::put(key.clone(), Uuid::new_v4().to_string(), None),
            TxnOp::get(shared.keys.head(), None),
            TxnOp::get(key.clone(), None),
        ])
        // A question is written all the same, so that the head is not an old one.
        .or_else([
            TxnOp::put(shared.keys.question(&shared.member), shared.boot_id.clone(), None),
            TxnOp::get(shared.keys.head(), Some(GetOptions::new())),
            TxnOp::get(key, None),
        ]);
    let answer = shared.transact(begun).await.map_err(Fault::from)?;
    let mut gets = gets(&answer).into_iter();
    let standing = shared.stands(&answer, gets.next(), gets.next())?;
    let unknown = || StoreError::Unavailable("its epoch is not known".to_owned());
    let (seq, revision) = copy.become_copy_of(shared.epoch.get().ok_or_else(unknown)?).await?;
    if standing.head < seq || (standing.head == seq && standing.head_revision != revision) {
        let ahead = format!("the copy has commit {}, which etcd does not", seq.0);
        return Err(StoreError::Regressed(ahead));
    }
    Ok(Start { seq, revision, quiet_until: revision })
}

/// The place of a commit that had been written before.
async fn placed(shared: &Shared, authority: &Authority, revision: i64, head: Seq) -> Result<Seq, CommitError> {
    let unknown = |why: String| CommitError::Unknown(why);
    let copied = copy::caught_up(shared, &authority.copy, head).await;
    copied.map_err(|error| unknown(error.to_string()))?;
    let found = authority.copy.seq_at(revision).await.map_err(|error| unknown(error.to_string()))?;
    found.ok_or_else(|| unknown("the copy does not have the commit that etcd has".to_owned()))
}

/// An authority's feed: from the copy, until the store is lost.
struct CopyFeed {
    feed: Box<dyn ChangeFeed>,
    lost: watch::Receiver<Option<Fault>>,
}

impl ChangeFeed for CopyFeed {
    fn next(&mut self) -> BoxFuture<'_, Result<Change, StoreError>> {
        Box::pin(async {
            tokio::select! {
                biased;
                change = self.feed.next() => change,
                Ok(lost) = self.lost.wait_for(Option::is_some) => {
                    let unsaid = || Fault::Unavailable("it is lost".to_owned());
                    Err(lost.clone().unwrap_or_else(unsaid).into())
                }
            }
        })
    }
}

impl Store for EtcdStore {
    /// Empty before etcd has told it.
    fn epoch(&self) -> Epoch {
        self.shared.epoch.get().cloned().unwrap_or_else(|| Epoch(String::new()))
    }

    fn close(&self) -> bool {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.lost.send_if_modified(|lost| {
            let closed = || Fault::Unavailable("it has been closed".to_owned());
            lost.is_none() && lost.replace(closed()).is_none()
        });
        self.authority.as_ref().is_none_or(|authority| authority.copy.close())
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move { self.send(&commit).await })
    }

    fn renew(&self, member: MemberId, applied: Seq) -> BoxFuture<'_, Result<Renewal, StoreError>> {
        Box::pin(self.renewed(member, applied))
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { Ok(self.registrations.leave(&self.shared).await?) })
    }

    fn watch_members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.subscribe()
    }

    fn wait_out(&self) -> Option<Duration> {
        Some(self.wait_out)
    }

    fn note_barrier(&self, barrier: Barrier) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let authority = self.authority.as_ref().ok_or(StoreError::Elsewhere)?;
            Ok(members::note(&self.shared, &authority.seen, &barrier).await?)
        })
    }

    fn snapshot<'a>(
        &'a self,
        visit: &'a mut (dyn FnMut(SnapshotItem) + Send),
    ) -> BoxFuture<'a, Result<Seq, StoreError>> {
        Box::pin(async move {
            if self.authority.is_some() {
                self.fresh().await?.snapshot(visit).await
            } else {
                Ok(ranges::snapshot(&self.shared, visit).await?)
            }
        })
    }

    fn changes(&self, from: Seq) -> Result<Box<dyn ChangeFeed>, StoreError> {
        let Some(authority) = &self.authority else {
            return Ok(Box::new(Feed::after(Arc::clone(&self.shared), Watched::Log, from)));
        };
        Ok(Box::new(CopyFeed { feed: authority.copy.changes(from)?, lost: self.shared.lost.subscribe() }))
    }

    fn case(&self, case: CaseRef) -> BoxFuture<'_, Result<Option<StoredCase>, StoreError>> {
        Box::pin(async move { self.fresh().await?.case(case).await })
    }

    fn tenant(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Versioned<Tenant>>, StoreError>> {
        Box::pin(async move { self.fresh().await?.tenant(id).await })
    }

    fn slot(
        &self,
        support_request: SupportRequestId,
        resource_tenant: TenantId,
    ) -> BoxFuture<'_, Result<Option<Versioned<Slot>>, StoreError>> {
        Box::pin(async move { self.fresh().await?.slot(support_request, resource_tenant).await })
    }

    fn remembered_answer(
        &self,
        caller_and_key: String,
    ) -> BoxFuture<'_, Result<Option<(Seq, RememberedAnswer)>, StoreError>> {
        Box::pin(async move { self.fresh().await?.remembered_answer(caller_and_key).await })
    }

    fn receipt(&self, consent: ConsentId) -> BoxFuture<'_, Result<Option<SignedReceipt>, StoreError>> {
        Box::pin(async move { self.fresh().await?.receipt(consent).await })
    }

    fn rollout(&self) -> BoxFuture<'_, Result<Option<Versioned<Rollout>>, StoreError>> {
        Box::pin(async move { self.fresh().await?.rollout().await })
    }

    fn forget_answers(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.forget(before))
    }

    fn consents_of(
        &self,
        tenant: TenantId,
        pending: bool,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ListedConsent>, StoreError>> {
        Box::pin(async move { self.fresh().await?.consents_of(tenant, pending, before, limit).await })
    }

    fn support_requests_of(
        &self,
        assignee: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<SupportRequest>, StoreError>> {
        Box::pin(async move { self.fresh().await?.support_requests_of(assignee, before, limit).await })
    }

    fn access_requests_by(
        &self,
        requested_by: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AccessRequest>, StoreError>> {
        Box::pin(async move { self.fresh().await?.access_requests_by(requested_by, before, limit).await })
    }

    fn activities_of(
        &self,
        tenant: TenantId,
        filter: ActivityFilter,
        before: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>> {
        Box::pin(async move { self.fresh().await?.activities_of(tenant, filter, before, limit).await })
    }

    fn activities_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>> {
        Box::pin(async move { self.fresh().await?.activities_after(tenant, after, limit).await })
    }

    fn announcements_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedAnnouncement>, StoreError>> {
        Box::pin(async move { self.fresh().await?.announcements_after(tenant, after, limit).await })
    }

    fn task_ends_after(
        &self,
        endpoint: String,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedTask>, StoreError>> {
        Box::pin(async move { self.fresh().await?.task_ends_after(endpoint, after, limit).await })
    }

    fn outbox(&self, endpoint: String) -> BoxFuture<'_, Result<Option<Outbox>, StoreError>> {
        Box::pin(async move { self.own()?.outbox(endpoint).await })
    }

    fn keep_outbox(&self, endpoint: String, change: OutboxChange) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.own()?.keep_outbox(endpoint, change).await })
    }

    fn dead_letters(
        &self,
        endpoint: String,
        after: Option<LetterId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Letter>, StoreError>> {
        Box::pin(async move { self.own()?.dead_letters(endpoint, after, limit).await })
    }

    fn health(&self) -> Result<(), String> {
        if let Some(lost) = &*self.shared.lost.borrow() {
            return Err(lost.to_string());
        }
        if let Some(trouble) = &*self.shared.trouble.lock() {
            return Err(format!("the fleet's store does not answer: {trouble}"));
        }
        self.authority.as_ref().map_or(Ok(()), |authority| authority.copy.health())
    }
}
