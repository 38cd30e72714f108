//! The picture itself: many readers, one writer, no reader ever waits for more than one insertion.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc::UnboundedSender;

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
    /// The store cannot be followed.
    #[error("the facts may be out of date: {0}")]
    Lost(String),
}

impl NotFresh {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bootstrapping => "bootstrapping",
            Self::Lost(_) => "replica_behind",
        }
    }
}

/// What a commit made of a support request's facts.
#[derive(Debug, Clone)]
pub struct Became {
    /// When the commit was decided.
    pub at: Timestamp,
    /// The support request.
    pub support_request: SupportRequestId,
    /// Its facts since then.
    pub case: Arc<LiveCase>,
}

const SHARDS: usize = 64;

type Shard = RwLock<HashMap<SupportRequestId, Arc<LiveCase>, ahash::RandomState>>;

/// The picture.
#[derive(Debug)]
pub struct Replica {
    hasher: ahash::RandomState,
    shards: Box<[Shard]>,
    usable: AtomicBool,
    /// The commit that is being taken in, or was last.
    begun: AtomicU64,
    not_fresh: Mutex<NotFresh>,
    applied: AtomicU64,
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

impl Default for Replica {
    fn default() -> Self {
        Self::new()
    }
}

impl Replica {
    /// An empty picture that cannot be used yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: ahash::RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            usable: AtomicBool::new(false),
            not_fresh: Mutex::new(NotFresh::Bootstrapping),
            begun: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            known: Mutex::default(),
            told: None,
        }
    }

    /// The same, which tells of every commit before it is in force. What came with a snapshot is told of by
    /// [`Replica::changed_after`].
    #[must_use]
    pub fn telling(told: UnboundedSender<Became>) -> Self {
        Self { told: Some(told), ..Self::new() }
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
        if !self.usable.load(Ordering::Acquire) {
            return Err(self.not_fresh.lock().clone());
        }
        Ok(self.shard(support_request).and_then(|shard| shard.read().get(support_request).cloned()))
    }

    /// Whether the picture may be used.
    ///
    /// # Errors
    /// [`NotFresh`], with the reason, when it may not.
    pub fn fresh(&self) -> Result<(), NotFresh> {
        if self.usable.load(Ordering::Acquire) { Ok(()) } else { Err(self.not_fresh.lock().clone()) }
    }

    /// The state of the whole picture, while nothing is being taken in.
    #[must_use]
    pub fn at_rest(&self) -> Option<Seq> {
        let begun = self.begun.load(Ordering::SeqCst);
        (self.applied() == Seq(begun) && self.usable.load(Ordering::Acquire)).then_some(Seq(begun))
    }

    /// Every commit up to here is in force for every reader.
    #[must_use]
    pub fn applied(&self) -> Seq {
        Seq(self.applied.load(Ordering::Acquire))
    }

    /// Stops every use of the picture, for this reason.
    pub(super) fn stop(&self, reason: NotFresh) {
        *self.not_fresh.lock() = reason;
        self.usable.store(false, Ordering::Release);
    }

    /// Allows use of the picture: it holds everything up to `applied`.
    pub(super) fn start(&self, applied: Seq) {
        self.begun.store(applied.0, Ordering::SeqCst);
        self.applied.store(applied.0, Ordering::Release);
        self.usable.store(true, Ordering::Release);
    }

    /// Takes in one object of a snapshot. An access request may come before its support request: it is given back then.
    pub(super) fn load(&self, item: SnapshotItem) -> Option<SnapshotItem> {
        let SnapshotItem { seq, object } = item;
        match object {
            Object::SupportRequest(request) => {
                let facts = CaseFacts::of(&self.shared(request.clone()));
                self.put(request.id, Arc::new(LiveCase { revision: seq, facts }));
                None
            }
            Object::AccessRequest(request) => {
                let Some(case) = self.case(&request.support_request) else {
                    return Some(SnapshotItem { seq, object: Object::AccessRequest(request) });
                };
                let id = request.support_request.clone();
                let facts = case.facts.with_access_request(self.shared_facts(&request));
                self.put(id, Arc::new(LiveCase { revision: case.revision.max(seq), facts }));
                None
            }
            Object::Tenant(_)
            | Object::Slot(_)
            | Object::RememberedAnswer(_)
            | Object::Receipt(_)
            | Object::Rollout(_) => None,
        }
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
                let _ = told.send(Became { at: change.at, support_request: id.clone(), case: Arc::clone(&case) });
            }
            self.put(id, case);
        }
        self.applied.store(change.seq.0, Ordering::Release);
    }

    /// Forgets everything, before a new snapshot is taken in.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            shard.write().clear();
        }
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
        // The map inside hashes with its own keys: these bits say nothing about its buckets.
        let hash = self.hasher.hash_one(id);
        self.shards.get(usize::try_from(hash >> 32).unwrap_or(0) % SHARDS)
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
        self.apply(change);
        self.start(self.applied());
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
mod tests {
    use super::*;
    use crate::model::{Consent, Part, SubmittedIn, Timestamp};

