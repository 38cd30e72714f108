//! Writing what waits: one write for many records, all of it or none of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::error::LogError;
use super::marks;
use super::notary::TrailState;
use super::outcome::Outcomes;
use super::parts::Parts;
use super::pending::{Batch, Pending};
use super::reads::ReadIndex;
use super::segment::Segment;
use super::settings::LogMode;
use super::sink::{Files, write_all};
use crate::clock::Clock;
use crate::model::Timestamp;

/// For how long whoever wants to write waits with its thread for somebody else who does. A write takes microseconds: after
/// this time the disk is slow, and the thread has other work.
const BRIEF: Duration = Duration::from_millis(10);

/// A call to the disk that takes this long hangs, and is not merely slow, as a sync on a busy disk can be: no more records are taken in until it has returned.
const HANGS_AFTER: Duration = Duration::from_secs(15);

/// In how many steps what a sync covers is handed to the disk.
const STEPS: u32 = 10;

/// How long a record waits: long enough to see that it is the disk that hangs.
pub(super) const PATIENCE: Duration = Duration::from_millis(15_200);

/// Since when a call to the disk has been under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<Option<Instant>>);

impl UnderWay {
    pub(super) fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        *self.0.lock() = Some(Instant::now());
        let returned = call();
        *self.0.lock() = None;
        returned
    }

    fn hangs(&self) -> bool {
        self.0.lock().is_some_and(|since| since.elapsed() >= HANGS_AFTER)
    }
}

/// The file could not be written or synced since then.
#[derive(Debug)]
struct Outage {
    since: Timestamp,
    refused: u64,
}

/// What belongs to whoever writes at the moment.
#[derive(Debug)]
pub(super) struct FileState {
    /// The segment that is written.
    pub(super) segment: Arc<Segment>,
    /// Up to here stand whole lines of batches that succeeded.
    pub(super) good_len: u64,
    /// Bytes of a failed batch may stand behind `good_len`: they have to be cut off before anything is written.
    uncut: bool,
    /// A sync failed: one has to succeed before anything is acknowledged again.
    unsynced: bool,
    outage: Option<Outage>,
    /// The file has been given up; another process may write it.
    released: bool,
    /// The batch under way; its room is used again and again.
    batch: Batch,
}

impl FileState {
    /// Whether everything that was written is in its place.
    pub(super) fn is_well(&self) -> bool {
        !self.uncut && !self.unsynced && !self.released && self.outage.is_none()
    }

    pub(super) fn new(segment: Arc<Segment>, good_len: u64) -> Self {
        Self {
            segment,
            good_len,
            uncut: false,
            unsynced: false,
            outage: None,
            released: false,
            batch: Batch::default(),
        }
    }
}

/// What those who append, those who wait and the background thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    /// Held as long as the log is written.
    pub(super) lock: File,
    pub(super) files: Arc<dyn Files>,
    pub(super) parts: Arc<Parts>,
    pub(super) mode: LogMode,
    pub(super) interval: Duration,
    pub(super) clock: Arc<dyn Clock>,
    /// The segment that is written; apart from `file`, for whoever syncs and looks after it.
    pub(super) current: Mutex<Arc<Segment>>,
    pub(super) pending: Mutex<Pending>,
    /// Wakes the background thread; goes with `pending`.
    pub(super) wake: Condvar,
    pub(super) file: Mutex<FileState>,
    /// Something has been written that no sync has covered.
    pub(super) dirty: AtomicBool,
    /// One sync at a time.
    pub(super) sync_turn: Mutex<()>,
    pub(super) outcomes: Outcomes,
    /// Why the log cannot be written now. Apart from `file`, so that readiness never waits for a disk.
    pub(super) trouble: Mutex<Option<String>>,
    /// What the disk is asked for at the moment, by whoever writes and by whoever syncs without keeping writers waiting.
    pub(super) writing: UnderWay,
    pub(super) syncing: UnderWay,
    /// Whether another file than the one that is written, or none, stands under its name.
    pub(super) misplaced: AtomicBool,
    /// Somebody has waited in vain: until that call returns, no more records are taken in.
    pub(super) hangs: AtomicBool,
    pub(super) lost: AtomicU64,
    /// How far the log is bound into its tree, and what there is to say of it.
    pub(super) trail: Mutex<TrailState>,
    /// Wakes the notary; goes with `notary_may_end`.
    pub(super) notary_wake: Condvar,
    pub(super) notary_may_end: Mutex<bool>,
    pub(super) index: ReadIndex,
}

impl Shared {
    /// Sees to it that the outcome of this record is known: writes everything that waits, unless somebody else did.
    /// `false`: somebody else is at it and takes long.
    pub(super) fn write_through(&self, sequence: u64) -> bool {
        let brief = if self.still_hangs() { Duration::ZERO } else { BRIEF };
        let Some(mut file) = self.file.try_lock_for(brief) else { return self.outcomes.known(sequence) };
        if !self.outcomes.known(sequence) {
            self.write_pending(&mut file);
        }
        true
    }

