//! `consentry receipt`: what a customer does with the receipt of an approval, without any sidecar.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::receipt::open;
use crate::signing::jwks::read_keys;

/// Receipts of approvals.
#[derive(Debug, Args)]
pub(super) struct Receipt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verifies a receipt, and shows what it states as JSON.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    /// The receipt, as `GET /v1/consents/{id}/receipt` gives it.
    file: PathBuf,
    /// The published keys (`/.well-known/consentry-receipt-keys`), or one in PEM.
    #[arg(long)]
    key: PathBuf,
}

impl Receipt {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Command::Verify(Verify { file, key }) = self.command;
        let text = std::fs::read_to_string(&key).with_context(|| format!("`{}` cannot be read", key.display()))?;
        let keys = read_keys(&text).map_err(|error| anyhow::anyhow!("`{}` {error}", key.display()))?;
        let envelope = std::fs::read(&file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        let (receipt, signed_by) = open(&envelope, &keys)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string_pretty(&receipt.approval)?)?;
        tracing::debug!(key = signed_by.id(), "verified");
        Ok(())
    }
}
