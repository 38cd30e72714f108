//! Closed segments: compressed, and removed when they are old or many, unless there is a legal hold.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::parts::Body;
use super::removed::RemovedReads;
use super::segment::{Expected, append_to};
use super::settings::DecisionLogSettings;
use super::sink::{Sink, write_all};
use super::writer::Shared;
use crate::model::Timestamp;
use crate::trail::{
    Folder, Opening, PackedFile, SegmentFile, SegmentLines, hashes_path, heads_path, hold, pack, packed_path,
    plain_path, removed_line,
};

const DAY_MS: i64 = 86_400_000;
const BUFFER_BYTES: usize = 256 * 1024;

/// What is done with closed segments.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    compress: bool,
    keep_days: Option<u64>,
    keep_bytes: Option<u64>,
    stop: AtomicBool,
}

struct ToSink<'a>(&'a dyn Sink);

impl Write for ToSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_all(self.0, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends early when the log is closed.
struct Stoppable<'a, R>(R, &'a AtomicBool);

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.load(Ordering::Relaxed) {
            return Err(io::Error::other("the log is closed"));
        }
        self.0.read(buffer)
    }
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, settings: &DecisionLogSettings) -> Self {
        let DecisionLogSettings { compress, keep_days, keep_bytes, .. } = *settings;
        Self { shared, compress, keep_days, keep_bytes, stop: AtomicBool::new(false) }
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Looks after the segments of which a head covers all lines.
    pub(super) fn keep(&self, signed_size: u64) -> io::Result<()> {
        let folder = Folder::read(&self.shared.path)?;
        let closed = folder.segments.iter().zip(folder.segments.iter().skip(1));
        let closed: Vec<_> = closed.filter(|(_, next)| next.start <= signed_size).collect();
        self.remove_old(&closed)?;
        for (segment, _) in closed {
            if self.compress && !segment.packed && segment.path.exists() && !self.stop.load(Ordering::Relaxed) {
                self.pack(segment)?;
            }
        }
        Ok(())
    }

    fn pack(&self, segment: &SegmentFile) -> io::Result<()> {
        let (folder, files) = (&self.shared.path, self.shared.files.as_ref());
        let target = packed_path(folder, segment.start);
        let half = target.with_extension("tmp");
        let _ = files.remove(&half);
        let sink = files.sink(&half, Arc::new(append_to(&half, Expected::New)?));
        let from = Stoppable(File::open(&segment.path)?, &self.stop);
        pack(from, &mut io::BufWriter::with_capacity(BUFFER_BYTES, ToSink(sink.as_ref())))?;
        sink.sync()?;
        // It will be the only copy.
        let packed = PackedFile::open(File::open(&half)?)?;
        if !is_the_same(&segment.path, &packed, &self.stop)? {
            return Err(io::Error::other(format!("`{}` cannot be read back", half.display())));
        }
        files.rename(&half, &target)?;
        files.sync_folder(folder)?;
        self.shared.parts.replace(segment.start, Body::Packed(Arc::new(packed)));
        files.remove(&segment.path)
    }

    fn remove_old(&self, closed: &[(&SegmentFile, &SegmentFile)]) -> io::Result<()> {
        if self.shared.index.is_building() {
            return Ok(());
        }
        if let Some(reason) = hold(&self.shared.path) {
            tracing::debug!(log.hold = %reason, "no segment of the decision log is removed");
            return Ok(());
        }
        let (count, because) = self.too_many(closed)?;
        let Some((_, next)) = count.checked_sub(1).and_then(|last| closed.get(last)) else { return Ok(()) };
        // What stands before its hashes is all that will be left of the tree before.
        File::open(hashes_path(&self.shared.path, next.start))?.sync_all()?;
        let mut removed = RemovedReads::read(&self.shared.path)?;
        removed.count(closed.iter().take(count).map(|(segment, _)| *segment), next.start, &self.stop)?;
        if !self.record(&removed_line(next.start, because, self.shared.clock.now()))? {
            return Ok(());
        }
        removed.write(self.shared.files.as_ref(), &self.shared.path)?;
        for (segment, _) in closed.iter().take(count) {
            self.shared.parts.remove(segment.start);
            let folder = &self.shared.path;
            for path in [plain_path, packed_path, heads_path, hashes_path].map(|path| path(folder, segment.start)) {
                match self.shared.files.remove(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        tracing::info!(log.removed_before = next.start, because, "segments of the decision log were removed");
        self.shared.files.sync_folder(&self.shared.path)
    }

    /// How many of the oldest are to go, and why.
    fn too_many(&self, closed: &[(&SegmentFile, &SegmentFile)]) -> io::Result<(usize, &'static str)> {
        let mut old = 0;
        if let Some(days) = self.keep_days {
            let days = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
            let oldest = self.shared.clock.now().plus_millis(days.saturating_neg());
            for (_, next) in closed {
                // The records of a segment are older than the one that follows it.
                if begun(next)?.is_none_or(|begun| begun >= oldest) {
                    break;
                }
                old += 1;
            }
        }
        let mut many = 0;
        if let Some(most) = self.keep_bytes {
            let len = |segment: &SegmentFile| std::fs::metadata(&segment.path).map(|file| file.len());
            let current = std::fs::metadata(&self.shared.current.lock().path)?.len();
            let mut bytes =
                closed.iter().try_fold(current, |sum, (segment, _)| Ok::<_, io::Error>(sum + len(segment)?))?;
            for (segment, _) in closed {
                if bytes <= most {
                    break;
                }
                bytes -= len(segment)?.min(bytes);
                many += 1;
            }
        }
        Ok(if old >= many { (old, "keep_days") } else { (many, "keep_bytes") })
    }

    /// Writes a line of the log's own; on the disk when this is true. `false`: there is no room, or the log is closed.
    fn record(&self, line: &str) -> io::Result<bool> {
        {
            let mut pending = self.shared.pending.lock();
            if pending.closed || !pending.has_room_for(line.len()) {
                return Ok(false);
            }
            pending.push(line.as_bytes(), None, || self.shared.clock.now());
        }
        self.shared.flush().map(|()| true).map_err(|error| io::Error::other(error.to_string()))
    }
}

fn begun(segment: &SegmentFile) -> io::Result<Option<Timestamp>> {
    let mut lines = SegmentLines::open(segment)?;
    Ok(lines.next_whole()?.and_then(Opening::parse).map(|opening| opening.time))
}

fn is_the_same(plain: &Path, packed: &PackedFile, stop: &AtomicBool) -> io::Result<bool> {
    let mut plain = Stoppable(File::open(plain)?, stop);
    let (mut one, mut other, mut at) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES], 0);
    loop {
        let read = plain.read(&mut one)?;
        if read == 0 {
            return Ok(at == packed.len());
        }
        let mut same = 0;
        while same < read {
            let more = packed.read_at(other.get_mut(..read - same).unwrap_or_default(), at + same as u64)?;
            if more == 0 || one.get(same..same + more) != other.get(..more) {
                return Ok(false);
            }
            same += more;
        }
        at += read as u64;
    }
}
