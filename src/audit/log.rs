//! The decision log as its callers see it: append, wait until it is settled, read back, close (G3, R22).

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::binder::{Binder, Resumed};
use super::entry::DecisionId;
use super::error::LogError;
use super::file::{self, OpenedLog};
use super::key;
use super::marks;
use super::mask::Mask;
use super::notary::{Notary, TrailState};
use super::outcome::Outcomes;
use super::pending::Pending;
use super::reads::ReadIndex;
use super::record::{Position, ReadRecord};
use super::resume::resume;
use super::settings::{DecisionLogSettings, LogMode};
use super::sink::{Files, RealFiles, write_all};
use super::writer::{FileState, PATIENCE, Shared, UnderWay};
use crate::clock::Clock;
use crate::model::{TenantId, Timestamp};
use crate::signing::{Signer, TrustedKeys};

/// The longest record that is taken, in bytes without the line break.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// In the modes `written` and `synced`: how many bytes of records may wait for a disk that does not keep up.
const PENDING_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// A record that was taken in. It is in the log once [`DecisionLog::settled`] has said so, and not before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a record counts once it is settled"]
pub struct Ticket {
    sequence: u64,
}

impl Ticket {
    /// The record's number in the order of arrival since the log was opened, from 1. Records stand in the file in this
    /// order; those that failed or were lost have a number too.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

/// The log of decisions: a folder with segments of JSON lines, written by one process, and bound into one tree.
///
/// It heals by itself: when the file cannot be written, the records that wait for it fail, and the next one tries again.
pub struct DecisionLog {
    shared: Arc<Shared>,
    /// The thread that writes and syncs, and the one that binds and signs.
    mask: Option<Mask>,
    background: Mutex<Option<(JoinHandle<()>, JoinHandle<()>)>>,
}

impl DecisionLog {
    /// Opens the log, or begins one. A last line that a crash tore is cut off and a `healed` line says so. The log must fit
    /// its newest head. The index of allowed reads is built in the background when the log is long.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another log writes in this folder, [`LogError::Altered`] when it is not as it was signed,
    /// [`LogError::Key`] when there is no key to sign with, [`LogError::Open`] when it cannot be opened or healed.
    pub fn open(settings: &DecisionLogSettings, clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        Self::open_with(settings, clock, Arc::new(RealFiles), None)
    }

    /// Checks the keys that the settings name, and begins nothing.
    ///
    /// # Errors
    /// [`LogError::Key`].
    pub fn check(settings: &DecisionLogSettings) -> Result<(), LogError> {
        Mask::of(&settings.mask, settings.mask_key.as_deref())?;
        key::check(settings)
    }

