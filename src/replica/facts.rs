//! The picture itself: many readers, one writer, no reader ever waits for more than one insertion.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc::UnboundedSender;

use super::renewal::{LeaseStatus, Renewals};
use crate::clock::{BootTime, Clock};
use crate::model::{
    AccessFacts, AccessRequest, CaseFacts, PersonId, SupportRequest, SupportRequestId, TenantId, Timestamp,
};
use crate::store::{Change, Object, Seq, SnapshotItem, Write};

/// The facts of one support request as of one commit.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveCase {
    /// The commit that changed it last: names this state of the facts in answers, cache and log.
    pub revision: Seq,
    /// The facts.
    pub facts: CaseFacts,
}

/// Why the replica cannot vouch for its facts. Nothing is allowed meanwhile (G4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFresh {
    /// The first picture is still being taken.
    #[error("the facts are still being loaded")]
    Bootstrapping,
    /// The store cannot be followed, or is ahead.
    #[error("the facts may be out of date: {0}")]
    Lost(String),
    /// The store has not confirmed for too long that there is nothing newer.
    #[error("the facts may be out of date: the store has not confirmed them in time")]
    LeaseExpired,
    /// This member was struck off, and has not registered anew.
    #[error("the facts may be out of date: this process was struck off the list of members, and registers anew")]
    Fenced,
    /// The store is behind what was seen of it, or is another one.
    #[error("the facts cannot be followed: {0}")]
    Regressed(String),
}

impl NotFresh {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bootstrapping => "bootstrapping",
            Self::Lost(_) => "replica_behind",
            Self::LeaseExpired => "lease_expired",
            Self::Fenced => "fenced",
            Self::Regressed(_) => "store_regressed",
        }
    }
}

/// Proof that the picture could be used when this was asked for, and until when what is read of it then may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fresh {
    until: BootTime,
}

impl Fresh {
    /// The moment from which on nothing may be allowed by it; none: only a commit ends it.
    #[must_use]
    pub fn valid_until(self) -> Option<BootTime> {
        Some(self.until).filter(|until| *until != BootTime::NEVER)
    }
}

/// What a commit made of a support request's facts.
#[derive(Debug, Clone)]
pub struct Became {
    /// When the commit was decided; none: it came with a snapshot, which does not tell.
    pub at: Option<Timestamp>,
    /// The support request.
    pub support_request: SupportRequestId,
    /// Its facts since then.
    pub case: Arc<LiveCase>,
}

const SHARDS: usize = 64;

type Cases = HashMap<SupportRequestId, Arc<LiveCase>, ahash::RandomState>;
type Shard = RwLock<Cases>;

/// No lease: the picture may not be used.
const NONE: BootTime = BootTime(0);

/// The picture.
#[derive(Debug)]
pub struct Replica {
    hasher: ahash::RandomState,
    shards: Box<[Shard]>,
    clock: Arc<dyn Clock>,
    /// Until when it may be used, in nanoseconds of [`BootTime`].
    until: AtomicU64,
    /// The commit that is being taken in, or was last.
    begun: AtomicU64,
    not_fresh: Mutex<NotFresh>,
    applied: AtomicU64,
    pub(super) renewals: Renewals,
    known: Mutex<Known>,
    /// Who is told of every commit.
    told: Option<UnboundedSender<Became>>,
}

/// Tenants and people occur in many cases: one copy of each name is enough.
#[derive(Debug, Default)]
struct Known {
    tenants: HashSet<TenantId>,
    people: HashSet<PersonId>,
}

