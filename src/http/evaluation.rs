//! The decision endpoints (AuthZEN Authorization API 1.0, sections 6, 7 and 9).

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::Entrance;
use super::aside::Brought;
use super::body::{self, Received};
use super::problem::Problem;
use super::router::{Path, no_such_path, reply};
use super::wire::{self, Context, Evaluation, Evaluations, Item, complete};
use crate::audit::{Asked, Ticket};
use crate::decision::{Decided, Decisions, ReadQuestion, Strictness, Undecided, Validity};
use crate::identity::Caller;
use crate::policy::WorkflowAction;
use crate::reference::References;
use crate::workflow::{Judgement, MayQuestion, Subject, Target};

/// The header that names a request (AuthZEN 1.0, section 10.1.4).
pub(super) const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("x-request-id");

/// How often a decision is made anew because its facts changed while it was being recorded.
pub(super) const ATTEMPTS: usize = 8;

/// The capability of taking access requests after denials.
const ACCESS_REQUESTS: &str = "urn:openid:authzen:capability:access-request";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// `POST /access/v1/evaluation`
pub(super) async fn evaluation(State(entrance): State<Entrance>, request: Request) -> Response {
    answered(&entrance, request).await
}

/// The same, of whatever body: without a box around it where that counts.
pub(super) async fn answered<B: Received>(entrance: &Entrance, request: http::Request<B>) -> Response {
    let (parts, body) = request.into_parts();
    let answer = entrance.evaluation(&parts.headers, body).await;
    decided(answer, parts.headers)
}

/// `POST /access/v1/evaluations`
pub(super) async fn evaluations(State(entrance): State<Entrance>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = entrance.evaluations(&parts.headers, body).await;
    decided(answer, parts.headers)
}

/// Where the endpoints are (AuthZEN 1.0, section 9.1).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Metadata {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_resource_endpoint: String,
    search_action_endpoint: String,
    /// Where access is requested after a denial. Absent where no requests are taken, as are the two below.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_request_endpoint: Option<String>,
    /// The keys of what denials and approvals carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    capabilities: Option<[&'static str; 1]>,
}

/// `GET /.well-known/authzen-configuration`
pub(super) async fn configuration(State(entrance): State<Entrance>, headers: HeaderMap) -> Response {
    let base = &entrance.edge.public_url;
    let references = entrance.edge.references.as_ref();
    let metadata = Metadata {
        policy_decision_point: base.clone(),
        access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
        search_subject_endpoint: format!("{base}/access/v1/search/subject"),
        search_resource_endpoint: format!("{base}/access/v1/search/resource"),
        search_action_endpoint: format!("{base}/access/v1/search/action"),
        access_request_endpoint: references.map(References::endpoint),
        jwks_uri: references.map(|_| format!("{base}/access/v1/jwks")),
        capabilities: references.map(|_| [ACCESS_REQUESTS]),
    };
    let cache = HeaderValue::from_static("public, max-age=300");
    let mut response = reply(200, None, &metadata);
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    with_request_id(response, &headers)
}

/// `GET /.well-known/authzen-configuration/{path}`: where it is for a URL with a path (section 9.2).
pub(super) async fn configuration_of(
    State(entrance): State<Entrance>,
    Path(path): Path,
    headers: HeaderMap,
) -> Response {
    let ours = entrance.edge.public_url.split("://").last().and_then(|rest| rest.split_once('/'));
    if ours.is_none_or(|(_host, ours)| ours != path) {
        return no_such_path(headers).await;
    }
    configuration(State(entrance), headers).await
}

/// One decision on its way out.
enum Answered {
    /// With what is said beside it.
    Read(Decided, Option<Box<str>>),
    Workflow(Judgement),
    /// An item of a batch that is not a question.
    Broken(Problem),
}

impl Answered {
    fn decision(&self) -> bool {
        match self {
            Self::Read(decided, _) => decided.answer.allowed,
            Self::Workflow(judgement) => judgement.allowed,
            Self::Broken(_) => false,
        }
    }

