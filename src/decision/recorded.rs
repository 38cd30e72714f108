//! Records of decisions as they are read back: what was asked, what was answered, and the facts it rests on.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::question::{InvalidQuestion, ReadQuestion};
use crate::audit::holds_masked;
use crate::model::{CaseFacts, Timestamp};
use crate::policy::{Bundle, Circumstances, Principal, Question, ReadFacts, Resource};

/// Something that a line tells, unless a part of it was masked when it was written: a digest stands there then, and nothing
/// may be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaybeMasked<T> {
    /// As it was.
    Plain(T),
    /// Masked, at least in part.
    Masked,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for MaybeMasked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if holds_masked(&value) {
            return Ok(Self::Masked);
        }
        serde_json::from_value(value).map(Self::Plain).map_err(D::Error::custom)
    }
}

/// A line of the decision log, as far as a decision can be asked again by it. A member that a line lacks is empty here.
#[derive(Debug, Clone, Deserialize)]
pub struct DecisionRecord {
    /// `decision`; other lines are what the log says of itself.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    #[serde(default)]
    pub decision_id: String,
    /// When, RFC 3339.
    #[serde(default)]
    pub time: String,
    /// Whether the answer was remembered: then the facts are in the record of its evaluation.
    #[serde(default)]
    pub cached: bool,
    /// The decision in which the policies were asked. Reads alone have one.
    #[serde(default)]
    pub evaluation: Option<String>,
    /// When they were asked, RFC 3339.
    #[serde(default)]
    pub evaluated_at: Option<String>,
    /// The kind of subject.
    #[serde(default)]
    pub subject_type: String,
    /// Who.
    #[serde(default)]
    pub subject: String,
    /// The directory roles in the subject's token.
    #[serde(default)]
    pub subject_roles: Vec<String>,
    /// The app roles in the subject's token.
    #[serde(default)]
    pub subject_app_roles: Vec<String>,
    /// Whether the subject's token comes from the vendor's directory.
    #[serde(default)]
    pub subject_vendor: bool,
    /// What.
    #[serde(default)]
    pub action: String,
    /// The kind of resource.
    #[serde(default)]
    pub resource_type: String,
    /// About what.
    #[serde(default)]
    pub resource: String,
    /// Under which support request.
    #[serde(default)]
    pub support_request: Option<String>,
    /// Allowed or not.
    #[serde(default)]
    pub decision: bool,
    /// Why.
    #[serde(default)]
    pub code: String,
    /// The determining policies.
    #[serde(default)]
    pub policies: Vec<String>,
    /// The bundle that was asked.
    #[serde(default)]
    pub policy_version: String,
    /// The facts it was asked about.
    #[serde(default)]
    pub facts: Option<MaybeMasked<Value>>,
}

impl DecisionRecord {
    /// Whether the line is a decision's record.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        self.kind == "decision"
    }

    /// The question about diagnostic data that was answered; none when it was about something else.
    ///
    /// # Errors
    /// [`InvalidQuestion`] for a record that this program did not write.
    pub fn read_question(&self) -> Result<Option<ReadQuestion<'_>>, InvalidQuestion> {
        if self.subject_type != "SupportEngineer" || self.resource_type != "DiagnosticData" {
            return Ok(None);
        }
        ReadQuestion::parse(&self.subject, &self.action, &self.resource, self.support_request.as_deref()).map(Some)
    }
}

impl<'a> ReadQuestion<'a> {
    /// The question as the policies are asked it, on these facts; none for a verb that the schema does not know.
    #[must_use]
    pub fn to_policies(&self, bundle: &Bundle, case: Option<&'a CaseFacts>, now: Timestamp) -> Option<Question<'a>> {
        let access_request = case.and_then(|case| case.access_request_for(self.tenant));
        Some(Question {
            principal: Principal::Engineer(self.engineer),
            action: bundle.action(self.verb)?,
            resource: Resource::DiagnosticData { id: self.resource, tenant: self.tenant, category: self.category },
            circumstances: Circumstances::Read { facts: ReadFacts { case, access_request }, now },
        })
    }
}
