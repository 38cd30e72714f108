//! The log as one stretch of bytes over all of its segments, whether they are compressed or not.
//!
//! Places in it are counted from the oldest segment that was there when the log was opened.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::trail::PackedFile;

/// Where a segment's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// In a file as they were written.
    Plain(Arc<File>),
    /// In a compressed file.
    Packed(Arc<PackedFile>),
}

#[derive(Debug, Clone)]
struct Part {
    /// The tree index of the segment's first line.
    start: u64,
    /// Where its bytes begin in the log.
    base: u64,
    body: Body,
}

/// All segments that are there, in order.
#[derive(Debug, Default)]
pub(super) struct Parts(RwLock<Vec<Part>>);

impl Parts {
    /// A log that is one file.
    #[cfg(test)]
    pub(super) fn of(file: File) -> Self {
        let parts = Self::default();
        parts.push(0, 0, Body::Plain(Arc::new(file)));
        parts
    }

    pub(super) fn push(&self, start: u64, base: u64, body: Body) {
        self.0.write().push(Part { start, base, body });
    }

    /// The segment that starts there has been compressed. Whoever reads it goes on reading.
    pub(super) fn replace(&self, start: u64, body: Body) {
        if let Some(part) = self.0.write().iter_mut().find(|part| part.start == start) {
            part.body = body;
        }
    }

    /// The segment that starts there is gone.
    pub(super) fn remove(&self, start: u64) {
        self.0.write().retain(|part| part.start != start);
    }

    /// Where the segment begins whose first line has this tree index.
    pub(super) fn base_of(&self, start: u64) -> Option<u64> {
        self.0.read().iter().find(|part| part.start == start).map(|part| part.base)
    }

    /// Where the oldest segment begins.
    pub(super) fn first(&self) -> u64 {
        self.0.read().first().map_or(0, |part| part.base)
    }

    /// Reads some bytes from this place on, of one segment.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let (part, end) = {
            let parts = self.0.read();
            let next = parts.partition_point(|part| part.base <= at);
            let part = next.checked_sub(1).and_then(|part| parts.get(part)).cloned();
            (part, parts.get(next).map_or(u64::MAX, |next| next.base))
        };
        let part = part.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "these records were removed"))?;
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        match part.body {
            Body::Plain(file) => file.read_at(buffer, at - part.base),
            Body::Packed(file) => file.read_at(buffer, at - part.base),
        }
    }

    /// Fills the buffer from this place on.
    pub(super) fn read_exact_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
