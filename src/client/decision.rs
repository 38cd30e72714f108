//! Decisions as a tool gets them: an allow that the service has said in full, or a denial with its reason.

use serde::Deserialize;

use super::error::CallError;

/// The reason code of a denial that the service did not make: there was no answer, or none that can be read.
const UNAVAILABLE: &str = "unavailable";

/// The answer to one question (AuthZEN 1.0, section 6.2). Nothing but [`Decision::is_allowed`] allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
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
            id: None,
            reason: Reason { code: code.into(), message: message.into(), missing_consents: Vec::new() },
            policies: Vec::new(),
            policy_version: None,
            facts_revision: None,
        }
    }

    /// Whether this one read is allowed, now.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.allowed
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

impl From<Wire> for Decision {
    fn from(wire: Wire) -> Self {
        match wire.context {
            Context::Decided { decision_id, reason, policies, policy_version, facts_revision } => Self {
                allowed: wire.decision,
                id: Some(decision_id),
                reason,
                policies,
                policy_version: Some(policy_version),
                facts_revision,
            },
            // Whatever it says beside that: what was not decided is not allowed.
            Context::Broken { error } => {
                let field = error.field.map(|field| format!("{field}: ")).unwrap_or_default();
                Self::deny("invalid_request", format!("{field}{}", error.message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Decision> {
        serde_json::from_str::<Wire>(json).ok().map(Decision::from)
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
        let broken = r#"{"decision":true,"context":{"error":{"status":400,"message":"missing","field":"resource"}}}"#;
        let broken = read(broken).unwrap();
        assert!(!broken.is_allowed());
        assert_eq!(
            (broken.reason.code.as_str(), broken.reason.message.as_str()),
            ("invalid_request", "resource: missing")
        );
    }
}
