//! What an edit changes: two bundles, compared for every question there is, with an example of each change.

mod compare;
mod logged;
mod tests;

use std::time::Instant;

use serde::Serialize;

use super::environments::Environments;
use super::example::words;
use super::solver::Solver;
use super::suite::Suite;
use crate::policy::{Bundle, Invariants};

use compare::{Side, Sides};
pub use logged::{ChangedDecision, LogChanges, logged};
pub use tests::TestChange;

/// What an edit changes for one kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing: proved.
    Equal,
    /// It allows more, and all that was allowed before.
    More,
    /// It allows less, and nothing new.
    Less,
    /// It allows some that was denied, and denies some that was allowed.
    Both,
    /// Nobody knows.
    Unknown,
}

/// A question that the two bundles answer differently.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The permit that allows it, in the bundle that does.
    pub through: String,
    /// Whether its facts are as the service always has them.
    pub realistic: bool,
    /// The question and its facts, line by line, as people read them.
    pub told: Vec<String>,
    /// What the real engine answers under the old bundle.
    pub old: String,
    /// What it answers under the new one.
    pub new: String,
    /// Whether the real engine's answers differ as the solver says.
    pub confirmed: bool,
    /// The question as a policy test row that expects the new answer.
    pub row: String,
}

/// One kind of question.
#[derive(Debug, Clone, Serialize)]
pub struct KindDiff {
    /// Who, what, about what.
    pub environment: String,
    /// `old` or `new`, when only one of the schemas has this kind of question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_in: Option<&'static str>,
    /// What changes.
    pub change: Change,
    /// Why it is not known, or under which conditions it is.
    pub notes: Vec<String>,
    /// What is newly allowed.
    pub newly_allowed: Vec<Difference>,
    /// What is newly denied.
    pub newly_denied: Vec<Difference>,
}

/// Everything that an edit changes.
#[derive(Debug, Clone, Serialize)]
pub struct Diff {
    /// The old bundle's version.
    pub old: String,
    /// The new bundle's version.
    pub new: String,
    /// Whether the schemas' texts differ; facts are then those that the new one knows.
    pub schemas_differ: bool,
    /// Every kind of question.
    pub kinds: Vec<KindDiff>,
    /// The policy tests whose answers change.
    pub tests: Vec<TestChange>,
    /// What changes in the decisions of a log, if one was looked through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogChanges>,
    /// The solver.
    pub solver: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Diff {
    /// Whether something that was denied is allowed.
    #[must_use]
    pub fn allows_more(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind.change, Change::More | Change::Both))
            || self.log.as_ref().is_some_and(|log| log.newly_allowed > 0)
    }

    /// Whether something that was allowed is denied.
    #[must_use]
    pub fn allows_less(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind.change, Change::Less | Change::Both))
            || self.log.as_ref().is_some_and(|log| log.newly_denied > 0)
    }

    /// The kinds of question that could not be compared.
    pub fn unknown(&self) -> impl Iterator<Item = &KindDiff> {
        self.kinds.iter().filter(|kind| kind.change == Change::Unknown)
    }
}

/// What to compare, and how.
pub struct Settings<'a> {
    /// The solver.
    pub solver: &'a Solver,
    /// How many of them work at once.
    pub workers: usize,
    /// Says what facts look like, so that examples do.
    pub invariants: &'a Invariants,
    /// The policy tests of both bundles.
    pub suites: &'a [Suite],
    /// Is told how many kinds of question are done, of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("solver", &self.solver).finish_non_exhaustive()
    }
}

/// Compares two bundles.
///
/// # Errors
/// When a schema cannot be taken apart, or the system has no room for the work.
pub fn diff(old: &Bundle, new: &Bundle, settings: &Settings<'_>) -> Result<Diff, String> {
    let started = Instant::now();
    let policies = old.policy_set().policies().chain(new.policy_set().policies());
    let sides = Sides {
        old: Side { bundle: old, environments: Environments::of(old.schema())? },
        new: Side { bundle: new, environments: Environments::of(new.schema())? },
        words: words(policies),
        invariants: settings.invariants,
    };
    let kinds = sides.each_kind(settings)?;
    Ok(Diff {
        old: old.version().to_string(),
        new: new.version().to_string(),
        schemas_differ: old.source().schema.text != new.source().schema.text,
        kinds,
        tests: tests::changed(old, new, settings.suites),
        log: None,
        solver: settings.solver.version().to_owned(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
