//! One decision, from question to answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::answer::{Answer, context_tail, cure_of, is_told_alone, policies_of, reason_of};
use super::cache::AnswerCache;
use super::question::ReadQuestion;
use super::record::record_tail;
use super::shadow::Shadow;
use crate::audit::{DecisionId, DecisionIds};
use crate::clock::{BootTime, Clock};
use crate::model::{AccessFacts, CaseFacts, TenantId, Timestamp};
use crate::policy::{Bundle, Policies, Verdict};
use crate::replica::{Fresh, LiveCase, NotFresh, Replica};
use crate::store::Seq;

/// Decides reads.
#[derive(Debug)]
pub struct Decisions {
    policies: Arc<Policies>,
    replica: Arc<Replica>,
    clock: Arc<dyn Clock>,
    cache: AnswerCache,
    ids: Arc<DecisionIds>,
    shadow: Option<Arc<Shadow>>,
    strictness: Strictness,
    allowed: AtomicU64,
    denied: AtomicU64,
    remembered: AtomicU64,
}

/// What a member of a fleet needs before it allows anything (G1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strictness {
    /// A lease that has not run out by the machine's clock.
    #[default]
    Lease,
    /// Also a renewal that was sent after the question came: then a machine whose clock stood still without its knowing
    /// allows nothing by a lease that is over.
    Renewal,
}

/// Until when an answer may be used, as whoever asked is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Validity {
    /// The moment, by the time of day.
    #[serde(rename = "valid_until", serialize_with = "as_text")]
    pub until: Timestamp,
    /// How far it is ahead, in whole milliseconds: for whoever has another time of day.
    #[serde(rename = "valid_for_ms")]
    pub for_ms: u64,
}

/// As whoever asks reads times: RFC 3339.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// How many decisions were made since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionCounts {
    /// Allowed.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Of both, those whose answer was remembered.
    pub remembered: u64,
}

/// A decision: an answer, given to one asking.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Its id.
    pub id: DecisionId,
    /// The answer.
    pub answer: Arc<Answer>,
    /// Whether the answer was remembered rather than found by asking the policies.
    pub cached: bool,
    /// When.
    pub at: Timestamp,
    /// The facts it was found on; none for a remembered one, and where there is no such support request.
    pub facts: Option<Arc<LiveCase>>,
    /// When the lease ends under which its facts were read: it allows nothing from then on. None: there is no lease.
    pub valid_until: Option<BootTime>,
    keep: bool,
    /// The commit at which the whole picture was at rest before its facts were looked up.
    at_rest: Option<Seq>,
}

/// Why there is no decision. Nobody may take this for an allow (G4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The facts may be out of date.
    #[error(transparent)]
    NotFresh(#[from] NotFresh),
}

impl Decisions {
    /// Decides by these policies on this replica's facts, remembering at most `cache_capacity` answers.
    #[must_use]
    pub fn new(
        policies: Arc<Policies>,
        replica: Arc<Replica>,
        clock: Arc<dyn Clock>,
        ids: Arc<DecisionIds>,
        cache_capacity: u64,
    ) -> Self {
        Self {
            policies,
            replica,
            clock,
            cache: AnswerCache::new(cache_capacity),
            ids,
            shadow: None,
            strictness: Strictness::default(),
            allowed: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            remembered: AtomicU64::new(0),
        }
    }

    /// The same, with a bundle that is asked beside the one in force.
    #[must_use]
    pub fn beside(self, shadow: Option<Arc<Shadow>>) -> Self {
        Self { shadow, ..self }
    }

    /// The same, with this needed before anything is allowed.
    #[must_use]
    pub fn needing(self, strictness: Strictness) -> Self {
        Self { strictness, ..self }
    }

    /// What is needed before a question is decided: whoever asks sees to it.
    #[must_use]
    pub const fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// The bundle that is asked beside the one in force, if there is one.
    #[must_use]
    pub fn shadow(&self) -> Option<&Arc<Shadow>> {
        self.shadow.as_ref()
    }

    /// How many decisions were made since the start.
    #[must_use]
    pub fn counts(&self) -> DecisionCounts {
        DecisionCounts {
            allowed: self.allowed.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
            remembered: self.remembered.load(Ordering::Relaxed),
        }
    }

    /// Answers a question (R1-R9).
    ///
    /// # Errors
    /// [`Undecided`] when the facts may be out of date.
    pub fn decide(&self, question: &ReadQuestion<'_>) -> Result<Decided, Undecided> {
        let bundle = self.policies.current();
        let at_rest = self.replica.at_rest();
        // The deadline before the facts: what is read after it is no older than what the lease vouches for.
        let fresh = self.replica.fresh()?;
        let facts = question.support_request.and_then(|id| self.replica.facts_under(fresh, id));
        let revision = facts.as_ref().map_or(Seq(0), |facts| facts.revision);
        let now = self.clock.now();
        let id = self.ids.next();
        let remembered = self.cache.get(question, revision, &bundle, now);
        let cached = remembered.is_some();
        let (answer, keep) = if let Some(answer) = remembered {
            (answer, false)
        } else {
            let (answer, keep) = evaluate(&bundle, question, facts.as_deref(), now, &id);
            (Arc::new(answer), keep)
        };
        self.count(answer.allowed, cached);
        if let Some(shadow) = &self.shadow {
            shadow.hand(id, now, question, facts.as_ref(), &answer);
        }
        let (facts, valid_until) = (facts.filter(|_| !cached), fresh.valid_until());
        Ok(Decided { id, answer, cached, at: now, facts, valid_until, keep, at_rest })
    }

