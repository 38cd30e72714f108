//! Decisions as the decision log recorded them, as questions that can be asked again.
//!
//! A record holds the facts it was decided on. Here they become facts as a policy test writes them down, so that a
//! decision can be explained, asked of another bundle, or kept as a row.

use std::collections::HashMap;
use std::io::BufRead;

use cedar_policy::EntityUid;
use serde_json::Value;
use toml::Table;

use super::suite::{AskContext, Expected, Wanted};
use crate::decision::{DecisionRecord, MaybeMasked};
use crate::model::{CaseFacts, ConsentFacts, LISTED_AFTER_END_MS, Timestamp};

/// A decision of the log.
#[derive(Debug, Clone)]
pub struct RecordedDecision {
    /// Its id.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// Allowed or not.
    pub decision: Expected,
    /// The reason's code.
    pub code: String,
    /// The policies that were told of.
    pub policies: Vec<String>,
    /// The bundle that was asked.
    pub policy_version: String,
    /// What was asked, in a line.
    pub told: String,
    /// The question; or why it cannot be asked again.
    pub question: Result<Wanted, String>,
}

/// Reads a decision log from its beginning, decision by decision.
#[derive(Debug)]
pub struct Log<R> {
    lines: std::io::Lines<R>,
    number: usize,
    /// The facts of evaluated decisions: a remembered answer's record names the evaluation it came from.
    evaluations: HashMap<String, Option<MaybeMasked<Value>>>,
}

impl<R: BufRead> Log<R> {
    /// A log that is read from here.
    pub fn new(reader: R) -> Self {
        Self { lines: reader.lines(), number: 0, evaluations: HashMap::new() }
    }

    fn decision(&mut self, line: DecisionRecord) -> RecordedDecision {
        let facts = match (line.cached, &line.evaluation) {
            (true, Some(evaluation)) => match self.evaluations.get(evaluation) {
                Some(facts) => Ok(facts.clone()),
                None => Err(format!("its facts are in the record of `{evaluation}`, which is not in this log")),
            },
            (true, None) | (false, _) => Ok(line.facts.clone()),
        };
        if let (false, Some(evaluation)) = (line.cached, &line.evaluation) {
            self.evaluations.insert(evaluation.clone(), line.facts.clone());
        }
        let time = line.time.parse::<Timestamp>().map_err(|error| error.to_string());
        let question = facts.and_then(|facts| match facts {
            None => wanted(&line, None, time.clone()?),
            Some(MaybeMasked::Plain(facts)) => wanted(&line, Some(&facts), time.clone()?),
            Some(MaybeMasked::Masked) => Err("its facts are masked".to_owned()),
        });
        let under = line.support_request.as_ref().map(|id| format!(" under {id}")).unwrap_or_default();
        RecordedDecision {
            told: format!(
                "{}::\"{}\" {} {}::\"{}\"{under}",
                line.subject_type, line.subject, line.action, line.resource_type, line.resource
            ),
            time: time.unwrap_or(Timestamp::from_millis(0)),
            decision: if line.decision { Expected::Allow } else { Expected::Deny },
            id: line.decision_id,
            code: line.code,
            policies: line.policies,
            policy_version: line.policy_version,
            question,
        }
    }
}

impl<R: BufRead> Iterator for Log<R> {
    type Item = std::io::Result<RecordedDecision>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.number += 1;
            let text = match self.lines.next()? {
                Ok(text) => text,
                Err(error) => return Some(Err(error)),
            };
            let wrong = |error: serde_json::Error| {
                std::io::Error::new(std::io::ErrorKind::InvalidData, format!("line {}: {error}", self.number))
            };
            match serde_json::from_str::<DecisionRecord>(&text) {
                Ok(line) if line.is_decision() => return Some(Ok(self.decision(line))),
                // What the log says of itself.
                Ok(_) => {}
                Err(error) => return Some(Err(wrong(error))),
            }
        }
    }
}

