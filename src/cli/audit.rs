//! `consentry audit`: whether a decision log is as it was written, and proofs of what it holds.
//!
//! They end with 0 when everything is as it should be, with 1 when something is wrong, with 2 when they could not look.

mod heads;
mod lines;
mod masked;
mod proofs;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::signing::{TrustedKey, TrustedKeys};
use crate::trail::{SignedHead, read_heads};

/// Checks decision logs, and proves what they hold.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Checks whether logs are complete and as they were written; says which records are not.
    Verify(verify::Verify),
    /// Lists the signed heads of a log.
    Heads(heads::Heads),
    /// Prints a log, line by line.
    Lines(lines::Lines),
    /// Prints what stands in a log in the place of a value that was masked.
    Masked(masked::Masked),
    /// Proves that a log holds a record; the proof is a file that stands alone.
    Prove(proofs::Prove),
    /// Checks such a proof, without the log.
    CheckProof(proofs::CheckProof),
    /// Checks that the log of one head is the beginning of the log of another.
    Consistency(proofs::Consistency),
}

impl Audit {
    pub(super) fn run(self) -> ExitCode {
        let found = match self.tool {
            Tool::Verify(verify) => verify.run(),
            Tool::Heads(heads) => heads.run(),
            Tool::Lines(lines) => lines.run(),
            Tool::Masked(masked) => masked.run(),
            Tool::Prove(prove) => prove.run(),
            Tool::CheckProof(check) => check.run(),
            Tool::Consistency(consistency) => consistency.run(),
        };
        match found {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => {
                anstream::eprintln!("error: {error:#}");
                ExitCode::from(2)
            }
        }
    }
}

/// The public keys whose signatures count.
#[derive(Debug, Args)]
struct Keys {
    /// A public key (PEM) that may have signed. May be given more than once.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

impl Keys {
    fn read(&self) -> anyhow::Result<TrustedKeys> {
        let key = |path: &PathBuf| {
            let text = text(path)?;
            TrustedKey::from_pem(&text).with_context(|| path.display().to_string())
        };
        self.keys.iter().map(key).collect::<anyhow::Result<_>>().map(TrustedKeys)
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The heads in a file: one note, or many, each followed by an empty line.
fn heads(path: &Path) -> anyhow::Result<Vec<SignedHead>> {
    let text = text(path)?;
    if let Ok(one) = SignedHead::parse(&text) {
        return Ok(vec![one]);
    }
    let mut found = Vec::new();
    for head in read_heads(text.as_bytes()) {
        let (at, head) = head?;
        found.push(head.with_context(|| format!("{}: what begins at byte {at}", path.display()))?);
    }
    anyhow::ensure!(!found.is_empty(), "{} holds no heads", path.display());
    Ok(found)
}

fn json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}