    #[test]
    fn what_cannot_be_vouched_for_has_a_word_for_programs() {
        let replica = Replica::new();
        assert_eq!(replica.fresh().map_err(|why| why.code()), Err("bootstrapping"));
        replica.stop(NotFresh::Lost("the store is gone".to_owned()));
        assert_eq!(replica.fresh().map_err(|why| why.code()), Err("replica_behind"));
    }

    #[test]
    fn a_picture_is_used_from_its_start_to_its_stop() {
        let replica = Replica::new();
        let usable = || (replica.fresh().is_ok(), replica.facts("SR-1").is_ok(), replica.at_rest().is_some());
        assert_eq!(usable(), (false, false, false));
        replica.start(Seq(1));
        assert_eq!(usable(), (true, true, true));
        replica.stop(NotFresh::Lost("the store is gone".to_owned()));
        assert_eq!(usable(), (false, false, false));
        replica.start(Seq(2));
        assert_eq!(usable(), (true, true, true));
        replica.begun.store(3, Ordering::SeqCst);
        assert_eq!(usable(), (true, true, false), "a commit is being taken in");
    }

    #[test]
    fn a_case_of_a_snapshot_has_the_revision_of_its_newest_part() {
        let replica = Replica::new();
        let opened = SupportRequest {
            id: "SR-1".parse().unwrap(),
            number: String::new(),
            summary: String::new(),
            tenant: "contoso".parse().unwrap(),
            submitted_in: SubmittedIn::OtherPortal,
            advanced_diagnostic_information: false,
            assignee: None,
            open: true,
            opened_at: Timestamp::from_millis(0),
            closed_at: None,
            version: 1,
        };
        let asked = AccessRequest {
            id: "ar-1".parse().unwrap(),
            support_request: opened.id.clone(),
            resource_tenant: opened.tenant.clone(),
            requested_by: "vendor/ada".parse().unwrap(),
            reason: String::new(),
            created_at: Timestamp::from_millis(0),
            resource_tenant_consent: Consent::pending("co-1".parse().unwrap(), opened.tenant.clone(), Part::Only),
            task: None,
            support_request_tenant_consent: None,
        };
        let revision = || replica.case(&opened.id).map(|case| case.revision);
        let early = replica.load(SnapshotItem { seq: Seq(5), object: Object::AccessRequest(asked) }).unwrap();
        assert_eq!((early.seq, revision()), (Seq(5), None));
        assert!(replica.load(SnapshotItem { seq: Seq(3), object: Object::SupportRequest(opened.clone()) }).is_none());
        assert_eq!(revision(), Some(Seq(3)));
        assert!(replica.load(early).is_none());
        assert_eq!(revision(), Some(Seq(5)));
    }
}
