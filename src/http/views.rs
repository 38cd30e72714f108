//! What the workflow API shows of each thing: JSON shapes, and nothing in them that the caller may not know.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{
    AccessRequest, AccessRequestId, Category, Consent, ConsentId, ConsentStatus, Part, PersonId, ReceiptId, Scope,
    SubmittedIn, SupportRequest, SupportRequestId, Tenant, TenantId, Timestamp,
};
use crate::workflow::SeenConsent;

/// A part of a list.
#[derive(Debug, Serialize)]
pub(super) struct PageView<T> {
    pub(super) items: Vec<T>,
    /// Goes into `?cursor=` for the rest; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(super) struct TenantView<'a> {
    #[schema(value_type = TenantId)]
    id: &'a str,
    display_name: &'a str,
}

impl<'a> TenantView<'a> {
    pub(super) fn of(tenant: &'a Tenant) -> Self {
        Self { id: tenant.id.as_str(), display_name: &tenant.display_name }
    }
}

/// Where a support request stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SupportRequestStatus {
    Open,
    Closed,
}

/// Where an access request stands, as its engineer sees it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum AccessRequestStatus {
    /// A consent is missing.
    Pending,
    /// None is.
    Approved,
    /// A consent is final, or past its end time.
    Ended,
}

/// Whose consent is missing.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MissingConsent {
    SupportRequestTenant,
    ResourceTenant,
}

/// A support request, for the ticketing system and its engineer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SupportRequest)]
pub(super) struct SupportRequestView<'a> {
    #[schema(value_type = SupportRequestId)]
    id: &'a str,
    number: &'a str,
    summary: &'a str,
    #[schema(value_type = TenantId)]
    tenant: &'a str,
    submitted_in: SubmittedIn,
    advanced_diagnostic_information: bool,
    #[schema(value_type = Option<PersonId>, required)]
    assignee: Option<&'a str>,
    status: SupportRequestStatus,
    #[schema(value_type = Timestamp)]
    opened_at: String,
    #[schema(value_type = Option<Timestamp>, required)]
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
            assignee: request.assignee.as_ref().map(PersonId::as_str),
            status: if request.open { SupportRequestStatus::Open } else { SupportRequestStatus::Closed },
            opened_at: request.opened_at.to_string(),
            closed_at: request.closed_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scope)]
struct ScopeView {
    categories: Vec<Category>,
    #[schema(value_type = Option<Timestamp>, required)]
    until: Option<String>,
}

impl ScopeView {
    fn of(scope: Scope) -> Self {
        Self { categories: scope.categories.iter().collect(), until: scope.until.map(|until| until.to_string()) }
    }
}

/// An access request, for its engineer: which consents are missing, not who decided (R20).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessRequest)]
pub(super) struct AccessRequestView<'a> {
    #[schema(value_type = AccessRequestId)]
    id: &'a str,
    #[schema(value_type = SupportRequestId)]
    support_request: &'a str,
    #[schema(value_type = TenantId)]
    resource_tenant: &'a str,
    #[schema(value_type = PersonId)]
    requested_by: &'a str,
    reason: &'a str,
    #[schema(value_type = Timestamp)]
    created_at: String,
    status: AccessRequestStatus,
    missing_consents: Vec<MissingConsent>,
    consents: Vec<ConsentStatusView<'a>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsentOfAccessRequest)]
struct ConsentStatusView<'a> {
    part: Part,
    #[schema(value_type = TenantId)]
    tenant: &'a str,
    status: ConsentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<ScopeView>,
}

impl<'a> AccessRequestView<'a> {
    pub(super) fn of(request: &'a AccessRequest, now: Timestamp) -> Self {
        let approved = |consent: &Consent| consent.status == ConsentStatus::Approved;
        let status = match (request.is_live(now), request.consents().all(approved)) {
            (false, _) => AccessRequestStatus::Ended,
            (true, true) => AccessRequestStatus::Approved,
            (true, false) => AccessRequestStatus::Pending,
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
                    part: consent.part,
                    tenant: consent.tenant.as_str(),
                    status: consent.status,
                    scope: approved(consent).then(|| ScopeView::of(consent.scope)),
                })
                .collect(),
        }
    }
}

/// A missing consent, named as a denial names it: the only consent is the resource tenant's.
pub(super) const fn missing(part: Part) -> MissingConsent {
    match part {
        Part::SupportRequestTenant => MissingConsent::SupportRequestTenant,
        Part::ResourceTenant | Part::Only => MissingConsent::ResourceTenant,
    }
}

/// A consent, for its own tenant's administrators (R18). Everything here is the tenant's own, or said by the engineer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Consent)]
pub(super) struct ConsentView<'a> {
    #[schema(value_type = ConsentId)]
    id: &'a str,
    part: Part,
    status: ConsentStatus,
    /// Approved, and not past its end time. Whether anything can be read may depend on others.
    in_force: bool,
    #[schema(value_type = AccessRequestId)]
    access_request: &'a str,
    support_request: SupportRequestLine<'a>,
    reason: &'a str,
    #[schema(value_type = PersonId)]
    requested_by: &'a str,
    #[schema(value_type = Timestamp)]
    requested_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<ScopeView>,
    #[schema(value_type = Option<PersonId>, required)]
    decided_by: Option<&'a str>,
    #[schema(value_type = Option<Timestamp>, required)]
    decided_at: Option<String>,
    #[schema(value_type = Option<Timestamp>, required)]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ReceiptId>, nullable = false)]
    receipt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    advice: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
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
            part: consent.part,
            status: consent.status,
            in_force: consent.status == ConsentStatus::Approved && !consent.is_expired(now),
            access_request: access_request.id.as_str(),
            support_request: SupportRequestLine { number: &support_request.number, summary: &support_request.summary },
            reason: &access_request.reason,
            requested_by: access_request.requested_by.as_str(),
            requested_at: access_request.created_at.to_string(),
            scope: was_approved.then(|| ScopeView::of(consent.scope)),
            decided_by: consent.decided_by.as_ref().map(PersonId::as_str),
            decided_at: consent.decided_at.map(|at| at.to_string()),
            ended_at: consent.ended_at.map(|at| at.to_string()),
            receipt: consent.receipt.as_ref().map(ReceiptId::as_str),
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