    fn write(&self, json: &mut String, decisions: &Decisions) {
        match self {
            Self::Read(decided, aside) => {
                json.push_str(if decided.answer.allowed { "{\"decision\":true" } else { "{\"decision\":false" });
                json.push_str(",\"context\":{\"decision_id\":\"");
                decided.id.push_to(json);
                json.push_str("\",");
                push_validity(json, decisions.validity(decided.valid_until));
                json.push_str(aside.as_deref().unwrap_or_default());
                json.push_str(&decided.answer.context_tail);
                json.push('}');
            }
            Self::Workflow(judgement) => {
                let context = json!({
                    "decision_id": judgement.id.to_string(),
                    "reason": judgement.reason,
                    "policies": judgement.policies,
                    "policy_version": judgement.policy_version,
                });
                let answer = json!({ "decision": judgement.allowed, "context": context });
                json.push_str(&answer.to_string());
            }
            Self::Broken(problem) => json.push_str(&broken(problem).to_string()),
        }
    }
}

/// An item of a batch that is not a question: no, with what is wrong (section 7.2.1).
pub(super) fn broken(problem: &Problem) -> serde_json::Value {
    #[derive(Serialize)]
    struct ItemError<'a> {
        status: u16,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'a str>,
    }
    let error = ItemError { status: problem.status(), message: problem.detail(), field: problem.field() };
    json!({ "decision": false, "context": { "error": error } })
}

