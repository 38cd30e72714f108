//! The rules' words as types, and the pure state machine (R3-R17).
//!
//! What lives here: support requests, access requests, consents, the commands that change them and the events that
//! come of it. What does not: I/O, clocks, async, JSON values, Cedar. Time and new ids are given from outside.

mod category;
mod id;
mod time;

pub use category::{Category, CategorySet, UnknownCategory};
pub use id::{
    AccessRequestId, AppRole, ConsentId, InvalidId, MAX_ID_BYTES, PersonId, RoleId, ServiceId, SupportRequestId,
    TenantId,
};
pub use time::{InvalidTime, Timestamp};
