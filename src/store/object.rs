//! What a store holds: typed objects under typed keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{
    AccessRequest, AccessRequestId, ConsentId, ReceiptId, SupportRequest, SupportRequestId, Tenant, TenantId, Timestamp,
};

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// A registered tenant.
    Tenant(TenantId),
    /// A support request.
    SupportRequest(SupportRequestId),
    /// An access request with its consents.
    AccessRequest(AccessRequestId),
    /// The place of the one live access request per support request and resource tenant (R10).
    Slot(SupportRequestId, TenantId),
    /// The answer given to a caller under an idempotency key.
    RememberedAnswer(String),
    /// The receipt of a consent's approval.
    Receipt(ConsentId),
    /// The policies that every member decides by.
    Rollout,
}

impl Key {
    /// Whether followers are told of this object: the replica needs facts, not remembered answers.
    #[must_use]
    pub const fn is_followed(&self) -> bool {
        match self {
            Self::Tenant(_) | Self::SupportRequest(_) | Self::AccessRequest(_) | Self::Rollout => true,
            Self::Slot(..) | Self::RememberedAnswer(_) | Self::Receipt(_) => false,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(id) => write!(f, "tenant/{id}"),
            Self::SupportRequest(id) => write!(f, "support-request/{id}"),
            Self::AccessRequest(id) => write!(f, "access-request/{id}"),
            Self::Slot(support_request, tenant) => write!(f, "slot/{support_request}/{tenant}"),
            Self::RememberedAnswer(key) => write!(f, "answer/{key}"),
            Self::Receipt(consent) => write!(f, "receipt/{consent}"),
            Self::Rollout => f.write_str("policies"),
        }
    }
}

/// Which access request was created last for a support request and a resource tenant. Two engineers' tools that create
/// one at the same moment both want this key unchanged: one of them gets it (R10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The support request.
    pub support_request: SupportRequestId,
    /// The resource tenant.
    pub resource_tenant: TenantId,
    /// The access request created last.
    pub access_request: AccessRequestId,
}

/// An answer kept so that a retry under the same idempotency key gets it again, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedAnswer {
    /// Whose key, and which: unique to a caller.
    pub caller_and_key: String,
    /// A digest of the request, so that the same key on another request is refused.
    pub request_digest: String,
    /// The HTTP status that was answered.
    pub status: u16,
    /// The headers worth repeating.
    pub headers: Vec<(String, String)>,
    /// The body that was answered.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// The receipt of an approval, as it was signed: kept with the commit that it is about, and never made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// The consent that was approved.
    pub consent: ConsentId,
    /// The envelope, as JSON.
    pub envelope: String,
}

/// Policies that were rolled out to every member, as they were handed in: whoever takes them judges them anew (G6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The version that decisions by them name.
    pub policy_version: String,
    /// The SHA-256 digest of schema, roles and policies, of which the version is the beginning.
    pub bundle_sha256: String,
    /// When.
    pub at: Timestamp,
    /// The bundle's texts as JSON, or the envelope that they were signed in.
    pub bundle: RolledOut,
}

/// The form in which policies were handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolledOut {
    /// Their texts.
    Texts(String),
    /// A signed bundle.
    Signed(String),
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "most objects are of the large kind")]
pub enum Object {
    /// A registered tenant.
    Tenant(Tenant),
    /// A support request.
    SupportRequest(SupportRequest),
    /// An access request with its consents.
    AccessRequest(AccessRequest),
    /// See [`Slot`].
    Slot(Slot),
    /// See [`RememberedAnswer`].
    RememberedAnswer(RememberedAnswer),
    /// See [`SignedReceipt`].
    Receipt(SignedReceipt),
    /// See [`Rollout`].
    Rollout(Rollout),
}

impl Object {
    /// The key it stands under.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Tenant(tenant) => Key::Tenant(tenant.id.clone()),
            Self::SupportRequest(request) => Key::SupportRequest(request.id.clone()),
            Self::AccessRequest(request) => Key::AccessRequest(request.id.clone()),
            Self::Slot(slot) => Key::Slot(slot.support_request.clone(), slot.resource_tenant.clone()),
            Self::RememberedAnswer(answer) => Key::RememberedAnswer(answer.caller_and_key.clone()),
            Self::Receipt(receipt) => Key::Receipt(receipt.consent.clone()),
            Self::Rollout(_) => Key::Rollout,
        }
    }
}

/// One write of a commit: a new object, or the new state of one there was. Objects are never deleted by a commit; what
/// has ended stays as a fact (R15, R16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write(pub Object);
