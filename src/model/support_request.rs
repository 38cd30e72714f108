//! Support requests: the cases that customers opened with support (R3-R5).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PersonId, SupportRequestId, TenantId, Timestamp};

/// A tenant that we know of: the ticketing system, or the configuration, has registered it (R10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The tenant's id (`tid`).
    pub id: TenantId,
    /// What people call it.
    pub display_name: String,
    /// Counts the changes of this record.
    pub version: u32,
}

/// Where the customer submitted the support request; decides whether R5 or R7 speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubmittedIn {
    /// The admin centers' own flow, where the customer answers "allow collection of advanced diagnostic information".
    AdminCenter,
    /// Any other portal, where that setting cannot be managed.
    OtherPortal,
}

/// A support request. Open until it is closed; closing it ends every access under it (R4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportRequest {
    /// The ticketing system's id.
    pub id: SupportRequestId,
    /// The number people quote.
    pub number: String,
    /// One line on what it is about.
    pub summary: String,
    /// The tenant that opened it: the support request tenant.
    pub tenant: TenantId,
    /// Where it was submitted.
    pub submitted_in: SubmittedIn,
    /// The customer's answer to "allow collection of advanced diagnostic information" (R5).
    pub advanced_diagnostic_information: bool,
    /// The support engineer now assigned, if any (R3).
    pub assignee: Option<PersonId>,
    /// Whether it is open (R4).
    pub open: bool,
    /// When it was opened first.
    pub opened_at: Timestamp,
    /// When it was last closed.
    pub closed_at: Option<Timestamp>,
    /// Counts the changes of the support request itself, not of its access requests (R19).
    pub version: u32,
}