    /// The same on a slow disk, without keeping the thread: many wait here, and the one who writes keeps its own. `false`:
    /// the disk hangs.
    pub(super) async fn write_through_slowly(&self, sequence: u64) -> bool {
        let since = Instant::now();
        while !self.still_hangs() && since.elapsed() < PATIENCE {
            tokio::time::sleep(BRIEF / 2).await;
            let file = self.file.try_lock();
            if let Some(mut file) = file
                && !self.outcomes.known(sequence)
            {
                self.write_pending(&mut file);
            }
            if self.outcomes.known(sequence) {
                return true;
            }
        }
        false
    }

    /// What those are told who wait in vain. From here on no more records are taken in, until the disk answers.
    pub(super) fn note_hang(&self) -> LogError {
        if (self.writing.hangs() || self.syncing.hangs()) && !self.hangs.swap(true, Ordering::Relaxed) {
            tracing::error!(log.path = %self.path.display(), "the decision log's disk hangs");
        }
        self.unavailable(Self::hang_reason())
    }

    /// Whether the call that somebody waited for in vain still has not returned.
    pub(super) fn still_hangs(&self) -> bool {
        if !self.hangs.load(Ordering::Relaxed) {
            return false;
        }
        let hangs = self.writing.hangs() || self.syncing.hangs();
        self.hangs.store(hangs, Ordering::Relaxed);
        hangs
    }

    fn hang_reason() -> String {
        format!("a write has not returned for {} s: the disk hangs", HANGS_AFTER.as_secs())
    }

    /// Writes everything that waits. During an outage it tries whether the file can be written again.
    pub(super) fn write_waiting(&self) {
        self.write_pending(&mut self.file.lock());
    }

    fn write_pending(&self, file: &mut FileState) {
        let may_return = self.mode == LogMode::BestEffort;
        self.pending.lock().take(&mut file.batch, may_return, || self.clock.now());
        if file.batch.is_empty() && file.outage.is_none() {
            return;
        }
        let mark = match &file.outage {
            Some(outage) => marks::resumed(outage.refused, outage.since, self.clock.now()),
            None => String::new(),
        };
        let written = self.writing.during(|| self.write_batch(file, mark.as_bytes()));
        match written {
            Ok(()) => self.batch_succeeded(file, mark.as_bytes()),
            Err(error) => self.batch_failed(file, &error),
        }
        file.batch.clear();
    }

    /// Returns once the mark and the batch are in the file, and in the mode `synced` on the disk.
    fn write_batch(&self, file: &mut FileState, mark: &[u8]) -> io::Result<()> {
        if file.released {
            return Err(io::Error::other("it is closed"));
        }
        if self.misplaced.load(Ordering::Relaxed) {
            return Err(self.misplaced());
        }
        if self.syncing.hangs() {
            // The promise of the interval is not kept.
            return Err(io::Error::other(Self::hang_reason()));
        }
        Self::repair(file)?;
        file.uncut = true;
        let sink = file.segment.sink.as_ref();
        write_all(sink, mark)?;
        write_all(sink, &file.batch.bytes)?;
        if self.mode == LogMode::Synced {
            sink.sync()?;
        }
        file.uncut = false;
        Ok(())
    }

    fn repair(file: &mut FileState) -> io::Result<()> {
        if file.uncut {
            file.segment.sink.cut(file.good_len)?;
            file.uncut = false;
        }
        if file.unsynced {
            file.segment.sink.sync()?;
            file.unsynced = false;
        }
        Ok(())
    }

    fn batch_succeeded(&self, file: &mut FileState, mark: &[u8]) {
        let batch = &file.batch;
        for (bytes, notes) in [(mark, &[][..]), (&batch.bytes[..], &batch.notes[..])] {
            if !bytes.is_empty() {
                self.index.written(file.segment.base + file.good_len, bytes, notes);
                file.good_len += bytes.len() as u64;
            }
        }
        file.segment.written.store(file.good_len, Ordering::Release);
        // In this order: a sync that finds something to do also finds how much it covers.
        match self.mode {
            LogMode::Synced => file.segment.synced.store(file.good_len, Ordering::Release),
            LogMode::Written | LogMode::BestEffort => self.dirty.store(true, Ordering::Release),
        }
        if file.outage.take().is_some() {
            *self.trouble.lock() = None;
        }
        // Last: whoever sees the outcome may also read the record back.
        if batch.records > 0 {
            self.outcomes.succeed(batch.last);
        }
        match self.mode {
            LogMode::Written => {}
            LogMode::Synced => self.outcomes.announce(),
            LogMode::BestEffort => self.pending.lock().taken_is_settled(),
        }
    }

    fn batch_failed(&self, file: &mut FileState, error: &io::Error) {
        // At once, and not only before the next write: the sidecar could crash before that.
        if file.uncut && !file.released && file.segment.sink.cut(file.good_len).is_ok() {
            file.uncut = false;
        }
        let refused = match self.mode {
            LogMode::Written | LogMode::Synced => file.batch.records,
            LogMode::BestEffort => 0,
        };
        self.outage(file, error, refused);
        match self.mode {
            LogMode::BestEffort => self.pending.lock().put_back(&mut file.batch),
            LogMode::Written | LogMode::Synced if refused > 0 => {
                self.outcomes.fail(file.batch.last, refused, &error.to_string());
                self.outcomes.announce();
            }
            LogMode::Written | LogMode::Synced => {}
        }
    }

