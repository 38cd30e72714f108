//! The routes, and how answers of the workflow become responses.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post, put};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::{DeserializeOwned, value};

use super::evaluation::{REQUEST_ID, with_request_id};
use super::problem::Problem;
use super::views::PageView;
use super::{Edge, Entrance, Via};
use super::{
    access_requests, audit_log, body, consents, evaluation, explanations, guest, health, openapi, page, precise, rest,
    search, support_requests, tasks, tenants,
};
use crate::identity::Caller;
use crate::model::InvalidId;
use crate::store::ListPosition;
use crate::workflow::{Answered, Rendered, WorkflowError};

/// Where one question is asked (AuthZEN 1.0, section 10.1).
pub(super) const EVALUATION: &str = "/access/v1/evaluation";

/// The routes of a listener. The Unix domain socket serves decisions; the workflow wants to know persons.
pub fn router(edge: Arc<Edge>, via: Via) -> Router {
    routes(entrance(edge, via))
}

/// The routes behind this entrance.
pub(super) fn routes(entrance: Entrance) -> Router {
    let routes = match (entrance.edge.guest.clone(), entrance.via) {
        (Some(guest), _) => guest::routes(entrance.clone(), guest),
        (None, Via::UnixSocket) => decisions(),
        (None, Via::Tcp) => decisions().merge(workflow()),
    };
    routes
        .merge(of_every_service())
        .fallback(no_such_path)
        .method_not_allowed_fallback(async |headers: HeaderMap| {
            let detail = "this path takes another method";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
            with_request_id(problem.into_response(), &headers)
        })
        .layer(middleware::from_fn_with_state(entrance.edge.limits.read_timeout, rest::discarded))
        .with_state(entrance)
}

/// The answer where nothing is.
pub(super) async fn no_such_path(headers: HeaderMap) -> Response {
    with_request_id(Problem::no_such_path().into_response(), &headers)
}

/// What the handlers of a listener know.
pub(super) fn entrance(edge: Arc<Edge>, via: Via) -> Entrance {
    let local = match via {
        Via::UnixSocket => Some(Caller::unix_socket()),
        Via::Tcp => edge.insecure_loopback.then(Caller::insecure_loopback),
    };
    Entrance { edge, via, local, last_token: None }
}

fn decisions() -> Router<Entrance> {
    Router::new()
        .route(EVALUATION, post(evaluation::evaluation))
        .route("/access/v1/evaluations", post(evaluation::evaluations))
        .route("/access/v1/search/subject", post(search::subjects))
        .route("/access/v1/search/resource", post(search::resources))
        .route("/access/v1/search/action", post(search::actions))
        .route("/.well-known/consentry-receipt-keys", get(consents::receipt_keys))
        .route("/access/v1/jwks", get(tasks::keys))
        .route("/access/v1/request-schema", get(tasks::schema))
}

/// Where things are, and whether they work.
fn of_every_service() -> Router<Entrance> {
    Router::new()
        .route("/.well-known/authzen-configuration", get(evaluation::configuration))
        .route("/.well-known/authzen-configuration/{*path}", get(evaluation::configuration_of))
        .route("/openapi.json", get(openapi::openapi))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
}

fn workflow() -> Router<Entrance> {
    Router::new()
        .route("/access/v1/requests", post(tasks::submit))
        .route("/access/v1/requests/{id}", get(tasks::status))
        .route("/access/v1/requests/{id}/cancel", post(tasks::cancel).delete(tasks::cancel))
        .route("/v1/tenants/{id}", put(tenants::register))
        .route("/v1/support-requests", post(support_requests::open).get(support_requests::list))
        .route("/v1/support-requests/{id}", patch(support_requests::update).get(support_requests::show_one))
        .route("/v1/support-requests/{id}/assignee", put(support_requests::assign))
        .route("/v1/support-requests/{id}/close", post(support_requests::close))
        .route("/v1/support-requests/{id}/reopen", post(support_requests::reopen))
        .route("/v1/access-requests", post(access_requests::create).get(access_requests::list))
        .route("/v1/access-requests/{id}", get(access_requests::show_one))
        .route("/v1/access-requests/{id}/cancel", post(access_requests::cancel))
        .route("/v1/consents", get(consents::list))
        .route("/v1/consents/{id}", get(consents::show_one))
        .route("/v1/consents/{id}/receipt", get(consents::receipt))
        .route("/v1/consents/{id}/approve", post(consents::approve))
        .route("/v1/consents/{id}/reject", post(consents::reject))
        .route("/v1/consents/{id}/narrow", post(consents::narrow))
        .route("/v1/consents/{id}/revoke", post(consents::revoke))
        .route("/v1/audit-log", get(audit_log::list))
        .route("/v1/audit-log/reads", get(audit_log::reads))
        .route("/v1/decisions/{id}/explanation", get(explanations::explain))
        .layer(middleware::from_fn(private_and_named))
}

