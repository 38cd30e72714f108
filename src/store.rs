//! Durable objects and audit records under one dense sequence.
//!
//! What lives here: the small trait that every store implements, and the stores: SQLite, embedded, the default; etcd, which
//! a fleet shares. What does not: rules, rights, and any picture of who may read what. A store keeps what it was given, or says that it did
//! not, and never half of it.

#[cfg(test)]
mod contract;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(test)]
pub(crate) mod leasing;
mod object;
mod outbox;
mod settings;
pub mod sqlite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::model::{
    AccessRequest, AccessRequestId, Activity, ActivityKind, Announcement, Case, ConsentId, PersonId, SupportRequest,
    SupportRequestId, Tenant, TenantId, Timestamp,
};

pub use object::{Key, Object, RememberedAnswer, RolledOut, Rollout, SignedReceipt, Slot, Write};
pub use outbox::{Letter, LetterId, Outbox, OutboxChange, OutboxPlaces, Stream};
pub use settings::EtcdSettings;

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place in the dense sequence of commits: 1, 2, 3 ... with none missing. 0 is the empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl Seq {
    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The state of one object; changes with every write of it. Opaque: compare for equality only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Revision(pub u64);

/// The incarnation of a store. It changes only when a backup is restored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(pub String);

/// A process that decides reads by a replica of this store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub String);

/// A member and how far its replica is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which process.
    pub id: MemberId,
    /// Which entry of that name it is: one that was made anew does not speak for the one before it.
    pub entry: u64,
    /// Every commit up to here is in force in every one of its deciding threads.
    pub applied: Seq,
}

/// A value with the state it was read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The object's state.
    pub revision: Revision,
    /// The object.
    pub value: T,
}

/// What a key must look like for a commit to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precondition {
    /// The key that was read.
    pub key: Key,
    /// The state it was read in; `None`: it was absent.
    pub revision: Option<Revision>,
}

/// One change of the store: all of it happens, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Made once by whoever commits; a retry with the same id never commits twice.
    pub txn_id: String,
    /// When the change was decided.
    pub at: Timestamp,
    /// Every key that the decision was based on.
    pub preconditions: Vec<Precondition>,
    /// The new objects.
    pub writes: Vec<Write>,
    /// The entries for the tenants' audit logs (R21).
    pub activities: Vec<Activity>,
    /// What tenants are to be told (R23).
    pub announcements: Vec<Announcement>,
    /// Whether somebody may do less after it, or is told of a change after which somebody may: then its committer waits
    /// for the members that there are at its place (G1).
    pub takes_away: bool,
}

/// A commit that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the sequence.
    pub seq: Seq,
    /// The members there were at that place, read together with the write: whoever takes access away waits for these (G1).
    /// How far each is, a store may tell by its list of members alone.
    /// Of a commit that takes nothing away a store may name fewer.
    pub members: Vec<Member>,
}

/// Why a commit was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A precondition did not hold. Nothing was written: read again and decide again.
    #[error("somebody else changed `{key}` first")]
    Conflict {
        /// The first key that had changed.
        key: Key,
    },
    /// The store did not take the commit. Nothing was written.
    #[error("the store cannot take changes: {0}")]
    Unavailable(String),
    /// Nobody can tell whether it was written. Retry with the same `txn_id`.
    #[error("the store did not say whether the change was made: {0}")]
    Unknown(String),
}

/// Why the store could not be read, opened or followed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read now.
    #[error("the store cannot be read: {0}")]
    Unavailable(String),
    /// What it holds cannot be what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// It was written by a version of the program that this one does not know.
    #[error("the store has schema version {found}, this program knows {known}: use a newer program")]
    NewerSchema {
        /// The version found.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// Another process uses it.
    #[error("the store `{0}` is in use by another process: stop it, or give this one another path")]
    InUse(String),
    /// The sequence asked for is no longer kept: take a snapshot.
    #[error("changes after {0:?} are no longer kept")]
    Compacted(Seq),
    /// What it holds is whole, and this process cannot use it.
    #[error("what the store holds cannot be used here: {0}")]
    Unusable(String),
    /// Somebody has struck this member off the list: it must register anew before it decides again.
    #[error("this process was struck off the list of members: it registers anew")]
    Fenced,
    /// The store is behind what this process has seen of it, or is another one: a backup was restored.
    #[error("the store went back to an earlier state: {0}")]
    Regressed(String),
    /// Another process of the fleet does this; this one only decides reads.
    #[error("this process only decides reads: ask an authority of the fleet")]
    Elsewhere,
}

