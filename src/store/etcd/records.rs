//! What stands under etcd's keys, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::errors::Fault;
use crate::model::Timestamp;
use crate::store::{Member, Object};

/// Under the head: what its commit consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) txn_id: String,
    /// How many keys among the commits were written.
    pub(super) n_events: usize,
}

/// Under an object's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// The commit that wrote it.
    pub(super) txn_id: String,
    pub(super) object: Object,
}

/// Under a member's key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Present {
    /// Which run of the process.
    pub(super) boot_id: String,
    pub(super) applied_seq: u64,
    /// What people want to know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<Box<RawValue>>,
}

/// What came of waiting for members.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BarrierRecord {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    /// The list of the members that were waited for, by what is in it.
    pub(super) roster: String,
    /// How many of them said that they decide by the commit: all but those that were waited out.
    pub(super) acknowledged: usize,
    pub(super) waited_out: Vec<Silent>,
}

/// A member that said nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Silent {
    pub(super) member: String,
    pub(super) applied_seq: u64,
}

impl From<&Member> for Silent {
    fn from(member: &Member) -> Self {
        Self { member: member.id.0.clone(), applied_seq: member.applied.0 }
    }
}

/// What is written under a key.
pub(super) fn written<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("cannot be written as JSON: {error}"))
}

/// Reads what stands under a key.
pub(super) fn read<'a, T: Deserialize<'a>>(key: &[u8], value: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(value)
        .map_err(|error| Fault::Damaged(format!("`{}` cannot be read: {error}", String::from_utf8_lossy(key))))
}
