//! Records: one JSON line per decision, complete enough to replay it (G3, R22).
//!
//! A record of an evaluated decision holds the facts; one of a remembered answer names the evaluation it came from.

use std::fmt;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::answer::{Answer, PolicyRef};
use super::decide::Decided;
use super::question::ReadQuestion;
use crate::model::{CaseFacts, Timestamp};

/// Names one decision: unique over processes and time. Tells nothing about other decisions' content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecisionId {
    process: u64,
    count: u64,
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.process, self.count)
    }
}

/// Makes decision ids.
#[derive(Debug)]
pub struct DecisionIds {
    process: u64,
    count: AtomicU64,
}

impl DecisionIds {
    /// Ids of this process; `process` is a random number.
    #[must_use]
    pub fn new(process: u64) -> Self {
        Self { process, count: AtomicU64::new(0) }
    }

    /// The next id.
    pub fn next(&self) -> DecisionId {
        DecisionId { process: self.process, count: self.count.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Who asked, as records name them.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The caller.
    pub caller: &'a str,
    /// The request id the caller gave (AuthZEN 1.0, section 10.1.4).
    pub request_id: Option<&'a str>,
}

/// A record, ready for the log.
#[derive(Debug)]
pub struct Recorded<'a> {
    /// One line of JSON, without its end.
    pub line: &'a [u8],
    /// For an allowed read: the tenant whose data it was, whose log shows it (R22).
    pub read_of: Option<&'a str>,
}

impl Decided {
    /// Writes the record of this decision into `line`.
    pub fn record<'a>(&self, question: &ReadQuestion<'a>, asked: Asked<'_>, line: &'a mut String) -> Recorded<'a> {
        let answer = &self.answer;
        line.clear();
        write_head(line, &self.id, self.at, asked);
        line.push_str(if self.cached { ",\"cached\":true" } else { ",\"cached\":false" });
        line.push_str(&answer.record_tail);
        if let (false, Some(facts)) = (self.cached, &self.facts) {
            line.push_str(",\"facts\":");
            push_json::<CaseFacts>(line, &facts.facts);
        }
        line.push('}');
        Recorded { line: line.as_bytes(), read_of: (answer.allowed && answer.is_read).then_some(question.tenant) }
    }
}

/// What the record of every asking of one question has in common.
pub(super) fn record_tail(question: &ReadQuestion<'_>, answer: &Answer) -> Box<str> {
    #[derive(Serialize)]
    struct Tail<'a> {
        evaluation: &'a str,
        subject: &'a str,
        subject_type: &'static str,
        action: &'a str,
        resource_type: &'static str,
        resource: &'a str,
        resource_tenant: &'a str,
        category: &'static str,
        item: Option<&'a str>,
        support_request: Option<&'a str>,
        decision: bool,
        read: bool,
        code: &'a str,
        policies: Vec<&'a str>,
        policy_version: &'a str,
        facts_revision: u64,
        access_request: Option<&'a str>,
        consents: Vec<&'a str>,
    }
    let tail = Tail {
        evaluation: &answer.evaluation,
        subject: question.engineer,
        subject_type: "SupportEngineer",
        action: question.verb,
        resource_type: "DiagnosticData",
        resource: question.resource,
        resource_tenant: question.tenant,
        category: question.category.as_str(),
        item: question.item,
        support_request: question.support_request,
        decision: answer.allowed,
        read: answer.is_read,
        code: &answer.reason.code,
        policies: answer.policies.iter().map(|policy| policy.id.as_str()).collect(),
        policy_version: answer.bundle.version().as_str(),
        facts_revision: answer.facts_revision.0,
        access_request: answer.access_request.as_ref().map(crate::model::AccessRequestId::as_str),
        consents: answer.consents.iter().map(crate::model::ConsentId::as_str).collect(),
    };
    let mut text = String::new();
    push_json(&mut text, &tail);
    // From `{"a":1}` to `,"a":1`.
    let fields = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
    format!(",{fields}").into()
}

/// The record of a decision that is not a read: what somebody may do in the workflow.
#[derive(Debug, Serialize)]
pub struct WorkflowRecord<'a> {
    /// The kind of subject.
    pub subject_type: &'a str,
    /// Who.
    pub subject: &'a str,
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
    pub policies: &'a [PolicyRef],
    /// The bundle that was asked.
    pub policy_version: &'a str,
    /// The facts it was asked about.
    pub facts: serde_json::Value,
}

impl WorkflowRecord<'_> {
    /// Writes the record into `line`.
    pub fn write(&self, id: &DecisionId, at: Timestamp, asked: Asked<'_>, line: &mut String) {
        line.clear();
        write_head(line, id, at, asked);
        line.push_str(",\"cached\":false,");
        let mut fields = String::new();
        push_json(&mut fields, self);
        line.push_str(fields.strip_prefix('{').unwrap_or("}"));
    }
}

fn write_head(line: &mut String, id: &DecisionId, at: Timestamp, asked: Asked<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(line, "{{\"type\":\"decision\",\"decision_id\":\"{id}\",\"time\":\"{at}\",\"caller\":");
    push_json(line, asked.caller);
    if let Some(request_id) = asked.request_id {
        line.push_str(",\"request_id\":");
        push_json(line, request_id);
    }
}

/// Appends a value as JSON. Our records are strings, numbers and lists: they serialise.
fn push_json<T: Serialize + ?Sized>(text: &mut String, value: &T) {
    match serde_json::to_string(value) {
        Ok(json) => text.push_str(&json),
        Err(_) => text.push_str("null"),
    }
}
