//! The newest signed bundle that was in force, remembered over restarts: no older one is taken after it.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::model::Timestamp;
use crate::policy::LoadError;

/// A file with one time in it.
#[derive(Debug)]
pub(super) struct Newest {
    path: PathBuf,
}

impl Newest {
    pub(super) fn in_file(path: PathBuf) -> Self {
        Self { path }
    }

    fn wrong(&self, message: impl std::fmt::Display) -> LoadError {
        LoadError::of(format!("{}: {message}", self.path.display()))
    }

    /// When the newest of them was made; none before the first.
    ///
    /// # Errors
    /// [`LoadError`] when the file is there and cannot be read: then nobody knows, and nothing is taken.
    pub(super) fn read(&self) -> Result<Option<Timestamp>, LoadError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|error| self.wrong(error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// Remembers a bundle that was made then, durably.
    ///
    /// # Errors
    /// [`LoadError`] when the file cannot be written.
    pub(super) fn note(&self, made: Timestamp) -> Result<(), LoadError> {
        if self.read()?.is_some_and(|newest| newest >= made) {
            return Ok(());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.map_or_else(|| PathBuf::from("."), ToOwned::to_owned);
        let written = std::fs::create_dir_all(&folder).and_then(|()| {
            let mut draft = tempfile::NamedTempFile::new_in(&folder)?;
            draft.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
            writeln!(draft, "{made}")?;
            draft.as_file().sync_all()?;
            draft.persist(&self.path)?;
            std::fs::File::open(&folder)?.sync_all()
        });
        written.map_err(|error| self.wrong(error))
    }
}
