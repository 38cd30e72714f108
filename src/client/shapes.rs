//! What the workflow API shows, as clients read it. Members that are not known here are passed over: answers can grow.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::model::{
    AccessRequestId, ActivityKind, Category, ConsentId, ConsentStatus, Part, PersonId, ReceiptId, SubmittedIn,
    SupportRequestId, TenantId, Timestamp,
};

/// Something with its version, which counts the changes of it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What it is.
    pub value: T,
    /// Its version; goes into [`super::Change::of_version`].
    pub version: u32,
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// For the rest; none at the end.
    #[serde(default = "Option::default")]
    pub next_cursor: Option<String>,
}

/// A part of a list of consents.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConsentPage {
    /// How many wait for a decision, counted to at most 1,000.
    pub pending_count: usize,
    /// The consents.
    pub items: Vec<Consent>,
    /// For the rest; none at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name for people.
    pub display_name: String,
}

/// Where a support request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SupportRequestStatus {
    /// Support works on it.
    Open,
    /// Nothing can be read under it (R4).
    Closed,
}

/// A support request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SupportRequest {
    /// The ticketing system's id.
    pub id: SupportRequestId,
    /// The number that people quote.
    pub number: String,
    /// What it is about.
    pub summary: String,
    /// Who opened it.
    pub tenant: TenantId,
    /// Where.
    pub submitted_in: SubmittedIn,
    /// The customer's answer (R5).
    pub advanced_diagnostic_information: bool,
    /// The engineer who works on it.
    pub assignee: Option<PersonId>,
    /// Open or closed.
    pub status: SupportRequestStatus,
    /// When it was opened.
    #[serde(deserialize_with = "time")]
    pub opened_at: Timestamp,
    /// When it was last closed.
    #[serde(deserialize_with = "maybe_time")]
    pub closed_at: Option<Timestamp>,
}

/// A support request, as far as a tenant's administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SupportRequestLine {
    /// The number that people quote.
    pub number: String,
    /// What it is about.
    pub summary: String,
}

/// What an approval covers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Scope {
    /// The categories of data.
    pub categories: Vec<Category>,
    /// Until when; none: until the support request closes.
    #[serde(deserialize_with = "maybe_time")]
    pub until: Option<Timestamp>,
}

/// What an approval shall cover (R9). Nothing said: everything, until the support request closes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ScopeWanted {
    /// These categories of data alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<Category>>,
    /// No longer than this.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub until: Option<Timestamp>,
}

/// Where an access request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessRequestStatus {
    /// A consent is missing.
    Pending,
    /// None is.
    Approved,
    /// A consent is final, or past its end time.
    Ended,
}

/// Whose consent is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingConsent {
    /// The support request tenant's.
    SupportRequestTenant,
    /// The resource tenant's.
    ResourceTenant,
}

/// An access request, as its engineer sees it (R20).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccessRequest {
    /// Its id.
    pub id: AccessRequestId,
    /// Under which support request.
    pub support_request: SupportRequestId,
    /// To whose data.
    pub resource_tenant: TenantId,
    /// Who asked.
    pub requested_by: PersonId,
    /// Why.
    pub reason: String,
    /// When.
    #[serde(deserialize_with = "time")]
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: AccessRequestStatus,
    /// Whom to ask.
    pub missing_consents: Vec<MissingConsent>,
    /// One or two consents.
    pub consents: Vec<ConsentOfAccessRequest>,
}

/// A consent, as the engineer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ConsentOfAccessRequest {
    /// Which part it is.
    pub part: Part,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where it stands.
    pub status: ConsentStatus,
    /// What it covers, once it is approved.
    #[serde(default)]
    pub scope: Option<Scope>,
}

/// A consent, as its tenant's administrators see it (R18).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Consent {
    /// Its id.
    pub id: ConsentId,
    /// Which part it is.
    pub part: Part,
    /// Where it stands.
    pub status: ConsentStatus,
    /// Approved, and not past its end time.
    pub in_force: bool,
    /// The access request.
    pub access_request: AccessRequestId,
    /// The support request.
    pub support_request: SupportRequestLine,
    /// Why the engineer asks.
    pub reason: String,
    /// Who asks.
    pub requested_by: PersonId,
    /// Since when.
    #[serde(deserialize_with = "time")]
    pub requested_at: Timestamp,
    /// What it covers, or covered.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// Who decided last.
    pub decided_by: Option<PersonId>,
    /// When.
    #[serde(deserialize_with = "maybe_time")]
    pub decided_at: Option<Timestamp>,
    /// When it ended.
    #[serde(deserialize_with = "maybe_time")]
    pub ended_at: Option<Timestamp>,
    /// The receipt of its approval.
    #[serde(default)]
    pub receipt: Option<ReceiptId>,
    /// What a rejection means for the customer (R12).
    #[serde(default)]
    pub advice: Option<String>,
}

/// An entry of a tenant's audit log (R21).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuditLogEntry {
    /// 1, 2, 3 ... within the tenant.
    pub number: u64,
    /// When.
    #[serde(deserialize_with = "time")]
    pub time: Timestamp,
    /// What was done.
    pub activity: ActivityKind,
    /// By whom.
    pub actor: Actor,
    /// Under which support request.
    pub support_request: SupportRequestId,
    /// In which access request.
    pub access_request: AccessRequestId,
    /// With which consent.
    pub consent: ConsentId,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// A person.
    Person {
        /// Who.
        id: PersonId,
    },
    /// A program.
    Service {
        /// Its name.
        name: String,
    },
}

/// An allowed read of the tenant's data (R22).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReadEntry {
    /// When.
    #[serde(deserialize_with = "time")]
    pub time: Timestamp,
    /// The decision.
    pub decision_id: String,
    /// Who read.
    pub support_engineer: PersonId,
    /// The verb.
    pub action: String,
    /// Which data.
    pub data_category: Category,
    /// The tool's own name for it.
    pub item: Option<String>,
    /// Under which support request.
    pub support_request: SupportRequestId,
    /// By which access request; none where the customer's setting allowed it (R5).
    pub access_request: Option<AccessRequestId>,
    /// By which consents.
    pub consents: Vec<ConsentId>,
    /// Their receipts, in the same order.
    pub receipts: Vec<Option<ReceiptId>>,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

#[expect(clippy::ref_option, reason = "the shape that serde calls")]
fn as_text<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
