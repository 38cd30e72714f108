//! Who could have read a tenant's data at some time, and why: the policies, asked anew on the facts of that time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use serde::Serialize;

use super::{Line, each_line, since};
use crate::decision::{MaybeMasked, PolicyRef, ReadQuestion, Reason, policies_of, reason_of};
use crate::model::{AccessFacts, CaseFacts, Category, PersonId, SupportRequestId, TenantId, Timestamp};
use crate::policy::Bundle;

/// What is asked about.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Whose data.
    pub tenant: TenantId,
    /// Which category.
    pub category: Category,
    /// When.
    pub at: Timestamp,
}

/// Somebody who could have read, or could not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reader {
    /// Who.
    pub engineer: String,
    /// Under which support request.
    pub support_request: String,
    /// Since which commit its facts were so.
    pub facts_revision: u64,
    /// The consents that it rested on.
    pub consents: Vec<String>,
    /// Why.
    pub reason: Reason,
    /// The policies that say so.
    pub policies: Vec<PolicyRef>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CouldRead {
    /// The bundle that was asked.
    pub policy_version: String,
    /// The bundle that was in force at the time, as far as the log tells. Another one may have answered otherwise.
    pub in_force: Option<String>,
    /// How many support requests there were that had to do with the tenant.
    pub support_requests: usize,
    /// Those who could have read.
    pub could: Vec<Reader>,
    /// The support requests whose facts are masked: who could have read under them is not known.
    pub masked: Vec<String>,
    /// The engineers a support request was assigned to who could not have read under it.
    pub could_not: Vec<Reader>,
}

/// Who could have read this category of this tenant's data then. Every engineer whom the log names until then is asked
/// about, under every support request that has to do with the tenant.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn could_read(bundle: &Bundle, log: impl BufRead, moment: &Moment) -> io::Result<CouldRead> {
    let mut cases: BTreeMap<SupportRequestId, (u64, MaybeMasked<CaseFacts>)> = BTreeMap::new();
    let mut engineers: BTreeSet<PersonId> = BTreeSet::new();
    let mut in_force = None;
    each_line(log, |line| match line {
        Line::Facts(line) if since(&line).is_some_and(|since| since <= moment.at) => {
            let concerned = match &line.facts {
                MaybeMasked::Plain(facts) => {
                    engineers.extend(facts.assignee.clone());
                    concerns(facts, &moment.tenant)
                }
                // It may concern the tenant, and what was so before is over.
                MaybeMasked::Masked => true,
            };
            // A line that was written at a later start may stand behind a newer one.
            let newest = cases.get(&line.support_request).is_none_or(|(revision, _)| *revision <= line.revision);
            if newest && concerned {
                cases.insert(line.support_request, (line.revision, line.facts));
            } else if newest {
                cases.remove(&line.support_request);
            }
        }
        Line::Policies(line) if line.time.parse::<Timestamp>().is_ok_and(|time| time <= moment.at) => {
            in_force = Some(line.policy_version);
        }
        Line::Decision(_) | Line::Facts(_) | Line::Policies(_) | Line::Other => {}
    })?;
    let mut found = CouldRead {
        policy_version: bundle.version().to_string(),
        in_force,
        support_requests: 0,
        could: Vec::new(),
        masked: Vec::new(),
        could_not: Vec::new(),
    };
    let resource = format!("{}/{}", moment.tenant, moment.category.as_str());
    for (id, (revision, facts)) in &cases {
        let MaybeMasked::Plain(facts) = facts else {
            found.masked.push(id.to_string());
            continue;
        };
        found.support_requests += 1;
        for engineer in &engineers {
            let is_assigned = facts.assignee.as_ref() == Some(engineer);
            let Some((allowed, reader)) = ask(bundle, moment.at, &resource, (id, *revision, facts), engineer) else {
                continue;
            };
            if allowed {
                found.could.push(reader);
            } else if is_assigned {
                found.could_not.push(reader);
            }
        }
    }
    Ok(found)
}

/// Whether the support request has to do with the tenant.
fn concerns(facts: &CaseFacts, tenant: &TenantId) -> bool {
    facts.tenant == *tenant || facts.access_request_for(tenant.as_str()).is_some()
}

fn ask(
    bundle: &Bundle,
    at: Timestamp,
    resource: &str,
    (id, revision, facts): (&SupportRequestId, u64, &CaseFacts),
    engineer: &PersonId,
) -> Option<(bool, Reader)> {
    let question = ReadQuestion::parse(engineer.as_str(), "read", resource, Some(id.as_str())).ok()?;
    let verdict =
        question.to_policies(bundle, Some(facts), at).map(|asked| bundle.evaluate(&asked)).unwrap_or_default();
    let request = facts.access_request_for(question.tenant).filter(|_| verdict.allowed);
    let reader = Reader {
        engineer: engineer.to_string(),
        support_request: id.to_string(),
        facts_revision: revision,
        consents: request.into_iter().flat_map(AccessFacts::consents).map(|consent| consent.id.to_string()).collect(),
        reason: reason_of(bundle, &verdict),
        policies: policies_of(bundle, &verdict),
    };
    Some((verdict.allowed, reader))
}
