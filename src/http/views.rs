//! What the workflow API shows of each thing: JSON shapes, and nothing in them that the caller may not know.

use serde::Serialize;

use crate::model::{AccessRequest, Consent, ConsentStatus, Part, Scope, SupportRequest, Tenant, Timestamp};
use crate::workflow::SeenConsent;

/// A part of a list.
#[derive(Debug, Serialize)]
pub(super) struct PageView<T> {
    pub(super) items: Vec<T>,
    /// Goes into `?cursor=` for the rest; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct TenantView<'a> {
    id: &'a str,
    display_name: &'a str,
}

impl<'a> TenantView<'a> {
    pub(super) fn of(tenant: &'a Tenant) -> Self {
        Self { id: tenant.id.as_str(), display_name: &tenant.display_name }
    }
}

/// A support request, for the ticketing system and its engineer.
#[derive(Debug, Serialize)]
pub(super) struct SupportRequestView<'a> {
    id: &'a str,
    number: &'a str,
    summary: &'a str,
    tenant: &'a str,
    submitted_in: crate::model::SubmittedIn,
    advanced_diagnostic_information: bool,
    assignee: Option<&'a str>,
    status: &'static str,
    opened_at: String,
    closed_at: Option<String>,
}

impl<'a> SupportRequestView<'a> {
    pub(super) fn of(request: &'a SupportRequest) -> Self {
        Self {
            id: request.id.as_str(),
            number: &request.number,
            summary: &request.summary,
            tenant: request.tenant.as_str(),
            submitted_in: request.submitted_in,
            advanced_diagnostic_information: request.advanced_diagnostic_information,
            assignee: request.assignee.as_ref().map(crate::model::PersonId::as_str),
            status: if request.open { "open" } else { "closed" },
            opened_at: request.opened_at.to_string(),
            closed_at: request.closed_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
struct ScopeView {
    categories: Vec<&'static str>,
    until: Option<String>,
}

impl ScopeView {
    fn of(scope: Scope) -> Self {
        Self {
            categories: scope.categories.iter().map(crate::model::Category::as_str).collect(),
            until: scope.until.map(|until| until.to_string()),
        }
    }
}

/// An access request, for its engineer: which consents are missing, not who decided (R20).
#[derive(Debug, Serialize)]
pub(super) struct AccessRequestView<'a> {
    id: &'a str,
    support_request: &'a str,
    resource_tenant: &'a str,
    requested_by: &'a str,
    reason: &'a str,
    created_at: String,
    status: &'static str,
    missing_consents: Vec<&'static str>,
    consents: Vec<ConsentStatusView<'a>>,
}

#[derive(Debug, Serialize)]
struct ConsentStatusView<'a> {
    part: &'static str,
    tenant: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeView>,
}

impl<'a> AccessRequestView<'a> {
    pub(super) fn of(request: &'a AccessRequest, now: Timestamp) -> Self {
        let approved = |consent: &Consent| consent.status == ConsentStatus::Approved;
        let status = match (request.is_live(now), request.consents().all(approved)) {
            (false, _) => "ended",
            (true, true) => "approved",
            (true, false) => "pending",
        };
        Self {
            id: request.id.as_str(),
            support_request: request.support_request.as_str(),
            resource_tenant: request.resource_tenant.as_str(),
            requested_by: request.requested_by.as_str(),
            reason: &request.reason,
            created_at: request.created_at.to_string(),
            status,
            missing_consents: request.missing_consents().map(missing).collect(),
            consents: request
                .consents()
                .map(|consent| ConsentStatusView {
                    part: consent.part.as_str(),
                    tenant: consent.tenant.as_str(),
                    status: consent.status.as_str(),
                    scope: approved(consent).then(|| ScopeView::of(consent.scope)),
                })
                .collect(),
        }
    }
}

/// A missing consent, named as a denial names it: the only consent is the resource tenant's.
pub(super) const fn missing(part: Part) -> &'static str {
    match part {
        Part::SupportRequestTenant => Part::SupportRequestTenant.as_str(),
        Part::ResourceTenant | Part::Only => Part::ResourceTenant.as_str(),
    }
}

/// A consent, for its own tenant's administrators (R18). Everything here is the tenant's own, or said by the engineer.
#[derive(Debug, Serialize)]
pub(super) struct ConsentView<'a> {
    id: &'a str,
    part: &'static str,
    status: &'static str,
    /// Approved, and not past its end time. Whether anything can be read may depend on others.
    in_force: bool,
    access_request: &'a str,
    support_request: SupportRequestLine<'a>,
    reason: &'a str,
    requested_by: &'a str,
    requested_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeView>,
    decided_by: Option<&'a str>,
    decided_at: Option<String>,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct SupportRequestLine<'a> {
    number: &'a str,
    summary: &'a str,
}

/// What a rejection means for the customer (R12).
const REJECTED_ADVICE: &str = "Solving the support request may take longer: the support engineer will ask you for the \
                               data instead.";

impl<'a> ConsentView<'a> {
    pub(super) fn of(
        consent: &'a Consent,
        access_request: &'a AccessRequest,
        support_request: &'a SupportRequest,
        now: Timestamp,
    ) -> Self {
        let was_approved = match consent.status {
            ConsentStatus::Approved | ConsentStatus::Revoked | ConsentStatus::Completed => true,
            ConsentStatus::Pending | ConsentStatus::Rejected | ConsentStatus::Canceled => false,
        };
        Self {
            id: consent.id.as_str(),
            part: consent.part.as_str(),
            status: consent.status.as_str(),
            in_force: consent.status == ConsentStatus::Approved && !consent.is_expired(now),
            access_request: access_request.id.as_str(),
            support_request: SupportRequestLine { number: &support_request.number, summary: &support_request.summary },
            reason: &access_request.reason,
            requested_by: access_request.requested_by.as_str(),
            requested_at: access_request.created_at.to_string(),
            scope: was_approved.then(|| ScopeView::of(consent.scope)),
            decided_by: consent.decided_by.as_ref().map(crate::model::PersonId::as_str),
            decided_at: consent.decided_at.map(|at| at.to_string()),
            ended_at: consent.ended_at.map(|at| at.to_string()),
            receipt: consent.receipt.as_ref().map(crate::model::ReceiptId::as_str),
            advice: (consent.status == ConsentStatus::Rejected).then_some(REJECTED_ADVICE),
        }
    }

    pub(super) fn seen(seen: &'a SeenConsent, now: Timestamp) -> Self {
        Self::of(&seen.consent, &seen.access_request, &seen.support_request, now)
    }
}

/// A list of consents with the count of those that wait (R23).
#[derive(Debug, Serialize)]
pub(super) struct ConsentListView<'a> {
    pub(super) pending_count: usize,
    #[serde(flatten)]
    pub(super) page: PageView<ConsentView<'a>>,
}
