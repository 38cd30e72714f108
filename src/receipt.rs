//! Receipts: a tenant's approval as a signed statement that it can verify without us.
//!
//! What lives here: the statement and its envelope (DSSE around an in-toto statement). What does not: when a receipt is made and who is given one. A receipt says what its own tenant decided and was told;
//! nothing of the other tenant stands in it (R19).

use serde::{Deserialize, Serialize};

use crate::model::{AccessRequest, Category, Consent, ReceiptId, SupportRequest};
use crate::signing::{NotSigned, Signer, TrustedKey, TrustedKeys, dsse, sha256};

/// What the payload is, for whoever opens an envelope.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The form of the statement (<https://in-toto.io>).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// What it states.
const PREDICATE: &str = "urn:consentry:approval:v1";

/// A text is not a receipt, or not one by these keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the receipt {0}")]
pub struct NotAReceipt(String);

/// What a receipt states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    #[serde(rename = "_type")]
    form: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    /// Who approved what.
    #[serde(rename = "predicate")]
    pub approval: Approval,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Digest {
    sha256: String,
}

/// An approval as it was when it was given. What became of it later stands in the tenant's audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The receipt's id, which records of reads name.
    pub receipt: String,
    /// Whose approval.
    pub tenant: String,
    /// The consent.
    pub consent: String,
    /// Which part of the access request it is.
    pub part: String,
    /// The access request.
    pub access_request: String,
    /// The support request's number.
    pub support_request_number: String,
    /// The support engineer who asked.
    pub requested_by: String,
    /// Why.
    pub reason: String,
    /// The administrator who approved.
    pub approved_by: String,
    /// When, RFC 3339.
    pub approved_at: String,
    /// The categories of diagnostic data that may be read.
    pub categories: Vec<String>,
    /// Until when; none: until the support request closes.
    pub until: Option<String>,
    /// The policies that let the administrator approve.
    pub policy_version: String,
    /// The decision by which they did, in the decision log.
    pub decision_id: String,
}

/// The receipt of an approval that has just been given, signed.
///
/// # Errors
/// [`NotSigned`].
pub fn seal(
    signer: &dyn Signer,
    id: &ReceiptId,
    consent: &Consent,
    request: &AccessRequest,
    support_request: &SupportRequest,
    decided: (&str, &str),
) -> Result<String, NotSigned> {
    let (policy_version, decision_id) = decided;
    let approval = Approval {
        receipt: id.to_string(),
        tenant: consent.tenant.to_string(),
        consent: consent.id.to_string(),
        part: consent.part.as_str().to_owned(),
        access_request: request.id.to_string(),
        support_request_number: support_request.number.clone(),
        requested_by: request.requested_by.to_string(),
        reason: request.reason.clone(),
        approved_by: consent.decided_by.as_ref().map(ToString::to_string).unwrap_or_default(),
        approved_at: consent.decided_at.map(|at| at.to_string()).unwrap_or_default(),
        categories: consent.scope.categories.iter().map(Category::as_str).map(ToOwned::to_owned).collect(),
        until: consent.scope.until.map(|until| until.to_string()),
        policy_version: policy_version.to_owned(),
        decision_id: decision_id.to_owned(),
    };
    let subject = Subject {
        name: format!("consent/{}", consent.id),
        digest: Digest { sha256: sha256(consent.id.as_str().as_bytes()) },
    };
    let receipt =
        Receipt { form: STATEMENT.to_owned(), subject: vec![subject], predicate_type: PREDICATE.to_owned(), approval };
    // Strings and lists serialise.
    dsse::seal(signer, PAYLOAD_TYPE, &serde_json::to_vec(&receipt).unwrap_or_default())
}

/// What a receipt states, if one of these keys has signed it, and which.
///
/// # Errors
/// [`NotAReceipt`].
pub fn open<'a>(envelope: &[u8], trusted: &'a TrustedKeys) -> Result<(Receipt, &'a TrustedKey), NotAReceipt> {
    let opened = dsse::open(envelope, PAYLOAD_TYPE, trusted);
    let (payload, key) = opened.map_err(|error| NotAReceipt(error.to_string()))?;
    let receipt: Receipt =
        serde_json::from_slice(&payload).map_err(|error| NotAReceipt(format!("states something else: {error}")))?;
    if receipt.form != STATEMENT || receipt.predicate_type != PREDICATE {
        return Err(NotAReceipt("states something else".to_owned()));
    }
    Ok((receipt, key))
}