    /// Opens it, with heads that are signed by a key which is not in this process.
    ///
    /// # Errors
    /// As [`DecisionLog::open`].
    pub fn open_signed_by(
        settings: &DecisionLogSettings,
        clock: Arc<dyn Clock>,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, LogError> {
        Self::open_with(settings, clock, Arc::new(RealFiles), Some(signer))
    }

    pub(super) fn open_with(
        settings: &DecisionLogSettings,
        clock: Arc<dyn Clock>,
        files: Arc<dyn Files>,
        signer: Option<Arc<dyn Signer>>,
    ) -> Result<Self, LogError> {
        let failed = |source: io::Error| LogError::Open { path: settings.path.clone(), source };
        let lock = file::lock(&settings.path)?;
        let mask = Mask::of(&settings.mask, settings.mask_key.as_deref())?;
        let signer = signer.map_or_else(|| key::signer(files.as_ref(), settings), Ok)?;
        let trusted = key::trusted(settings, signer.as_ref())?;
        let Opened { log, resumed, len } = open_log(settings, clock.as_ref(), &files, &trusted, lock)?;
        let (segment, parts) = (Arc::new(log.segment), Arc::new(log.parts));
        segment.written.store(len, Ordering::Release);
        let publish_to = settings.publish_file.as_deref();
        let binder = Binder::new(
            &settings.path,
            &log.origin,
            Arc::clone(&files),
            signer,
            Arc::clone(&segment),
            publish_to,
            resumed,
        );
        let binder = binder.map_err(failed)?;
        let limit_bytes = match settings.mode {
            LogMode::Written | LogMode::Synced => PENDING_LIMIT_BYTES,
            LogMode::BestEffort => settings.best_effort_buffer_bytes,
        };
        let index = ReadIndex::new(settings.path.clone(), Arc::clone(&parts), segment.base + len);
        let shared = Arc::new(Shared {
            path: settings.path.clone(),
            lock: log.lock,
            files,
            parts,
            mode: settings.mode,
            interval: Duration::from_millis(settings.sync_interval_ms.max(1)),
            clock,
            current: Mutex::new(Arc::clone(&segment)),
            pending: Mutex::new(Pending::new(limit_bytes)),
            wake: Condvar::new(),
            file: Mutex::new(FileState::new(segment, len)),
            dirty: AtomicBool::new(false),
            sync_turn: Mutex::new(()),
            outcomes: Outcomes::new(),
            trouble: Mutex::new(None),
            writing: UnderWay::default(),
            syncing: UnderWay::default(),
            misplaced: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            trail: Mutex::new(TrailState::default()),
            notary_wake: Condvar::new(),
            notary_may_end: Mutex::new(false),
            index,
        });
        if shared.index.is_short() {
            shared.index.build();
        } else {
            let scanning = Arc::clone(&shared);
            spawn("decision-index", move || scanning.index.build()).map_err(failed)?;
        }
        let begun = log.begun;
        let notary = Notary::new(Arc::clone(&shared), binder, log.origin, begun, settings);
        let notary = spawn("decision-notary", move || notary.run()).map_err(failed)?;
        let writing = Arc::clone(&shared);
        let background = spawn("decision-log", move || writing.run_in_background()).map_err(failed)?;
        Ok(Self { shared, mask, background: Mutex::new(Some((background, notary))) })
    }

    /// When a record counts as recorded: to be named in every record (G3).
    #[must_use]
    pub fn mode(&self) -> LogMode {
        self.shared.mode
    }

    /// Takes in a record: one line of compact JSON without the line break, at most [`MAX_LINE_BYTES`]. `read_of` is the
    /// resource tenant when the record is an allowed read (R22), so that [`DecisionLog::read_back`] finds it; the line
    /// must then say `"type":"decision"`, `"decision":true`, `"read":true` and name the tenant as `resource_tenant`.
    ///
    /// Never waits for the disk. The record is *not* recorded yet: an allow has to wait for [`DecisionLog::settled`].
    ///
    /// # Errors
    /// [`LogError::NotALine`], [`LogError::TooLong`], [`LogError::Full`] when the disk does not keep up,
    /// [`LogError::Closed`], [`LogError::Unavailable`] while the disk hangs. In the mode `best_effort` a record that finds no room is counted and no error.
    pub fn append(&self, line: &[u8], read_of: Option<&TenantId>) -> Result<Ticket, LogError> {
        if line.is_empty() || memchr::memchr(b'\n', line).is_some() {
            return Err(LogError::NotALine);
        }
        let masked;
        let line = match &self.mask {
            Some(mask) => {
                masked = mask.apply(line).ok_or(LogError::NotALine)?;
                masked.as_slice()
            }
            None => line,
        };
        if line.len() > MAX_LINE_BYTES {
            return Err(LogError::TooLong { bytes: line.len() });
        }
        let shared = &self.shared;
        if shared.mode != LogMode::BestEffort && shared.still_hangs() {
            return Err(shared.note_hang());
        }
        let mut pending = shared.pending.lock();
        if pending.closed {
            return Err(LogError::Closed);
        }
        let sequence = if pending.has_room_for(line.len()) {
            pending.push(line, read_of, || shared.clock.now())
        } else if shared.mode == LogMode::BestEffort {
            shared.lost.fetch_add(1, Ordering::Relaxed);
            pending.lose(|| shared.clock.now())
        } else {
            return Err(LogError::Full { limit_bytes: pending.limit_bytes() });
        };
        drop(pending);
        if shared.mode == LogMode::Synced {
            shared.wake.notify_one();
        }
        Ok(Ticket { sequence })
    }

    /// Returns once the mode's promise holds for this record (G3). May be dropped and called again.
    ///
    /// In the mode `written` the calling thread may write for all who wait: on a disk that hangs, that one thread hangs.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the record is not in the log, or when the disk hangs and nobody knows: the decision
    /// must deny.
    pub async fn settled(&self, ticket: Ticket) -> Result<(), LogError> {
        let Ticket { sequence } = ticket;
        match self.shared.mode {
            LogMode::BestEffort => return Ok(()),
            LogMode::Synced => {
                if tokio::time::timeout(PATIENCE, self.shared.outcomes.wait(sequence)).await.is_err() {
                    return Err(self.shared.note_hang());
                }
            }
            LogMode::Written => {
                if !self.shared.outcomes.known(sequence) {
                    // Requests that are ready now get to append: one write then serves them all, and no one has to be
                    // woken. With one request under way this costs one turn of the scheduler.
                    tokio::task::yield_now().await;
                }
                if !self.shared.outcomes.known(sequence)
                    && !self.shared.write_through(sequence)
                    && !self.shared.write_through_slowly(sequence).await
                {
                    return Err(self.shared.note_hang());
                }
            }
        }
        let outcome = self.shared.outcomes.of(sequence);
        outcome
            .unwrap_or_else(|| Err("its outcome is not known".to_owned()))
            .map_err(|why| self.shared.unavailable(why))
    }

    /// The allowed reads of this tenant's data (R22) of which `matches` holds, newest first, at most `limit` (at least
    /// 1), before the position `before` or from the end. The position that comes with them is where to go on; there may
    /// be one although nothing was found, since one call looks through 2,000 reads at most. `None`: that was all.
    ///
    /// Reads the file: call it where blocking is allowed. Only what is written can be seen.
    ///
    /// # Errors
    /// [`LogError::IndexBuilding`] for a while after the start, [`LogError::Unreadable`].
    pub fn read_back(
        &self,
        tenant: &TenantId,
        before: Option<Position>,
        limit: usize,
        matches: &dyn Fn(&ReadRecord) -> bool,
    ) -> Result<(Vec<ReadRecord>, Option<Position>), LogError> {
        self.shared.index.read_back(tenant, before, limit, matches)
    }

    /// The allowed read of this tenant's data that was decided under this id. One call looks through the tenant's newest
    /// 4,000 reads, or, with a time, through 4,000 from just after that time back. What others did has no part in it (R19).
    ///
    /// Reads the file: call it where blocking is allowed.
    ///
    /// # Errors
    /// As [`DecisionLog::read_back`].
    pub fn find_read(
        &self,
        tenant: &TenantId,
        id: &DecisionId,
        near: Option<Timestamp>,
    ) -> Result<Option<ReadRecord>, LogError> {
        self.shared.index.find_read(tenant, &id.to_string(), near)
    }

    /// The line that records this decision. Ids stand in no order: one call looks through the log's last 64 MiB, or, with
    /// a time, through 64 MiB from just before that time on.
    ///
    /// Reads the file: call it where blocking is allowed. Only what is written can be seen.
    ///
    /// # Errors
    /// [`LogError::Unreadable`].
    pub fn find(&self, id: &DecisionId, near: Option<Timestamp>) -> Result<Option<String>, LogError> {
        self.shared.index.find(&id.to_string(), near)
    }

    /// Whether records can be written, as far as known; an error is the reason why not. For readiness: never waits.
    ///
    /// # Errors
    /// The reason, as the operating system gave it.
    pub fn health(&self) -> Result<(), String> {
        self.shared.health()
    }

    /// How many records were lost since the log was opened. Always 0 outside the mode `best_effort`.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Returns once everything appended before is written and synced.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the log cannot be written or synced.
    pub async fn flush(&self) -> Result<(), LogError> {
        let shared = Arc::clone(&self.shared);
        let flushed = tokio::task::spawn_blocking(move || shared.flush()).await;
        flushed.unwrap_or_else(|error| Err(self.shared.unavailable(error.to_string())))
    }

    /// Takes no more records in, writes and syncs what waits, and lets another process open the log. Waits for the disk:
    /// call it where blocking is allowed. Reading back still works; closing again does nothing.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the last records could not be written or synced; the log is closed all the same.
    pub fn close(&self) -> Result<(), LogError> {
        let Some((background, notary)) = self.background.lock().take() else { return Ok(()) };
        self.end_background();
        // It never panics; if it did, the flush below would still write what waits.
        let _ = background.join();
        let flushed = self.shared.flush();
        // Everything is on the disk now, and can be signed.
        self.end_notary();
        let _ = notary.join();
        self.shared.release();
        flushed
    }

    fn end_background(&self) {
        self.shared.pending.lock().closed = true;
        self.shared.wake.notify_all();
    }

    fn end_notary(&self) {
        *self.shared.notary_may_end.lock() = true;
        self.shared.notary_wake.notify_all();
    }

    /// How far the log is bound into its tree. For metrics and readiness: never waits for the disk.
    #[must_use]
    pub fn trail(&self) -> TrailState {
        self.shared.trail.lock().clone()
    }

    /// Takes note of how posting heads goes: why it does not, or that it does.
    pub fn note_posting(&self, trouble: Option<String>) {
        let mut state = self.shared.trail.lock();
        if let Some(trouble) = trouble.as_ref().filter(|_| state.post_trouble.is_none()) {
            tracing::warn!(log.path = %self.shared.path.display(), %trouble, "the decision log's heads are not posted");
        }
        state.post_trouble = trouble;
    }

    #[cfg(test)]
    pub(super) fn index(&self) -> &ReadIndex {
        &self.shared.index
    }
}

impl Drop for DecisionLog {
    /// Does not wait: the background thread writes what waits and then lets the file go.
    fn drop(&mut self) {
        self.shared.index.stop();
        self.end_background();
        self.end_notary();
    }
}

impl fmt::Debug for DecisionLog {
    /// Without the records that wait.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { path, mode, .. } = self.shared.as_ref();
        f.debug_struct("DecisionLog").field("path", path).field("mode", mode).finish_non_exhaustive()
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

struct Opened {
    log: OpenedLog,
    resumed: Resumed,
    /// How long the last segment is.
    len: u64,
}

/// Opens what is there, heals it, and checks it; with `begin_anew` what does not fit is set aside first.
fn open_log(
    settings: &DecisionLogSettings,
    clock: &dyn Clock,
    files: &Arc<dyn Files>,
    trusted: &TrustedKeys,
    lock: File,
) -> Result<Opened, LogError> {
    let folder = &settings.path;
    let failed = |source: io::Error| LogError::Open { path: folder.clone(), source };
    let lock_again = lock.try_clone().map_err(failed)?;
    let open = |lock: File| -> Result<Opened, LogError> {
        let log = file::open(files.as_ref(), folder, &settings.name, clock.now(), lock)?;
        let mut len = log.segment.written.load(Ordering::Acquire);
        let resumed = resume(folder, trusted)?;
        if log.torn_bytes > 0 {
            let mark = marks::healed(log.torn_bytes, clock.now());
            let sink = log.segment.sink.as_ref();
            let healed = sink.cut(len).and_then(|()| write_all(sink, mark.as_bytes()));
            healed.map_err(failed)?;
            len += mark.len() as u64;
        }
        // What an earlier run wrote last may not be on the disk, and a head will be signed of it.
        log.segment.sink.sync().map_err(failed)?;
        log.segment.synced.store(len, Ordering::Release);
        Ok(Opened { log, resumed, len })
    };
    match open(lock) {
        Err(LogError::Altered { told, .. }) if settings.begin_anew => {
            tracing::error!(log.path = %folder.display(), %told, "the decision log is not as it was signed");
            file::set_aside(files.as_ref(), folder, clock.now()).map_err(failed)?;
            open(lock_again)
        }
        opened => opened,
    }
}
