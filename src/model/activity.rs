//! Activities: what each tenant's own audit log says about support access (R21).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AccessRequest, AccessRequestId, Actor, Case, ConsentChange, ConsentId, Event, Outcome, Part, SupportRequestId,
    TenantId, Timestamp,
};

/// The category under which every activity is filed (R21).
pub const ACTIVITY_CATEGORY: &str = "MicrosoftSupportAccessManagement";

/// The kinds of activity. The support request tenant's log speaks of the request, the resource tenant's of the approval;
/// where both are one tenant, its log speaks of the request's beginning and end and of the approval in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum ActivityKind {
    /// An access request was created under the tenant's support request.
    #[serde(rename = "Request created")]
    RequestCreated,
    /// The support request tenant approved its consent.
    #[serde(rename = "Request approved")]
    RequestApproved,
    /// The support request tenant rejected its consent.
    #[serde(rename = "Request rejected")]
    RequestRejected,
    /// The support request tenant's consent was canceled before a decision.
    #[serde(rename = "Request canceled")]
    RequestCanceled,
    /// The resource tenant approved access to its data.
    #[serde(rename = "Approval approved")]
    ApprovalApproved,
    /// The resource tenant rejected access to its data.
    #[serde(rename = "Approval rejected")]
    ApprovalRejected,
    /// The resource tenant removed access to its data (R13).
    #[serde(rename = "Approval removed")]
    ApprovalRemoved,
    /// The resource tenant took a part of an approval away (R9).
    #[serde(rename = "Approval narrowed")]
    ApprovalNarrowed,
}

impl ActivityKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::RequestCreated,
        Self::RequestApproved,
        Self::RequestRejected,
        Self::RequestCanceled,
        Self::ApprovalApproved,
        Self::ApprovalRejected,
        Self::ApprovalRemoved,
        Self::ApprovalNarrowed,
    ];

    /// The name under which audit logs list it (R21).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestCreated => "Request created",
            Self::RequestApproved => "Request approved",
            Self::RequestRejected => "Request rejected",
            Self::RequestCanceled => "Request canceled",
            Self::ApprovalApproved => "Approval approved",
            Self::ApprovalRejected => "Approval rejected",
            Self::ApprovalRemoved => "Approval removed",
            Self::ApprovalNarrowed => "Approval narrowed",
        }
    }
}

/// One entry of one tenant's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Whose log it belongs to. Nobody else's shows it (R19).
    pub tenant: TenantId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: ActivityKind,
    /// Who did it.
    pub actor: Actor,
    /// Under which support request.
    pub support_request: SupportRequestId,
    /// On which access request.
    pub access_request: AccessRequestId,
    /// On which consent of this tenant.
    pub consent: ConsentId,
}

/// What the tenants' audit logs have to say about what happened (R21), in its order.
#[must_use]
pub fn activities(outcome: &Outcome, by: &Actor, at: Timestamp) -> Vec<Activity> {
    let Outcome { case, events } = outcome;
    let mut activities = Vec::new();
    for event in events {
        match event {
            Event::AccessRequestCreated(id) => {
                let created = case.access_request(id).map(|request| entry(case, request, Part::SupportRequestTenant));
                activities.extend(created.flatten().map(|entry| entry.of(ActivityKind::RequestCreated, by, at)));
            }
            Event::ConsentChanged { consent, change, .. } => {
                let Some((request, consent)) = case.consent(consent) else { continue };
                let Some(kind) = kind_of(consent.part, *change) else { continue };
                activities.extend(entry(case, request, consent.part).map(|entry| entry.of(kind, by, at)));
            }
            Event::SupportRequestOpened
            | Event::SupportRequestUpdated
            | Event::Assigned
            | Event::SupportRequestClosed
            | Event::SupportRequestReopened => {}
        }
    }
    activities
}

/// An activity's place: whose log, on what.
struct Entry<'a> {
    case: &'a Case,
    request: &'a AccessRequest,
    consent: &'a super::Consent,
}

fn entry<'a>(case: &'a Case, request: &'a AccessRequest, part: Part) -> Option<Entry<'a>> {
    let consent = request
        .consents()
        .find(|consent| consent.part == part || (part == Part::SupportRequestTenant && consent.part == Part::Only))?;
    Some(Entry { case, request, consent })
}

impl Entry<'_> {
    fn of(&self, kind: ActivityKind, by: &Actor, at: Timestamp) -> Activity {
        Activity {
            tenant: self.consent.tenant.clone(),
            at,
            kind,
            actor: by.clone(),
            support_request: self.case.support_request.id.clone(),
            access_request: self.request.id.clone(),
            consent: self.consent.id.clone(),
        }
    }
}

const fn kind_of(part: Part, change: ConsentChange) -> Option<ActivityKind> {
    match (part, change) {
        (Part::SupportRequestTenant, ConsentChange::Approved) => Some(ActivityKind::RequestApproved),
        (Part::SupportRequestTenant, ConsentChange::Rejected) => Some(ActivityKind::RequestRejected),
        (Part::SupportRequestTenant | Part::Only, ConsentChange::Canceled) => Some(ActivityKind::RequestCanceled),
        (Part::ResourceTenant | Part::Only, ConsentChange::Approved) => Some(ActivityKind::ApprovalApproved),
        (Part::ResourceTenant | Part::Only, ConsentChange::Rejected) => Some(ActivityKind::ApprovalRejected),
        (Part::ResourceTenant | Part::Only, ConsentChange::Revoked) => Some(ActivityKind::ApprovalRemoved),
        (Part::ResourceTenant | Part::Only, ConsentChange::Narrowed) => Some(ActivityKind::ApprovalNarrowed),
        // R21 names no activity for these: a completed approval shows in the approved view (R16), a resource tenant's
        // undecided consent leaves its pending view, and no policy lets the support request tenant revoke or narrow.
        (_, ConsentChange::Completed)
        | (Part::ResourceTenant, ConsentChange::Canceled)
        | (Part::SupportRequestTenant, ConsentChange::Revoked | ConsentChange::Narrowed) => None,
    }
}
