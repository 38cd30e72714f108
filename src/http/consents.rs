//! `/v1/consents`: administrators see and decide their own tenant's consents (R9, R11-R13, R16, R18, R23).

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use super::router::{Path, Query, answered, id, page_view, rendered, reply, respond};
use super::views::{ConsentListView, ConsentView};
use super::{Entrance, body, page, precise};
use crate::model::{Category, CategorySet, ConsentId, Narrowing, Outcome, Scope, Timestamp};
use crate::signing::jwks::published;
use crate::workflow::{ConsentCommand, ConsentView as View, Precise, Rendered};

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Which {
    Pending,
    Approved,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    #[param(inline)]
    view: Which,
    #[param(schema_with = page::limit_schema)]
    limit: Option<usize>,
    #[param(schema_with = page::cursor_schema)]
    cursor: Option<String>,
}

/// What an approval or a narrowing may say (R9). Nothing: everything, until the support request closes.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ScopeWanted)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    #[serde(default)]
    #[schema(value_type = Option<Vec<Category>>, min_items = 1)]
    categories: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    until: Option<String>,
}

/// `GET /v1/consents?view=pending|approved`
pub(super) async fn list(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let limit = page::limit(listing.limit)?;
    let (view, name) = match listing.view {
        Which::Pending => (View::Pending, "pending_consents"),
        Which::Approved => (View::Approved, "approved_consents"),
    };
    let before = page::position(name, listing.cursor.as_deref())?;
    let found = entrance.edge.workflow.consents(&caller, view, before, limit).await?;
    let now = entrance.edge.clock.now();
    let items = found.page.items.iter().map(|seen| ConsentView::seen(seen, now)).collect();
    let page = page_view(name, items, found.page.next.as_ref());
    Ok(reply(200, None, &ConsentListView { pending_count: found.pending, page }))
}

/// `GET /v1/consents/{id}`
pub(super) async fn show_one(
    State(entrance): State<Entrance>,
    Path(consent): Path,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let consent = id("id", &consent, ConsentId::new)?;
    let found = entrance.edge.workflow.consent(&caller, &consent).await?;
    let now = entrance.edge.clock.now();
    Ok(reply(200, Some(found.consent.version), &ConsentView::seen(&found, now)))
}

/// `GET /v1/consents/{id}/receipt`
pub(super) async fn receipt(
    State(entrance): State<Entrance>,
    Path(consent): Path,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let consent = id("id", &consent, ConsentId::new)?;
    let receipt = entrance.edge.workflow.receipt(&caller, &consent).await?;
    Ok(respond(Rendered { status: 200, headers: Vec::new(), body: receipt.envelope }))
}

/// `GET /.well-known/consentry-receipt-keys`
pub(super) async fn receipt_keys(State(entrance): State<Entrance>) -> Response {
    respond(Rendered { status: 200, headers: Vec::new(), body: published(&entrance.edge.receipt_keys) })
}

/// `POST /v1/consents/{id}/approve`
pub(super) async fn approve(
    State(entrance): State<Entrance>,
    Path(consent): Path,
    request: Request,
) -> Result<Response, Problem> {
    decide(&entrance, &consent, request, |limits| {
        Ok(ConsentCommand::Approve(Scope {
            categories: limits.categories()?.unwrap_or(CategorySet::ALL),
            until: limits.until()?,
        }))
    })
    .await
}

/// `POST /v1/consents/{id}/reject`
pub(super) async fn reject(
    State(entrance): State<Entrance>,
    Path(consent): Path,
    request: Request,
) -> Result<Response, Problem> {
    decide(&entrance, &consent, request, |limits| limits.none(ConsentCommand::Reject)).await
}

/// `POST /v1/consents/{id}/narrow`
pub(super) async fn narrow(
    State(entrance): State<Entrance>,
    Path(consent): Path,
    request: Request,
) -> Result<Response, Problem> {
    decide(&entrance, &consent, request, |limits| {
        let to = Narrowing { categories: limits.categories()?, until: limits.until()? };
        if to == Narrowing::default() {
            return Err(Problem::invalid("body", "must name `categories` or `until`"));
        }
        Ok(ConsentCommand::Narrow(to))
    })
    .await
}

/// `POST /v1/consents/{id}/revoke`
pub(super) async fn revoke(
    State(entrance): State<Entrance>,
    Path(consent): Path,
    request: Request,
) -> Result<Response, Problem> {
    decide(&entrance, &consent, request, |limits| limits.none(ConsentCommand::Revoke)).await
}

async fn decide(
    entrance: &Entrance,
    consent: &str,
    request: Request,
    command: impl Fn(&Limits) -> Result<ConsentCommand, Problem>,
) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    let caller = entrance.caller(&parts.headers).await?;
    let bytes = body::read(content, &entrance.edge).await?;
    // No body is an empty one: nothing is narrowed.
    let limits: Limits = if bytes.is_empty() {
        Limits::default()
    } else if body::is_json(&parts.headers) {
        body::parse(&bytes)?
    } else {
        return Err(body::wrong_content_type());
    };
    let consent = id("id", consent, ConsentId::new)?;
    let if_match = precise::if_match(&parts.headers)?;
    let once = precise::once(&parts.headers, &caller, &parts.method, parts.uri.path(), &bytes)?;
    let precise = Precise { if_match: if_match.as_deref(), once: once.as_ref() };
    let now = entrance.edge.clock.now();
    let render = |outcome: &Outcome| {
        let found = outcome.case.consent(&consent);
        let view =
            found.map(|(request, consent)| ConsentView::of(consent, request, &outcome.case.support_request, now));
        rendered(200, found.map(|(_, consent)| consent.version), None, &view)
    };
    let command = command(&limits)?;
    answered(entrance.edge.workflow.decide_consent(&caller, &consent, command, precise, &render).await)
}

impl Limits {
    fn categories(&self) -> Result<Option<CategorySet>, Problem> {
        let Some(names) = &self.categories else { return Ok(None) };
        let category = |(number, name): (usize, &String)| {
            let invalid = |error: crate::model::UnknownCategory| {
                Problem::invalid(format!("categories[{number}]"), error.to_string())
            };
            name.parse::<Category>().map_err(invalid)
        };
        names.iter().enumerate().map(category).collect::<Result<CategorySet, _>>().map(Some)
    }

    fn until(&self) -> Result<Option<Timestamp>, Problem> {
        let until = self.until.as_deref().map(str::parse::<Timestamp>);
        until.transpose().map_err(|error| Problem::invalid("until", error.to_string()))
    }

    /// A command that takes no limits.
    fn none(&self, command: ConsentCommand) -> Result<ConsentCommand, Problem> {
        match (&self.categories, &self.until) {
            (None, None) => Ok(command),
            (Some(_), _) => Err(Problem::invalid("categories", "this takes no scope")),
            (None, Some(_)) => Err(Problem::invalid("until", "this takes no scope")),
        }
    }
}