/// What the workflow answers is for this caller alone, and carries the caller's request id.
async fn private_and_named(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = id {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The identifier in a path. What is no text is a problem as everywhere, not plain words of the framework's.
pub(super) struct Path(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<String>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(text)) => Ok(Self(text)),
            Err(error) => Err(Problem::invalid("id", error.body_text())),
        }
    }
}

/// A query string; unknown members are errors, and errors are problems.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(error) => Err(wrong_query(&error)),
        }
    }
}

/// The problem of a query string that cannot be read, naming the member that is wrong.
fn wrong_query(rejection: &QueryRejection) -> Problem {
    let mut cause: Option<&dyn Error> = Some(rejection);
    let located = loop {
        match cause.map(|cause| (cause, cause.downcast_ref::<serde_path_to_error::Error<value::Error>>())) {
            None => break None,
            Some((_, Some(located))) => break Some(located),
            Some((error, None)) => cause = error.source(),
        }
    };
    let Some(located) = located else { return Problem::invalid("query", rejection.body_text()) };
    let message = located.inner().to_string();
    let field = match body::field_of(&located.path().to_string(), &message) {
        field if field == "body" => "query".to_owned(),
        field => field,
    };
    Problem::invalid(field, message)
}

/// An identifier of a path, a query or a body.
///
/// # Errors
/// 400 naming the field.
pub(super) fn id<I>(field: &str, text: &str, make: impl FnOnce(&str) -> Result<I, InvalidId>) -> Result<I, Problem> {
    make(text).map_err(|error| Problem::invalid(field, error.to_string()))
}

/// Renders what came of a command, so that it can be given again to a retry.
pub(super) fn rendered<T: Serialize>(status: u16, version: Option<u32>, location: Option<&str>, view: &T) -> Rendered {
    let mut headers = Vec::new();
    if let Some(version) = version {
        headers.push((header::ETAG.to_string(), precise::etag(version)));
    }
    if let Some(location) = location {
        headers.push((header::LOCATION.to_string(), location.to_owned()));
    }
    Rendered { status, headers, body: serde_json::to_string(view).unwrap_or_default() }
}

/// A response with a view.
pub(super) fn reply<T: Serialize>(status: u16, version: Option<u32>, view: &T) -> Response {
    respond(rendered(status, version, None, view))
}

/// A page of a list ordered by time.
pub(super) fn page_view<T>(list: &str, items: Vec<T>, next: Option<&ListPosition>) -> PageView<T> {
    PageView { items, next_cursor: next.map(|next| page::place(list, next)) }
}

/// The response to a command. A replayed answer says so.
///
/// # Errors
/// The problem that stands for the error.
pub(super) fn answered(outcome: Result<Answered, WorkflowError>) -> Result<Response, Problem> {
    let Answered { rendered, replayed } = outcome?;
    let mut response = respond(rendered);
    if replayed {
        let header = HeaderName::from_static("idempotency-replayed");
        response.headers_mut().insert(header, HeaderValue::from_static("true"));
    }
    Ok(response)
}

pub(super) fn respond(rendered: Rendered) -> Response {
    let status = StatusCode::from_u16(rendered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, rendered.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in rendered.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    response
}
