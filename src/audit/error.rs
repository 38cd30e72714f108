//! What can go wrong with the decision log, and what to do then.

use std::io;
use std::path::PathBuf;

use super::log::MAX_LINE_BYTES;

/// Why a record was not recorded, or the log not opened or read. A decision whose record failed must deny (G3).
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file could not be opened, made, healed or locked.
    #[error("the decision log `{}` cannot be opened: {source}; check the path, its folder's owner and the disk", path.display())]
    Open {
        /// The log's folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process, or another log of this process, writes this log.
    #[error("the decision log `{}` is being written by another process; stop that one or give each its own path", path.display())]
    Locked {
        /// The log's folder.
        path: PathBuf,
    },
    /// The log is not the one of which its newest head was signed.
    #[error(
        "the decision log `{}` is not as it was signed: {told}; look into it with `consentry audit verify`, then put back \
         what is missing, or begin a new log with `decision_log.begin_anew`", path.display()
    )]
    Altered {
        /// The log's folder.
        path: PathBuf,
        /// What does not fit, and where.
        told: String,
    },
    /// There is no key to sign heads with.
    #[error("the decision log's key `{}` {reason}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings of what is masked contradict themselves.
    #[error("what the decision log masks: {reason}")]
    Mask {
        /// What is wrong.
        reason: String,
    },
    /// The record is not in the log, because the file could not be written or synced.
    #[error("the decision log `{}` cannot be written: {reason}; free space or mend the disk, it goes on by itself", path.display())]
    Unavailable {
        /// The log's folder.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The record was not taken, because too many wait for a disk that does not keep up.
    #[error("`{limit_bytes}` bytes of records wait for the decision log already; check whether its disk hangs")]
    Full {
        /// How many bytes may wait.
        limit_bytes: usize,
    },
    /// The log has been closed: the process is going down.
    #[error("the decision log is closed; ask again once the sidecar has restarted")]
    Closed,
    /// The record is empty or holds a line break: it would read as no record, or as two.
    #[error("a record of the decision log must be one line that is not empty; write it as compact JSON")]
    NotALine,
    /// The record is over [`MAX_LINE_BYTES`].
    #[error("a record of the decision log is `{bytes}` bytes long, at most `{MAX_LINE_BYTES}` are allowed; shorten it")]
    TooLong {
        /// How long it was.
        bytes: usize,
    },
    /// The index of allowed reads is still being built from the file, after a start.
    #[error("the decision log is still being indexed; ask again in a few seconds")]
    IndexBuilding,
    /// The file could not be read back.
    #[error("the decision log `{}` cannot be read: {reason}; check the disk, then restart the sidecar", path.display())]
    Unreadable {
        /// The log's folder.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
}

impl LogError {
    /// The stable name of this error for people and programs outside.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "log_not_opened",
            Self::Locked { .. } => "log_locked",
            Self::Altered { .. } => "log_altered",
            Self::Key { .. } => "log_key",
            Self::Mask { .. } => "log_mask",
            Self::Unavailable { .. } => "log_unavailable",
            Self::Full { .. } => "log_full",
            Self::Closed => "log_closed",
            Self::NotALine => "log_record_not_a_line",
            Self::TooLong { .. } => "log_record_too_long",
            Self::IndexBuilding => "log_index_building",
            Self::Unreadable { .. } => "log_unreadable",
        }
    }
}
