//! `/access/v1/requests`: access requests after a denial, followed as tasks (AuthZEN Access Request and Approval Profile 1.0,
//! Draft 1). Another edge onto the workflow's own commands: same people, same policies, same access requests.

mod submission;
mod view;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

pub(super) use self::submission::{Cancellation, Submission};
pub(super) use self::view::TaskView;
use super::problem::Problem;
use super::router::{Path, answered, rendered, reply, respond};
use super::{Entrance, body, precise};
use crate::model::{AccessRequestId, Outcome, Refusal, SupportRequestId, TenantId};
use crate::reference::References;
use crate::signing::jwks;
use crate::workflow::{NewRequest, Rendered, WorkflowError};

/// What a request has to say beside the question that was denied.
const SCHEMA: &str = include_str!("../../schemas/access-request.schema.json");

/// `POST /access/v1/requests`
pub(super) async fn submit(State(entrance): State<Entrance>, request: Request) -> Result<Response, Problem> {
    let references = served(&entrance)?;
    let (parts, content) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let (submission, bytes) = entrance.edge.json::<Submission>(&parts.headers, content).await?;
    let now = entrance.edge.clock.now();
    let asked = submission.asked(&caller, references, &entrance.edge.outbox, now)?;
    let new = NewRequest {
        support_request: super::router::id("context.support_request", &asked.support_request, SupportRequestId::new)?,
        resource_tenant: super::router::id("resource.id", &asked.resource_tenant, TenantId::new)?,
        reason: asked.reason,
        denial: Some(asked.denial),
    };
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &bytes)?;
    let render = |outcome: &Outcome| {
        let created = outcome.created();
        let location = created.map(|request| references.task(request.id.as_str()));
        let view = created.and_then(|request| TaskView::of(request, references, now));
        // What was asked for is there, and waits for others.
        rendered(202, None, location.as_deref(), &view)
    };
    let created = entrance.edge.workflow.create_access_request(&caller, &new, once.as_ref(), &render).await;
    answered_as_task(created)
}

/// `GET /access/v1/requests/{id}`
pub(super) async fn status(
    State(entrance): State<Entrance>,
    Path(id): Path,
    request: Request,
) -> Result<Response, Problem> {
    let references = served(&entrance)?;
    let caller = entrance.caller(request.headers()).await?;
    let id = AccessRequestId::new(&id).map_err(|_| unknown_task())?;
    let found = entrance.edge.workflow.access_request(&caller, &id).await.map_err(as_task)?;
    let now = entrance.edge.clock.now();
    let view = TaskView::of(&found, references, now).ok_or_else(unknown_task)?;
    let mut response = reply(200, None, &view);
    if view.is_pending() {
        // Somebody has to decide first: to ask again sooner is of no use.
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    Ok(response)
}

/// `POST` and `DELETE /access/v1/requests/{id}/cancel`
pub(super) async fn cancel(
    State(entrance): State<Entrance>,
    Path(id): Path,
    request: Request,
) -> Result<Response, Problem> {
    let references = served(&entrance)?;
    let (parts, content) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let bytes = body::read(content, &entrance.edge).await?;
    if !bytes.is_empty() {
        if !body::is_json(&parts.headers) {
            return Err(body::wrong_content_type());
        }
        body::parse::<Cancellation>(&bytes)?.check()?;
    }
    let id = AccessRequestId::new(&id).map_err(|_| unknown_task())?;
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &bytes)?;
    let now = entrance.edge.clock.now();
    let render = |outcome: &Outcome| {
        let request = outcome.case.access_request(&id);
        rendered(200, None, None, &request.and_then(|request| TaskView::of(request, references, now)))
    };
    answered_as_task(entrance.edge.workflow.cancel_task(&caller, &id, once.as_ref(), &render).await)
}

/// `GET /access/v1/jwks`
pub(super) async fn keys(State(entrance): State<Entrance>) -> Result<Response, Problem> {
    let references = served(&entrance)?;
    Ok(public(jwks::published(references.keys()), "application/jwk-set+json"))
}

/// `GET /access/v1/request-schema`
pub(super) async fn schema(State(entrance): State<Entrance>) -> Result<Response, Problem> {
    served(&entrance)?;
    Ok(public(SCHEMA.to_owned(), "application/schema+json"))
}

/// Something that everybody may know, and keep for a while.
fn public(text: String, kind: &'static str) -> Response {
    let mut response = respond(Rendered { status: 200, headers: Vec::new(), body: text });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// Where no references are given out there is nothing at these paths.
fn served(entrance: &Entrance) -> Result<&References, Problem> {
    entrance.edge.references.as_ref().ok_or_else(Problem::no_such_path)
}

fn answered_as_task(outcome: Result<crate::workflow::Answered, WorkflowError>) -> Result<Response, Problem> {
    match outcome {
        Ok(answered_before) => answered(Ok(answered_before)).map(IntoResponse::into_response),
        Err(error) => Err(as_task(error)),
    }
}

/// Errors by the profile's own names (section 11), where it has one.
fn as_task(error: WorkflowError) -> Problem {
    match &error {
        WorkflowError::NotFound("access request") | WorkflowError::Refused(Refusal::UnknownAccessRequest) => {
            unknown_task()
        }
        WorkflowError::Refused(Refusal::TaskOver(_)) => {
            Problem::of_access_request(StatusCode::CONFLICT, "invalid_task_state", error.to_string())
        }
        WorkflowError::Refused(Refusal::DenialUsed) => invalid_binding("denial.binding_token", &error.to_string()),
        WorkflowError::Refused(Refusal::DenialExpired) => {
            Problem::of_access_request(StatusCode::GONE, "expired_denial", error.to_string())
        }
        WorkflowError::KeyReused => {
            Problem::of_access_request(StatusCode::CONFLICT, "duplicate_request", error.to_string())
        }
        WorkflowError::NotFound(_)
        | WorkflowError::Denied(_)
        | WorkflowError::Refused(_)
        | WorkflowError::Outdated { .. }
        | WorkflowError::Invalid { .. }
        | WorkflowError::Busy
        | WorkflowError::Unrecorded(_)
        | WorkflowError::LogUnreadable(_)
        | WorkflowError::Unavailable(_)
        | WorkflowError::Elsewhere
        | WorkflowError::Unconfirmed => error.into(),
    }
}

/// There is no such task, or not for the caller: the same bytes for both (R19).
fn unknown_task() -> Problem {
    Problem::of_access_request(StatusCode::NOT_FOUND, "unknown_task", "there is no such task")
}

fn invalid_binding(field: &str, detail: &str) -> Problem {
    Problem::of_access_request(StatusCode::BAD_REQUEST, "invalid_denial_binding", detail).about(field)
}
