//! What went wrong below, and what may be said about it above.

use std::fmt;

use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;

use crate::store::{CommitError, StoreError};

/// Why a statement, or what it read, was no good.
#[derive(Debug)]
pub(super) enum Trouble {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// A row cannot be what was written.
    Damaged(String),
    /// An object that cannot be stored as it is.
    Unstorable(String),
}

impl Trouble {
    pub(super) const fn of(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }

    pub(super) fn torn(key: fmt::Arguments<'_>, error: &dyn fmt::Display) -> Self {
        Self::Damaged(format!("`{key}` cannot be read: {error}"))
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Damaged(_) | Self::Unstorable(_) => None,
        }
    }

    /// As somebody sees it who opens or reads the store in this file.
    pub(super) fn reading(self, path: &str) -> StoreError {
        let damaged = matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase));
        match self {
            Self::Sqlite(error) if damaged => StoreError::Damaged(format!("`{path}`: {error}")),
            Self::Sqlite(error) => StoreError::Unavailable(format!("`{path}`: {error}")),
            Self::Damaged(what) => StoreError::Damaged(format!("`{path}`: {what}")),
            Self::Unstorable(what) => StoreError::Unavailable(what),
        }
    }

    /// Whether a COMMIT that failed like this can have reached the disk all the same. A full disk cannot: the frame that
    /// makes a transaction count is its last one and was not written whole. After a failed write or sync nobody knows
    /// what the next start will find.
    pub(super) fn may_be_committed(&self) -> bool {
        match self.code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ConstraintViolation
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly,
            ) => false,
            Some(_) | None => true,
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::of(error)
    }
}

impl From<FromSqlError> for Trouble {
    fn from(error: FromSqlError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Damaged(what) | Self::Unstorable(what) => f.write_str(what),
        }
    }
}

/// Why a whole batch of commits was not acknowledged.
#[derive(Debug)]
pub(super) struct BatchFailure {
    pub(super) trouble: Trouble,
    /// Whether it may have been written nevertheless.
    pub(super) outcome_unknown: bool,
}

impl BatchFailure {
    pub(super) fn before_commit(trouble: Trouble) -> Self {
        Self { trouble, outcome_unknown: false }
    }

    pub(super) fn at_commit(error: rusqlite::Error) -> Self {
        let trouble = Trouble::of(error);
        Self { outcome_unknown: trouble.may_be_committed(), trouble }
    }

    /// As each committer of the batch sees it.
    pub(super) fn for_committer(&self) -> CommitError {
        if self.outcome_unknown {
            CommitError::Unknown(self.trouble.to_string())
        } else {
            CommitError::Unavailable(self.trouble.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit_failing_with(extended_code: i32) -> CommitError {
        let error = rusqlite::ffi::Error::new(extended_code);
        BatchFailure::at_commit(rusqlite::Error::SqliteFailure(error, None)).for_committer()
    }

    #[test]
    fn only_a_commit_that_cannot_have_reached_the_disk_is_said_to_be_unwritten() {
        let full = commit_failing_with(rusqlite::ffi::SQLITE_FULL);
        assert!(matches!(full, CommitError::Unavailable(_)), "{full}");
        for code in [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_WRITE, rusqlite::ffi::SQLITE_NOMEM]
        {
            let error = commit_failing_with(code);
            assert!(matches!(error, CommitError::Unknown(_)), "{error}");
        }
    }
}
