//! The decision API by a guest model (AuthZEN Authorization API 1.0): the same endpoints, with nothing of support access.
//!
//! Who may ask is what the service's own policies say of programs; what is answered is the guest model's.

mod search;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;

use super::Entrance;
use super::evaluation::{ATTEMPTS, REQUEST_ID, broken, decided, facts_changing};
use super::problem::Problem;
use super::router::EVALUATION;
use super::wire::{Evaluation, Evaluations, Item, complete, parse};
use crate::audit::{Asked, DecisionLog};
use crate::decision::{Guest, GuestDecided, GuestQuestion};
use crate::identity::Caller;
use crate::policy::{InvalidFact, Named, Said};
use crate::workflow::Subject;
use wire::Facts;

/// What the handlers know.
#[derive(Debug, Clone)]
pub(super) struct Host {
    entrance: Entrance,
    guest: Arc<Guest>,
}

/// The decision endpoints, answered by this guest model.
pub(super) fn routes(entrance: Entrance, guest: Arc<Guest>) -> Router<Entrance> {
    Router::new()
        .route(EVALUATION, post(evaluation))
        .route("/access/v1/evaluations", post(evaluations))
        .route("/access/v1/search/subject", post(search::subjects))
        .route("/access/v1/search/resource", post(search::resources))
        .route("/access/v1/search/action", post(search::actions))
        .with_state(Host { entrance, guest })
}

/// `POST /access/v1/evaluation`
async fn evaluation(State(host): State<Host>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = host.evaluation(&parts.headers, body).await;
    decided(answer, parts.headers)
}

/// `POST /access/v1/evaluations`
async fn evaluations(State(host): State<Host>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = host.evaluations(&parts.headers, body).await;
    decided(answer, parts.headers)
}

type Question<'a> = Evaluation<'a, Facts, Facts>;

impl Host {
    async fn evaluation(&self, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let question: Question<'_> = parse(&bytes)?;
        self.one(&caller, headers, &question).await
    }

    async fn evaluations(&self, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let batch: Evaluations<'_, Facts, Facts> = parse(&bytes)?;
        let items = batch.evaluations.unwrap_or_default();
        let defaults =
            Item { subject: batch.subject, action: batch.action, resource: batch.resource, context: batch.context };
        if items.is_empty() {
            let nothing = Item { subject: None, action: None, resource: None, context: None };
            return self.one(&caller, headers, &complete(nothing, &defaults)?).await;
        }
        if items.len() > self.entrance.edge.limits.batch {
            let most = self.entrance.edge.limits.batch;
            let detail = format!("holds {} questions, at most {most} are allowed", items.len());
            return Err(Problem::invalid("evaluations", detail));
        }
        let semantic = batch.options.unwrap_or_default().evaluations_semantic;
        for _ in 0..ATTEMPTS {
            let model = self.guest.models().current();
            let (mut answers, mut tickets) = (Vec::with_capacity(items.len()), Vec::new());
            for item in &items {
                let question =
                    parse::<Item<'_, Facts, Facts>>(item.get().as_bytes()).and_then(|item| complete(item, &defaults));
                let answer = question.and_then(|question| {
                    let question = asked_of(&question);
                    let decided = self.guest.decide(&model, &question)?;
                    let line = decided.record(&question, asked(&caller, headers, self));
                    Ok((decided, line))
                });
                let (allowed, told) = match answer {
                    Ok((decided, line)) => {
                        tickets.push(self.log().append(line.as_bytes(), None)?);
                        (decided.allowed, told(&decided))
                    }
                    Err(problem) => (false, broken(&problem)),
                };
                answers.push(told);
                if semantic.stops_at(allowed) {
                    break;
                }
                // A long batch leaves room for others.
                tokio::task::yield_now().await;
            }
            for ticket in tickets {
                self.log().settled(ticket).await?;
            }
            // All answers are one model's, and it is in force when they leave.
            if self.guest.still_holds(&model) {
                return Ok(json!({ "evaluations": answers }).to_string());
            }
        }
        Err(facts_changing())
    }

    async fn one(&self, caller: &Caller, headers: &HeaderMap, question: &Question<'_>) -> Result<String, Problem> {
        let question = asked_of(question);
        for _ in 0..ATTEMPTS {
            let model = self.guest.models().current();
            let decided = self.guest.decide(&model, &question)?;
            let line = decided.record(&question, asked(caller, headers, self));
            self.log().settled(self.log().append(line.as_bytes(), None)?).await?;
            if self.guest.still_holds(&model) {
                return Ok(told(&decided).to_string());
            }
        }
        Err(facts_changing())
    }

    /// A program that may ask, and the body that it sends.
    async fn admitted(&self, headers: &HeaderMap, body: Body) -> Result<(Caller, Bytes), Problem> {
        let (caller, bytes) = self.entrance.admitted(headers, body).await?;
        // Nobody asks about themselves here: a guest model's subjects are none of our callers.
        self.entrance.may_ask(&caller, Subject { kind: "", id: "" }).await?;
        Ok((caller, bytes))
    }

    fn log(&self) -> &DecisionLog {
        &self.entrance.edge.log
    }
}

fn told(decided: &GuestDecided) -> serde_json::Value {
    if !decided.model().explains() {
        return json!({ "decision": decided.allowed });
    }
    let context = json!({
        "decision_id": decided.id.to_string(),
        "reason": decided.reason,
        "policies": decided.policies,
        "policy_version": decided.model().version(),
    });
    json!({ "decision": decided.allowed, "context": context })
}

fn asked_of<'a>(question: &'a Question<'_>) -> GuestQuestion<'a> {
    let part = |part, entity: &'a super::wire::Entity<'_, Facts>| {
        named(part, &entity.kind, &entity.id, said(entity.properties.as_ref()))
    };
    GuestQuestion {
        subject: part("subject", &question.subject),
        action: &question.action.name,
        action_properties: said(question.action.properties.as_ref()),
        resource: part("resource", &question.resource),
        context: said(question.context.as_ref()),
    }
}

const fn named<'a>(part: &'static str, kind: &'a str, id: &'a str, properties: &'a Said) -> Named<'a> {
    Named { part, kind, id, properties }
}

/// What is said; nothing is an empty object.
fn said(facts: Option<&Facts>) -> &Said {
    static NOTHING: std::sync::LazyLock<Said> = std::sync::LazyLock::new(Said::new);
    facts.map_or(&NOTHING, |Facts(said)| said)
}

fn asked<'a>(caller: &'a Caller, headers: &'a HeaderMap, host: &Host) -> Asked<'a> {
    let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    Asked { caller: caller.name(), request_id, log_mode: host.log().mode() }
}

impl From<InvalidFact> for Problem {
    fn from(invalid: InvalidFact) -> Self {
        Self::invalid(invalid.field, invalid.message)
    }
}