impl Replica {
    /// An empty picture that cannot be used yet. Leases are counted by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            hasher: ahash::RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            clock,
            until: AtomicU64::new(NONE.0),
            not_fresh: Mutex::new(NotFresh::Bootstrapping),
            begun: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            renewals: Renewals::default(),
            known: Mutex::default(),
            told: None,
        }
    }

    /// The same, which tells of every commit before it is in force. What came with the first snapshot is told of by
    /// [`Replica::changed_after`].
    #[must_use]
    pub fn telling(clock: Arc<dyn Clock>, told: UnboundedSender<Became>) -> Self {
        Self { told: Some(told), ..Self::new(clock) }
    }

    /// The cases that a commit after this one changed last.
    #[must_use]
    pub fn changed_after(&self, seq: Seq) -> Vec<(SupportRequestId, Arc<LiveCase>)> {
        let changed = |(id, case): (&SupportRequestId, &Arc<LiveCase>)| {
            (case.revision > seq).then(|| (id.clone(), Arc::clone(case)))
        };
        self.shards.iter().flat_map(|shard| shard.read().iter().filter_map(changed).collect::<Vec<_>>()).collect()
    }

    /// The facts of a support request; `None`: there is no such support request.
    ///
    /// # Errors
    /// [`NotFresh`] when the picture may not be used.
    pub fn facts(&self, support_request: &str) -> Result<Option<Arc<LiveCase>>, NotFresh> {
        let fresh = self.fresh()?;
        Ok(self.facts_under(fresh, support_request))
    }

    /// The same for who knows already that the picture may be used: what is found was in force when that was so, or is
    /// newer.
    #[must_use]
    pub fn facts_under(&self, _fresh: Fresh, support_request: &str) -> Option<Arc<LiveCase>> {
        self.shard(support_request).and_then(|shard| shard.read().get(support_request).cloned())
    }

    /// Whether the picture may be used, and until when what is read of it after this call may be.
    ///
    /// # Errors
    /// [`NotFresh`], with the reason, when it may not.
    pub fn fresh(&self) -> Result<Fresh, NotFresh> {
        let until = BootTime(self.until.load(Ordering::Acquire));
        if self.is_before(until) { Ok(Fresh { until }) } else { Err(self.why_not(until)) }
    }

    /// Whether a moment that the picture was good until still lies ahead.
    #[must_use]
    pub fn is_before(&self, until: BootTime) -> bool {
        // Where no lease runs out nobody looks at the clock.
        until == BootTime::NEVER || (until != NONE && self.clock.boot() < until)
    }

    /// The state of the whole picture, while nothing is being taken in.
    #[must_use]
    pub fn at_rest(&self) -> Option<Seq> {
        let begun = self.begun.load(Ordering::SeqCst);
        let usable = || self.is_before(BootTime(self.until.load(Ordering::Acquire)));
        (self.applied() == Seq(begun) && usable()).then_some(Seq(begun))
    }

    /// Every commit up to here is in force for every reader.
    #[must_use]
    pub fn applied(&self) -> Seq {
        Seq(self.applied.load(Ordering::Acquire))
    }

    /// How the lease is; none: this process has its store alone, or has not yet asked for one.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseStatus> {
        let until = BootTime(self.until.load(Ordering::Acquire));
        if until == BootTime::NEVER {
            return None;
        }
        let remaining = self.is_before(until).then(|| until.since(self.clock.boot()));
        self.renewals.status(remaining, self.applied())
    }

    /// Waits for a renewal that is sent after this call, and for everything that it names to be in force: what is read
    /// then was so after this call. Many calls share one renewal. Where this process has its store alone it is so anyway.
    ///
    /// # Errors
    /// [`NotFresh`] when no such renewal succeeds in time.
    pub async fn confirmed_anew(&self) -> Result<(), NotFresh> {
        if BootTime(self.until.load(Ordering::Acquire)) == BootTime::NEVER || self.renewals.confirmed_anew().await {
            return Ok(());
        }
        Err(self.fresh().err().unwrap_or(NotFresh::LeaseExpired))
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn why_not(&self, until: BootTime) -> NotFresh {
        if until == NONE {
            return self.not_fresh.lock().clone();
        }
        // The store was heard of, and what it told of has not come.
        if self.renewals.head() > self.applied() {
            return NotFresh::Lost("changes of the store have not arrived".to_owned());
        }
        NotFresh::LeaseExpired
    }

    /// Stops every use of the picture, for this reason.
    pub(super) fn stop(&self, reason: NotFresh) {
        *self.not_fresh.lock() = reason;
        self.until.store(NONE.0, Ordering::Release);
    }

    /// Allows use of the picture until this moment: it holds everything up to the head of a renewal that says so.
    pub(super) fn use_until(&self, until: Option<BootTime>) {
        self.until.store(until.unwrap_or(NONE).0, Ordering::Release);
    }

    /// Puts a whole snapshot in the place of the picture, which must not be in use.
    pub(super) fn install(&self, snapshot: Snapshot<'_>, seq: Seq) {
        let before = self.applied();
        if let Some(told) = self.told.as_ref().filter(|_| before > Seq(0)) {
            for (id, case) in snapshot.shards.iter().flatten().filter(|(_, case)| case.revision > before) {
                let _ = told.send(Became { at: None, support_request: id.clone(), case: Arc::clone(case) });
            }
        }
        self.begun.store(seq.0, Ordering::SeqCst);
        // One step for each support request: whoever still reads finds it as it was before or as it is now, and no part.
        for (shard, cases) in self.shards.iter().zip(snapshot.shards) {
            let _before = std::mem::replace(&mut *shard.write(), cases);
        }
        self.applied.store(seq.0, Ordering::Release);
    }

    /// Takes in one commit. Each case steps from its state before to its state after at one moment.
    pub(super) fn apply(&self, change: Change) {
        let mut cases: HashMap<SupportRequestId, CaseFacts> = HashMap::new();
        for Write(object) in change.writes {
            match object {
                Object::SupportRequest(request) => {
                    let request = self.shared(request);
                    let before = cases.remove(&request.id).or_else(|| self.case(&request.id).map(|c| c.facts.clone()));
                    let facts = match before {
                        Some(facts) => facts.with_support_request(&request),
                        None => CaseFacts::of(&request),
                    };
                    cases.insert(request.id, facts);
                }
                Object::AccessRequest(request) => {
                    let id = request.support_request.clone();
                    let before = cases.remove(&id).or_else(|| self.case(&id).map(|case| case.facts.clone()));
                    // An access request is never written before its support request.
                    if let Some(facts) = before {
                        cases.insert(id, facts.with_access_request(self.shared_facts(&request)));
                    }
                }
                Object::Tenant(_)
                | Object::Slot(_)
                | Object::RememberedAnswer(_)
                | Object::Receipt(_)
                | Object::Rollout(_) => {}
            }
        }
        // Before anything can be seen of it: whoever finds the picture at rest at one commit, twice, has seen one picture.
        self.begun.store(change.seq.0, Ordering::SeqCst);
        for (id, facts) in cases {
            let case = Arc::new(LiveCase { revision: change.seq, facts });
            if let Some(told) = &self.told {
                // Nobody listens any more when the service stops; the next start tells of it.
                let _ = told.send(Became { at: Some(change.at), support_request: id.clone(), case: Arc::clone(&case) });
            }
            self.put(id, case);
        }
        self.applied.store(change.seq.0, Ordering::Release);
    }

    fn case(&self, id: &SupportRequestId) -> Option<Arc<LiveCase>> {
        self.shard(id.as_str())?.read().get(id).cloned()
    }

    fn put(&self, id: SupportRequestId, case: Arc<LiveCase>) {
        if let Some(shard) = self.shard(id.as_str()) {
            shard.write().insert(id, case);
        }
    }

    fn shard(&self, id: &str) -> Option<&Shard> {
        self.shards.get(self.place(id))
    }

    fn place(&self, id: &str) -> usize {
        // The map inside hashes with its own keys: these bits say nothing about its buckets.
        let hash = self.hasher.hash_one(id);
        usize::try_from(hash >> 32).unwrap_or(0) % SHARDS
    }

    fn shared(&self, mut request: SupportRequest) -> SupportRequest {
        let mut known = self.known.lock();
        request.tenant = known.tenant(request.tenant);
        request.assignee = request.assignee.map(|person| known.person(person));
        request
    }

    fn shared_facts(&self, request: &AccessRequest) -> AccessFacts {
        let facts = AccessFacts::of(request);
        let resource_tenant = self.known.lock().tenant(facts.resource_tenant);
        AccessFacts { resource_tenant, ..facts }
    }
}

