//! Live facts by support request, revision by revision: an in-memory picture built from the store's changes in order.
//!
//! What lives here: the picture, the follower that keeps it, and until when it may be used. What does not: rules. Reads look at the replica alone;
//! when it cannot vouch for being up to date it says so, and nobody is allowed anything (G4).

mod facts;
mod follower;
mod lease;
mod renewal;
mod rollouts;

pub use facts::{Became, Fresh, LiveCase, NotFresh, Replica};
pub use follower::{Following, follow};
pub use lease::{Granted, Leases, MakeLeases, SoundLeases};
pub use renewal::LeaseStatus;
pub use rollouts::Rollouts;
