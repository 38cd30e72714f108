//! The log's file at start: made, locked, and healed when a crash tore its last line.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use super::error::LogError;

/// How much of the file's end is looked at in one step for the last line break.
const STEP_BYTES: usize = 64 * 1024;

/// The file, locked for us alone and cut to whole lines.
#[derive(Debug)]
pub(super) struct OpenedFile {
    pub(super) file: File,
    /// Its length in bytes, after the cut.
    pub(super) len: u64,
    /// How many bytes of a torn line were cut off.
    pub(super) cut_bytes: u64,
}

/// Opens the log's file for appending and reading.
///
/// # Errors
/// [`LogError::Locked`] when somebody else writes it, [`LogError::Open`] otherwise.
pub(super) fn open(path: &Path) -> Result<OpenedFile, LogError> {
    let failed = |source| LogError::Open { path: path.to_owned(), source };
    let file = make(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(LogError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // Only once it is ours: another process could be in the middle of a line.
    let (len, cut_bytes) = cut_torn_line(&file).map_err(failed)?;
    Ok(OpenedFile { file, len, cut_bytes })
}

fn make(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let is_new = !path.try_exists()?;
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if is_new {
        // Without this a power cut could take the whole file, synced records and all.
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn cut_torn_line(file: &File) -> io::Result<(u64, u64)> {
    let len = file.metadata()?.len();
    let whole = whole_lines_len(file, len)?;
    if whole < len {
        file.set_len(whole)?;
    }
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
