//! How many allowed reads of each tenant went with old segments: the numbers of those that are left stay as they were
//! (R22), and with them cursors and webhooks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::record;
use super::segment::{Expected, append_to};
use super::sink::{Files, write_all};
use crate::model::TenantId;
use crate::trail::{SegmentFile, SegmentLines};

/// The reads in all segments before a place.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemovedReads {
    /// The tree index of the first line that is not counted. Segments before it may still be there after a crash.
    pub(super) before: u64,
    /// How many, by tenant.
    pub(super) reads: BTreeMap<TenantId, u64>,
}

impl RemovedReads {
    /// What is noted in this log's folder.
    ///
    /// # Errors
    /// When the note is there and cannot be read: then nobody knows the numbers.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        match std::fs::read(path(folder)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Counts these segments too, which are about to go; the one after them starts at `before`.
    ///
    /// # Errors
    /// When one cannot be read, or the log is closed meanwhile.
    pub(super) fn count<'a>(
        &mut self,
        segments: impl Iterator<Item = &'a SegmentFile>,
        before: u64,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        for segment in segments.filter(|segment| segment.start >= self.before) {
            let mut lines = SegmentLines::open(segment)?;
            while let Some(line) = lines.next_whole()? {
                if stop.load(Ordering::Relaxed) {
                    return Err(io::Error::other("the log is closed"));
                }
                if let Some(tenant) = record::tenant_read(line).and_then(|tenant| TenantId::new(&tenant).ok()) {
                    *self.reads.entry(tenant).or_default() += 1;
                }
            }
        }
        self.before = before;
        Ok(())
    }

    /// Notes it, on the disk.
    ///
    /// # Errors
    /// When it cannot be written: the note that was there stays.
    pub(super) fn write(&self, files: &dyn Files, folder: &Path) -> io::Result<()> {
        let target = path(folder);
        let draft = target.with_extension("tmp");
        let _ = files.remove(&draft);
        let sink = files.sink(&draft, Arc::new(append_to(&draft, Expected::New)?));
        write_all(sink.as_ref(), &serde_json::to_vec(self).map_err(io::Error::from)?)?;
        sink.sync()?;
        files.rename(&draft, &target)?;
        files.sync_folder(folder)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("removed-reads.json")
}
