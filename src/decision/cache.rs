//! The cache of answers: exact (G2), bounded, and never chased.
//!
//! An answer is used only for the same question, the same state of the facts, the same policies, and before the next
//! moment at which the clock could change it. All of that is compared at each hit.

use std::cell::RefCell;
use std::sync::Arc;

use moka::sync::Cache;

use super::answer::Answer;
use super::question::ReadQuestion;
use crate::model::Timestamp;
use crate::policy::Bundle;
use crate::store::Seq;

#[derive(Debug)]
pub(super) struct AnswerCache {
    answers: Cache<Box<[u8]>, Arc<Answer>, ahash::RandomState>,
}

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AnswerCache {
    pub(super) fn new(capacity: u64) -> Self {
        let answers = Cache::builder().max_capacity(capacity).build_with_hasher(ahash::RandomState::new());
        Self { answers }
    }

    pub(super) fn get(
        &self,
        question: &ReadQuestion<'_>,
        facts: Seq,
        bundle: &Arc<Bundle>,
        now: Timestamp,
    ) -> Option<Arc<Answer>> {
        let found = KEY.with_borrow_mut(|key| {
            question.write_key(key);
            self.answers.get(key.as_slice())
        });
        let holds = |answer: &Arc<Answer>| {
            answer.facts_revision == facts
                && Arc::ptr_eq(&answer.bundle, bundle)
                && answer.evaluated_at <= now
                && now < answer.unchanged_until
        };
        found.filter(holds)
    }

    pub(super) fn put(&self, question: &ReadQuestion<'_>, answer: Arc<Answer>) {
        KEY.with_borrow_mut(|key| {
            question.write_key(key);
            self.answers.insert(key.as_slice().into(), answer);
        });
    }
}
