//! The read decision: request, facts, cache, answer with reasons.
//!
//! What lives here: how one question about diagnostic data is answered, remembered and recorded. What does not: who
//! may ask, how a question arrives, and the rules, which are policies. Nothing here waits for anything.

mod answer;
mod cache;
mod chronicle;
mod decide;
mod explanation;
mod guest;
mod question;
mod record;
mod recorded;
mod search;
mod shadow;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Cure, PolicyRef, Reason, policies_of, reason_of};
pub use chronicle::{ChronicleLine, FactsLine, PoliciesLine};
pub use decide::{Decided, DecisionCounts, Decisions, Strictness, Undecided, Validity};
pub use explanation::{Explained, ExplainedCondition, ExplainedPolicy, explain};
pub use guest::{Guest, GuestDecided, GuestQuestion, GuestSearched, GuestSought};
pub use question::{InvalidQuestion, ReadQuestion};
pub use record::Recorded;
pub use recorded::{DecisionRecord, MaybeMasked};
pub use search::{NotSearched, Searched, Sought};
pub use shadow::{SHADOW_FORMAT, Shadow, ShadowAnswer, ShadowCounts, ShadowDifference, ShadowExample, ShadowReport};
