//! The rules' words as types, and the pure state machine (R3-R17).
//!
//! What lives here: support requests, access requests, consents, the commands that change them and the events that
//! come of it. What does not: I/O, clocks, async, JSON values, Cedar. Time and new ids are given from outside.

mod access_request;
mod activity;
mod announcement;
mod case;
mod category;
mod command;
mod consent;
mod facts;
mod id;
mod support_request;
mod task;
#[cfg(test)]
mod tests;
mod time;

pub use access_request::AccessRequest;
pub use activity::{ACTIVITY_CATEGORY, Activity, ActivityKind, activities};
pub use announcement::{Announcement, announcements};
pub use case::{Actor, Case, Outcome, decide};
pub use category::{Category, CategorySet, UnknownCategory};
pub use command::{Command, ConsentChange, Event, Narrowing, NewAccessRequest, NewSupportRequest, Refusal};
pub use consent::{Consent, ConsentStatus, LISTED_AFTER_END_MS, Part, Scope};
pub use facts::{AccessFacts, CaseFacts, ConsentFacts};
pub use id::{
    AccessRequestId, AppRole, ConsentId, InvalidId, MAX_ID_BYTES, PersonId, ReceiptId, RoleId, ServiceId,
    SupportRequestId, TenantId,
};
pub use support_request::{SubmittedIn, SupportRequest, Tenant};
pub use task::{Callback, Denial, Task, TaskEnd, TaskStatus};
pub use time::{InvalidTime, Timestamp};