impl Entrance {
    /// The answer to one question, as JSON.
    async fn evaluation<B: Received>(&self, headers: &HeaderMap, body: B) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let wire: Evaluation<'_> = wire::parse(&bytes)?;
        self.one(&caller, headers, &wire).await
    }

    /// The answers to a batch, as JSON.
    async fn evaluations(&self, headers: &HeaderMap, body: Body) -> Result<String, Problem> {
        let (caller, bytes) = self.admitted(headers, body).await?;
        let batch: Evaluations<'_> = wire::parse(&bytes)?;
        let items = batch.evaluations.unwrap_or_default();
        let defaults =
            Item { subject: batch.subject, action: batch.action, resource: batch.resource, context: batch.context };
        if items.is_empty() {
            let wire = complete(Item { subject: None, action: None, resource: None, context: None }, &defaults)?;
            return self.one(&caller, headers, &wire).await;
        }
        if items.len() > self.edge.limits.batch {
            let detail = format!("holds {} questions, at most {} are allowed", items.len(), self.edge.limits.batch);
            return Err(Problem::invalid("evaluations", detail));
        }
        self.confirmed().await?;
        let semantic = batch.options.unwrap_or_default().evaluations_semantic;
        let mut rest = items.iter();
        let mut answers: Vec<(Result<Evaluation<'_>, Problem>, Answered)> = Vec::with_capacity(items.len());
        for _ in 0..ATTEMPTS {
            let mut recorded = Vec::new();
            let mut is_final = true;
            for (question, answer) in &mut answers {
                let Ok(wire) = question else { continue };
                if !self.holds(wire, answer)? {
                    *answer = self.item(&caller, headers, wire, &mut recorded).await?;
                    is_final = false;
                }
            }
            // Where the batch stops may have changed with them. A denial stays one, so nothing cut off here comes back.
            match answers.iter().position(|(_, answer)| semantic.stops_at(answer.decision())) {
                Some(last) => answers.truncate(last + 1),
                None => {
                    for item in rest.by_ref() {
                        let question =
                            wire::parse::<Item<'_>>(item.get().as_bytes()).and_then(|item| complete(item, &defaults));
                        let answer = match &question {
                            Ok(wire) => self.item(&caller, headers, wire, &mut recorded).await?,
                            Err(problem) => Answered::Broken(problem.clone()),
                        };
                        is_final = false;
                        let decision = answer.decision();
                        answers.push((question, answer));
                        if semantic.stops_at(decision) {
                            break;
                        }
                    }
                }
            }
            // Nothing was waited for since the first of them was looked at: all of them hold now.
            if is_final {
                return Ok(batch_of(&answers, &self.edge.decisions));
            }
            for ticket in recorded {
                self.edge.log.settled(ticket).await?;
            }
        }
        Err(facts_changing())
    }

    /// Answers one question of a batch. One that cannot be answered is no reason not to answer the others, unless it is
    /// the service that failed.
    async fn item(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        wire: &Evaluation<'_>,
        recorded: &mut Vec<Ticket>,
    ) -> Result<Answered, Problem> {
        match self.answer(caller, headers, wire).await {
            Ok((answer, ticket)) => {
                recorded.extend(ticket);
                Ok(answer)
            }
            Err(problem) if problem.status() < 500 => Ok(Answered::Broken(problem)),
            Err(problem) => Err(problem),
        }
    }

    /// Returns once a question that has come may be decided: at once, or after a renewal where each needs one.
    ///
    /// # Errors
    /// 503 with the reason when there is no such renewal.
    pub(super) async fn confirmed(&self) -> Result<(), Problem> {
        match self.edge.decisions.strictness() {
            Strictness::Lease => Ok(()),
            // Boxed, so that the usual way does not carry the room for it.
            Strictness::Renewal => Ok(Box::pin(self.edge.replica.confirmed_anew()).await.map_err(Undecided::from)?),
        }
    }

    /// The caller and the body of a decision request that is JSON at least.
    pub(super) async fn admitted<B: Received>(&self, headers: &HeaderMap, body: B) -> Result<(Caller, Bytes), Problem> {
        let caller = self.caller(headers).await?;
        if !body::is_json(headers) {
            let detail = "the `Content-Type` must be `application/json`";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "content_type", detail));
        }
        let bytes = body::read(body, &self.edge).await?;
        Ok((caller, bytes))
    }

    async fn one(&self, caller: &Caller, headers: &HeaderMap, wire: &Evaluation<'_>) -> Result<String, Problem> {
        self.confirmed().await?;
        for _ in 0..ATTEMPTS {
            let (answer, ticket) = self.answer(caller, headers, wire).await?;
            if let Some(ticket) = ticket {
                self.edge.log.settled(ticket).await?;
            }
            if self.holds(wire, &answer)? {
                let mut json = String::with_capacity(512);
                answer.write(&mut json, &self.edge.decisions);
                return Ok(json);
            }
        }
        Err(facts_changing())
    }

    /// Answers a question and appends its record. The answer must not leave before the ticket is settled (G3).
    async fn answer(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        wire: &Evaluation<'_>,
    ) -> Result<(Answered, Option<Ticket>), Problem> {
        if is_about_data(wire) && self.is_known_to_ask(caller) {
            let brought = self.brought(wire)?;
            let (decided, ticket) = self.read(caller, headers, wire)?;
            if !self.has_aside(&decided, brought.as_ref()) {
                return Ok((Answered::Read(decided, None), Some(ticket)));
            }
            return Box::pin(self.with_aside(caller, wire, decided, brought, ticket)).await;
        }
        // Boxed, so that the way of a read does not carry the room for it.
        Box::pin(self.answer_any(caller, headers, wire)).await
    }

    /// The same for a question about diagnostic data, of a caller who may ask it: nothing is waited for.
    fn read(&self, caller: &Caller, headers: &HeaderMap, wire: &Evaluation<'_>) -> Result<(Decided, Ticket), Problem> {
        believe_nothing(wire.context.as_ref())?;
        let decided = self.edge.decisions.decide(&read_question(wire)?)?;
        let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let ticket = self.record(caller, request_id, &decided)?;
        Ok((decided, ticket))
    }

    /// A decision with what is said beside it.
    async fn with_aside(
        &self,
        caller: &Caller,
        wire: &Evaluation<'_>,
        decided: Decided,
        brought: Option<Brought>,
        ticket: Ticket,
    ) -> Result<(Answered, Option<Ticket>), Problem> {
        let aside = self.aside(caller, wire, &read_question(wire)?, &decided, brought).await?;
        Ok((Answered::Read(decided, aside), Some(ticket)))
    }

    async fn answer_any(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        wire: &Evaluation<'_>,
    ) -> Result<(Answered, Option<Ticket>), Problem> {
        believe_nothing(wire.context.as_ref())?;
        let subject = Subject { kind: &wire.subject.kind, id: &wire.subject.id };
        if !is_about_data(wire) {
            let began = Instant::now();
            self.may_ask(caller, subject).await?;
            let judgement = self.workflow_answer(caller, wire, began).await?;
            return Ok((Answered::Workflow(judgement), None));
        }
        self.may_ask(caller, subject).await?;
        let brought = self.brought(wire)?;
        let (decided, ticket) = self.read(caller, headers, wire)?;
        self.with_aside(caller, wire, decided, brought, ticket).await
    }

    /// Keeps a recorded answer for the next one who asks, and tells whether it may leave: an allow may while what it
    /// rests on is as it was, and is to be decided anew otherwise (G1).
    fn holds(&self, wire: &Evaluation<'_>, answer: &Answered) -> Result<bool, Problem> {
        let Answered::Read(decided, _) = answer else { return Ok(true) };
        if self.edge.decisions.plainly_holds(decided) {
            return Ok(true);
        }
        Ok(self.may_leave(&read_question(wire)?, decided))
    }

    /// The same of a read.
    pub(super) fn may_leave(&self, question: &ReadQuestion<'_>, decided: &Decided) -> bool {
        if self.edge.decisions.plainly_holds(decided) {
            return true;
        }
        self.edge.decisions.remember(question, decided);
        !decided.answer.allowed || self.edge.decisions.still_holds(question, decided)
    }

    /// Appends the record of a read. Its answer must not leave before the ticket is settled (G3).
    pub(super) fn record(
        &self,
        caller: &Caller,
        request_id: Option<&str>,
        decided: &Decided,
    ) -> Result<Ticket, Problem> {
        LINE.with_borrow_mut(|line| {
            let asked = Asked { caller: caller.name(), request_id, log_mode: self.edge.log.mode() };
            let recorded = decided.record(asked, line);
            Ok(self.edge.log.append(recorded.line, recorded.read_of)?)
        })
    }

    /// Whether the caller may ask this: settled once per token and bundle for programs, per question for people.
    pub(super) async fn may_ask(&self, caller: &Caller, subject: Subject<'_>) -> Result<(), Problem> {
        let serial = self.edge.policies.current().serial();
        if self.is_known_to_ask(caller) {
            return Ok(());
        }
        self.edge.workflow.may_evaluate(caller, subject).await?;
        if caller.person().is_none() {
            // Only a yes is remembered, and only for the bundle that said it.
            caller.memo().store(serial, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether the caller may ask about what this engineer may read.
    pub(super) async fn may_ask_about(&self, caller: &Caller, engineer: &str) -> Result<(), Problem> {
        self.may_ask(caller, Subject { kind: "SupportEngineer", id: engineer }).await
    }

    /// Whether the bundle in force has said before that this program may ask.
    fn is_known_to_ask(&self, caller: &Caller) -> bool {
        caller.memo().load(Ordering::Relaxed) == self.edge.policies.current().serial()
    }

    async fn workflow_answer(
        &self,
        caller: &Caller,
        wire: &Evaluation<'_>,
        began: Instant,
    ) -> Result<Judgement, Problem> {
        let target = Target { kind: &wire.resource.kind, id: &wire.resource.id };
        let Some(action) = WorkflowAction::by_name(&wire.action.name) else {
            return Ok(self.edge.workflow.no_such_question(caller, &wire.action.name, target).await?);
        };
        let question = MayQuestion {
            subject: Subject { kind: &wire.subject.kind, id: &wire.subject.id },
            action,
            target,
            resource_tenant: wire.context.as_ref().and_then(|context| context.resource_tenant.as_deref()),
        };
        Ok(self.edge.workflow.may(caller, &question, began).await?)
    }
}

/// Facts are not taken from whoever asks (G7).
pub(super) fn believe_nothing(context: Option<&Context<'_>>) -> Result<(), Problem> {
    match context.and_then(Context::reserved) {
        Some(key) => Err(Problem::invalid(key, "is a fact of the service's own; callers do not set it")),
        None => Ok(()),
    }
}

/// Whether a question is about diagnostic data, and not about the workflow.
fn is_about_data(wire: &Evaluation<'_>) -> bool {
    wire.subject.kind == "SupportEngineer" && wire.resource.kind == "DiagnosticData"
}

/// The read question of a request that is about diagnostic data.
fn read_question<'a>(wire: &'a Evaluation<'_>) -> Result<ReadQuestion<'a>, Problem> {
    let support_request = wire.context.as_ref().and_then(|context| context.support_request.as_deref());
    Ok(ReadQuestion::parse(&wire.subject.id, &wire.action.name, &wire.resource.id, support_request)?)
}

/// Until when an answer may be used, as members of its context with a comma behind each; nothing without a lease.
fn push_validity(json: &mut String, validity: Option<Validity>) {
    if let Some(Validity { until, for_ms }) = validity {
        // Writing to a string does not fail.
        let _ = write!(json, "\"valid_until\":\"{until}\",\"valid_for_ms\":{for_ms},");
    }
}

fn batch_of(answers: &[(Result<Evaluation<'_>, Problem>, Answered)], decisions: &Decisions) -> String {
    let mut json = String::with_capacity(512 * answers.len());
    json.push_str("{\"evaluations\":[");
    for (number, (_, answer)) in answers.iter().enumerate() {
        if number > 0 {
            json.push(',');
        }
        answer.write(&mut json, decisions);
    }
    json.push_str("]}");
    json
}

pub(super) fn facts_changing() -> Problem {
    Problem::unavailable("facts_changing", "the facts keep changing: ask again").as_decision()
}

/// The response to a request that asked for decisions. Where there is no answer there is no allow, whatever part of the
/// house failed (G4).
pub(super) fn decided(answer: Result<String, Problem>, mut headers: HeaderMap) -> Response {
    match answer {
        Ok(json) => {
            let id = headers.remove(REQUEST_ID);
            // The room of the request's headers is used again: this is the way of every read.
            headers.clear();
            headers.insert(header::CONTENT_TYPE, JSON);
            headers.extend(id.map(|id| (REQUEST_ID, id)));
            let mut response = Response::new(Body::from(json));
            *response.headers_mut() = headers;
            response
        }
        Err(problem) => {
            let problem = if problem.status() >= 500 { problem.as_decision() } else { problem };
            with_request_id(problem.into_response(), &headers)
        }
    }
}

/// Gives a caller's request id back (AuthZEN 1.0, section 10.1.4).
pub(super) fn with_request_id(mut response: Response, headers: &HeaderMap) -> Response {
    if let Some(id) = headers.get(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::replica::NotFresh;

    #[test]
    fn a_context_says_until_when_an_answer_may_be_used_only_where_there_is_a_lease() {
        let context = |validity| {
            let mut json = "{\"decision_id\":\"d\",".to_owned();
            push_validity(&mut json, validity);
            json.push_str("\"reason\":1}");
            json
        };
        assert_eq!(context(None), r#"{"decision_id":"d","reason":1}"#);
        let validity = Validity { until: Timestamp::from_millis(1_790_000_000_250), for_ms: 4_250 };
        let told: serde_json::Value = serde_json::from_str(&context(Some(validity))).unwrap();
        assert_eq!(told["valid_until"], validity.until.to_string());
        assert_eq!(told["valid_for_ms"], 4_250);
        assert_eq!(serde_json::to_value(validity).unwrap()["valid_until"], validity.until.to_string());
    }

    #[test]
    fn without_a_usable_lease_the_answer_is_no_with_the_reason_and_when_to_ask_again() {
        let reasons = [
            (NotFresh::Bootstrapping, "bootstrapping"),
            (NotFresh::Lost(String::new()), "replica_behind"),
            (NotFresh::LeaseExpired, "lease_expired"),
            (NotFresh::Fenced, "fenced"),
            (NotFresh::Regressed(String::new()), "store_regressed"),
        ];
        for (reason, code) in reasons {
            let (status, headers, body) = Problem::from(Undecided::NotFresh(reason)).rendered();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (status.as_u16(), body["code"].as_str(), body["decision"].as_bool()),
                (503, Some(code), Some(false))
            );
            assert!(headers.iter().any(|(name, _)| *name == header::RETRY_AFTER));
        }
    }
}
