//! The segment that is being written, and how one is begun.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::sink::{Files, Sink, write_all};
use crate::trail::{Opening, plain_path};

/// A segment's file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// The tree index of its first line.
    pub(super) start: u64,
    /// Where its bytes begin in the log.
    pub(super) base: u64,
    pub(super) file: Arc<File>,
    pub(super) sink: Arc<dyn Sink>,
    /// Which file it is, by device and inode.
    pub(super) identity: (u64, u64),
    /// Up to here stand whole lines of batches that succeeded.
    pub(super) written: AtomicU64,
    /// And up to here they are on the disk.
    pub(super) synced: AtomicU64,
}

impl Segment {
    /// The segment in this file, of which so many bytes are good.
    pub(super) fn of(
        files: &dyn Files,
        path: PathBuf,
        start: u64,
        base: u64,
        file: File,
        len: u64,
    ) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let file = Arc::new(file);
        let sink = files.sink(&path, Arc::clone(&file));
        let identity = (metadata.dev(), metadata.ino());
        let (written, synced) = (AtomicU64::new(len), AtomicU64::new(0));
        Ok(Self { path, start, base, file, sink, identity, written, synced })
    }

    /// Begins a segment. It and its name are on the disk when this returns; when it fails there is none.
    pub(super) fn begin(files: &dyn Files, folder: &Path, base: u64, opening: &Opening) -> io::Result<Self> {
        let path = plain_path(folder, opening.index);
        let line = format!("{}\n", opening.to_line());
        let begun = append_to(&path, Expected::New).and_then(|file| {
            let segment = Self::of(files, path.clone(), opening.index, base, file, line.len() as u64)?;
            write_all(segment.sink.as_ref(), line.as_bytes())?;
            segment.sink.sync()?;
            files.sync_folder(folder)?;
            segment.synced.store(line.len() as u64, std::sync::atomic::Ordering::Release);
            Ok(segment)
        });
        if begun.is_err() {
            // What cannot be removed either has no whole line, or one that says where it belongs: a start finds it.
            let _ = files.remove(&path);
        }
        begun
    }
}

/// How a file of the log is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It must be there.
    There,
    /// There must be none.
    New,
    /// It is made when it is not there.
    Either,
}

/// Opens a file of the log for reading and appending.
pub(super) fn append_to(path: &Path, expected: Expected) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o600);
    options.create_new(expected == Expected::New).create(expected == Expected::Either);
    options.open(path)
}
