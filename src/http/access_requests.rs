//! `/v1/access-requests`: engineers ask for access and see what is missing (R10, R20).

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::openapi::schema;
use super::problem::Problem;
use super::router::{Path, Query, answered, id, page_view, rendered, reply};
use super::views::{AccessRequestView, PageView};
use super::{Entrance, body, page, precise};
use crate::model::{AccessRequest, AccessRequestId, Outcome, SupportRequestId, TenantId, Timestamp};
use crate::workflow::{NewRequest, Rendered};

const LIST: &str = "access_requests";

/// The longest reason, in characters.
const REASON_CHARS: usize = 2_000;

#[derive(Deserialize, ToSchema)]
#[schema(as = NewAccessRequest)]
#[serde(deny_unknown_fields)]
pub(super) struct Creation {
    #[schema(value_type = SupportRequestId)]
    support_request: String,
    #[schema(value_type = TenantId)]
    resource_tenant: String,
    #[schema(schema_with = schema::text::<REASON_CHARS>)]
    reason: String,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    #[param(value_type = Option<SupportRequestId>)]
    support_request: Option<String>,
    #[param(schema_with = page::limit_schema)]
    limit: Option<usize>,
    #[param(schema_with = page::cursor_schema)]
    cursor: Option<String>,
}

/// `POST /v1/access-requests`
pub(super) async fn create(State(entrance): State<Entrance>, request: Request) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let (creation, bytes) = entrance.edge.json::<Creation>(&parts.headers, content).await?;
    let new = NewRequest {
        support_request: id("support_request", &creation.support_request, SupportRequestId::new)?,
        resource_tenant: id("resource_tenant", &creation.resource_tenant, TenantId::new)?,
        reason: body::text("reason", &creation.reason, REASON_CHARS)?,
        denial: None,
    };
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &bytes)?;
    let now = entrance.edge.clock.now();
    let render = |outcome: &Outcome| show(201, outcome.created(), now);
    answered(entrance.edge.workflow.create_access_request(&caller, &new, once.as_ref(), &render).await)
}

/// `GET /v1/access-requests`
pub(super) async fn list(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let limit = page::limit(listing.limit)?;
    let now = entrance.edge.clock.now();
    let workflow = &entrance.edge.workflow;
    if let Some(support_request) = &listing.support_request {
        if listing.cursor.is_some() {
            return Err(Problem::invalid("cursor", "the list of one support request has a single page"));
        }
        let support_request = id("support_request", support_request, SupportRequestId::new)?;
        let found = workflow.access_requests_under(&caller, &support_request).await?;
        let items = found.iter().map(|request| AccessRequestView::of(request, now)).collect();
        return Ok(reply(200, None, &PageView { items, next_cursor: None }));
    }
    let before = page::position(LIST, listing.cursor.as_deref())?;
    let found = workflow.own_access_requests(&caller, before, limit).await?;
    let items = found.items.iter().map(|request| AccessRequestView::of(request, now)).collect();
    Ok(reply(200, None, &page_view(LIST, items, found.next.as_ref())))
}

/// `GET /v1/access-requests/{id}`
pub(super) async fn show_one(
    State(entrance): State<Entrance>,
    Path(access_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let access_request = id("id", &access_request, AccessRequestId::new)?;
    let found = entrance.edge.workflow.access_request(&caller, &access_request).await?;
    Ok(reply(200, None, &AccessRequestView::of(&found, entrance.edge.clock.now())))
}

/// `POST /v1/access-requests/{id}/cancel`
pub(super) async fn cancel(
    State(entrance): State<Entrance>,
    Path(access_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let access_request = id("id", &access_request, AccessRequestId::new)?;
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &[])?;
    let now = entrance.edge.clock.now();
    let render = |outcome: &Outcome| show(200, outcome.case.access_request(&access_request), now);
    answered(entrance.edge.workflow.cancel_access_request(&caller, &access_request, once.as_ref(), &render).await)
}

fn show(status: u16, request: Option<&AccessRequest>, now: Timestamp) -> Rendered {
    let location = request.filter(|_| status == 201).map(|request| format!("/v1/access-requests/{}", request.id));
    let view = request.map(|request| AccessRequestView::of(request, now));
    rendered(status, None, location.as_deref(), &view)
}
