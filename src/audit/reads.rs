//! The index behind R22: finds a tenant's allowed reads in the log without reading all of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::blocks::{Block, Blocks};
use super::error::LogError;
use super::find::{DISORDER_MS, find};
use super::parts::Parts;
use super::pending::ReadNote;
use super::record::{self, Position, ReadRecord};
use super::removed::RemovedReads;
use super::scan::scan;
use crate::model::{TenantId, Timestamp};

/// How many of the tenant's reads one call of [`ReadIndex::read_back`] looks through. They stand in as many blocks at
/// most, about 128 MiB. Blocks are not what is counted: how many there are depends on what others did meanwhile, and where
/// a page ends must not tell of that (R19).
pub(super) const READS_PER_CALL: usize = 2_000;

/// How many calls of [`ReadIndex::read_back`] one search for a read makes.
const CALLS_PER_SEARCH: usize = 2;

/// What is scanned while the writer waits, so that the scan catches up with a busy log: about a millisecond.
const LAST_STRETCH_BYTES: u64 = 1024 * 1024;

#[derive(Debug)]
enum State {
    /// The file is being scanned.
    Building,
    Ready(Blocks),
    /// The scan failed.
    Broken(String),
}

#[derive(Debug)]
struct Seen {
    state: State,
    /// The written watermark: where the log's good lines end. Nothing behind it is ever read.
    log_end: u64,
}

/// The index over a log. The writer feeds it; it reads the log back for tenants.
#[derive(Debug)]
pub(super) struct ReadIndex {
    path: PathBuf,
    parts: Arc<Parts>,
    seen: Mutex<Seen>,
    stop: AtomicBool,
}

impl ReadIndex {
    /// The index of a log of this length, not built yet.
    pub(super) fn new(path: PathBuf, parts: Arc<Parts>, log_end: u64) -> Self {
        let seen = Mutex::new(Seen { state: State::Building, log_end });
        Self { path, parts, seen, stop: AtomicBool::new(false) }
    }

    /// Whether [`ReadIndex::build`] takes a moment only, so that no thread is needed for it.
    pub(super) fn is_short(&self) -> bool {
        self.seen.lock().log_end <= LAST_STRETCH_BYTES
    }

    /// Scans the file, catches up with what is written meanwhile, and lets the writer feed the index from there on.
    pub(super) fn build(&self) {
        if let Err(error) = self.try_build() {
            tracing::error!(log.path = %self.path.display(), %error, "the decision log cannot be indexed");
            self.seen.lock().state = State::Broken(error.to_string());
        }
    }

    fn try_build(&self) -> io::Result<()> {
        let removed = RemovedReads::read(&self.path)?;
        let mut scanned = self.parts.base_of(removed.before).unwrap_or_else(|| self.parts.first());
        let mut blocks = Blocks::behind(removed.reads);
        while !self.stop.load(Ordering::Relaxed) {
            let mut seen = self.seen.lock();
            let log_end = seen.log_end;
            if log_end - scanned <= LAST_STRETCH_BYTES {
                scan(&self.parts, scanned, log_end, &self.stop, &mut blocks)?;
                seen.state = State::Ready(blocks);
                return Ok(());
            }
            drop(seen);
            scan(&self.parts, scanned, log_end, &self.stop, &mut blocks)?;
            scanned = log_end;
        }
        Ok(())
    }

    /// Whether the log is still being scanned: its segments are needed until that is over.
    pub(super) fn is_building(&self) -> bool {
        matches!(self.seen.lock().state, State::Building)
    }

    /// Ends a scan that is under way.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// These lines, and the allowed reads among them, now stand in the file at `base`, the end of those before.
    pub(super) fn written(&self, base: u64, bytes: &[u8], notes: &[ReadNote]) {
        let mut seen = self.seen.lock();
        seen.log_end = base + bytes.len() as u64;
        match &mut seen.state {
            State::Ready(blocks) => blocks.extend(base, bytes, notes),
            // The scan goes on until it has reached the watermark: it will find these lines in the file.
            State::Building | State::Broken(_) => {}
        }
    }

    /// The tenant's allowed reads before a position, newest first, of which `matches` holds; see
    /// [`super::DecisionLog::read_back`].
    pub(super) fn read_back(
        &self,
        tenant: &TenantId,
        before: Option<Position>,
        limit: usize,
        matches: &dyn Fn(&ReadRecord) -> bool,
    ) -> Result<(Vec<ReadRecord>, Option<Position>), LogError> {
        let before = before.map_or(u64::MAX, Position::as_u64);
        let blocks = self.blocks_of(tenant, before)?;
        let limit = limit.max(1);
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        let mut looked_at = 0;
        for block in &blocks {
            self.read_block(*block, &mut bytes)?;
            let reads = reads_of(tenant, &bytes, block.reads_through);
            for (line, position) in reads.into_iter().rev().filter(|(_, position)| position.as_u64() < before) {
                if let Some(record) = record::parse(line, position).filter(|record| matches(record)) {
                    found.push(record);
                }
                looked_at += 1;
                if found.len() == limit || (looked_at == READS_PER_CALL && position.as_u64() > 1) {
                    return Ok((found, Some(position)));
                }
            }
        }
        Ok((found, None))
    }

