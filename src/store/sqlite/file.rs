//! The store's files: made, locked and opened.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::Trouble;
use crate::store::StoreError;

/// The log that a long read kept from being reused may grow; afterwards it is cut back to this size.
const JOURNAL_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// How much of the file the writer keeps in memory: its indexes, so that a commit reads nothing from disk.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// The journal is brought into the file when it has this many pages of 4 KiB. A page that many commits changed is then
/// written once.
const CHECKPOINT_PAGES: i64 = 4_000;

/// For how long a connection waits for another one of this process, such as one that recovers the journal.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The journal is written again in pieces of so many bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Every statement of the writer, or of a reader, stays prepared.
const PREPARED_STATEMENTS: usize = 64;

/// Holds the store for this process alone until it is dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    _lock: File,
    _database: File,
    pub(super) place: Place,
}

/// Which file it is that has been opened, whatever stands under its name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Refuses when somebody has moved or replaced the file: a commit to it would be gone with the next start, and the
    /// file in its place is not the one whose journal is beside it.
    pub(super) fn check(self, path: &Path) -> Result<(), Trouble> {
        match std::fs::metadata(path) {
            Ok(there) if Self::of(&there) == self => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Trouble::Unstorable(format!("`{}` cannot be reached: {error}", path.display())))
            }
            Ok(_) | Err(_) => {
                let moved = format!("`{}` was moved or replaced; put it back, or restart", path.display());
                Err(Trouble::Unstorable(moved))
            }
        }
    }
}

/// Makes the directory and the file, if they are missing, readable for their owner alone, and takes the lock.
///
/// # Errors
/// [`StoreError::InUse`] when somebody else holds the lock.
pub(super) fn claim(path: &Path) -> Result<StoreLock, StoreError> {
    let unavailable = |error: io::Error| StoreError::Unavailable(format!("`{}`: {error}", path.display()));
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(unavailable)?;
    }
    let mut create = OpenOptions::new();
    create.write(true).create(true).truncate(false).mode(0o600);
    let lock = create.open(beside(path, ".lock")).map_err(unavailable)?;
    let take = |file: &File| match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    };
    take(&lock)?;
    // SQLite would make it readable for everybody; its journal then gets the same rights as this file.
    let database = create.open(path).map_err(unavailable)?;
    // Under another name, by a link, the same file has another lock beside it. SQLite's own locks are of another kind; they
    // would be lost if this file were closed before SQLite is done with it.
    take(&database)?;
    let place = Place::of(&database.metadata().map_err(unavailable)?);
    Ok(StoreLock { _lock: lock, _database: database, place })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the one connection that writes.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, Trouble> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}

/// Refuses a file that ends in the middle of a page: SQLite would read zeros there. Where a journal is left, it holds
/// the page, and the file may have been cut by the same crash.
pub(super) fn refuse_torn(connection: &Connection, path: &Path) -> Result<(), Trouble> {
    let page_size: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0)).map(i64::unsigned_abs)?;
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if length(path) % page_size != 0 && length(&beside(path, "-wal")) == 0 {
        return Err(Trouble::Damaged("it ends in the middle of a page".to_owned()));
    }
    Ok(())
}

/// Makes what this connection commits durable before it says so. Not before it is known that the file is ours: it
/// changes the file.
pub(super) fn make_durable(connection: &Connection) -> Result<(), Trouble> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Trouble::Unstorable(format!("the file system cannot hold a write-ahead log (got `{mode}`)")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative: KiB, not pages.
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT_BYTES)?;
    Ok(())
}

/// Writes the journal, if there is one, once more as it is, and onto the disk: what a sync failed to bring there the system
/// holds for written, and no later sync makes up for that; what is written again, a sync covers again. At each moment the
/// disk keeps what it had, since nothing else is put in its place.
pub(super) fn write_journal_again(path: &Path) -> Result<(), Trouble> {
    let again = || {
        let journal = match OpenOptions::new().read(true).write(true).open(beside(path, "-wal")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut piece = vec![0; PIECE_BYTES];
        let mut at = 0;
        loop {
            let read = journal.read_at(&mut piece, at)?;
            let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
            journal.write_all_at(read, at)?;
            at += read.len() as u64;
        }
        if at > 0 { journal.sync_all() } else { Ok(()) }
    };
    again().map_err(|error: io::Error| Trouble::Unstorable(format!("its journal cannot be written again: {error}")))
}

/// Opens a connection that can only read.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, Trouble> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(connection)
}
