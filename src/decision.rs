//! The read decision: request, facts, cache, answer with reasons.
//!
//! What lives here: how one question about diagnostic data is answered, remembered and recorded. What does not: who
//! may ask, how a question arrives, and the rules, which are policies. Nothing here waits for anything.

mod answer;
mod cache;
mod decide;
mod question;
mod record;
#[cfg(test)]
mod tests;

pub use answer::{Answer, PolicyRef, Reason, policies_of, reason_of};
pub use decide::{Decided, Decisions, Undecided};
pub use question::{InvalidQuestion, ReadQuestion};
pub use record::Recorded;