    /// A tenant's allowed read by its decision's id; see [`super::DecisionLog::find_read`].
    pub(super) fn find_read(
        &self,
        tenant: &TenantId,
        id: &str,
        near: Option<Timestamp>,
    ) -> Result<Option<ReadRecord>, LogError> {
        let mut before = match near {
            Some(near) => self.first_behind(tenant, near.plus_millis(DISORDER_MS))?,
            None => None,
        };
        for _ in 0..CALLS_PER_SEARCH {
            let (mut found, next) = self.read_back(tenant, before, 1, &|read| read.decision_id == id)?;
            match (found.pop(), next) {
                (Some(read), _) => return Ok(Some(read)),
                (None, None) => return Ok(None),
                (None, Some(next)) => before = Some(next),
            }
        }
        Ok(None)
    }

    /// The first of the tenant's reads that is later than this time, none when all are earlier.
    fn first_behind(&self, tenant: &TenantId, time: Timestamp) -> Result<Option<Position>, LogError> {
        let newest = |before: Option<u64>| -> Result<Option<ReadRecord>, LogError> {
            Ok(self.read_back(tenant, before.map(Position::from_u64), 1, &|_| true)?.0.pop())
        };
        let is_later = |read: &ReadRecord| read.time.parse::<Timestamp>().is_ok_and(|at| at > time);
        let Some(last) = newest(None)?.filter(is_later) else { return Ok(None) };
        // Every read up to `low` is early enough, and those from `high` on are not.
        let (mut low, mut high) = (0, last.position.as_u64());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if newest(Some(middle + 1))?.is_some_and(|read| is_later(&read)) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(Some(Position::from_u64(high)))
    }

    /// The line that records a decision; see [`super::DecisionLog::find`].
    pub(super) fn find(&self, id: &str, near: Option<Timestamp>) -> Result<Option<String>, LogError> {
        let log_end = self.seen.lock().log_end;
        find(&self.parts, log_end, id, near).map_err(|error| self.unreadable(&error.to_string()))
    }

    fn blocks_of(&self, tenant: &TenantId, before: u64) -> Result<Vec<Block>, LogError> {
        let seen = self.seen.lock();
        match &seen.state {
            State::Building => Err(LogError::IndexBuilding),
            State::Broken(reason) => Err(self.unreadable(reason)),
            State::Ready(blocks) => {
                let first = self.parts.first();
                let mut found = blocks.of(tenant, before, READS_PER_CALL, seen.log_end);
                found.retain(|block| block.end > first);
                Ok(found)
            }
        }
    }

    /// What is left of a block: it can reach into a segment that was removed, and that can go while it is read.
    fn read_block(&self, block: Block, bytes: &mut Vec<u8>) -> Result<(), LogError> {
        loop {
            let start = block.start.max(self.parts.first());
            bytes.resize(usize::try_from(block.end.saturating_sub(start)).unwrap_or(0), 0);
            match self.parts.read_exact_at(bytes, start) {
                Ok(()) => return Ok(()),
                Err(_) if self.parts.first() > start => {}
                Err(error) => return Err(self.unreadable(&error.to_string())),
            }
        }
    }

    fn unreadable(&self, reason: &str) -> LogError {
        LogError::Unreadable { path: self.path.clone(), reason: reason.to_owned() }
    }

    /// The index as built so far, for comparison.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> Option<Blocks> {
        match &self.seen.lock().state {
            State::Ready(blocks) => Some(blocks.clone()),
            State::Building | State::Broken(_) => None,
        }
    }
}

/// The tenant's allowed reads among these lines, oldest first, each with its number; the last one has `through`.
fn reads_of<'a>(tenant: &TenantId, bytes: &'a [u8], through: u64) -> Vec<(&'a [u8], Position)> {
    let quoted_tenant = format!("\"{tenant}\"");
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let reads: Vec<_> = lines.filter(|line| record::is_read_of(tenant.as_str(), &quoted_tenant, line)).collect();
    let first = (through + 1).saturating_sub(reads.len() as u64);
    reads.into_iter().zip(first..).map(|(line, number)| (line, Position::from_u64(number))).collect()
}
