//! The cache of answers: exact (G2), bounded, and never chased.
//!
//! An answer is used only for the same question, the same state of the facts, the same policies, and before the next
//! moment at which the clock could change it. All of that is compared at each hit.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use super::answer::Answer;
use super::question::ReadQuestion;
use crate::model::Timestamp;
use crate::policy::Bundle;
use crate::store::Seq;

/// How the cache does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Answers kept now, nearly.
    pub entries: u64,
    /// Questions for which nothing could be used.
    pub misses: u64,
}

#[derive(Debug)]
pub(super) struct AnswerCache {
    answers: Cache<Box<[u8]>, Arc<Answer>, ahash::RandomState>,
    misses: AtomicU64,
}

thread_local! {
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AnswerCache {
    pub(super) fn new(capacity: u64) -> Self {
        let answers = Cache::builder().max_capacity(capacity).build_with_hasher(ahash::RandomState::new());
        Self { answers, misses: AtomicU64::new(0) }
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
        let hit = found.filter(holds);
        if hit.is_none() {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        hit
    }

    pub(super) fn put(&self, question: &ReadQuestion<'_>, answer: Arc<Answer>) {
        KEY.with_borrow_mut(|key| {
            question.write_key(key);
            self.answers.insert(key.as_slice().into(), answer);
        });
    }

    pub(super) fn stats(&self) -> CacheStats {
        CacheStats { entries: self.answers.entry_count(), misses: self.misses.load(Ordering::Relaxed) }
    }
}