/// What a renewal answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The newest commit at the moment of the renewal.
    pub head: Seq,
    /// The store's incarnation.
    pub epoch: Epoch,
    /// For how long the member may decide by a replica that has applied `head`.
    pub term: Term,
}

/// For how long a replica that has applied the head may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// This process holds the store alone: nothing can change behind its back.
    Exclusive,
    /// For so long, counted from before the renewal was sent.
    Lease(Duration),
}

/// What came of waiting for the members that decide: kept in the store before a change that takes access away is
/// acknowledged (G1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// The place that was waited for.
    pub seq: Seq,
    /// When the wait ended.
    pub at: Timestamp,
    /// Those that said that they decide by it.
    pub acknowledged: Vec<MemberId>,
    /// Those that said nothing for so long that nothing they allowed before counts any more.
    pub waited_out: Vec<Member>,
}

/// One commit, as followers see it.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its place.
    pub seq: Seq,
    /// When it was decided.
    pub at: Timestamp,
    /// What it wrote.
    pub writes: Vec<Write>,
}

/// Changes in order, none missing, none twice.
pub trait ChangeFeed: Send {
    /// The next change; waits until there is one.
    fn next(&mut self) -> BoxFuture<'_, Result<Change, StoreError>>;
}

/// One object of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotItem {
    /// The place of the commit that wrote it last.
    pub seq: Seq,
    /// The object.
    pub object: Object,
}

/// How to find a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseRef {
    /// By the support request's id.
    SupportRequest(SupportRequestId),
    /// By the id of one of its access requests.
    AccessRequest(AccessRequestId),
    /// By the id of one of its consents.
    Consent(ConsentId),
}

/// A case with the state of each of its objects, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCase {
    /// The case.
    pub case: Case,
    /// The state of its support request.
    pub support_request_revision: Revision,
    /// The states of its access requests, in their order.
    pub access_request_revisions: Vec<Revision>,
}

/// A tenant's consent in a list, with what the tenant may know about it (R18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedConsent {
    /// The support request it belongs to.
    pub support_request: SupportRequest,
    /// The access request it is a part of.
    pub access_request: AccessRequest,
    /// Which of its consents is meant.
    pub consent: ConsentId,
}

/// A place in a list that is ordered by time and id, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPosition {
    /// The time of the last item seen.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

/// An activity with its number in its tenant's log. The numbers of one tenant are dense, so that they tell nothing about
/// other tenants' logs (R19).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedActivity {
    /// 1, 2, 3 ... within the tenant.
    pub number: u64,
    /// The entry.
    pub activity: Activity,
}

/// An announcement with its number among its tenant's, which are dense as those of activities are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedAnnouncement {
    /// 1, 2, 3 ... within the tenant.
    pub number: u64,
    /// What the tenant is told.
    pub announcement: Announcement,
}

/// An access request whose task has ended, with its number among those that one endpoint is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedTask {
    /// 1, 2, 3 ... within the endpoint.
    pub number: u64,
    /// The access request as it is now.
    pub access_request: AccessRequest,
}

/// Which entries of a tenant's audit log are wanted. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Of this kind.
    pub kind: Option<ActivityKind>,
    /// By this person.
    pub actor: Option<PersonId>,
    /// Under this support request.
    pub support_request: Option<SupportRequestId>,
}

/// A store. Every method may be called from many tasks at once. Lists are newest first.
pub trait Store: Send + Sync + fmt::Debug {
    /// Its incarnation.
    fn epoch(&self) -> Epoch;

    /// Writes what was asked for before, then lets go of everything; whatever is asked for later is
    /// [`StoreError::Unavailable`]. Blocks for some seconds at most, and says whether it is done.
    fn close(&self) -> bool;

    /// Makes the change durable, if every precondition holds. A `txn_id` that was committed before answers with the
    /// first outcome and writes nothing.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, CommitError>>;

    /// Says that `member` has applied every commit up to `applied`, and asks how far the store is.
    fn renew(&self, member: MemberId, applied: Seq) -> BoxFuture<'_, Result<Renewal, StoreError>>;

