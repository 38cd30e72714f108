//! Access that was approved and never used: what a customer may want to end.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead};

use serde::Serialize;

use super::reads::is_approved;
use super::{Line, each_line};
use crate::decision::{FactsLine, MaybeMasked};
use crate::model::{CaseFacts, ConsentStatus, Scope, SupportRequestId};

/// A consent that was approved and that no allowed read names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnusedConsent {
    /// The consent.
    pub id: String,
    /// The support request it was given under.
    pub support_request: String,
    /// Whose data it opens.
    pub resource_tenant: String,
    /// The access request it is a part of.
    pub access_request: String,
    /// Since when the log tells of it as approved, RFC 3339.
    pub approved: String,
    /// What has become of it.
    pub status: ConsentStatus,
    /// What it covers, or did.
    pub scope: Scope,
}

/// What a log says of approvals and their use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// How many consents were approved.
    pub approved: u64,
    /// Those that were never used, by id.
    pub unused: Vec<UnusedConsent>,
    /// How many lines tell of facts that are masked: approvals that they alone tell of are not among these.
    pub masked_facts: u64,
}

/// The consents of a log that were approved and never used.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn unused(log: impl BufRead) -> io::Result<Unused> {
    let mut approved: BTreeMap<String, UnusedConsent> = BTreeMap::new();
    let mut used: HashSet<String> = HashSet::new();
    let mut masked_facts = 0;
    each_line(log, |line| match line {
        Line::Facts(FactsLine { time, at, support_request, facts: MaybeMasked::Plain(facts), .. }) => {
            take(&mut approved, &support_request, at.as_ref().unwrap_or(&time), &facts);
        }
        Line::Facts(FactsLine { facts: MaybeMasked::Masked, .. }) => masked_facts += 1,
        Line::Decision(decision) if decision.is_allowed_read() => used.extend(decision.consents),
        Line::Decision(_) | Line::Policies(_) | Line::Other => {}
    })?;
    let count = approved.len() as u64;
    let unused = approved.into_values().filter(|consent| !used.contains(&consent.id)).collect();
    Ok(Unused { approved: count, unused, masked_facts })
}

fn take(
    approved: &mut BTreeMap<String, UnusedConsent>,
    support_request: &SupportRequestId,
    at: &str,
    facts: &CaseFacts,
) {
    for request in &facts.access_requests {
        for consent in request.consents() {
            match approved.get_mut(consent.id.as_str()) {
                Some(known) => (known.status, known.scope) = (consent.status, consent.scope),
                None if is_approved(consent) => {
                    let id = consent.id.to_string();
                    let consent = UnusedConsent {
                        id: id.clone(),
                        support_request: support_request.to_string(),
                        resource_tenant: request.resource_tenant.to_string(),
                        access_request: request.id.to_string(),
                        approved: at.to_owned(),
                        status: consent.status,
                        scope: consent.scope,
                    };
                    approved.insert(id, consent);
                }
                None => {}
            }
        }
    }
}
