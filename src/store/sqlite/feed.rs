//! Changes handed to followers: the newest from memory, older ones from the table.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rusqlite::Connection;
use tokio::sync::watch;

use super::error::Trouble;
use super::readers::{Readers, closed};
use crate::model::Timestamp;
use crate::store::{BoxFuture, Change, ChangeFeed, Seq, StoreError, Write};

/// How many objects the changes in memory hold together. Followers that keep up never read the table.
const RECENT_WRITES: usize = 4_096;

/// How many changes a follower that lags reads at once.
const READ_AHEAD: i64 = 64;

/// The changes that are still kept.
#[derive(Debug)]
pub(super) struct ChangeLog {
    recent: RwLock<Recent>,
    /// The first place that is still in the table.
    oldest: AtomicU64,
}

/// Changes without a gap, the oldest first.
#[derive(Debug, Default)]
struct Recent {
    changes: VecDeque<Change>,
    writes: usize,
}

impl ChangeLog {
    pub(super) fn new(oldest: Seq) -> Self {
        Self { recent: RwLock::default(), oldest: AtomicU64::new(oldest.0) }
    }

    pub(super) fn oldest(&self) -> Seq {
        Seq(self.oldest.load(Ordering::Acquire))
    }

    pub(super) fn trimmed_to(&self, oldest: Seq) {
        self.oldest.store(oldest.0, Ordering::Release);
    }

    /// Keeps a change that has become durable.
    pub(super) fn push(&self, change: Change) {
        let mut recent = self.recent.write();
        if recent.changes.back().is_some_and(|last| last.seq.next() != change.seq) {
            *recent = Recent::default();
        }
        recent.writes += change.writes.len().max(1);
        recent.changes.push_back(change);
        while recent.writes > RECENT_WRITES && recent.changes.len() > 1 {
            let Some(dropped) = recent.changes.pop_front() else { break };
            recent.writes -= dropped.writes.len().max(1);
        }
    }

    fn recent(&self, seq: Seq) -> Option<Change> {
        let recent = self.recent.read();
        let first = recent.changes.front()?.seq;
        let index = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
        recent.changes.get(index).cloned()
    }
}

/// Follows the changes after `applied`.
#[derive(Debug)]
pub(super) struct Feed {
    applied: Seq,
    head: watch::Receiver<Seq>,
    log: Arc<ChangeLog>,
    readers: Arc<Readers>,
    read_ahead: VecDeque<Change>,
}

impl Feed {
    pub(super) fn new(
        applied: Seq,
        head: watch::Receiver<Seq>,
        log: Arc<ChangeLog>,
        readers: Arc<Readers>,
    ) -> Result<Self, StoreError> {
        let at = *head.borrow();
        if applied > at {
            // Waiting would hide that the store has lost what the follower has seen.
            let lost = format!("a follower has seen change {}, the store has got to {} only", applied.0, at.0);
            return Err(StoreError::Damaged(lost));
        }
        if applied.next() < log.oldest() {
            return Err(StoreError::Compacted(applied));
        }
        Ok(Self { applied, head, log, readers, read_ahead: VecDeque::new() })
    }

    /// Can be dropped at every `await`: a change is taken out only when it is returned.
    async fn advance(&mut self) -> Result<Change, StoreError> {
        loop {
            if let Some(change) = self.read_ahead.pop_front() {
                self.applied = change.seq;
                return Ok(change);
            }
            if *self.head.borrow_and_update() <= self.applied {
                self.head.changed().await.map_err(|_| closed())?;
                continue;
            }
            if let Some(change) = self.log.recent(self.applied.next()) {
                self.read_ahead.push_back(change);
                continue;
            }
            let after = self.applied;
            let changes = self.readers.read(move |connection| read_after(connection, after)).await?;
            if changes.is_empty() {
                return Err(StoreError::Compacted(after));
            }
            self.read_ahead = changes;
        }
    }
}

impl ChangeFeed for Feed {
    fn next(&mut self) -> BoxFuture<'_, Result<Change, StoreError>> {
        Box::pin(self.advance())
    }
}

/// Reads the next changes, up to the first gap: none, when the next one is no longer kept.
fn read_after(connection: &Connection, after: Seq) -> Result<VecDeque<Change>, Trouble> {
    let mut statement =
        connection.prepare_cached("SELECT seq, writes, at FROM change_log WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query((after, READ_AHEAD))?;
    let mut changes = VecDeque::new();
    let mut last = after;
    while let Some(row) = rows.next()? {
        let seq: Seq = row.get(0)?;
        if seq != last.next() {
            break;
        }
        let writes = row.get_ref(1)?.as_bytes().map_err(rusqlite::Error::from)?;
        let writes: Vec<Write> = serde_json::from_slice(writes)
            .map_err(|error| Trouble::Damaged(format!("change {} cannot be parsed: {error}", seq.0)))?;
        changes.push_back(Change { seq, at: Timestamp::from_millis(row.get(2)?), writes });
        last = seq;
    }
    Ok(changes)
}
