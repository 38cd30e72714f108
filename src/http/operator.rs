//! `/webhooks`: how the tenants' webhooks are doing, for whoever runs the service, on the listener of the metrics.
//!
//! A tenant's name and how much it is told are nothing for other tenants (R19): no other listener has these routes. What
//! can be done here sends letters once more to where the settings say, and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Edge;
use super::page;
use super::problem::Problem;
use super::router::{Path, Query, reply};
use super::views::PageView;
use crate::store::{Letter, LetterId, StoreError};

/// The list whose cursors these are.
const DEAD_LETTERS: &str = "dead_letters";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A letter that was given up.
#[derive(Serialize)]
struct DeadLetterView {
    stream: &'static str,
    number: u64,
    support_request: String,
    time: String,
    waited_since: String,
    attempts: u32,
    failure: Option<String>,
    died_at: Option<String>,
}

impl From<Letter> for DeadLetterView {
    fn from(letter: Letter) -> Self {
        Self {
            stream: letter.id.stream.as_str(),
            number: letter.id.number,
            support_request: letter.about,
            time: letter.at.to_string(),
            waited_since: letter.since.to_string(),
            attempts: letter.attempts,
            failure: letter.failure,
            died_at: letter.died.map(|died| died.to_string()),
        }
    }
}

/// The routes for operators beside the metrics.
pub(super) fn router(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/webhooks", get(list))
        .route("/webhooks/{name}/dead-letters", get(dead_letters))
        .route("/webhooks/{name}/redrive", post(redrive))
        .with_state(edge)
}

/// `GET /webhooks`
async fn list(State(edge): State<Arc<Edge>>) -> Response {
    reply(200, None, &PageView { items: edge.outbox.endpoints(), next_cursor: None })
}

/// `GET /webhooks/{name}/dead-letters`
async fn dead_letters(
    State(edge): State<Arc<Edge>>,
    Path(name): Path,
    Query(listing): Query<Listing>,
) -> Result<Response, Problem> {
    let limit = page::limit(listing.limit)?;
    let cursor = listing.cursor.as_deref();
    let after: Option<LetterId> = cursor.map(|cursor| page::decode(DEAD_LETTERS, cursor)).transpose()?;
    let mut found = edge.outbox.dead_letters(&name, after, limit + 1).await.map_err(|error| unavailable(&error))?;
    let found = found.as_mut().ok_or_else(|| Problem::not_found("endpoint"))?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_more).map(|last| page::encode(DEAD_LETTERS, &last.id));
    let items = std::mem::take(found).into_iter().map(DeadLetterView::from).collect();
    Ok(reply(200, None, &PageView { items, next_cursor: next }))
}

/// `POST /webhooks/{name}/redrive`
async fn redrive(State(edge): State<Arc<Edge>>, Path(name): Path) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Accepted {}
    if edge.outbox.redrive(&name).await {
        Ok(reply(StatusCode::ACCEPTED.as_u16(), None, &Accepted {}))
    } else {
        Err(Problem::not_found("endpoint"))
    }
}

fn unavailable(error: &StoreError) -> Problem {
    tracing::error!(%error, "the store is unavailable");
    Problem::unavailable("store_unavailable", "the store cannot be read now")
}
