//! The log's folder at start: made, locked, and looked through for what is to be written on.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::error::LogError;
use super::parts::{Body, Parts};
use super::segment::{Expected, Segment, append_to};
use super::sink::Files;
use crate::model::Timestamp;
use crate::trail::{Folder, Frontier, LOCK_FILE, Opening, PackedFile, SegmentFile, hashes_path, heads_path};

/// How much of the file's end is looked at in one step for the last line break.
const STEP_BYTES: usize = 64 * 1024;

/// The log, locked for us alone.
#[derive(Debug)]
pub(super) struct OpenedLog {
    /// Ours as long as it is open.
    pub(super) lock: File,
    /// The log's name.
    pub(super) origin: String,
    pub(super) parts: Parts,
    /// When the last segment was begun.
    pub(super) begun: Timestamp,
    /// The last segment, to be written on.
    pub(super) segment: Segment,
    /// How many bytes of a torn line stand behind its whole ones. They are to be cut off once the rest is known to be good.
    pub(super) torn_bytes: u64,
}

/// Makes the folder, and locks it.
///
/// # Errors
/// [`LogError::Locked`] when somebody else writes this log, [`LogError::Open`] otherwise.
pub(super) fn lock(folder: &Path) -> Result<File, LogError> {
    let failed = |source| LogError::Open { path: folder.to_owned(), source };
    if std::fs::metadata(folder).is_ok_and(|there| !there.is_dir()) {
        let why = "it is a file, and a log is a folder: name another path, or move the file into a folder of this name";
        return Err(failed(io::Error::new(io::ErrorKind::NotADirectory, why)));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let lock = options.open(folder.join(LOCK_FILE)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the log in this folder for appending and reading; begins one of this name where there is none.
///
/// # Errors
/// [`LogError::Open`]; [`LogError::Altered`] when its last segment is not one.
pub(super) fn open(
    files: &dyn Files,
    folder: &Path,
    name: &str,
    now: Timestamp,
    lock: File,
) -> Result<OpenedLog, LogError> {
    let failed = |source| LogError::Open { path: folder.to_owned(), source };
    let altered = |told: &str| LogError::Altered { path: folder.to_owned(), told: told.to_owned() };
    let mut segments = Folder::read(folder).map_err(failed)?.segments;
    while let Some(last) = segments.last() {
        if last.packed {
            return Err(altered("its newest segment is missing"));
        }
        if opening_of(&last.path).map_err(failed)?.is_some() {
            break;
        }
        if has_whole_line(&last.path).map_err(failed)? {
            return Err(altered(&format!("`{}` does not open a segment", last.path.display())));
        }
        // A crash came before its first line was whole: nothing in it was ever acknowledged.
        files.remove(&last.path).map_err(failed)?;
        for beside in [hashes_path(folder, last.start), heads_path(folder, last.start)] {
            let _ = files.remove(&beside);
        }
        segments.pop();
    }
    let parts = Parts::default();
    let Some(last) = segments.last().cloned() else {
        let origin = format!("{name}/{}", uuid::Uuid::new_v4().simple());
        let root_before = Frontier::default().root();
        let opening = Opening { origin: origin.clone(), index: 0, root_before, time: now };
        let segment = Segment::begin(files, folder, 0, &opening).map_err(failed)?;
        parts.push(0, 0, Body::Plain(Arc::clone(&segment.file)));
        return Ok(OpenedLog { lock, origin, parts, begun: now, segment, torn_bytes: 0 });
    };
    let mut base = 0;
    for segment in segments.iter().filter(|segment| **segment != last) {
        let named = |source: io::Error| failed(at(&segment.path, &source));
        let (body, len) = closed(files, folder, segment).map_err(named)?;
        parts.push(segment.start, base, body);
        base += len;
    }
    let named = |source: io::Error| failed(at(&last.path, &source));
    let opening = opening_of(&last.path).map_err(named)?;
    let (origin, begun) = opening.map_or_else(|| (String::new(), now), |opening| (opening.origin, opening.time));
    let file = append_to(&last.path, Expected::There).map_err(named)?;
    let (len, torn_bytes) = torn_line(&file).map_err(named)?;
    let segment = Segment::of(files, last.path.clone(), last.start, base, file, len).map_err(named)?;
    parts.push(last.start, base, Body::Plain(Arc::clone(&segment.file)));
    Ok(OpenedLog { lock, origin, parts, begun, segment, torn_bytes })
}

fn at(path: &Path, source: &io::Error) -> io::Error {
    io::Error::new(source.kind(), format!("`{}`: {source}", path.display()))
}

/// A segment that is written no more, and how many bytes of lines it holds.
fn closed(files: &dyn Files, folder: &Path, segment: &SegmentFile) -> io::Result<(Body, u64)> {
    let file = File::open(&segment.path)?;
    if segment.packed {
        let file = PackedFile::open(file)?;
        let len = file.len();
        return Ok((Body::Packed(Arc::new(file)), len));
    }
    // One that a stop left half compressed is compressed anew.
    let _ = files.remove(&crate::trail::packed_path(folder, segment.start));
    let len = file.metadata()?.len();
    Ok((Body::Plain(Arc::new(file)), len))
}

/// How the segment in this file opens, when its first line is whole and one that opens a segment.
fn opening_of(path: &Path) -> io::Result<Option<Opening>> {
    let first = first_line(path)?;
    Ok(first.and_then(|line| Opening::parse(&line)))
}

fn has_whole_line(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    Ok(whole_lines_len(&file, len)? > 0)
}

fn first_line(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::{BufRead as _, Read as _};
    let mut line = Vec::new();
    io::BufReader::new(File::open(path)?).take(STEP_BYTES as u64).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

/// Puts everything that there is of a log into a folder of its own within its folder, so that a new one can be begun.
pub(super) fn set_aside(files: &dyn Files, folder: &Path, now: Timestamp) -> io::Result<()> {
    let is_of_the_log =
        |name: &str| [".jsonl", ".jsonl.zst", ".hashes", ".heads"].iter().any(|end| name.ends_with(end));
    let mut there = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_of_the_log) && entry.file_type()?.is_file() {
            there.push(entry.path());
        }
    }
    if there.is_empty() {
        return Ok(());
    }
    let aside = folder.join(format!("set-aside-{}", now.as_millis()));
    DirBuilder::new().mode(0o700).create(&aside)?;
    for path in &there {
        if let Some(name) = path.file_name() {
            files.rename(path, &aside.join(name))?;
        }
    }
    tracing::warn!(log.aside = %aside.display(), "a new decision log is begun; the one that was there was set aside");
    files.sync_folder(folder)
}

/// How long the whole lines are, and how many bytes of a torn one stand behind them.
fn torn_line(file: &File) -> io::Result<(u64, u64)> {
    let len = file.metadata()?.len();
    let whole = whole_lines_len(file, len)?;
    Ok((whole, len - whole))
}

/// Where the last whole line ends.
fn whole_lines_len(file: &File, len: u64) -> io::Result<u64> {
    let mut buffer = vec![0_u8; STEP_BYTES];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(STEP_BYTES as u64);
        let step = buffer.get_mut(..usize::try_from(end - start).unwrap_or(STEP_BYTES)).unwrap_or_default();
        file.read_exact_at(step, start)?;
        if let Some(at) = step.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
