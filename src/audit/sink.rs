//! The few things the log asks of its files, so that tests can make each of them fail, or stop the world at it.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, fadvise};

/// A file that is appended to. Methods take `&self`, so that a sync does not keep writers waiting.
pub(super) trait Sink: Send + Sync + fmt::Debug {
    /// Appends some of these bytes and says how many: one call of write(2).
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts everything off that stands behind this length.
    fn cut(&self, len: u64) -> io::Result<()>;

    /// Has the disk begin with what was written, and waits for nothing: the sync that follows finds little left to do.
    fn begin_sync(&self);

    /// Returns once everything that was written is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// Where the log's files are.
pub(super) trait Files: Send + Sync + fmt::Debug {
    /// How this file, opened for appending, is written.
    fn sink(&self, path: &Path, file: Arc<File>) -> Arc<dyn Sink>;

    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    /// Returns once the names in this folder are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The real files.
#[derive(Debug)]
pub(super) struct RealFiles;

impl Files for RealFiles {
    fn sink(&self, _: &Path, file: Arc<File>) -> Arc<dyn Sink> {
        Arc::new(FileSink::new(file))
    }
}

/// The real file, opened for appending.
#[derive(Debug)]
pub(super) struct FileSink {
    file: Arc<File>,
    /// Up to here the disk has been asked to begin.
    begun: AtomicU64,
}

impl FileSink {
    pub(super) fn new(file: Arc<File>) -> Self {
        Self { file, begun: AtomicU64::new(0) }
    }
}

impl Sink for FileSink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_ref().write(bytes)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn begin_sync(&self) {
        // Nothing is promised by it: where it does not work the sync has the more to do.
        let Ok(len) = self.file.metadata().map(|metadata| metadata.len()) else { return };
        let begun = self.begun.swap(len, Ordering::Relaxed);
        if let Some(new) = len.checked_sub(begun).and_then(NonZeroU64::new) {
            // What nobody needs in memory is written out at once, and stays there while it is not.
            let _ = fadvise(&self.file, begun, Some(new), Advice::DontNeed);
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
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
