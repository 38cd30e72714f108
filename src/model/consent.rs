//! Consents: one tenant's part of an access request (R9, R11-R16).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CategorySet, ConsentId, PersonId, ReceiptId, TenantId, Timestamp};

/// For how long an ended consent stays in the approved view (R16): 30 days, in milliseconds.
pub const LISTED_AFTER_END_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Which part of an access request a consent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The tenant that opened the support request.
    SupportRequestTenant,
    /// The tenant whose data would be read.
    ResourceTenant,
    /// Both are the same tenant: there is one consent (R7).
    Only,
}

impl Part {
    /// The name used in policies, answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SupportRequestTenant => "support_request_tenant",
            Self::ResourceTenant => "resource_tenant",
            Self::Only => "only",
        }
    }
}

/// Where a consent stands. The last four never change again (R15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentStatus {
    /// Nobody has decided yet (R11).
    Pending,
    /// An administrator of the tenant approved it.
    Approved,
    /// An administrator of the tenant rejected it (R12).
    Rejected,
    /// An administrator of the resource tenant removed the access (R13).
    Revoked,
    /// It was approved when the support request closed, or the request was withdrawn (R14).
    Completed,
    /// It was pending when the support request closed, or the request was withdrawn or replaced (R14).
    Canceled,
}

impl ConsentStatus {
    /// The name used in policies, answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Revoked => "revoked",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether it never changes again (R15).
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Approved => false,
            Self::Rejected | Self::Revoked | Self::Completed | Self::Canceled => true,
        }
    }
}

/// What a consent covers (R9): categories of diagnostic data, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The categories that may be read.
    pub categories: CategorySet,
    /// The first moment at which the consent no longer counts; none: until the support request closes.
    pub until: Option<Timestamp>,
}

impl Scope {
    /// Everything, until the support request closes.
    pub const WHOLE: Self = Self { categories: CategorySet::ALL, until: None };

    /// Whether this scope lies within the other: no category more, no moment longer.
    #[must_use]
    pub fn is_within(self, wider: Self) -> bool {
        let ends_no_later = match (self.until, wider.until) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => mine <= theirs,
        };
        ends_no_later && self.categories.is_subset_of(wider.categories)
    }
}

/// One tenant's consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Its own id: nothing about the other consent can be read off it (R19).
    pub id: ConsentId,
    /// Whose consent it is.
    pub tenant: TenantId,
    /// Which part of the access request it is.
    pub part: Part,
    /// Where it stands.
    pub status: ConsentStatus,
    /// What it covers once approved.
    pub scope: Scope,
    /// Who decided last. Told to the tenant itself alone (R20).
    pub decided_by: Option<PersonId>,
    /// When somebody approved or rejected it.
    pub decided_at: Option<Timestamp>,
    /// When it became final.
    pub ended_at: Option<Timestamp>,
    /// The receipt of its approval; none when it was not approved, or while no receipts were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptId>,
    /// Counts the changes of this consent alone, so that a version tells nothing about the other one (R19).
    pub version: u32,
}

impl Consent {
    /// A consent nobody has decided (R11).
    #[must_use]
    pub fn pending(id: ConsentId, tenant: TenantId, part: Part) -> Self {
        Self {
            id,
            tenant,
            part,
            status: ConsentStatus::Pending,
            scope: Scope::WHOLE,
            decided_by: None,
            decided_at: None,
            ended_at: None,
            receipt: None,
            version: 1,
        }
    }

    /// Whether the end time that its approver gave has passed (R9).
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.scope.until.is_some_and(|until| until <= now)
    }

    /// When it stopped, or will stop, to count: the earlier of its end and its end time.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        match (self.ended_at, self.scope.until) {
            (Some(ended), Some(until)) => Some(ended.min(until)),
            (ended, until) => ended.or(until),
        }
    }

    /// Until when the approved view lists it: 30 days after it ended (R16). None: it is in force without an end time.
    #[must_use]
    pub fn listed_until(&self) -> Option<Timestamp> {
        self.ends_at().map(|end| end.plus_millis(LISTED_AFTER_END_MS))
    }
}
