//! One change, the same story for every command: load, judge, decide, commit, wait until it is in force.

use std::time::{Duration, Instant};

use super::Workflow;
use super::absent::at_one_time;
use super::commands::{Wish, check_version};
use super::error::WorkflowError;
use crate::identity::{Caller, CallerKind};
use crate::model::{Actor, Outcome, Timestamp, activities, announcements, decide};
use crate::store::{
    CaseRef, Commit, CommitError, Committed, Key, Object, Precondition, RememberedAnswer, Seq, Slot, StoredCase, Write,
};

/// How often a change is decided anew because somebody else was first, before the caller is asked to retry.
pub(super) const ATTEMPTS: usize = 16;

/// How often a commit with an unknown outcome is asked about again.
const UNKNOWN_ATTEMPTS: usize = 3;

/// How long to wait for a member without a lease to put a change in force.
const IN_FORCE_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer to a caller, rendered by the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to the answer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// How an edge renders what came of a command.
pub type Render<'a> = &'a (dyn Fn(&Outcome) -> Rendered + Send + Sync);

/// An idempotency key with its request: the same request under the same key is carried out once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Unique to the caller.
    pub caller_and_key: String,
    /// A digest of method, path and body.
    pub request_digest: String,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub rendered: Rendered,
    /// It was given before: nothing was changed now.
    pub replayed: bool,
}

/// A wish to change one case.
pub(super) struct Change<'a> {
    pub(super) case: CaseRef,
    pub(super) caller: &'a Caller,
    pub(super) wish: Wish<'a>,
    /// Only if what is changed has one of these versions.
    pub(super) if_match: Option<&'a [u32]>,
    pub(super) once: Option<&'a Once>,
    pub(super) render: Render<'a>,
}

impl Workflow {
    /// Carries a wish out, once under its idempotency key.
    pub(super) async fn change(&self, change: Change<'_>) -> Result<Answered, WorkflowError> {
        at_one_time(&self.bell, Instant::now(), self.change_now(change), |_| false).await
    }

    async fn change_now(&self, change: Change<'_>) -> Result<Answered, WorkflowError> {
        let tried = self.carry_out(&change).await;
        let tells_of_an_end = match &tried {
            Err(WorkflowError::Refused(refusal)) => refusal.tells_of_an_end(),
            Err(WorkflowError::Outdated { .. }) => true,
            Ok(_) | Err(_) => return tried,
        };
        // The same call may have been carried out after this one had looked for its key: then it is what was in the way.
        if let Some(once) = change.once
            && let Some(answered) = self.remembered(once).await?
        {
            return Ok(answered);
        }
        // What is in the way may be another authority's change that still waits for a member. Whoever is told that access
        // has ended may believe it. Each such refusal waits, whatever was in its way: how long must not tell what that was.
        if tells_of_an_end && self.store.wait_out().is_some() {
            self.everything_in_force().await?;
        }
        tried
    }

    /// The wish is judged on the case as it is now, each time that somebody else was first.
    async fn carry_out(&self, change: &Change<'_>) -> Result<Answered, WorkflowError> {
        for _ in 0..ATTEMPTS {
            self.admitted(change.caller, &change.wish).await?;
            let stored = self.store.case(change.case.clone()).await?;
            let case = stored.as_ref().map(|stored| &stored.case);
            let judged = self.judged(change.caller, &change.wish, case).await?;
            // Only who may do it now is given the answer of the time it was done; and only then does the version count,
            // which the first try has changed.
            if let Some(once) = change.once
                && let Some(answered) = self.remembered(once).await?
            {
                return Ok(answered);
            }
            check_version(change.if_match, judged.version)?;
            let at = self.clock.now();
            let actor = actor(change.caller);
            let mut outcome = decide(case, &judged.command, &actor, at)?;
            let receipts = self.receipts_of(&mut outcome, &judged)?;
            let rendered = (change.render)(&outcome);
            // Also where nothing changes: what the caller is told of may be somebody else's change that is not yet in
            // force, and a commit without it is waited for all the same (G1).
            let mut commit = commit_of(stored.as_ref(), &outcome, &actor, at);
            commit.writes.extend(receipts);
            self.take_slot(&outcome, &mut commit).await?;
            if let Some(once) = change.once {
                remember(once, &rendered, at, &mut commit);
            }
            if self.committed(commit).await? {
                return Ok(Answered { rendered, replayed: false });
            }
        }
        Err(WorkflowError::Busy)
    }

    /// The answer given before under this key, once what it told of is in force: a call that was interrupted while it
    /// waited is retried and waits again in full (G1).
    pub(super) async fn remembered(&self, once: &Once) -> Result<Option<Answered>, WorkflowError> {
        let Some((seq, value)) = self.store.remembered_answer(once.caller_and_key.clone()).await? else {
            return Ok(None);
        };
        if value.request_digest != once.request_digest {
            return Err(WorkflowError::KeyReused);
        }
        self.in_force_again(seq).await?;
        let rendered = Rendered { status: value.status, headers: value.headers, body: value.body };
        Ok(Some(Answered { rendered, replayed: true }))
    }

    /// What was committed before is in force. Where members have leases the list of them is read with a commit of its own:
    /// one that was read otherwise could lack somebody.
    async fn in_force_again(&self, seq: Seq) -> Result<(), WorkflowError> {
        if self.store.wait_out().is_none() {
            let members = self.store.watch_members().borrow().clone();
            return self.in_force(&Committed { seq, members }).await;
        }
        if self.is_in_force(seq) { Ok(()) } else { self.everything_in_force().await }
    }

