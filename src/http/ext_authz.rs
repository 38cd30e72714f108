//! Envoy's external authorization over gRPC (`envoy.service.auth.v3.Authorization`): a request to the diagnostic API becomes
//! a question by the mapping, and the answer a request that goes on or is refused.
//!
//! Whatever stands in the way of an allow is answered as a denial and never as a failed call: a proxy that was told to let
//! requests through when its authorization fails has nothing to go by then (G4).

mod answer;
mod attributes;
mod engineer;
mod pulse;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, post};
use bytes::Bytes;
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use http::{HeaderMap, StatusCode};
use tonic::Status;
use tower::Service as _;

use super::body;
use super::problem::Problem;
use super::{Edge, Entrance, Via, router};
use crate::decision::{Decided, ReadQuestion};
use crate::identity::Caller;
use crate::mapping::{Mapped, Mapping, ReadParts, Unmapped};
use crate::model::{PersonId, TenantId};

pub(super) use pulse::Pulse;

/// Where Envoy asks.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// A message without a member, as gRPC frames it.
const EMPTY_MESSAGE: Bytes = Bytes::from_static(&[0; 5]);
/// The longest request id that is taken into the log, in bytes.
const LONGEST_REQUEST_ID: usize = 128;

/// How often Envoy was answered since the start.
#[derive(Debug, Default)]
pub struct CheckCounts {
    /// Requests that went on with a recorded allow.
    pub allowed: AtomicU64,
    /// Requests that went on because the mapping lets them pass.
    pub passed: AtomicU64,
    /// Requests that were refused.
    pub denied: AtomicU64,
    /// Requests that were refused because there was no answer.
    pub failed: AtomicU64,
}

/// What the handlers of this listener know.
#[derive(Clone)]
struct Door {
    entrance: Entrance,
    mapping: Arc<Mapping>,
}

/// Who asks on behalf of the request, as far as that is known before the message is read.
#[derive(Clone)]
struct Admitted(Result<Caller, Problem>);

/// A request that goes on.
enum Through {
    Passed,
    Allowed(Decided, PersonId),
}

#[derive(Clone)]
struct Services {
    door: Door,
    check: AuthorizationServer<Door>,
    pulse: Pulse,
}

/// The routes by which Envoy asks about requests that this mapping knows, with nobody who tells of their health.
pub fn check_router(edge: Arc<Edge>, via: Via, mapping: Arc<Mapping>) -> Router {
    let pulse = Pulse::of(Arc::clone(&edge));
    routes(edge, via, mapping, pulse)
}

/// The routes of a listener for Envoy.
pub(super) fn routes(edge: Arc<Edge>, via: Via, mapping: Arc<Mapping>, pulse: Pulse) -> Router {
    let door = Door { entrance: router::entrance(edge, via), mapping };
    // The body was bounded before it comes here.
    let check = AuthorizationServer::new(door.clone()).max_decoding_message_size(usize::MAX);
    Router::new()
        .route(CHECK, post(answered))
        .route("/grpc.health.v1.Health/{method}", any(health))
        .fallback(async || Status::unimplemented("there is no such service here").into_http::<Body>())
        .with_state(Services { door, check, pulse })
}

/// `envoy.service.auth.v3.Authorization/Check`, of a caller who is known before anything of the message is kept.
async fn answered(State(mut services): State<Services>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let (admitted, bytes) = match services.door.admitted(&parts.headers, body).await {
        Ok((caller, bytes)) => (Ok(caller), bytes),
        Err(problem) => (Err(problem), EMPTY_MESSAGE),
    };
    parts.extensions.insert(Admitted(admitted));
    let answer: Result<_, Infallible> = services.check.call(Request::from_parts(parts, Body::from(bytes))).await;
    let Ok(answer) = answer;
    answer.map(Body::new)
}

/// `grpc.health.v1.Health`: as `/readyz` has it at this moment.
async fn health(State(mut services): State<Services>, request: Request) -> Response {
    services.pulse.beat().await;
    let answer: Result<_, Infallible> = services.pulse.service.call(request).await;
    let Ok(answer) = answer;
    answer.map(Body::new)
}

