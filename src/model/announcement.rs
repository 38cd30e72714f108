//! Announcements: what a tenant is told of a request that waits for its decision (R23). They give nobody any right.

use serde::{Deserialize, Serialize};

use super::{AccessRequestId, ConsentId, Outcome, Part, PersonId, SupportRequestId, TenantId, Timestamp};

/// A pending request as one of its tenants is told of it: what its administrators see in their list (R18), as it was when
/// the engineer asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Who is told.
    pub tenant: TenantId,
    /// When the engineer asked.
    pub at: Timestamp,
    /// The consent that waits.
    pub consent: ConsentId,
    /// Which part of the access request it is.
    pub part: Part,
    /// The access request.
    pub access_request: AccessRequestId,
    /// The support request.
    pub support_request: SupportRequestId,
    /// The number people quote.
    pub number: String,
    /// What the support request is about.
    pub summary: String,
    /// Why the engineer asks.
    pub reason: String,
    /// The engineer.
    pub requested_by: PersonId,
}

/// What each tenant is to be told (R23): of a new access request, each tenant of its own consent.
#[must_use]
pub fn announcements(outcome: &Outcome) -> Vec<Announcement> {
    let support_request = &outcome.case.support_request;
    let announced = outcome.created().into_iter().flat_map(|request| {
        request.consents().map(|consent| Announcement {
            tenant: consent.tenant.clone(),
            at: request.created_at,
            consent: consent.id.clone(),
            part: consent.part,
            access_request: request.id.clone(),
            support_request: support_request.id.clone(),
            number: support_request.number.clone(),
            summary: support_request.summary.clone(),
            reason: request.reason.clone(),
            requested_by: request.requested_by.clone(),
        })
    });
    announced.collect()
}
