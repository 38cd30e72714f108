//! Explaining an answer: what was answered, and the policies behind it.

use serde::Serialize;

use super::run::Given;
pub use crate::decision::ExplainedPolicy;
use crate::decision::{self, Explained};
use crate::policy::{Bundle, PolicyTrace, Verdict};

/// An answer, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer.
    pub answer: Given,
    /// The policies behind it.
    #[serde(flatten)]
    pub policies: Explained,
}

/// Explains an answer by what each policy came to.
#[must_use]
pub fn explain(bundle: &Bundle, verdict: &Verdict, traces: &[PolicyTrace<'_>]) -> Explanation {
    Explanation { answer: Given::of(bundle, verdict), policies: decision::explain(bundle, verdict, traces) }
}
