//! Every read that was allowed, and the consents behind it (R22).

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead};

use serde::Serialize;

use super::{Decision, Line, each_line};
use crate::decision::MaybeMasked;
use crate::model::{AccessFacts, ConsentFacts, ConsentStatus, Scope, Timestamp};

/// Which reads are asked about. All that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct ReadFilter {
    /// Under this support request.
    pub support_request: Option<String>,
    /// Of this tenant's data.
    pub resource_tenant: Option<String>,
    /// By this engineer.
    pub engineer: Option<String>,
    /// At or after this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

impl ReadFilter {
    fn wants(&self, read: &Decision) -> bool {
        let is =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let at = read.time.parse::<Timestamp>().ok();
        is(&self.support_request, read.support_request.as_deref())
            && is(&self.resource_tenant, read.resource_tenant.as_deref())
            && is(&self.engineer, Some(&read.subject))
            && self.from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && self.to.is_none_or(|to| at.is_some_and(|at| at < to))
    }
}

/// A read that was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Read {
    /// The decision's id.
    pub decision_id: String,
    /// When, RFC 3339.
    pub time: String,
    /// Who.
    pub engineer: String,
    /// What the engineer did.
    pub action: String,
    /// With which data: `<tenant>/<category>` or `<tenant>/<category>/<item>`.
    pub resource: String,
    /// Under which support request.
    pub support_request: Option<String>,
    /// Under which access request; none under R5.
    pub access_request: Option<String>,
    /// The consents that allowed it.
    pub consents: Vec<String>,
    /// The policies that allowed it.
    pub policies: Vec<String>,
    /// The bundle that was asked.
    pub policy_version: String,
}

/// An approval, as the log has recorded that it was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When, RFC 3339.
    pub time: String,
    /// The decision by which the approval was allowed.
    pub decision_id: String,
}

/// A consent that some of the reads rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsentBehind {
    /// The consent.
    pub id: String,
    /// What it covered when the log last told of it approved; none when it never did.
    pub scope: Option<Scope>,
    /// Who approved it.
    pub approvals: Vec<Approval>,
    /// How many of the reads rest on it.
    pub reads: u64,
}

/// Reads, and what they rest on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// In the order of the log.
    pub reads: Vec<Read>,
    /// By id.
    pub consents: Vec<ConsentBehind>,
    /// How many lines tell of facts that are masked: what they say of consents is not known.
    pub masked_facts: u64,
}

/// The allowed reads of a log.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn reads(log: impl BufRead, filter: &ReadFilter) -> io::Result<Reads> {
    let mut found = Reads::default();
    let mut approvals: HashMap<String, Vec<Approval>> = HashMap::new();
    let mut scopes: HashMap<String, Scope> = HashMap::new();
    each_line(log, |line| match line {
        Line::Decision(decision) if decision.is_allowed_read() && filter.wants(&decision) => {
            found.reads.push(read(decision));
        }
        Line::Decision(decision) if decision.decision && decision.action == "approveConsent" => {
            let approval = Approval { by: decision.subject, time: decision.time, decision_id: decision.decision_id };
            approvals.entry(decision.resource).or_default().push(approval);
        }
        Line::Facts(line) => {
            let MaybeMasked::Plain(facts) = line.facts else {
                found.masked_facts += 1;
                return;
            };
            let consents = facts.access_requests.iter().flat_map(AccessFacts::consents);
            scopes.extend(consents.filter(|consent| is_approved(consent)).map(|one| (one.id.to_string(), one.scope)));
        }
        Line::Decision(_) | Line::Policies(_) | Line::Other => {}
    })?;
    let mut behind: BTreeMap<String, u64> = BTreeMap::new();
    for consent in found.reads.iter().flat_map(|read| &read.consents) {
        *behind.entry(consent.clone()).or_default() += 1;
    }
    let consent = |(id, reads): (String, u64)| ConsentBehind {
        scope: scopes.remove(&id),
        approvals: approvals.remove(&id).unwrap_or_default(),
        id,
        reads,
    };
    found.consents = behind.into_iter().map(consent).collect();
    Ok(found)
}

pub(super) fn is_approved(consent: &ConsentFacts) -> bool {
    consent.status == ConsentStatus::Approved
}

fn read(decision: Decision) -> Read {
    Read {
        decision_id: decision.decision_id,
        time: decision.time,
        engineer: decision.subject,
        action: decision.action,
        resource: decision.resource,
        support_request: decision.support_request,
        access_request: decision.access_request,
        consents: decision.consents,
        policies: decision.policies,
        policy_version: decision.policy_version,
    }
}
