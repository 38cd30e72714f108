//! The cache of answers: exact (G2), bounded, and never chased.
//!
//! An answer is used only for the same question, the same state of the facts, the same policies, and before the next
//! moment at which the clock could change it. All of that is compared at each hit.

use std::cell::RefCell;
use std::sync::Arc;

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::answer::Answer;
use super::question::ReadQuestion;
use crate::model::Timestamp;
use crate::policy::Bundle;
use crate::store::Seq;

type Answers = Cache<Box<[u8]>, Arc<Answer>, UnitWeighter, ahash::RandomState>;

#[derive(Debug)]
pub(super) struct AnswerCache {
    /// None: nothing is kept.
    answers: Option<Answers>,
}

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AnswerCache {
    pub(super) fn new(capacity: u64) -> Self {
        let items = usize::try_from(capacity).unwrap_or(usize::MAX);
        let answers = (capacity > 0).then(|| {
            Cache::with(items, capacity, UnitWeighter, ahash::RandomState::new(), DefaultLifecycle::default())
        });
        Self { answers }
    }

    pub(super) fn get(
        &self,
        question: &ReadQuestion<'_>,
        facts: Seq,
        bundle: &Bundle,
        now: Timestamp,
    ) -> Option<Arc<Answer>> {
        let answers = self.answers.as_ref()?;
        let found = KEY.with_borrow_mut(|key| {
            question.write_key(key);
            answers.get(key.as_slice())
        });
        let holds = |answer: &Arc<Answer>| {
            answer.facts_revision == facts
                && answer.policy_serial == bundle.serial()
                && answer.evaluated_at <= now
                && now < answer.unchanged_until
        };
        found.filter(holds)
    }

    pub(super) fn put(&self, question: &ReadQuestion<'_>, answer: Arc<Answer>) {
        let Some(answers) = &self.answers else { return };
        KEY.with_borrow_mut(|key| {
            question.write_key(key);
            answers.insert(key.as_slice().into(), answer);
        });
    }
}