fn wanted(line: &DecisionRecord, facts: Option<&Value>, time: Timestamp) -> Result<Wanted, String> {
    let mut world = Table::new();
    world.insert("time".to_owned(), time.to_string().into());
    let mut context = AskContext { support_request: line.support_request.clone(), ..AskContext::default() };
    if line.resource_type == "DiagnosticData" {
        if let Some(facts) = facts {
            let case: CaseFacts = serde_json::from_value(facts.clone()).map_err(|error| format!("facts: {error}"))?;
            let id = line.support_request.clone().ok_or("it names no support request, and has facts of one")?;
            world.insert("support_requests".to_owned(), one(&id, read_facts(&case)));
        }
    } else {
        let facts = facts.filter(|facts| facts.is_object()).ok_or("it holds no facts")?;
        workflow_facts(line, facts, &mut world, &mut context)?;
    }
    subject_facts(line, &mut world);
    let entity = |kind: &str, id: &str| {
        EntityUid::from_json(serde_json::json!({ "type": kind, "id": id })).map_err(|error| error.to_string())
    };
    Ok(Wanted::Facts {
        facts: world,
        subject: entity(&line.subject_type, &line.subject)?,
        action: line.action.clone(),
        resource: entity(&line.resource_type, &line.resource)?,
        context,
    })
}

/// The facts of a read, as a policy test writes them.
fn read_facts(case: &CaseFacts) -> Table {
    let mut table = Table::new();
    table.insert("tenant".to_owned(), case.tenant.as_str().into());
    table.insert("open".to_owned(), case.open.into());
    table.insert("submitted_in".to_owned(), word(&case.submitted_in).into());
    table.insert("advanced_diagnostic_information".to_owned(), case.advanced_diagnostic_information.into());
    if let Some(assignee) = &case.assignee {
        table.insert("assignee".to_owned(), assignee.as_str().into());
    }
    let mut requests = Table::new();
    for request in &case.access_requests {
        let mut asked = Table::new();
        asked.insert("resource_tenant".to_owned(), request.resource_tenant.as_str().into());
        // A read does not depend on who asked.
        asked.insert("requested_by".to_owned(), "unknown/unknown".into());
        asked.insert("created_at".to_owned(), request.created_at.to_string().into());
        asked.insert("resource_tenant_consent".to_owned(), consent(&request.resource_tenant_consent).into());
        if let Some(other) = &request.support_request_tenant {
            asked.insert("support_request_tenant_consent".to_owned(), consent(other).into());
        }
        requests.insert(request.id.to_string(), asked.into());
    }
    table.insert("access_requests".to_owned(), requests.into());
    table
}

fn consent(consent: &ConsentFacts) -> Table {
    let mut table = Table::new();
    table.insert("id".to_owned(), consent.id.as_str().into());
    table.insert("status".to_owned(), consent.status.as_str().into());
    let categories: Vec<toml::Value> =
        consent.scope.categories.iter().map(|category| category.as_str().into()).collect();
    table.insert("categories".to_owned(), categories.into());
    if let Some(until) = consent.scope.until {
        table.insert("until".to_owned(), until.to_string().into());
    }
    table
}

