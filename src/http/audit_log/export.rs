//! A log as lines, for other programs: JSON lines of what the lists show, or OCSF events; written while it is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::super::page;
use super::super::problem::Problem;
use super::filter::Filter;
use super::{Log, read_back};
use crate::http::Edge;
use crate::model::TenantId;
use crate::outbox::{entry, ocsf};
use crate::store::NumberedActivity;
use crate::workflow::WorkflowError;

/// The most lines of an answer: one that takes longer than a connection may be quiet would be cut.
pub(super) const MOST_LINES: usize = 10_000;

/// Entries that are read at once.
const PORTION: usize = 200;

/// The limit as clients see it: of lines, or of the items of a page.
pub(super) fn limit_schema() -> Object {
    page::limit_schema_up_to(MOST_LINES, MOST_LINES)
}

/// The shape of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum Format {
    Jsonl,
    Ocsf,
}

/// What is exported.
#[derive(Clone)]
pub(super) struct Export {
    pub(super) edge: Arc<Edge>,
    pub(super) tenant: TenantId,
    pub(super) log: Log,
    pub(super) filter: Filter,
    pub(super) format: Format,
}

/// The last line where there is more.
#[derive(Serialize)]
struct More {
    next_cursor: String,
}

impl Export {
    /// The answer: newest first, at most `limit` lines, and a last one that names a cursor if there is more.
    ///
    /// # Errors
    /// The problem of the first portion. A later one breaks the answer off.
    pub(super) async fn answer(self, before: Option<u64>, limit: usize) -> Result<Response, Problem> {
        let (first, next) = self.portion(before, limit.min(PORTION)).await?;
        let (lines, written) = mpsc::channel(1);
        tokio::spawn(async move {
            let _ = self.write(&lines, first, next, limit).await;
        });
        let body = Body::new(Lines(written));
        let kind = HeaderValue::from_static("application/x-ndjson");
        Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
    }

    /// Writes as fast as the client takes it. An error: the client is gone, or knows that the answer is not whole.
    async fn write(
        &self,
        lines: &mpsc::Sender<io::Result<Bytes>>,
        first: Vec<String>,
        next: Option<u64>,
        limit: usize,
    ) -> Result<(), mpsc::error::SendError<io::Result<Bytes>>> {
        let (mut portion, mut next, mut left) = (first, next, limit);
        loop {
            left = left.saturating_sub(portion.len());
            if !portion.is_empty() {
                portion.push(String::new());
                lines.send(Ok(portion.join("\n").into())).await?;
            }
            let Some(before) = next else { return Ok(()) };
            if left == 0 {
                let more = More { next_cursor: self.filter.cursor(self.log, before) };
                return lines.send(Ok(format!("{}\n", json(&more)).into())).await;
            }
            match self.portion(Some(before), left.min(PORTION)).await {
                Ok(found) => (portion, next) = found,
                Err(_) => return lines.send(Err(io::Error::other("the log cannot be read any more"))).await,
            }
        }
    }

    /// Some lines, and where to go on.
    async fn portion(&self, before: Option<u64>, limit: usize) -> Result<(Vec<String>, Option<u64>), Problem> {
        match self.log {
            Log::Activities => {
                let filter = self.filter.of_activities();
                let found = self.edge.workflow.activities_of(self.tenant.clone(), filter, before, limit).await;
                let page = found.map_err(|error: WorkflowError| Problem::from(error))?;
                Ok((page.items.iter().map(|entry| self.activity(entry)).collect(), page.next))
            }
            Log::Reads => {
                let (reads, next) = read_back(&self.edge, self.tenant.clone(), &self.filter, before, limit).await?;
                let line = |read| match self.format {
                    Format::Jsonl => json(&entry::ReadEntry::of(read)),
                    Format::Ocsf => ocsf::read(&self.tenant, read).to_string(),
                };
                Ok((reads.iter().map(line).collect(), next))
            }
        }
    }

    fn activity(&self, entry: &NumberedActivity) -> String {
        match self.format {
            Format::Jsonl => json(&entry::ActivityEntry::of(entry)),
            Format::Ocsf => ocsf::activity(entry).to_string(),
        }
    }
}

/// Strings and numbers of ours: they serialise.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A body that comes portion by portion.
struct Lines(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|portion| portion.map(|portion| portion.map(Frame::data)))
    }
}