#[tonic::async_trait]
impl Authorization for Door {
    async fn check(&self, request: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let admitted = extensions.get::<Admitted>().cloned();
        let counts = &self.entrance.edge.ext_authz;
        let answer = match self.judge(admitted, &message).await {
            Ok(Through::Passed) => {
                counts.passed.fetch_add(1, Ordering::Relaxed);
                answer::passed(&message)
            }
            Ok(Through::Allowed(decided, engineer)) => {
                counts.allowed.fetch_add(1, Ordering::Relaxed);
                let validity = self.entrance.edge.decisions.validity(decided.valid_until);
                answer::allowed(&message, &decided.id, validity, &engineer)
            }
            Err(problem) => {
                let count = if problem.status() >= 500 { &counts.failed } else { &counts.denied };
                count.fetch_add(1, Ordering::Relaxed);
                answer::denied(problem.as_decision())
            }
        };
        Ok(tonic::Response::new(answer))
    }
}

impl Door {
    /// The proxy that asks, and its message.
    async fn admitted(&self, headers: &HeaderMap, body: Body) -> Result<(Caller, Bytes), Problem> {
        let caller = self.entrance.caller(headers).await.map_err(proxy_is_not_trusted)?;
        let bytes = body::read(body, &self.entrance.edge).await?;
        Ok((caller, bytes))
    }

    /// Whether a request goes on: what does it ask, who is the engineer, and may they?
    async fn judge(&self, admitted: Option<Admitted>, message: &CheckRequest) -> Result<Through, Problem> {
        let Some(Admitted(caller)) = admitted else { return Err(no_answer()) };
        let caller = caller?;
        let seen = attributes::Seen::of(message)?;
        let headers = seen.headers();
        let arrived = seen.arrived(&headers);
        let parts = match self.mapping.map(&arrived)? {
            Mapped::Pass => return Ok(Through::Passed),
            Mapped::Read(parts) => parts,
        };
        let engineer = self.entrance.engineer(self.mapping.engineer(), &seen, &arrived.headers).await?;
        let resource = resource(&parts)?;
        let support_request = parts.support_request.as_deref();
        let question = ReadQuestion::parse(engineer.as_str(), parts.action, &resource, support_request)
            .map_err(|invalid| Problem::invalid(named_here(invalid.field), invalid.message))?;
        let request_id = arrived.headers.one("x-request-id").ok().flatten();
        let request_id = request_id.filter(|id| id.len() <= LONGEST_REQUEST_ID);
        let decided = self.entrance.decision(&caller, request_id, &question).await?;
        if decided.answer.allowed {
            Ok(Through::Allowed(decided, engineer))
        } else {
            Err(Problem::refused_read(&decided))
        }
    }
}

impl Entrance {
    /// The decision on a read, recorded, and in force at the moment when it is given (G1, G3).
    async fn decision(
        &self,
        proxy: &Caller,
        request_id: Option<&str>,
        question: &ReadQuestion<'_>,
    ) -> Result<Decided, Problem> {
        self.confirmed().await?;
        for _ in 0..super::evaluation::ATTEMPTS {
            self.may_ask_about(proxy, question.engineer).await.map_err(proxy_is_not_trusted)?;
            let decided = self.edge.decisions.decide(question)?;
            let ticket = self.record(proxy, request_id, &decided)?;
            self.edge.log.settled(ticket).await?;
            if self.may_leave(question, &decided) {
                return Ok(decided);
            }
        }
        Err(super::evaluation::facts_changing())
    }
}

/// The resource of a question. A tenant is looked at by itself: it comes from the request, and with a slash in it what was
/// meant for the tenant would become the category.
fn resource(parts: &ReadParts<'_>) -> Result<String, Problem> {
    TenantId::check(&parts.tenant).map_err(|error| Problem::invalid("tenant", error.to_string()))?;
    Ok(match &parts.item {
        Some(item) => format!("{}/{}/{item}", parts.tenant, parts.category),
        None => format!("{}/{}", parts.tenant, parts.category),
    })
}

/// The part of a question as mapping files name it.
fn named_here(field: &str) -> &str {
    match field {
        "subject.id" => "engineer",
        "action.name" => "action",
        "resource.id" => "resource",
        "context.support_request" => "support_request",
        other => other,
    }
}

/// A proxy that may not ask is for the operator to look after. Whoever sent the request cannot help it.
fn proxy_is_not_trusted(problem: Problem) -> Problem {
    if problem.status() >= 500 {
        return problem;
    }
    tracing::warn!(code = problem.code(), "a proxy asked that may not ask");
    let detail = "the proxy in front of the diagnostic data may not ask for decisions: tell its operator";
    Problem::unavailable("proxy_not_trusted", detail)
}

fn no_answer() -> Problem {
    Problem::unavailable("no_answer", "there is no answer")
}

impl From<Unmapped> for Problem {
    fn from(unmapped: Unmapped) -> Self {
        let status = if unmapped.is_malformed() { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
        Self::new(status, unmapped.code(), unmapped.to_string())
    }
}
