//! Decisions by a guest model: question, answer, record; and what an answer rests on until it leaves.

mod search;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::json;

use super::answer::{PolicyRef, Reason};
use super::decide::DecisionCounts;
use crate::audit::{Asked, DecisionId, DecisionIds, push_json, write_head};
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::policy::{Act, GuestFacts, GuestModel, GuestVerdict, InForce, InvalidFact, Named, PolicyInfo, Said};

pub use search::{GuestSearched, GuestSought};

/// The longest type, id or name of an action, in bytes.
const LONGEST_NAME_BYTES: usize = 1_024;
/// The most that is believed of one request, in bytes of JSON: it goes into the record.
const MOST_BELIEVED_BYTES: usize = 64 * 1_024;

/// Decides by the guest model in force.
#[derive(Debug)]
pub struct Guest {
    models: Arc<InForce<GuestModel>>,
    clock: Arc<dyn Clock>,
    ids: Arc<DecisionIds>,
    allowed: AtomicU64,
    denied: AtomicU64,
}

/// One question to a guest model.
#[derive(Debug, Clone, Copy)]
pub struct GuestQuestion<'a> {
    /// Who.
    pub subject: Named<'a>,
    /// What.
    pub action: &'a str,
    /// What the request says of the action.
    pub action_properties: &'a Said,
    /// About what.
    pub resource: Named<'a>,
    /// Under which circumstances, says the request.
    pub context: &'a Said,
}

/// A guest model's decision. It is told only once its record is in the log (G3).
#[derive(Debug)]
pub struct GuestDecided {
    /// Its id.
    pub id: DecisionId,
    /// Allowed or not.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// By which policies.
    pub policies: Vec<PolicyRef>,
    at: Timestamp,
    model: Arc<GuestModel>,
    believed: serde_json::Value,
}

impl Guest {
    /// Decides by these models.
    #[must_use]
    pub fn new(models: Arc<InForce<GuestModel>>, clock: Arc<dyn Clock>, ids: Arc<DecisionIds>) -> Self {
        Self { models, clock, ids, allowed: AtomicU64::new(0), denied: AtomicU64::new(0) }
    }

    /// The models, one of which is in force.
    #[must_use]
    pub fn models(&self) -> &Arc<InForce<GuestModel>> {
        &self.models
    }

    /// How many decisions were made since the start. None is remembered.
    #[must_use]
    pub fn counts(&self) -> DecisionCounts {
        let (allowed, denied) = (self.allowed.load(Ordering::Relaxed), self.denied.load(Ordering::Relaxed));
        DecisionCounts { allowed, denied, remembered: 0 }
    }

    /// Answers a question by this model. What its schema does not know is denied.
    ///
    /// # Errors
    /// [`InvalidFact`] when a name is empty or too long, or when something that the model believes is not what its
    /// schema wants.
    pub fn decide(&self, model: &Arc<GuestModel>, question: &GuestQuestion<'_>) -> Result<GuestDecided, InvalidFact> {
        for (field, text) in [
            ("subject.type", question.subject.kind),
            ("subject.id", question.subject.id),
            ("action.name", question.action),
            ("resource.type", question.resource.kind),
            ("resource.id", question.resource.id),
        ] {
            has_good_length(field, text)?;
        }
        let facts = model.facts(&[question.subject, question.resource])?;
        let act = model.act(question.action, question.action_properties, question.context)?;
        let believed = believed(&facts, act.as_ref().map(Act::believed))?;
        let (subject, resource) = (&question.subject, &question.resource);
        let verdict = act.map(|act| facts.ask((subject.kind, subject.id), &act, (resource.kind, resource.id)));
        let verdict = verdict.unwrap_or_default();
        let counter = if verdict.allowed { &self.allowed } else { &self.denied };
        counter.fetch_add(1, Ordering::Relaxed);
        let policies = verdict.determining.iter().map(|policy| told(policy)).collect();
        Ok(GuestDecided {
            id: self.ids.next(),
            allowed: verdict.allowed,
            reason: reason(&verdict),
            policies,
            at: self.clock.now(),
            model: Arc::clone(model),
            believed,
        })
    }

