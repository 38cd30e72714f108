//! `consentry audit masked`: a value as it stands in a log that masks it.

use std::path::PathBuf;

use clap::Args;

use crate::audit::MaskKey;

/// Prints what stands in a log in the place of a text that was masked: to find the records that mean it.
#[derive(Debug, Args)]
pub(super) struct Masked {
    /// The key that `decision_log.mask_key` names.
    #[arg(long = "mask-key", value_name = "FILE")]
    key: PathBuf,
    /// The text.
    #[arg(value_name = "TEXT")]
    text: String,
}

impl Masked {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let key = MaskKey::read(&self.key)?;
        anstream::println!("{}", key.masked(&self.text));
        Ok(true)
    }
}
