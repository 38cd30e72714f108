//! The questions that a diagnostic tool asks.

use serde_json::{Value, json};

use crate::model::{Category, PersonId, SupportRequestId, TenantId};

/// May this engineer do this with this data, under this support request?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadQuestion {
    /// The engineer, whom the tool has authenticated.
    pub engineer: PersonId,
    /// A verb of the schema: `read`, `list`, `search`, `download` ...
    pub verb: String,
    /// Whose data.
    pub tenant: TenantId,
    /// Which data.
    pub category: Category,
    /// The tool's own name for what is read, at most 512 bytes; it goes into the customer's log.
    pub item: Option<String>,
    /// The support request under which the engineer works.
    pub support_request: SupportRequestId,
}

/// When a batch stops (AuthZEN 1.0, section 7.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantic {
    /// Every question is answered.
    #[default]
    ExecuteAll,
    /// Nothing is asked after the first denial.
    DenyOnFirstDeny,
    /// Nothing is asked after the first allow.
    PermitOnFirstPermit,
}

impl Semantic {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ExecuteAll => "execute_all",
            Self::DenyOnFirstDeny => "deny_on_first_deny",
            Self::PermitOnFirstPermit => "permit_on_first_permit",
        }
    }
}

impl ReadQuestion {
    /// As AuthZEN writes it.
    pub(super) fn wire(&self) -> Value {
        json!({
            "subject": { "type": "SupportEngineer", "id": self.engineer.as_str() },
            "action": { "name": self.verb },
            "resource": { "type": "DiagnosticData", "id": self.resource() },
            "context": { "support_request": self.support_request.as_str() },
        })
    }

    fn resource(&self) -> String {
        match &self.item {
            None => format!("{}/{}", self.tenant, self.category),
            Some(item) => format!("{}/{}/{item}", self.tenant, self.category),
        }
    }
}