    /// Whether what a decision rests on is still so: an allow leaves only while its model is the one in force (G6).
    #[must_use]
    pub fn still_holds(&self, model: &Arc<GuestModel>) -> bool {
        Arc::ptr_eq(&self.models.current(), model)
    }
}

impl GuestDecided {
    /// The model that was asked.
    #[must_use]
    pub fn model(&self) -> &Arc<GuestModel> {
        &self.model
    }

    /// The record, as one line of JSON without its end.
    #[must_use]
    pub fn record(&self, question: &GuestQuestion<'_>, asked: Asked<'_>) -> String {
        #[derive(Serialize)]
        struct Tail<'a> {
            model: &'a str,
            subject_type: &'a str,
            subject: &'a str,
            action: &'a str,
            resource_type: &'a str,
            resource: &'a str,
            believed: &'a serde_json::Value,
            decision: bool,
            code: &'a str,
            policies: Vec<&'a str>,
            policy_version: &'a str,
        }
        let tail = Tail {
            model: self.model.name(),
            subject_type: question.subject.kind,
            subject: question.subject.id,
            action: question.action,
            resource_type: question.resource.kind,
            resource: question.resource.id,
            believed: &self.believed,
            decision: self.allowed,
            code: &self.reason.code,
            policies: self.policies.iter().map(|policy| policy.id.as_str()).collect(),
            policy_version: self.model.version().as_str(),
        };
        line("guest_decision", &self.id, self.at, asked, &tail)
    }
}

fn line<T: Serialize>(kind: &str, id: &DecisionId, at: Timestamp, asked: Asked<'_>, tail: &T) -> String {
    let mut line = String::new();
    write_head(&mut line, kind, id, at, asked);
    line.push(',');
    let mut fields = String::new();
    push_json(&mut fields, tail);
    line.push_str(fields.strip_prefix('{').unwrap_or("}"));
    line
}

fn told(policy: &PolicyInfo) -> PolicyRef {
    PolicyRef { id: policy.id.clone(), rules: policy.rules.clone(), effect: policy.effect }
}

fn reason(verdict: &GuestVerdict<'_>) -> Reason {
    let (code, message) = match (verdict.failed.first(), verdict.determining.first()) {
        (Some((policy, error)), _) => {
            ("policy_failed", format!("the policy `{}` could not be evaluated: {error}", policy.id))
        }
        (None, None) => ("not_permitted", "no policy permits this".to_owned()),
        (None, Some(first)) if verdict.allowed => ("permitted", first.reason.clone()),
        (None, Some(first)) => (first.code.as_deref().unwrap_or("forbidden"), first.reason.clone()),
    };
    Reason { code: code.to_owned(), message, missing_consents: Vec::new() }
}

/// What was believed of a request, for the record.
fn believed(facts: &GuestFacts<'_>, context: Option<&Said>) -> Result<serde_json::Value, InvalidFact> {
    let mut believed = json!(facts.believed());
    if let (Some(context), Some(members)) = (context.filter(|said| !said.is_empty()), believed.as_object_mut()) {
        members.insert("context".to_owned(), json!(context));
    }
    if believed.to_string().len() > MOST_BELIEVED_BYTES {
        let message = format!("what the model takes from this request is over {MOST_BELIEVED_BYTES} bytes long");
        return Err(InvalidFact::wrong("body", message));
    }
    Ok(believed)
}

fn has_good_length(field: &'static str, text: &str) -> Result<(), InvalidFact> {
    let problem = match text.len() {
        0 => "must not be empty".to_owned(),
        length if length > LONGEST_NAME_BYTES => {
            format!("is {length} bytes long, at most {LONGEST_NAME_BYTES} are allowed")
        }
        _ => return Ok(()),
    };
    Err(InvalidFact::wrong(field, problem))
}