    fn count(&self, allowed: bool, cached: bool) {
        let answers = if allowed { &self.allowed } else { &self.denied };
        answers.fetch_add(1, Ordering::Relaxed);
        if cached {
            self.remembered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Keeps the answer for the next one who asks the same. To be called once its record is in the log: the record of
    /// a remembered answer names the evaluation, and that one must be there to be read.
    pub fn remember(&self, question: &ReadQuestion<'_>, decided: &Decided) {
        if decided.keep {
            self.cache.put(question, Arc::clone(&decided.answer));
        }
    }

    /// Whether everything that a decision rests on is still so: the facts, the policies, and every end time ahead. An
    /// allow is sent only while it is, so that none leaves after a revocation that was acknowledged while the allow was
    /// being recorded (G1), and so that facts and policies which were never in force together allow nothing (G6).
    #[must_use]
    pub fn still_holds(&self, question: &ReadQuestion<'_>, decided: &Decided) -> bool {
        let revision = self.facts(question).map(|facts| facts.map_or(Seq(0), |facts| facts.revision));
        revision == Ok(decided.answer.facts_revision) && self.rests_hold(decided)
    }

    /// The same without a look at the facts, where there is nothing to keep: true only if no commit has touched anything
    /// since before they were looked up. False says nothing.
    #[must_use]
    pub fn plainly_holds(&self, decided: &Decided) -> bool {
        let untouched = || decided.at_rest.is_some() && decided.at_rest == self.replica.at_rest();
        !decided.keep && (!decided.answer.allowed || (untouched() && self.rests_hold(decided)))
    }

    /// Whether the policies are those that were asked, every end time lies ahead, and the lease has not run out.
    fn rests_hold(&self, decided: &Decided) -> bool {
        let answer = &decided.answer;
        self.policies.current().serial() == answer.policy_serial
            && self.clock.now() < answer.unchanged_until
            && self.is_in_time(decided.valid_until)
    }

    /// Whether what was read under a lease that ends then may be used.
    pub(super) fn is_in_time(&self, valid_until: Option<BootTime>) -> bool {
        valid_until.is_none_or(|until| self.replica.is_before(until))
    }

    /// Until when an answer may be used that was found under a lease.
    #[must_use]
    pub fn validity(&self, valid_until: Option<BootTime>) -> Option<Validity> {
        // The time of day first: a pause between the two makes the moment earlier.
        let now = self.clock.now();
        let left = valid_until?.since(self.clock.boot());
        let for_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Some(Validity { until: now.plus_millis(i64::try_from(for_ms).unwrap_or(i64::MAX)), for_ms })
    }

    pub(super) fn fresh(&self) -> Result<Fresh, Undecided> {
        Ok(self.replica.fresh()?)
    }

    pub(super) fn policies(&self) -> &Policies {
        &self.policies
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn next_id(&self) -> DecisionId {
        self.ids.next()
    }

    /// The facts that a question is decided on now; none: there is no such support request.
    ///
    /// # Errors
    /// [`Undecided`] when they may be out of date.
    pub fn facts(&self, question: &ReadQuestion<'_>) -> Result<Option<Arc<LiveCase>>, Undecided> {
        if let Some(id) = question.support_request {
            return Ok(self.replica.facts(id)?);
        }
        self.replica.fresh()?;
        Ok(None)
    }
}

/// Asks the policies. The flag tells whether the answer may be kept: errors are not, nor what depends on the clock in a
/// way that cannot be bounded (G2).
fn evaluate(
    bundle: &Bundle,
    question: &ReadQuestion<'_>,
    facts: Option<&LiveCase>,
    now: Timestamp,
    id: &DecisionId,
) -> (Answer, bool) {
    let case: Option<&CaseFacts> = facts.map(|facts| &facts.facts);
    let access_request = case.and_then(|case| case.access_request_for(question.tenant));
    let (verdict, cacheable, is_read) = match question.to_policies(bundle, case, now) {
        Some(asked) => (bundle.evaluate(&asked), bundle.is_cacheable(&asked), bundle.is_read(asked.action)),
        // A verb that the schema does not know: no policy can speak of it (R1).
        None => (Verdict::default(), true, false),
    };
    let revision = facts.map_or(Seq(0), |facts| facts.revision);
    let reason = reason_of(bundle, &verdict);
    let policies = policies_of(bundle, &verdict);
    // Where no policy decided, as for a verb that none speaks of, none has looked whose support request it is (R20).
    let told_revision = (!policies.is_empty() && !is_told_alone(bundle, &verdict)).then_some(revision);
    let used = access_request.filter(|_| verdict.allowed);
    let mut answer = Answer {
        allowed: verdict.allowed,
        context_tail: context_tail(&reason, &policies, bundle, told_revision),
        reason,
        cure: cure_of(bundle, &verdict, access_request, now),
        policies,
        policy_serial: bundle.serial(),
        policy_version: bundle.version().clone(),
        facts_revision: revision,
        access_request: used.map(|used| used.id.clone()),
        consents: used.into_iter().flat_map(AccessFacts::consents).map(|consent| consent.id.clone()).collect(),
        receipts: used.into_iter().flat_map(AccessFacts::consents).map(|consent| consent.receipt.clone()).collect(),
        evaluated_at: now,
        unchanged_until: access_request.map_or(Timestamp::LATEST, |request| request.unchanged_until(now)),
        is_read,
        read_of: TenantId::new(question.tenant).ok().filter(|_| verdict.allowed && is_read),
        evaluation: id.to_string(),
        record_tail: Box::default(),
    };
    let determining: Vec<&str> = verdict.determining(bundle).map(|policy| policy.id.as_str()).collect();
    answer.record_tail = record_tail(question, &answer, &determining);
    (answer, cacheable && verdict.failed.is_empty())
}
