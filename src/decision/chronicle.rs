//! The lines that tell what was so: the facts as they became, and the policies as they came into force. With them the log
//! says who could have read what at any time, and not only who did (G3).

use serde::{Deserialize, Serialize};

use crate::model::{CaseFacts, SupportRequestId, Timestamp};
use crate::policy::Bundle;
use crate::replica::LiveCase;

/// A support request's facts since a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsLine<F = CaseFacts> {
    /// When the line was written, RFC 3339.
    pub time: String,
    /// When the commit was decided, RFC 3339; unknown when the line was written at a later start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The commit: decisions name it as `facts_revision`.
    pub revision: u64,
    /// The support request.
    pub support_request: SupportRequestId,
    /// Its facts.
    pub facts: F,
}

/// A bundle that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoliciesLine {
    /// When, RFC 3339.
    pub time: String,
    /// Its version: decisions name it so.
    pub policy_version: String,
}

/// A line of the log that tells what was so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChronicleLine {
    /// Facts.
    Facts(FactsLine),
    /// Policies.
    Policies(PoliciesLine),
}

impl ChronicleLine {
    /// The line of a bundle that comes into force now.
    #[must_use]
    pub fn of_bundle(bundle: &Bundle, now: Timestamp) -> Self {
        Self::Policies(PoliciesLine { time: now.to_string(), policy_version: bundle.version().as_str().to_owned() })
    }

    /// The line of a support request's facts, written now.
    #[must_use]
    pub fn of_facts(id: &SupportRequestId, case: &LiveCase, at: Option<Timestamp>, now: Timestamp) -> Self {
        Self::Facts(FactsLine {
            time: now.to_string(),
            at: at.map(|at| at.to_string()),
            revision: case.revision.0,
            support_request: id.clone(),
            facts: case.facts.clone(),
        })
    }

    /// As one line of JSON, without its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Names, numbers and times of ours: they serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
