//! Rebuilding the index of allowed reads from the file, after a start.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::blocks::Blocks;
use super::parts::Parts;
use super::pending::ReadNote;
use super::record;
use crate::model::TenantId;

pub(super) const BUFFER_BYTES: usize = 256 * 1024;

/// A stretch of the log; reading it does not move the place at which others read.
pub(super) struct Stretch<'a> {
    pub(super) parts: &'a Parts,
    pub(super) at: u64,
    pub(super) end: u64,
}

impl Read for Stretch<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.parts.read_at(buffer.get_mut(..left).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Takes the lines from `from` to `to` into the blocks; both are ends of lines. Ends early when `stop` is set.
///
/// # Errors
/// When the file cannot be read, or ends before `to`.
pub(super) fn scan(parts: &Parts, from: u64, to: u64, stop: &AtomicBool, blocks: &mut Blocks) -> io::Result<()> {
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, Stretch { parts, at: from, end: to });
    let mut line = Vec::new();
    let mut at = from;
    while at < to && !stop.load(Ordering::Relaxed) {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let tenant = record::tenant_read(&line).and_then(|tenant| TenantId::new(&tenant).ok());
        let note = tenant.map(|tenant| ReadNote { tenant, end: line.len() });
        blocks.extend(at, &line, note.as_slice());
        at += line.len() as u64;
    }
    Ok(())
}
