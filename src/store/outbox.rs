//! What a store keeps of an endpoint's outbox: how far it has looked, and the letters that are still to be delivered.
//!
//! The letters' contents stand in the audit log, among the announcements and in the decision log: only references are kept.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// Where a letter's content stands; of several things at one time they are told in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The tenant's announcements (R23).
    Announcements,
    /// The tenant's audit log (R21).
    Activities,
    /// The reads of the tenant's data (R22).
    Reads,
    /// The ends of tasks whose callbacks go to this endpoint. No tenant's.
    Tasks,
}

impl Stream {
    /// Every stream of a tenant.
    pub const OF_TENANTS: [Self; 3] = [Self::Announcements, Self::Activities, Self::Reads];

    /// Its name in settings and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announcements => "announcements",
            Self::Activities => "activities",
            Self::Reads => "reads",
            Self::Tasks => "tasks",
        }
    }
}

/// Names a letter: the stream, and the number within it that its content has in the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LetterId {
    /// Which stream.
    pub stream: Stream,
    /// The number in it.
    pub number: u64,
}

/// A letter that was not delivered at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Which one.
    pub id: LetterId,
    /// The support request that it is about: letters about the same one are delivered in order.
    pub about: String,
    /// When it happened that it tells of.
    pub at: Timestamp,
    /// Since when it waits.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// Why the last try failed.
    pub failure: Option<String>,
    /// When it was given up.
    pub died: Option<Timestamp>,
}

/// How far an endpoint's outbox has looked: everything up to here was delivered or is among its letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxPlaces {
    /// The last announcement.
    pub announcements: u64,
    /// The last activity.
    pub activities: u64,
    /// The last read.
    pub reads: u64,
    /// The decision id of that read. A power cut can take the log's last records; those after them get their numbers.
    pub last_read: Option<String>,
    /// The last end of a task.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub tasks: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_none_yet(place: &u64) -> bool {
    *place == 0
}

/// What is kept of an endpoint's outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbox {
    /// How far it has looked.
    pub places: OutboxPlaces,
    /// The letters that wait, in their order.
    pub waiting: Vec<Letter>,
}

/// A change of what is kept: all of it is kept, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxChange {
    /// How far it has looked now.
    pub places: OutboxPlaces,
    /// Letters that are new or were tried; those with a time of death are the dead ones.
    pub put: Vec<Letter>,
    /// Letters that were delivered.
    pub done: Vec<LetterId>,
}
