//! `/v1/audit-log`: each tenant's own audit log of support access (R21), and every use of its consents (R22).

mod export;
mod filter;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use self::export::{Export, MOST_LINES};
use self::filter::Filter;
use super::problem::Problem;
use super::router::{Query, reply};
use super::views::PageView;
use super::{Edge, Entrance, page};
use crate::audit::{Position, ReadRecord};
use crate::identity::Caller;
use crate::model::TenantId;
use crate::outbox::entry::{ActivityEntry, ReadEntry};

pub(super) use self::export::Format;
pub(super) use self::filter::Listing;

/// The two logs of a tenant, as cursors name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    Activities,
    Reads,
}

impl Log {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "audit_log",
            Self::Reads => "audit_log_reads",
        }
    }
}

/// `GET /v1/audit-log`
pub(super) async fn list(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let (filter, before) = listing.wanted(Log::Activities)?;
    if let Some(format) = listing.format {
        let limit = page::limit_up_to(listing.limit, MOST_LINES, MOST_LINES)?;
        return export(&entrance, &caller, Log::Activities, filter, format).await?.answer(before, limit).await;
    }
    let limit = page::limit(listing.limit)?;
    let found = entrance.edge.workflow.audit_log(&caller, filter.of_activities(), before, limit).await?;
    let items = found.items.iter().map(ActivityEntry::of).collect();
    let next_cursor = found.next.map(|number| filter.cursor(Log::Activities, number));
    Ok(reply(200, None, &PageView { items, next_cursor }))
}

/// `GET /v1/audit-log/reads`
pub(super) async fn reads(
    State(entrance): State<Entrance>,
    Query(listing): Query<Listing>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let (filter, before) = listing.wanted(Log::Reads)?;
    if let Some(format) = listing.format {
        let limit = page::limit_up_to(listing.limit, MOST_LINES, MOST_LINES)?;
        return export(&entrance, &caller, Log::Reads, filter, format).await?.answer(before, limit).await;
    }
    let limit = page::limit(listing.limit)?;
    let tenant = entrance.edge.workflow.audit_reader(&caller).await?;
    let (records, next) = read_back(&entrance.edge, tenant, &filter, before, limit).await?;
    let items = records.iter().map(ReadEntry::of).collect();
    let next_cursor = next.map(|number| filter.cursor(Log::Reads, number));
    Ok(reply(200, None, &PageView { items, next_cursor }))
}

async fn export(
    entrance: &Entrance,
    caller: &Caller,
    log: Log,
    filter: Filter,
    format: Format,
) -> Result<Export, Problem> {
    let tenant = entrance.edge.workflow.audit_reader(caller).await?;
    Ok(Export { edge: Arc::clone(&entrance.edge), tenant, log, filter, format })
}

/// A tenant's reads, newest first, and where to go on.
async fn read_back(
    edge: &Edge,
    tenant: TenantId,
    filter: &Filter,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<ReadRecord>, Option<u64>), Problem> {
    let (log, filter) = (Arc::clone(&edge.log), filter.clone());
    // Reading the log back touches the disk.
    let read_back = tokio::task::spawn_blocking(move || {
        log.read_back(&tenant, before.map(Position::from_u64), limit, &|record| filter.takes_read(record))
    });
    match read_back.await {
        Ok(found) => {
            let (records, next) = found.map_err(|error| Problem::unavailable(error.code(), error.to_string()))?;
            Ok((records, next.map(Position::as_u64)))
        }
        Err(_) => Err(Problem::unavailable("log_unavailable", "the log cannot be read now")),
    }
}