    fn outage(&self, file: &mut FileState, error: &io::Error, refused: u64) {
        let reason = error.to_string();
        if file.outage.is_none() {
            tracing::error!(log.path = %self.path.display(), %reason, "the decision log cannot be written");
        }
        file.outage.get_or_insert_with(|| Outage { since: self.clock.now(), refused: 0 }).refused += refused;
        *self.trouble.lock() = Some(reason);
        if self.mode == LogMode::Synced {
            // The background thread sleeps without an end while all is well, and has to find out when this is over.
            // With the buffer locked it is either asleep, and woken here, or has yet to ask how the log stands.
            let _pending = self.pending.lock();
            self.wake.notify_all();
        }
    }

    /// Syncs what has been written since the last sync, without keeping writers waiting. When that fails nothing is
    /// acknowledged until a sync succeeds: the promise of the interval could not be kept.
    fn sync_written(&self) {
        // Whoever finds nothing to do may go on only once the sync that covers it is done.
        let _turn = self.sync_turn.lock();
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return;
        }
        let segment = Arc::clone(&self.current.lock());
        let written = segment.written.load(Ordering::Acquire);
        let synced = self.syncing.during(|| segment.sink.sync());
        match synced {
            // Whoever synced more meanwhile has said so.
            Ok(()) => drop(segment.synced.fetch_max(written, Ordering::AcqRel)),
            Err(error) => {
                let mut file = self.file.lock();
                file.unsynced = true;
                self.outage(&mut file, &error, 0);
            }
        }
    }

    /// Writes and syncs everything that was appended before.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the log is in trouble afterwards.
    pub(super) fn flush(&self) -> Result<(), LogError> {
        self.write_waiting();
        self.sync_written();
        self.health().map_err(|reason| self.unavailable(reason))
    }

    pub(super) fn health(&self) -> Result<(), String> {
        if self.writing.hangs() || self.syncing.hangs() {
            return Err(Self::hang_reason());
        }
        self.trouble.lock().as_ref().map_or(Ok(()), |reason| Err(reason.clone()))
    }

    pub(super) fn unavailable(&self, reason: String) -> LogError {
        LogError::Unavailable { path: self.path.clone(), reason }
    }

    /// Gives the file up: nothing is written from here on, and another process may open the log.
    pub(super) fn release(&self) {
        let mut file = self.file.lock();
        if !std::mem::replace(&mut file.released, true) {
            // The lock also ends with the process.
            let _ = self.lock.unlock();
        }
    }

    /// The background thread: it writes what nobody waits for, syncs, and finds out when an outage is over.
    pub(super) fn run_in_background(&self) {
        loop {
            let closed = self.wait_for_work();
            self.look_for_the_file();
            self.write_waiting();
            self.sync_written();
            if closed {
                return;
            }
        }
    }

    /// A record in a file that was removed is nowhere, and in one that was moved it is not where it is looked for.
    fn look_for_the_file(&self) {
        let segment = Arc::clone(&self.current.lock());
        let there = std::fs::metadata(&segment.path);
        let misplaced = !there.is_ok_and(|there| (there.dev(), there.ino()) == segment.identity)
            // Unless a new one was begun meanwhile.
            && Arc::ptr_eq(&segment, &self.current.lock());
        if self.misplaced.swap(misplaced, Ordering::Relaxed) != misplaced && misplaced {
            self.outage(&mut self.file.lock(), &self.misplaced(), 0);
        }
    }

    fn misplaced(&self) -> io::Error {
        let path = self.current.lock().path.clone();
        match std::fs::metadata(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                io::Error::new(error.kind(), format!("it cannot be reached: {error}"))
            }
            Ok(_) | Err(_) => io::Error::other("it was moved or removed; put it back, or restart"),
        }
    }

    /// Returns when there may be something to write or sync, and whether it is for the last time.
    fn wait_for_work(&self) -> bool {
        let mut pending = self.pending.lock();
        match self.mode {
            LogMode::Written | LogMode::BestEffort => {
                for _ in 0..STEPS {
                    if pending.closed || !self.wake.wait_for(&mut pending, self.interval / STEPS).timed_out() {
                        break;
                    }
                    if self.dirty.load(Ordering::Acquire) {
                        let segment = Arc::clone(&self.current.lock());
                        MutexGuard::unlocked(&mut pending, || segment.sink.begin_sync());
                    }
                }
            }
            LogMode::Synced => {
                while pending.is_empty() && !pending.closed && self.health().is_ok() {
                    self.wake.wait(&mut pending);
                }
                if pending.is_empty() && !pending.closed {
                    self.wake.wait_for(&mut pending, self.interval);
                }
            }
        }
        pending.closed
    }
}
