//! Decisions as a tool gets them: an allow that the service has said in full, or a denial with its reason.

use std::time::Duration;

use serde::Deserialize;

use super::error::CallError;
use crate::clock::{BootTime, boot_time};

/// The reason code of a denial that the service did not make: there was no answer, or none that can be read.
const UNAVAILABLE: &str = "unavailable";

/// The answer to one question (AuthZEN 1.0, section 6.2). Nothing but [`Decision::is_allowed`] allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    /// Until when the answer counts; none: the service says nothing about that.
    good_until: Option<BootTime>,
    /// Names the decision in the decision log; none where the service did not decide.
    pub id: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The policies that decided.
    pub policies: Vec<DecidingPolicy>,
    /// The bundle that was asked.
    pub policy_version: Option<String>,
    /// The state of the facts that it was asked about.
    pub facts_revision: Option<u64>,
}

/// Why, in a word for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reason {
    /// Stable: `awaiting_consent`, `support_request_closed` ... A code that is not known is a no like the others.
    pub code: String,
    /// For people.
    pub message: String,
    /// The parts whose consent would cure the denial.
    #[serde(default)]
    pub missing_consents: Vec<String>,
}

/// A policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DecidingPolicy {
    /// Its id.
    pub id: String,
    /// The rules it expresses.
    pub rules: Vec<String>,
    /// `permit` or `forbid`.
    pub effect: String,
}

impl Decision {
    /// A denial that is nobody's decision.
    #[must_use]
    pub fn deny(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            allowed: false,
            good_until: None,
            id: None,
            reason: Reason { code: code.into(), message: message.into(), missing_consents: Vec::new() },
            policies: Vec::new(),
            policy_version: None,
            facts_revision: None,
        }
    }

    /// Whether this one read is allowed, now. Of a member of a fleet an answer counts for a few seconds: a read that takes
    /// longer asks again while it goes on, and stops when this says no.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed && self.left().is_none_or(|left| !left.is_zero())
    }

    /// For how long the answer still counts; none: the service says nothing about that.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.good_until.map(|until| until.since(boot_time()))
    }

    /// The denial that stands for a call without an answer.
    pub(super) fn without_answer(error: &CallError) -> Self {
        Self::deny(UNAVAILABLE, error.to_string())
    }
}

/// An answer as it is on the wire.
#[derive(Deserialize)]
pub(super) struct Wire {
    decision: bool,
    context: Context,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Context {
    Decided {
        decision_id: String,
        reason: Reason,
        policies: Vec<DecidingPolicy>,
        policy_version: String,
        #[serde(default)]
        facts_revision: Option<u64>,
        #[serde(default)]
        valid_for_ms: Option<u64>,
    },
    /// An item of a batch that is not a question.
    Broken { error: ItemError },
}

#[derive(Deserialize)]
struct ItemError {
    message: String,
    #[serde(default)]
    field: Option<String>,
}

impl Wire {
    /// The answer to a question that was sent no earlier than at `asked_at`: for how long it counts is counted from there,
    /// however long it was on its way.
    pub(super) fn decision(self, asked_at: BootTime) -> Decision {
        match self.context {
            Context::Decided { decision_id, reason, policies, policy_version, facts_revision, valid_for_ms } => {
                Decision {
                    allowed: self.decision,
                    good_until: valid_for_ms.map(|millis| asked_at.plus(Duration::from_millis(millis))),
                    id: Some(decision_id),
                    reason,
                    policies,
                    policy_version: Some(policy_version),
                    facts_revision,
                }
            }
            // Whatever it says beside that: what was not decided is not allowed.
            Context::Broken { error } => {
                let field = error.field.map(|field| format!("{field}: ")).unwrap_or_default();
                Decision::deny("invalid_request", format!("{field}{}", error.message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Decision> {
        serde_json::from_str::<Wire>(json).ok().map(|wire| wire.decision(boot_time()))
    }

    #[test]
    fn nothing_but_a_whole_answer_that_says_true_allows() {
        let context = r#""context":{"decision_id":"d","reason":{"code":"permitted","message":"m"},"policies":[],"policy_version":"v"}"#;
        assert!(read(&format!(r#"{{"decision":true,{context}}}"#)).unwrap().is_allowed());
        assert!(!read(&format!(r#"{{"decision":false,{context}}}"#)).unwrap().is_allowed());
        for decision in ["\"true\"", "1", "null", "[true]", "{}"] {
            assert!(read(&format!(r#"{{"decision":{decision},{context}}}"#)).is_none(), "{decision}");
        }
        for json in [
            "",
            "true",
            r#"{"decision":true}"#,
            r#"{"decision":true,"context":{}}"#,
            r#"{"decision":true,"decision":false}"#,
        ] {
            assert!(read(json).is_none(), "{json}");
        }
        let told = |millis: u64| {
            let context = context.replacen('{', &format!("{{\"valid_for_ms\":{millis},"), 1);
            serde_json::from_str::<Wire>(&format!(r#"{{"decision":true,{context}}}"#)).unwrap()
        };
        // Counted from when the question was sent, and not from when the answer came.
        assert!(told(60_000).decision(boot_time()).is_allowed());
        assert!(!told(0).decision(boot_time()).is_allowed());
        assert!(!told(500).decision(BootTime(0)).is_allowed());
        let broken = r#"{"decision":true,"context":{"error":{"status":400,"message":"missing","field":"resource"}}}"#;
        let broken = read(broken).unwrap();
        assert!(!broken.is_allowed());
        assert_eq!(
            (broken.reason.code.as_str(), broken.reason.message.as_str()),
            ("invalid_request", "resource: missing")
        );
    }
}
