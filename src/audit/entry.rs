//! Decision records: their ids and what they all have in common.

use std::fmt;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::settings::LogMode;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::model::Timestamp;

/// Names one decision: 128 bits that nothing can be read off, not even how many decisions there were before (R19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId {
    high: u64,
    low: u64,
}

impl DecisionId {
    /// A number that is as random as the id: a part of all decisions can be chosen by it.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.low
    }

    /// Appends its digits to a text.
    pub fn push_to(&self, text: &mut String) {
        text.push_str(self.digits(&mut const_hex::Buffer::new()));
    }

    /// Its 32 hexadecimal digits.
    fn digits<'a>(&self, buffer: &'a mut const_hex::Buffer<16>) -> &'a str {
        buffer.format(&(u128::from(self.high) << 64 | u128::from(self.low)).to_be_bytes())
    }
}

impl PartialSchema for DecisionId {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{32}$"));
        let says = "Names a decision in the decision log, and in the customer's list of reads.";
        schema.description(Some(says)).examples(["840cb7c824de243ef6b6d478debc8efd"]).into()
    }
}

impl ToSchema for DecisionId {}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits(&mut const_hex::Buffer::new()))
    }
}

/// This is no decision id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decision id is 32 hexadecimal digits, in lower case")]
pub struct NoDecisionId;

impl FromStr for DecisionId {
    type Err = NoDecisionId;

    fn from_str(text: &str) -> Result<Self, NoDecisionId> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let halves = text.split_at_checked(16).filter(|_| text.len() == 32 && text.as_bytes().iter().all(is_digit));
        let (high, low) = halves.ok_or(NoDecisionId)?;
        let half = |digits: &str| u64::from_str_radix(digits, 16).map_err(|_| NoDecisionId);
        Ok(Self { high: half(high)?, low: half(low)? })
    }
}

/// Makes decision ids: a counter, hidden behind two keyed hashes.
#[derive(Debug, Default)]
pub struct DecisionIds {
    high: RandomState,
    low: RandomState,
    count: AtomicU64,
}

impl DecisionIds {
    /// Ids of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next id.
    pub fn next(&self) -> DecisionId {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        DecisionId { high: self.high.hash_one(count), low: self.low.hash_one(count) }
    }
}

/// Who asked, as records name them.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The caller.
    pub caller: &'a str,
    /// The request id the caller gave (AuthZEN 1.0, section 10.1.4).
    pub request_id: Option<&'a str>,
    /// What the log promises of this record (G3).
    pub log_mode: LogMode,
}

/// The record of a decision that is not a read: what somebody may do in the workflow.
#[derive(Debug, Serialize)]
pub struct WorkflowRecord<'a> {
    /// The kind of subject.
    pub subject_type: &'a str,
    /// Who.
    pub subject: &'a str,
    /// The directory roles in the subject's token.
    pub subject_roles: Vec<&'a str>,
    /// The app roles in the subject's token.
    pub subject_app_roles: Vec<&'a str>,
    /// Whether the subject's token comes from the vendor's directory.
    pub subject_vendor: bool,
    /// What.
    pub action: &'a str,
    /// The kind of resource.
    pub resource_type: &'a str,
    /// About what.
    pub resource: &'a str,
    /// Allowed or not.
    pub decision: bool,
    /// Always false: nothing is read.
    pub read: bool,
    /// Why.
    pub code: &'a str,
    /// The determining policies.
    pub policies: &'a [&'a str],
    /// The bundle that was asked.
    pub policy_version: &'a str,
    /// The facts it was asked about.
    pub facts: serde_json::Value,
}

impl WorkflowRecord<'_> {
    /// Writes the record into `line`.
    pub fn write(&self, id: &DecisionId, at: Timestamp, asked: Asked<'_>, line: &mut String) {
        line.clear();
        write_head(line, "decision", id, at, asked);
        line.push_str(",\"cached\":false,");
        let mut fields = String::new();
        push_json(&mut fields, self);
        line.push_str(fields.strip_prefix('{').unwrap_or("}"));
    }
}

/// What every record of what somebody asked begins with.
pub(crate) fn write_head(line: &mut String, kind: &str, id: &DecisionId, at: Timestamp, asked: Asked<'_>) {
    // Writing to a string cannot fail.
    line.push_str("{\"type\":\"");
    line.push_str(kind);
    line.push_str("\",\"decision_id\":\"");
    id.push_to(line);
    let _ = write!(line, "\",\"time\":\"{at}\",\"caller\":");
    push_text(line, asked.caller);
    line.push_str(",\"log_mode\":\"");
    line.push_str(asked.log_mode.as_str());
    line.push('"');
    if let Some(request_id) = asked.request_id {
        line.push_str(",\"request_id\":");
        push_text(line, request_id);
    }
}

/// Appends a text as JSON: as it is where it can stand as it is.
fn push_text(line: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return push_json(line, text);
    }
    line.push('"');
    line.push_str(text);
    line.push('"');
}

/// Appends a value as JSON. Our records are strings, numbers and lists: they serialise.
pub(crate) fn push_json<T: Serialize + ?Sized>(text: &mut String, value: &T) {
    match serde_json::to_string(value) {
        Ok(json) => text.push_str(&json),
        Err(_) => text.push_str("null"),
    }
}
