//! The decision log: write every decision before it is answered (G3), read a tenant's allowed reads back (R22).
//!
//! What lives here: the file of JSON lines, its three promises, its healing, and the index that finds one tenant's
//! lines. What does not: what a decision record says (its writer serialises it), HTTP, Cedar, who may read which log.
//!
//! The way of a record: [`DecisionLog::append`] puts it into the pending buffer (`pending`), [`DecisionLog::settled`]
//! has the buffer written (`writer`) to the file (`sink`, `file`) and learns what came of it (`outcome`). The writer
//! tells the index (`reads`, `blocks`) about each batch that stands in the file; `scan` rebuilds the index at start.
//!
//! Two invariants: no record is acknowledged that is not in the file, and no record of a failed batch stays in it.

mod blocks;
mod entry;
mod error;
mod file;
mod find;
mod log;
mod marks;
mod outcome;
mod pending;
mod reads;
mod record;
mod scan;
mod settings;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::{Asked, DecisionId, DecisionIds, NoDecisionId, WorkflowRecord};
pub(crate) use entry::{push_json, write_head};
pub use error::LogError;
pub use log::{DecisionLog, MAX_LINE_BYTES, Ticket};
pub use record::{Position, ReadRecord};
pub use settings::{DecisionLogSettings, LogMode};
