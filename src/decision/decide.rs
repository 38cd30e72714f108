//! One decision, from question to answer.

use std::sync::Arc;

use super::answer::{Answer, context_tail, is_told_alone, policies_of, reason_of};
use super::cache::AnswerCache;
use super::question::ReadQuestion;
use super::record::record_tail;
use crate::audit::{DecisionId, DecisionIds};
use crate::clock::Clock;
use crate::model::{AccessFacts, CaseFacts, Timestamp};
use crate::policy::{Bundle, Policies, Verdict};
use crate::replica::{LiveCase, NotFresh, Replica};
use crate::store::Seq;

/// Decides reads.
#[derive(Debug)]
pub struct Decisions {
    policies: Arc<Policies>,
    replica: Arc<Replica>,
    clock: Arc<dyn Clock>,
    cache: AnswerCache,
    ids: Arc<DecisionIds>,
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
    keep: bool,
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
        Self { policies, replica, clock, cache: AnswerCache::new(cache_capacity), ids }
    }

    /// Answers a question (R1-R9).
    ///
    /// # Errors
    /// [`Undecided`] when the facts may be out of date.
    pub fn decide(&self, question: &ReadQuestion<'_>) -> Result<Decided, Undecided> {
        let bundle = self.policies.current();
        let facts = self.facts(question)?;
        let revision = facts.as_ref().map_or(Seq(0), |facts| facts.revision);
        let now = self.clock.now();
        let id = self.ids.next();
        if let Some(answer) = self.cache.get(question, revision, &bundle, now) {
            return Ok(Decided { id, answer, cached: true, at: now, facts: None, keep: false });
        }
        let (answer, keep) = evaluate(&bundle, question, facts.as_deref(), now, &id);
        Ok(Decided { id, answer: Arc::new(answer), cached: false, at: now, facts, keep })
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
        let answer = &decided.answer;
        let revision = self.facts(question).map(|facts| facts.map_or(Seq(0), |facts| facts.revision));
        revision == Ok(answer.facts_revision)
            && Arc::ptr_eq(&self.policies.current(), &answer.bundle)
            && self.clock.now() < answer.unchanged_until
    }

    fn facts(&self, question: &ReadQuestion<'_>) -> Result<Option<Arc<LiveCase>>, Undecided> {
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
    bundle: &Arc<Bundle>,
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
        policies,
        bundle: Arc::clone(bundle),
        facts_revision: revision,
        access_request: used.map(|used| used.id.clone()),
        consents: used.into_iter().flat_map(AccessFacts::consents).map(|consent| consent.id.clone()).collect(),
        evaluated_at: now,
        unchanged_until: access_request.map_or(Timestamp::LATEST, |request| request.unchanged_until(now)),
        is_read,
        evaluation: id.to_string(),
        record_tail: Box::default(),
    };
    let determining: Vec<&str> = verdict.determining(bundle).map(|policy| policy.id.as_str()).collect();
    answer.record_tail = record_tail(question, &answer, &determining);
    (answer, cacheable && verdict.failed.is_empty())
}
