//! `/v1/audit-log`: each tenant's own audit log of support access (R21), and every use of its consents (R22).

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;

use super::problem::Problem;
use super::router::{Query, id, reply};
use super::views::{ActivityView, PageView, ReadView};
use super::{Entrance, page};
use crate::audit::Position;
use crate::model::{ActivityKind, PersonId, SupportRequestId, Timestamp};
use crate::store::ActivityFilter;

const LIST: &str = "audit_log";
const READS: &str = "audit_log_reads";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    from: Option<String>,
    to: Option<String>,
    activity: Option<String>,
    actor: Option<String>,
    support_request: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /v1/audit-log`
pub(super) async fn list(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let limit = page::limit(listing.limit)?;
    let filter = listing.filter()?;
    let before = page::number(LIST, listing.cursor.as_deref())?;
    let found = entrance.edge.workflow.audit_log(&caller, filter, before, limit).await?;
    let items = found.items.iter().map(ActivityView::of).collect();
    let next_cursor = found.next.map(|number| page::number_cursor(LIST, number));
    Ok(reply(200, None, &PageView { items, next_cursor }))
}

/// `GET /v1/audit-log/reads`
pub(super) async fn reads(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let limit = page::limit(listing.limit)?;
    let filter = listing.filter()?;
    if filter.kind.is_some() {
        return Err(Problem::invalid("activity", "every entry of this list is a read"));
    }
    let before = page::number(READS, listing.cursor.as_deref())?.map(Position::from_u64);
    let tenant = entrance.edge.workflow.audit_reader(&caller).await?;
    let log = std::sync::Arc::clone(&entrance.edge.log);
    // Reading the log back touches the disk.
    let read_back = tokio::task::spawn_blocking(move || {
        let matches = |record: &crate::audit::ReadRecord| {
            let at = record.time.parse::<Timestamp>().ok();
            filter.from.is_none_or(|from| at.is_some_and(|at| at >= from))
                && filter.to.is_none_or(|to| at.is_some_and(|at| at < to))
                && filter.actor.as_ref().is_none_or(|actor| actor.as_str() == record.subject)
                && filter.support_request.as_ref().is_none_or(|id| id.as_str() == record.support_request)
        };
        log.read_back(&tenant, before, limit, &matches)
    });
    let (records, next) = match read_back.await {
        Ok(found) => found.map_err(|error| Problem::unavailable(error.code(), error.to_string()))?,
        Err(_) => return Err(Problem::unavailable("log_unavailable", "the log cannot be read now")),
    };
    let items = records.iter().map(ReadView::of).collect();
    let next_cursor = next.map(|position| page::number_cursor(READS, position.as_u64()));
    Ok(reply(200, None, &PageView { items, next_cursor }))
}

impl Listing {
    fn filter(&self) -> Result<ActivityFilter, Problem> {
        let time = |field: &'static str, value: &Option<String>| {
            let time = value.as_deref().map(str::parse::<Timestamp>);
            time.transpose().map_err(|error| Problem::invalid(field, error.to_string()))
        };
        let kind = |name: &str| {
            let known = ActivityKind::ALL.into_iter().find(|kind| kind.as_str() == name);
            known.ok_or_else(|| Problem::invalid("activity", format!("there is no activity `{name}`")))
        };
        Ok(ActivityFilter {
            from: time("from", &self.from)?,
            to: time("to", &self.to)?,
            kind: self.activity.as_deref().map(kind).transpose()?,
            actor: self.actor.as_deref().map(|actor| id("actor", actor, str::parse::<PersonId>)).transpose()?,
            support_request: self
                .support_request
                .as_deref()
                .map(|support_request| id("support_request", support_request, SupportRequestId::new))
                .transpose()?,
        })
    }
}
