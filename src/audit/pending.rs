//! Records that wait to be written, back to back as they will stand in the file.

use super::marks;
use crate::model::{TenantId, Timestamp};

/// A buffer that an unusual burst has grown is given back down to this size.
const KEEP_CAPACITY_BYTES: usize = 4 * 1024 * 1024;

/// An allowed read of a tenant's data, for the index (R22).
#[derive(Debug, Clone)]
pub(super) struct ReadNote {
    /// The resource tenant.
    pub(super) tenant: TenantId,
    /// Where the record's line ends, in bytes from the start of its batch.
    pub(super) end: usize,
}

/// What one write hands to the operating system.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whole lines.
    pub(super) bytes: Vec<u8>,
    /// The allowed reads among them, in order.
    pub(super) notes: Vec<ReadNote>,
    /// How many of the lines are records that somebody may wait for.
    pub(super) records: u64,
    /// The sequence of the last such record.
    pub(super) last: u64,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the lines and keeps the room, so that a steady flow allocates nothing.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_CAPACITY_BYTES);
        self.notes.clear();
        self.records = 0;
    }
}

/// Records that found no room, one after the other.
#[derive(Debug)]
struct Gap {
    lost: u64,
    since: Timestamp,
}

/// The buffer that records enter; the writer swaps it for an empty one.
#[derive(Debug)]
pub(super) struct Pending {
    batch: Batch,
    /// The sequence of the last record that was given one, lost ones included.
    sequence: u64,
    limit_bytes: usize,
    /// Bytes that a write has taken and may give back: they count as waiting.
    taken_bytes: usize,
    gap: Option<Gap>,
    /// No more records come in.
    pub(super) closed: bool,
}

impl Pending {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { batch: Batch::default(), sequence: 0, limit_bytes, taken_bytes: 0, gap: None, closed: false }
    }

    pub(super) fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Nothing is to be written, not even a gap line.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.gap.is_none()
    }

    pub(super) fn has_room_for(&self, line_bytes: usize) -> bool {
        let waiting = self.batch.bytes.len().saturating_add(self.taken_bytes);
        waiting.saturating_add(line_bytes).saturating_add(1) <= self.limit_bytes
    }

    /// Takes this line in and returns its sequence. `now` is asked only when lost records stand before it.
    pub(super) fn push(&mut self, line: &[u8], read_of: Option<&TenantId>, now: impl FnOnce() -> Timestamp) -> u64 {
        self.end_gap(now);
        self.batch.bytes.extend_from_slice(line);
        self.batch.bytes.push(b'\n');
        if let Some(tenant) = read_of {
            self.batch.notes.push(ReadNote { tenant: tenant.clone(), end: self.batch.bytes.len() });
        }
        self.sequence += 1;
        self.batch.records += 1;
        self.batch.last = self.sequence;
        self.sequence
    }

    /// Counts a record that found no room.
    pub(super) fn lose(&mut self, now: impl FnOnce() -> Timestamp) -> u64 {
        self.gap.get_or_insert_with(|| Gap { lost: 0, since: now() }).lost += 1;
        self.sequence += 1;
        self.sequence
    }

    /// Swaps everything that waits into `spare`, which is empty. What `may_return` counts as waiting until it is settled
    /// or put back.
    pub(super) fn take(&mut self, spare: &mut Batch, may_return: bool, now: impl FnOnce() -> Timestamp) {
        self.end_gap(now);
        std::mem::swap(&mut self.batch, spare);
        self.taken_bytes = if may_return { spare.bytes.len() } else { 0 };
    }

    /// What was taken will not be put back.
    pub(super) fn taken_is_settled(&mut self) {
        self.taken_bytes = 0;
    }

    /// Puts what was taken back before what came in since, and leaves `taken` empty.
    pub(super) fn put_back(&mut self, taken: &mut Batch) {
        std::mem::swap(&mut self.batch, taken);
        let shift = self.batch.bytes.len();
        self.batch.bytes.append(&mut taken.bytes);
        self.batch.notes.extend(taken.notes.drain(..).map(|note| ReadNote { end: note.end + shift, ..note }));
        self.batch.records += taken.records;
        if taken.records > 0 {
            self.batch.last = taken.last;
        }
        taken.clear();
        self.taken_bytes = 0;
    }

    /// Lost records stand behind what is in the buffer: so does the line that counts them.
    fn end_gap(&mut self, now: impl FnOnce() -> Timestamp) {
        if let Some(gap) = self.gap.take() {
            self.batch.bytes.extend_from_slice(marks::gap(gap.lost, gap.since, now()).as_bytes());
        }
    }
}