/// The facts of a decision in the workflow, as a policy test writes them. Whatever a decision did not depend on has a
/// made-up name.
fn workflow_facts(
    line: &DecisionRecord,
    facts: &Value,
    world: &mut Table,
    context: &mut AskContext,
) -> Result<(), String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let circumstances = &facts["circumstances"];
    if let Some(tenant) = text(&circumstances["resource_tenant"]) {
        let registered = circumstances["registered"].as_bool().unwrap_or(false);
        let list = if registered { "tenants" } else { "unregistered_tenants" };
        world.insert(list.to_owned(), vec![toml::Value::from(tenant.clone())].into());
        context.resource_tenant = Some(tenant);
    }
    context.about_self = circumstances["about_self"].as_bool();
    if let Some(now) = circumstances["now"].as_i64() {
        world.insert("time".to_owned(), Timestamp::from_millis(now).to_string().into());
    }
    match line.resource_type.as_str() {
        "Tenant" | "AuditLog" => {
            world.insert("unregistered_tenants".to_owned(), vec![toml::Value::from(line.resource.clone())].into());
        }
        "SupportRequest" | "AccessRequest" | "Consent" => {
            let case = facts.get("support_request").ok_or("nothing was known of what it is about")?;
            let mut table = Table::new();
            for name in ["tenant", "assignee", "submitted_in"] {
                table.extend(text(&case[name]).map(|value| (name.to_owned(), value.into())));
            }
            table.insert("open".to_owned(), case["open"].as_bool().unwrap_or(false).into());
            let id = if line.resource_type == "SupportRequest" { line.resource.as_str() } else { "SR" };
            if let Some(asked) = facts.get("access_request") {
                let tenant = text(&case["tenant"]).unwrap_or_default();
                let request = access_request(line, &asked["requested_by"], &facts["consent"], &tenant);
                let id = if line.resource_type == "AccessRequest" { line.resource.as_str() } else { "AR" };
                table.insert("access_requests".to_owned(), one(id, request));
            }
            world.insert("support_requests".to_owned(), one(id, table));
        }
        _ => {}
    }
    Ok(())
}

fn access_request(line: &DecisionRecord, requested_by: &Value, known: &Value, support_request_tenant: &str) -> Table {
    let mut consent = Table::new();
    let id = if line.resource_type == "Consent" { line.resource.as_str() } else { "CO" };
    consent.insert("id".to_owned(), id.into());
    consent.extend(known["status"].as_str().map(|status| ("status".to_owned(), status.into())));
    if let Some(until) = known["listed_until"].as_i64() {
        let ended = Timestamp::from_millis(until - LISTED_AFTER_END_MS);
        consent.insert("ended_at".to_owned(), ended.to_string().into());
    }
    let mut other = Table::new();
    other.insert("id".to_owned(), "CO-other".into());
    let mut table = Table::new();
    table.insert("requested_by".to_owned(), requested_by.as_str().unwrap_or("unknown/unknown").into());
    let tenant = known["tenant"].as_str().unwrap_or(support_request_tenant);
    match known["part"].as_str() {
        Some("support_request_tenant") => {
            table.insert("resource_tenant".to_owned(), format!("other-than-{support_request_tenant}").into());
            table.insert("support_request_tenant_consent".to_owned(), consent.into());
            table.insert("resource_tenant_consent".to_owned(), other.into());
        }
        Some("resource_tenant") => {
            table.insert("resource_tenant".to_owned(), tenant.into());
            table.insert("support_request_tenant_consent".to_owned(), other.into());
            table.insert("resource_tenant_consent".to_owned(), consent.into());
        }
        Some(_) | None => {
            table.insert("resource_tenant".to_owned(), support_request_tenant.into());
            table.insert("resource_tenant_consent".to_owned(), consent.into());
        }
    }
    table
}

fn subject_facts(line: &DecisionRecord, world: &mut Table) {
    let list = |words: &[String]| -> toml::Value {
        words.iter().map(|word| toml::Value::from(word.as_str())).collect::<Vec<_>>().into()
    };
    let mut table = Table::new();
    table.insert("app_roles".to_owned(), list(&line.subject_app_roles));
    table.insert("vendor".to_owned(), line.subject_vendor.into());
    match line.subject_type.as_str() {
        "Service" => {
            world.insert("services".to_owned(), one(&line.subject, table));
        }
        "User" | "SupportEngineer" => {
            table.insert("roles".to_owned(), list(&line.subject_roles));
            world.insert("people".to_owned(), one(&line.subject, table));
        }
        _ => {}
    }
}

fn one(name: &str, table: Table) -> toml::Value {
    let mut outer = Table::new();
    outer.insert(name.to_owned(), table.into());
    outer.into()
}

/// The word that a value is written as.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
