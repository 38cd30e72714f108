//! The decision log: write every decision before it is answered (G3), read a tenant's allowed reads back (R22).
//!
//! What lives here: writing the log, its three promises, its healing, and the index that finds one tenant's lines. What
//! does not: how its files look and how they are verified (`trail`), what a decision record says (its writer serialises
//! it), HTTP, Cedar, who may read which log.
//!
//! The way of a record: [`DecisionLog::append`] puts it into the pending buffer (`pending`), [`DecisionLog::settled`]
//! has the buffer written (`writer`) to the segment (`segment`, `sink`) and learns what came of it (`outcome`). The writer
//! tells the index (`reads`, `blocks`) about each batch that stands in the log (`parts`); `scan` rebuilds it at start.
//!
//! Behind the writer the `notary` binds what is on the disk into the tree (`binder`), signs heads, and begins new
//! segments; the `keeper` compresses and removes closed ones. A start opens the log (`file`) and finds out whether it
//! fits its newest head (`resume`).
//!
//! Two invariants: no record is acknowledged that is not in the file, and no record of a failed batch stays in it.

mod binder;
mod blocks;
mod entry;
mod error;
mod file;
mod find;
mod keeper;
mod key;
mod log;
mod marks;
mod mask;
mod notary;
mod outcome;
mod parts;
mod pending;
mod reads;
mod record;
mod removed;
mod resume;
mod scan;
mod segment;
mod settings;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

pub use crate::trail::is_key_name as is_log_name;
pub use entry::{Asked, DecisionId, DecisionIds, NoDecisionId, WorkflowRecord};
pub(crate) use entry::{push_json, write_head};
pub use error::LogError;
pub use log::{DecisionLog, MAX_LINE_BYTES, Ticket};
pub use mask::MaskKey;
pub(crate) use mask::{check_pointers, holds_masked};
pub use notary::TrailState;
pub use record::{Position, ReadRecord};
pub use settings::{DecisionLogSettings, LogMode};
