//! Answers: allowed or not, by which policies, and for a denial a reason that tooling can act on.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{AccessFacts, AccessRequestId, ConsentId, ReceiptId, TenantId, Timestamp};
use crate::policy::{Bundle, Effect, PolicyInfo, PolicyVersion, Verdict};
use crate::store::Seq;

/// A policy that made the answer what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PolicyRef {
    /// Its id.
    pub id: String,
    /// The rules it expresses.
    pub rules: Vec<String>,
    /// Permit or forbid.
    pub effect: Effect,
}

/// Why, in a word for programs and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reason {
    /// Stable: `awaiting_consent`, `support_request_closed` ...
    pub code: String,
    /// The deciding policy's `@reason`.
    pub message: String,
    /// The parts whose consent would cure the denial (R20).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_consents: Vec<String>,
}

/// What could make an allow of a denial, as far as whoever asked may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// A new access request.
    AccessRequest,
    /// No access request, or there is nothing to cure.
    None,
    /// Whoever asked is told nothing of the support request (R20).
    Untold,
}

/// An answer without what belongs to one asking alone (its id, its time, its caller): what the cache keeps.
#[derive(Debug)]
pub struct Answer {
    /// Allowed or not.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// What would cure a denial.
    pub cure: Cure,
    /// The determining policies, the first of them giving the reason.
    pub policies: Vec<PolicyRef>,
    /// The serial number of the bundle that was asked. Not the bundle: it would stay for as long as one of its answers.
    pub policy_serial: u64,
    /// That bundle's version.
    pub policy_version: PolicyVersion,
    /// The state of the facts that it was asked about.
    pub facts_revision: Seq,
    /// The access request under which it is allowed, if it is one.
    pub access_request: Option<AccessRequestId>,
    /// The consents that allow it (R22).
    pub consents: Vec<ConsentId>,
    /// The receipt of each of these consents, where one was made.
    pub receipts: Vec<Option<ReceiptId>>,
    /// When the policies were asked.
    pub evaluated_at: Timestamp,
    /// The first moment at which the same facts may give another answer (G2).
    pub unchanged_until: Timestamp,
    /// Whether the verb only reads (R2).
    pub is_read: bool,
    /// When it is an allowed read: the tenant whose data it is (R22).
    pub read_of: Option<TenantId>,
    /// The decision in which the policies were asked; its record holds the facts.
    pub evaluation: String,
    /// The tail of the AuthZEN `context` object, from after the decision id to its closing brace.
    pub(crate) context_tail: Box<str>,
    /// The tail of the log record, from after what belongs to one asking alone, without its closing brace.
    pub(super) record_tail: Box<str>,
}

/// The reason of a verdict: the first determining policy's, with every consent that is missing.
#[must_use]
pub fn reason_of(bundle: &Bundle, verdict: &Verdict) -> Reason {
    if let Some((policy, error)) = verdict.failed.first() {
        let message = format!("the policy `{policy}` could not be evaluated: {error}");
        return Reason { code: "policy_failed".to_owned(), message, missing_consents: Vec::new() };
    }
    let determining = told(bundle, verdict);
    let Some(first) = determining.first() else {
        let message = "no policy permits this".to_owned();
        return Reason { code: "not_permitted".to_owned(), message, missing_consents: Vec::new() };
    };
    let code = if verdict.allowed { "permitted" } else { first.code.as_deref().unwrap_or("forbidden") };
    let missing = determining.iter().filter(|policy| policy.code == first.code);
    Reason {
        code: code.to_owned(),
        message: first.reason.clone(),
        missing_consents: missing.filter_map(|policy| policy.missing.clone()).collect(),
    }
}

/// The determining policies of a verdict.
#[must_use]
pub fn policies_of(bundle: &Bundle, verdict: &Verdict) -> Vec<PolicyRef> {
    let told = told(bundle, verdict).into_iter();
    told.map(|policy| PolicyRef { id: policy.id.clone(), rules: policy.rules.clone(), effect: policy.effect }).collect()
}

/// The determining policies that people are told of: all, or those alone that want to be told alone.
fn told<'a>(bundle: &'a Bundle, verdict: &'a Verdict) -> Vec<&'a PolicyInfo> {
    let mut told: Vec<&PolicyInfo> = verdict.determining(bundle).collect();
    if told.iter().any(|policy| policy.alone) {
        told.retain(|policy| policy.alone);
    }
    told
}

/// Whether a verdict is told without the facts it rests on.
pub(super) fn is_told_alone(bundle: &Bundle, verdict: &Verdict) -> bool {
    verdict.determining(bundle).any(|policy| policy.alone)
}

/// Denials that a new access request cures, unless one is under way. Not those after which the customer is asked: it has
/// rejected (R12) or taken the access away (R13), or its setting decides (R5).
const CURED_BY_ACCESS_REQUEST: [&str; 6] = [
    "access_request_required",
    "outside_granted_tenant",
    "consent_ended",
    "consent_expired",
    // These two, too, once what they are about can no longer come true.
    "awaiting_consent",
    "category_not_granted",
];

/// What would cure a verdict on a read, where this access request speaks for its tenant.
pub(super) fn cure_of(bundle: &Bundle, verdict: &Verdict, speaks: Option<&AccessFacts>, now: Timestamp) -> Cure {
    if is_told_alone(bundle, verdict) {
        return Cure::Untold;
    }
    let is_under_way = speaks.is_some_and(|request| request.is_live(now));
    let mut determining = verdict.determining(bundle).peekable();
    let is_denied_by_policies = !verdict.allowed && verdict.failed.is_empty() && determining.peek().is_some();
    let is_cured =
        |policy: &PolicyInfo| policy.code.as_deref().is_some_and(|code| CURED_BY_ACCESS_REQUEST.contains(&code));
    if is_denied_by_policies && !is_under_way && determining.all(is_cured) { Cure::AccessRequest } else { Cure::None }
}

/// What an answer adds to the decision id in the AuthZEN `context` (AuthZEN 1.0, section 5.5.1).
#[derive(Serialize)]
struct ContextTail<'a> {
    reason: &'a Reason,
    policies: &'a [PolicyRef],
    policy_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts_revision: Option<u64>,
}

pub(super) fn context_tail(
    reason: &Reason,
    policies: &[PolicyRef],
    bundle: &Bundle,
    facts_revision: Option<Seq>,
) -> Box<str> {
    let facts_revision = facts_revision.map(|revision| revision.0);
    let tail = ContextTail { reason, policies, policy_version: bundle.version().as_str(), facts_revision };
    // These are strings and numbers of ours: they serialise. An answer without its context is still an answer.
    let object = serde_json::to_string(&tail).unwrap_or_else(|_| "{}".to_owned());
    object.strip_prefix('{').unwrap_or_default().into()
}