    /// Takes this process off the list of members, so that nobody waits for it. Only for one that decides nothing any more:
    /// what was granted to it may still count for as long as it lasts.
    fn leave(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// The members and how far they are, as it changes; by name.
    fn watch_members(&self) -> watch::Receiver<Vec<Member>>;

    /// After how long, counted from the answer to a commit, a member that has said nothing since can no longer allow
    /// anything by what was before; none: never, and whoever takes access away waits for every member.
    fn wait_out(&self) -> Option<Duration>;

    /// Keeps what came of waiting for members, and strikes off those that were waited out and have still said nothing.
    fn note_barrier(&self, barrier: Barrier) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Hands over every object that followers know of ([`Key::is_followed`]), as they were at one moment, and tells
    /// which moment.
    fn snapshot<'a>(
        &'a self,
        visit: &'a mut (dyn FnMut(SnapshotItem) + Send),
    ) -> BoxFuture<'a, Result<Seq, StoreError>>;

    /// Follows the changes after `from`.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when they are no longer kept, [`StoreError::Damaged`] when the store has not come so
    /// far.
    fn changes(&self, from: Seq) -> Result<Box<dyn ChangeFeed>, StoreError>;

    /// Reads a whole case at one moment.
    fn case(&self, case: CaseRef) -> BoxFuture<'_, Result<Option<StoredCase>, StoreError>>;

    /// Reads a tenant's record.
    fn tenant(&self, id: TenantId) -> BoxFuture<'_, Result<Option<Versioned<Tenant>>, StoreError>>;

    /// Reads which access request holds the slot of (support request, resource tenant).
    fn slot(
        &self,
        support_request: SupportRequestId,
        resource_tenant: TenantId,
    ) -> BoxFuture<'_, Result<Option<Versioned<Slot>>, StoreError>>;

    /// Reads the answer that was given before under this idempotency key, and the place of the commit that it tells of.
    fn remembered_answer(
        &self,
        caller_and_key: String,
    ) -> BoxFuture<'_, Result<Option<(Seq, RememberedAnswer)>, StoreError>>;

    /// Reads the receipt of a consent's approval.
    fn receipt(&self, consent: ConsentId) -> BoxFuture<'_, Result<Option<SignedReceipt>, StoreError>>;

    /// Reads the policies that were rolled out last; none: none were.
    fn rollout(&self) -> BoxFuture<'_, Result<Option<Versioned<Rollout>>, StoreError>>;

    /// Forgets remembered answers given before this time. Returns how many.
    fn forget_answers(&self, before: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// The tenant's consents: those that are pending, or those that no longer are; ordered by the access request's
    /// creation.
    fn consents_of(
        &self,
        tenant: TenantId,
        pending: bool,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<ListedConsent>, StoreError>>;

    /// The support requests now assigned to this engineer, ordered by when they were opened.
    fn support_requests_of(
        &self,
        assignee: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<SupportRequest>, StoreError>>;

    /// The access requests this engineer created, ordered by creation.
    fn access_requests_by(
        &self,
        requested_by: PersonId,
        before: Option<ListPosition>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<AccessRequest>, StoreError>>;

    /// The tenant's audit log, entries with a number below `before`.
    fn activities_of(
        &self,
        tenant: TenantId,
        filter: ActivityFilter,
        before: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>>;

    /// The tenant's audit log, entries with a number above `after`, oldest first.
    fn activities_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedActivity>, StoreError>>;

    /// The tenant's announcements with a number above `after`, oldest first.
    fn announcements_after(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedAnnouncement>, StoreError>>;

    /// The access requests whose tasks have ended and whose callbacks go to this endpoint, with a number above `after`, in
    /// the order in which they ended. Each is there once, from the commit on that ended its task.
    fn task_ends_after(
        &self,
        endpoint: String,
        after: u64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<NumberedTask>, StoreError>>;

    /// What is kept of an endpoint's outbox; none: nothing was kept yet. Its dead letters are read by themselves.
    fn outbox(&self, endpoint: String) -> BoxFuture<'_, Result<Option<Outbox>, StoreError>>;

    /// Keeps a change of an endpoint's outbox. It is no commit: followers have nothing to learn from it.
    fn keep_outbox(&self, endpoint: String, change: OutboxChange) -> BoxFuture<'_, Result<(), StoreError>>;

    /// An endpoint's dead letters behind this one, in their order.
    fn dead_letters(
        &self,
        endpoint: String,
        after: Option<LetterId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Letter>, StoreError>>;

    /// Whether the store can be read and written.
    ///
    /// # Errors
    /// Why not.
    fn health(&self) -> Result<(), String>;
}