#[cfg(test)]
impl Replica {
    /// Takes a change in as the follower would, for tests of those who read.
    pub(crate) fn follow_by_hand(&self, change: Change) {
        self.follow_by_hand_until(change, BootTime::NEVER);
    }

    /// The same, where the store grants leases.
    pub(crate) fn follow_by_hand_until(&self, change: Change, until: BootTime) {
        self.apply(change);
        self.use_until(Some(until));
    }
}

/// A snapshot while it is being taken in. Nobody reads it before all of it is there.
#[derive(Debug)]
pub(super) struct Snapshot<'a> {
    replica: &'a Replica,
    shards: Vec<Cases>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn of(replica: &'a Replica) -> Self {
        Self { replica, shards: (0..SHARDS).map(|_| Cases::default()).collect() }
    }

    /// Takes in one object. An access request may come before its support request: it is given back then.
    pub(super) fn load(&mut self, item: SnapshotItem) -> Option<SnapshotItem> {
        let SnapshotItem { seq, object } = item;
        match object {
            Object::SupportRequest(request) => {
                let facts = CaseFacts::of(&self.replica.shared(request.clone()));
                let place = self.replica.place(request.id.as_str());
                if let Some(shard) = self.shards.get_mut(place) {
                    shard.insert(request.id, Arc::new(LiveCase { revision: seq, facts }));
                }
                None
            }
            Object::AccessRequest(request) => {
                let place = self.replica.place(request.support_request.as_str());
                let shard = self.shards.get_mut(place);
                let Some(case) = shard.and_then(|shard| shard.get_mut(&request.support_request)) else {
                    return Some(SnapshotItem { seq, object: Object::AccessRequest(request) });
                };
                let facts = case.facts.with_access_request(self.replica.shared_facts(&request));
                *case = Arc::new(LiveCase { revision: case.revision.max(seq), facts });
                None
            }
            Object::Tenant(_)
            | Object::Slot(_)
            | Object::RememberedAnswer(_)
            | Object::Receipt(_)
            | Object::Rollout(_) => None,
        }
    }
}

impl Known {
    fn tenant(&mut self, id: TenantId) -> TenantId {
        if let Some(known) = self.tenants.get(&id) {
            return known.clone();
        }
        self.tenants.insert(id.clone());
        id
    }

    fn person(&mut self, id: PersonId) -> PersonId {
        if let Some(known) = self.people.get(&id) {
            return known.clone();
        }
        self.people.insert(id.clone());
        id
    }
}

#[cfg(test)]
mod tests;
