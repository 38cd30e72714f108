//! The few things the log asks of its file, so that tests can make each of them fail.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

/// A file that is appended to. Methods take `&self`, so that a sync does not keep writers waiting.
pub(super) trait Sink: Send + Sync + fmt::Debug {
    /// Appends some of these bytes and says how many: one call of write(2).
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts everything off that stands behind this length.
    fn cut(&self, len: u64) -> io::Result<()>;

    /// Returns once everything that was written is on the disk.
    fn sync(&self) -> io::Result<()>;

    /// Lets another process write this file.
    fn release(&self) -> io::Result<()>;
}

/// The real file, opened for appending.
#[derive(Debug)]
pub(super) struct FileSink(pub(super) Arc<File>);

impl Sink for FileSink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_ref().write(bytes)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn release(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

/// Appends all of these bytes; with a file that takes them whole this is one write.
pub(super) fn write_all(sink: &dyn Sink, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match sink.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
