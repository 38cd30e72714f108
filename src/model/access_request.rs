//! Access requests: a support engineer's request to read one resource tenant's data for one support request (R6-R10).

use serde::{Deserialize, Serialize};

use super::{
    AccessRequestId, Consent, ConsentId, ConsentStatus, Part, PersonId, SupportRequestId, Task, TenantId, Timestamp,
};

/// An access request with its one or two consents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its id.
    pub id: AccessRequestId,
    /// The support request it belongs to.
    pub support_request: SupportRequestId,
    /// The tenant whose data it is about. The grant covers this tenant alone (R8).
    pub resource_tenant: TenantId,
    /// The engineer who asked; never the one who approves (R17).
    pub requested_by: PersonId,
    /// Why the engineer asks; shown to the administrators (R18).
    pub reason: String,
    /// When the engineer asked.
    pub created_at: Timestamp,
    /// The resource tenant's consent.
    pub resource_tenant_consent: Consent,
    /// The support request tenant's consent; none when the two tenants are the same (R7).
    pub support_request_tenant_consent: Option<Consent>,
    /// What it is to whoever asked for it after a denial; none: nobody follows it as a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<Task>>,
}

impl AccessRequest {
    /// Its consents, the support request tenant's first.
    pub fn consents(&self) -> impl Iterator<Item = &Consent> {
        self.support_request_tenant_consent.iter().chain(std::iter::once(&self.resource_tenant_consent))
    }

    /// Its consents, to be changed.
    pub fn consents_mut(&mut self) -> impl Iterator<Item = &mut Consent> {
        self.support_request_tenant_consent.iter_mut().chain(std::iter::once(&mut self.resource_tenant_consent))
    }

    /// The consent with this id.
    #[must_use]
    pub fn consent(&self, id: &ConsentId) -> Option<&Consent> {
        self.consents().find(|consent| consent.id == *id)
    }

    /// Whether it grants, or can still come to grant, anything: no consent is final and none has expired (R10).
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.consents().all(|consent| !consent.status.is_final() && !consent.is_expired(now))
    }

    /// The parts that have not approved: what the engineer may know, so as to know whom to ask (R20).
    pub fn missing_consents(&self) -> impl Iterator<Item = Part> {
        self.consents().filter(|consent| consent.status != ConsentStatus::Approved).map(|consent| consent.part)
    }
}
