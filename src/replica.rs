//! Live facts by support request, revision by revision: an in-memory picture built from the store's changes in order.
//!
//! What lives here: the picture, and the follower that keeps it. What does not: rules. Reads look at the replica alone;
//! when it cannot vouch for being up to date it says so, and nobody is allowed anything (G4).

mod facts;
mod follower;
mod rollouts;

pub use facts::{Became, LiveCase, NotFresh, Replica};
pub use follower::follow;
pub use rollouts::Rollouts;
