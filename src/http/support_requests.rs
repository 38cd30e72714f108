//! `/v1/support-requests`: the ticketing system tells of cases; their engineers see them (R3-R5, R14).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use super::openapi::schema;
use super::problem::Problem;
use super::router::{Path, Query, answered, id, page_view, rendered, reply};
use super::views::SupportRequestView;
use super::{Entrance, body, page, precise};
use crate::model::{NewSupportRequest, Outcome, PersonId, SubmittedIn, SupportRequestId, TenantId};
use crate::store::ListPosition;
use crate::workflow::{Precise, Rendered, SupportRequestCommand};

const LIST: &str = "support_requests";

/// The longest number that people quote, in characters.
const NUMBER_CHARS: usize = 64;
/// The longest summary, in characters.
const SUMMARY_CHARS: usize = 1_000;

#[derive(Deserialize, ToSchema)]
#[schema(as = NewSupportRequest)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    #[schema(value_type = SupportRequestId)]
    id: String,
    #[schema(schema_with = schema::text::<NUMBER_CHARS>)]
    number: String,
    #[schema(schema_with = schema::text::<SUMMARY_CHARS>)]
    summary: String,
    #[schema(value_type = TenantId)]
    tenant: String,
    submitted_in: SubmittedIn,
    #[serde(default)]
    advanced_diagnostic_information: bool,
    #[serde(default)]
    #[schema(value_type = Option<PersonId>)]
    assignee: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = SupportRequestUpdate)]
#[serde(deny_unknown_fields)]
pub(super) struct Update {
    #[serde(default)]
    #[schema(schema_with = schema::optional_text::<SUMMARY_CHARS>)]
    summary: Option<String>,
    #[serde(default)]
    advanced_diagnostic_information: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Assignment)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment {
    /// `null`: nobody. Must be said: a body that forgets it must not take somebody's work away.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<PersonId>, required)]
    assignee: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    #[param(schema_with = page::limit_schema)]
    limit: Option<usize>,
    #[param(schema_with = page::cursor_schema)]
    cursor: Option<String>,
}

/// `POST /v1/support-requests`
pub(super) async fn open(State(entrance): State<Entrance>, request: Request) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let (opening, bytes) = entrance.edge.json::<Opening>(&parts.headers, content).await?;
    let new = NewSupportRequest {
        id: id("id", &opening.id, SupportRequestId::new)?,
        number: body::text("number", &opening.number, NUMBER_CHARS)?,
        summary: body::text("summary", &opening.summary, SUMMARY_CHARS)?,
        tenant: id("tenant", &opening.tenant, TenantId::new)?,
        submitted_in: opening.submitted_in,
        advanced_diagnostic_information: opening.advanced_diagnostic_information,
        assignee: assignee(&entrance, opening.assignee.as_deref())?,
    };
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &bytes)?;
    let precise = Precise { if_match: None, once: once.as_ref() };
    let location = format!("/v1/support-requests/{}", new.id);
    let render = move |outcome: &Outcome| show(201, Some(&location), outcome);
    answered(entrance.edge.workflow.open_support_request(&caller, new, precise, &render).await)
}

/// `GET /v1/support-requests`
pub(super) async fn list(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let limit = page::limit(listing.limit)?;
    let before: Option<ListPosition> = page::position(LIST, listing.cursor.as_deref())?;
    let found = entrance.edge.workflow.own_support_requests(&caller, before, limit).await?;
    let items = found.items.iter().map(SupportRequestView::of).collect();
    Ok(reply(200, None, &page_view(LIST, items, found.next.as_ref())))
}

/// `GET /v1/support-requests/{id}`
pub(super) async fn show_one(
    State(entrance): State<Entrance>,
    Path(support_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let support_request = id("id", &support_request, SupportRequestId::new)?;
    let found = entrance.edge.workflow.support_request(&caller, &support_request).await?;
    Ok(reply(200, Some(found.version), &SupportRequestView::of(&found)))
}

/// `PATCH /v1/support-requests/{id}`
pub(super) async fn update(
    State(entrance): State<Entrance>,
    Path(support_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    change(&entrance, &support_request, request, |update: Update| {
        Ok(SupportRequestCommand::Update {
            summary: update.summary.map(|summary| body::text("summary", &summary, SUMMARY_CHARS)).transpose()?,
            advanced_diagnostic_information: update.advanced_diagnostic_information,
        })
    })
    .await
}

/// `PUT /v1/support-requests/{id}/assignee`
pub(super) async fn assign(
    State(entrance): State<Entrance>,
    Path(support_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    change(&entrance, &support_request, request, |assignment: Assignment| {
        Ok(SupportRequestCommand::Assign(assignee(&entrance, assignment.assignee.as_deref())?))
    })
    .await
}

/// `POST /v1/support-requests/{id}/close`
pub(super) async fn close(
    State(entrance): State<Entrance>,
    Path(support_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    carry_out(&entrance, &support_request, &parts, &[], SupportRequestCommand::Close).await
}

/// `POST /v1/support-requests/{id}/reopen`
pub(super) async fn reopen(
    State(entrance): State<Entrance>,
    Path(support_request): Path,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    carry_out(&entrance, &support_request, &parts, &[], SupportRequestCommand::Reopen).await
}

async fn change<T: DeserializeOwned>(
    entrance: &Entrance,
    support_request: &str,
    request: Request<Body>,
    command: impl Fn(T) -> Result<SupportRequestCommand, Problem>,
) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    // Who calls comes first: strangers learn nothing about what a body should be.
    entrance.caller(&parts.headers).await?;
    let (wish, bytes) = entrance.edge.json::<T>(&parts.headers, content).await?;
    carry_out(entrance, support_request, &parts, &bytes, command(wish)?).await
}

async fn carry_out(
    entrance: &Entrance,
    support_request: &str,
    parts: &Parts,
    bytes: &[u8],
    command: SupportRequestCommand,
) -> Result<Response, Problem> {
    let caller = entrance.caller(&parts.headers).await?;
    let support_request = id("id", support_request, SupportRequestId::new)?;
    let if_match = precise::if_match(&parts.headers)?;
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), bytes)?;
    let precise = Precise { if_match: if_match.as_deref(), once: once.as_ref() };
    let render = |outcome: &Outcome| show(200, None, outcome);
    let workflow = &entrance.edge.workflow;
    answered(workflow.change_support_request(&caller, &support_request, command, precise, &render).await)
}

fn show(status: u16, location: Option<&str>, outcome: &Outcome) -> Rendered {
    let request = &outcome.case.support_request;
    rendered(status, Some(request.version), location, &SupportRequestView::of(request))
}

/// A support engineer is a person of the vendor's directory.
fn assignee(entrance: &Entrance, given: Option<&str>) -> Result<Option<PersonId>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let person = id("assignee", given, str::parse::<PersonId>)?;
    if !entrance.edge.identity.is_vendors(person.tenant()) {
        return Err(Problem::invalid("assignee", "is not a person of the vendor's directory"));
    }
    Ok(Some(person))
}
