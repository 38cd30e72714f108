//! Commands from people and systems: authorize, decide, commit, wait until it is in force.
//!
//! What lives here: what each caller can do and see outside the read decision. What does not: rules (they are policies),
//! the lives of consents (the model's), and how calls arrive. Every command is the same story, told in `change.rs`.

mod absent;
mod barrier;
mod bell;
mod change;
mod commands;
mod deciders;
mod error;
mod explanation;
mod judge;
mod known;
mod may;
mod receipts;
mod rollouts;
mod views;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Semaphore;

use self::bell::Bell;
use crate::audit::{DecisionIds, DecisionLog};
use crate::clock::Clock;
use crate::decision::Shadow;
use crate::policy::Policies;
use crate::signing::Signer;
use crate::store::Store;

pub use change::{Answered, Once, Render, Rendered};
pub use commands::{ConsentCommand, NewRequest, Precise, SupportRequestCommand};
pub use error::{Denied, WorkflowError};
pub use explanation::{FactsUsed, ReadExplanation, ToldTo};
pub use judge::{Judge, Judgement};
pub use may::{MayQuestion, Subject, Target};
pub use views::{ConsentList, ConsentView, Page, SeenConsent};

/// The workflow's parts.
#[derive(Debug)]
pub struct Workflow {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    judge: Judge,
    /// Room for those who search the decision log: each reads a part of it.
    searches: Arc<Semaphore>,
    bell: Bell,
    /// Every commit up to here that took access away is in force everywhere, as this process has seen it itself.
    in_force_up_to: AtomicU64,
    /// Signs receipts of approvals; none: none are made.
    receipts: Option<Arc<dyn Signer>>,
}

impl Workflow {
    /// A workflow on this store, judged by these policies and recorded in this log.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        policies: Arc<Policies>,
        clock: Arc<dyn Clock>,
        log: Arc<DecisionLog>,
        ids: Arc<DecisionIds>,
    ) -> Self {
        let judge = Judge::new(policies, Arc::clone(&clock), log, ids);
        let searches = Arc::new(Semaphore::new(explanation::SEARCHES_AT_ONCE));
        Self { store, clock, judge, searches, bell: Bell::hang(), in_force_up_to: AtomicU64::new(0), receipts: None }
    }

    /// The same, with a bundle that is asked beside the one in force.
    #[must_use]
    pub fn beside(self, shadow: Option<Arc<Shadow>>) -> Self {
        Self { judge: self.judge.beside(shadow), ..self }
    }

    /// The same, with a receipt of each approval, signed by this key.
    #[must_use]
    pub fn with_receipts(self, receipts: Option<Arc<dyn Signer>>) -> Self {
        Self { receipts, ..self }
    }

    /// The store's health, for readiness.
    ///
    /// # Errors
    /// Why the store cannot be used.
    pub fn store_health(&self) -> Result<(), String> {
        self.store.health()
    }

    /// Forgets the answers kept for retries that are older than a day. Returns how many.
    ///
    /// # Errors
    /// [`WorkflowError::Unavailable`] when the store cannot be written.
    pub async fn forget_old_answers(&self) -> Result<u64, WorkflowError> {
        const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
        Ok(self.store.forget_answers(self.clock.now().plus_millis(-KEPT_MS)).await?)
    }
}
