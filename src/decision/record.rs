//! Records of reads: one JSON line per decision, complete enough to replay it (G3, R22).
//!
//! A record of an evaluated decision holds the facts; one of a remembered answer names the evaluation it came from.

use serde::Serialize;

use super::answer::Answer;
use super::decide::Decided;
use super::question::ReadQuestion;
use crate::audit::{Asked, push_json, write_head};
use crate::model::{CaseFacts, TenantId};

/// A record, ready for the log.
#[derive(Debug)]
pub struct Recorded<'a> {
    /// One line of JSON, without its end.
    pub line: &'a [u8],
    /// For an allowed read: the tenant whose data it was, whose log shows it (R22).
    pub read_of: Option<&'a TenantId>,
}

impl Decided {
    /// Writes the record of this decision into `line`.
    pub fn record<'a>(&'a self, asked: Asked<'_>, line: &'a mut String) -> Recorded<'a> {
        let answer = &self.answer;
        line.clear();
        write_head(line, "decision", &self.id, self.at, asked);
        line.push_str(if self.cached { ",\"cached\":true" } else { ",\"cached\":false" });
        line.push_str(&answer.record_tail);
        if let (false, Some(facts)) = (self.cached, &self.facts) {
            line.push_str(",\"facts\":");
            push_json::<CaseFacts>(line, &facts.facts);
        }
        line.push('}');
        Recorded { line: line.as_bytes(), read_of: answer.read_of.as_ref() }
    }
}

/// What the record of every asking of one question has in common.
pub(super) fn record_tail(question: &ReadQuestion<'_>, answer: &Answer, determining: &[&str]) -> Box<str> {
    #[derive(Serialize)]
    struct Tail<'a> {
        evaluation: &'a str,
        evaluated_at: String,
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
        policies: &'a [&'a str],
        policy_version: &'a str,
        facts_revision: u64,
        access_request: Option<&'a str>,
        consents: Vec<&'a str>,
        receipts: Vec<Option<&'a str>>,
    }
    let tail = Tail {
        evaluation: &answer.evaluation,
        evaluated_at: answer.evaluated_at.to_string(),
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
        policies: determining,
        policy_version: answer.policy_version.as_str(),
        facts_revision: answer.facts_revision.0,
        access_request: answer.access_request.as_ref().map(crate::model::AccessRequestId::as_str),
        consents: answer.consents.iter().map(crate::model::ConsentId::as_str).collect(),
        receipts: answer.receipts.iter().map(|id| id.as_ref().map(crate::model::ReceiptId::as_str)).collect(),
    };
    let mut text = String::new();
    push_json(&mut text, &tail);
    // From `{"a":1}` to `,"a":1`.
    let fields = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
    format!(",{fields}").into()
}
