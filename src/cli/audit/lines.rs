//! `consentry audit lines`: a log as one stream of lines, whether its segments are compressed or not.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::trail::open_lines;

/// Prints a log, line by line, for `jq` and its kin. Nothing is checked.
#[derive(Debug, Args)]
pub(super) struct Lines {
    /// The log's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Lines {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let mut lines = open_lines(&self.folder).with_context(|| self.folder.display().to_string())?;
        let mut to = io::stdout().lock();
        match io::copy(&mut lines, &mut to).and_then(|_| to.flush()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
            copied => copied.map(|()| true).context(self.folder.display().to_string()),
        }
    }
}