    /// Whatever was committed before this call is in force everywhere.
    async fn everything_in_force(&self) -> Result<(), WorkflowError> {
        let nothing = Commit {
            txn_id: txn_id(),
            at: self.clock.now(),
            preconditions: Vec::new(),
            writes: Vec::new(),
            activities: Vec::new(),
            announcements: Vec::new(),
            takes_away: true,
        };
        if self.committed(nothing).await? { Ok(()) } else { Err(WorkflowError::Unconfirmed) }
    }

    /// Commits, and returns once the change is in force; `false`: somebody else was first, and nothing was written.
    pub(super) async fn committed(&self, commit: Commit) -> Result<bool, WorkflowError> {
        let takes_away = commit.takes_away;
        match self.commit(commit).await {
            Ok(committed) => {
                let answered_at = self.clock.boot();
                match self.store.wait_out().filter(|_| takes_away) {
                    Some(wait_out) => self.taken_away(&committed, answered_at, wait_out).await?,
                    None => self.in_force(&committed).await?,
                }
                Ok(true)
            }
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Unavailable(cause)) => Err(WorkflowError::Unavailable(cause)),
            Err(CommitError::Unknown(cause)) => {
                tracing::error!(cause, "a commit's outcome is unknown");
                Err(WorkflowError::Unconfirmed)
            }
        }
    }

    /// Commits, asking again while the outcome is unknown. A store that cannot be asked leaves it unknown: only an
    /// outcome of the first try can say that nothing was written.
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let mut outcome = self.store.commit(commit.clone()).await;
        for _ in 0..UNKNOWN_ATTEMPTS {
            let Err(CommitError::Unknown(cause)) = outcome else { break };
            outcome = match self.store.commit(commit.clone()).await {
                Err(CommitError::Unavailable(_)) => Err(CommitError::Unknown(cause)),
                known => known,
            };
        }
        outcome
    }

    /// Waits until every member that there was at the commit decides by it, or is gone: where nothing is taken away, or
    /// nobody decides but this process (G1).
    async fn in_force(&self, committed: &Committed) -> Result<(), WorkflowError> {
        let mut members = self.store.watch_members();
        let everywhere = members.wait_for(|members| {
            committed.members.iter().all(|needed| {
                members.iter().find(|member| member.id == needed.id).is_none_or(|now| now.applied >= committed.seq)
            })
        });
        match tokio::time::timeout(IN_FORCE_TIMEOUT, everywhere).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WorkflowError::Unconfirmed),
        }
    }

    /// A created access request takes the place of the one before it; of two created at once one gets it (R10).
    async fn take_slot(&self, outcome: &Outcome, commit: &mut Commit) -> Result<(), WorkflowError> {
        let Some(request) = outcome.created() else { return Ok(()) };
        let slot = self.store.slot(request.support_request.clone(), request.resource_tenant.clone()).await?;
        let taken = Slot {
            support_request: request.support_request.clone(),
            resource_tenant: request.resource_tenant.clone(),
            access_request: request.id.clone(),
        };
        let object = Object::Slot(taken);
        commit.preconditions.push(Precondition { key: object.key(), revision: slot.map(|slot| slot.revision) });
        commit.writes.push(Write(object));
        Ok(())
    }
}

/// Who acts, as records and audit logs name them.
pub(super) fn actor(caller: &Caller) -> Actor {
    match caller.kind() {
        CallerKind::Person(person) => Actor::Person(person.clone()),
        CallerKind::Service { .. } | CallerKind::UnixSocket | CallerKind::InsecureLoopback => {
            Actor::Service(caller.to_string())
        }
    }
}

/// A new transaction id: made once per decision, so that a retry of the same commit is known.
pub(super) fn txn_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Every object that was read must be as it was read; every object that changed is written.
fn commit_of(stored: Option<&StoredCase>, outcome: &Outcome, actor: &Actor, at: Timestamp) -> Commit {
    let case = &outcome.case;
    let mut preconditions = Vec::new();
    let mut writes = Vec::new();
    let support_request = Object::SupportRequest(case.support_request.clone());
    preconditions.push(Precondition {
        key: support_request.key(),
        revision: stored.map(|stored| stored.support_request_revision),
    });
    // A new access request writes its support request too, although nothing in it changes: whoever decides at the same
    // moment on the case without that request (another creation, R10; the closing that would end it, R14) decides anew.
    let known = stored.map_or(0, |stored| stored.case.access_requests.len());
    let grown = case.access_requests.len() > known;
    if grown || stored.is_none_or(|stored| stored.case.support_request != case.support_request) {
        writes.push(Write(support_request));
    }
    for request in &case.access_requests {
        let before = stored.and_then(|stored| {
            let requests = stored.case.access_requests.iter().zip(&stored.access_request_revisions);
            requests.into_iter().find(|(before, _)| before.id == request.id)
        });
        let revision = before.map(|(_, revision)| *revision);
        preconditions.push(Precondition { key: Key::AccessRequest(request.id.clone()), revision });
        if before.is_none_or(|(before, _)| before != request) {
            writes.push(Write(Object::AccessRequest(request.clone())));
        }
    }
    let activities = activities(outcome, actor, at);
    let announcements = announcements(outcome);
    // Where nothing changes, the caller is told of somebody else's change, and that may take access away.
    let takes_away = outcome.events.is_empty() || outcome.takes_access_away();
    Commit { txn_id: txn_id(), at, preconditions, writes, activities, announcements, takes_away }
}

pub(super) fn remember(once: &Once, rendered: &Rendered, at: Timestamp, commit: &mut Commit) {
    let answer = Object::RememberedAnswer(RememberedAnswer {
        caller_and_key: once.caller_and_key.clone(),
        request_digest: once.request_digest.clone(),
        status: rendered.status,
        headers: rendered.headers.clone(),
        body: rendered.body.clone(),
        at,
    });
    commit.preconditions.push(Precondition { key: answer.key(), revision: None });
    commit.writes.push(Write(answer));
}
