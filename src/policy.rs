//! All of Cedar: bundle loading and validation, entity slices, evaluation, reasons.
//!
//! What lives here: policies, their schema, the role catalogue, the one function that asks them a question, and the one
//! that looks into an answer. What does not: where facts come from, and what is done with an answer. Of the other rooms
//! the workbench alone names Cedar's types.

mod bundle;
mod conditions;
mod evaluate;
mod guest;
mod index;
mod invariants;
mod named;
mod nesting;
mod package;
mod place;
mod proof;
mod question;
mod roles;
mod slice;
mod source;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

pub use bundle::{Bundle, Effect, PolicyInfo, PolicyVersion};
pub use evaluate::Verdict;
pub use guest::{Act, GuestFacts, GuestModel, GuestSource, GuestVerdict, InvalidFact, MANIFEST_FILE, Named, Said};
pub use invariants::{Form, Invariant, Invariants};
pub use package::{Package, PackedFile, PackedTests, SignedPackage};
pub use place::{LoadError, Place, Problem};
pub use proof::{ClaimReport, ClaimStatus, Counterexample, NEVER_FAILS, PROOF_FORMAT, ProofReport};
pub use question::{
    ActionId, ActionName, Circumstances, EndpointName, Principal, Question, ReadFacts, Resource, WorkflowAction,
};
pub use roles::{RoleCatalogue, RoleCatalogueError};
pub use source::{BundleSource, SourceFile};
pub use trace::{ConditionText, ConditionTrace, PolicyTrace, Truth};

/// What is now in force. A reload puts another one in its place at one moment; a question asks one of them from
/// beginning to end, so that every decision belongs to exactly one version (G6).
#[derive(Debug)]
pub struct InForce<T> {
    current: ArcSwap<T>,
    /// Why the last reload was refused, if it was.
    refused: ArcSwapOption<LoadError>,
    taken: AtomicU64,
    refusals: AtomicU64,
}

/// The policies now in force.
pub type Policies = InForce<Bundle>;

/// How reloads ended since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloads {
    /// Another bundle took the place of the one in force.
    pub taken: u64,
    /// The one in force stayed.
    pub refused: u64,
}

impl<T> InForce<T> {
    /// Starts with this one.
    #[must_use]
    pub fn new(bundle: T) -> Self {
        Self {
            current: ArcSwap::from_pointee(bundle),
            refused: ArcSwapOption::empty(),
            taken: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    /// The one now in force.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Puts one that has been loaded, and so is good, in place of the one in force.
    pub fn replace(&self, bundle: T) {
        self.current.store(Arc::new(bundle));
        self.refused.store(None);
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// What should be in force is in force again, whatever was refused in between.
    pub fn confirm(&self) {
        self.refused.store(None);
    }

    /// Keeps the one in force, and remembers why the one that should have taken its place was refused.
    pub fn refuse(&self, error: &LoadError) {
        self.refused.store(Some(Arc::new(error.clone())));
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// Why the last reload was refused; none once another one was good.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<LoadError>> {
        self.refused.load_full()
    }

    /// How reloads ended since the start.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        Reloads { taken: self.taken.load(Ordering::Relaxed), refused: self.refusals.load(Ordering::Relaxed) }
    }
}
