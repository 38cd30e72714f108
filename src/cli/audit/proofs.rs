//! `consentry audit prove`, `check-proof` and `consistency`: what can be told without the whole log.

use std::path::PathBuf;

use anstream::println;
use anyhow::Context as _;
use clap::Args;

use super::{Keys, heads, json, text};
use crate::audit::DecisionId;
use crate::trail::{InclusionFile, NoProof, SignedHead, prove_consistency, prove_inclusion};

/// Proves that a log holds a record.
#[derive(Debug, Args)]
pub(super) struct Prove {
    /// The log's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The decision's id, or the record's place in the log, from 0.
    #[arg(value_name = "RECORD")]
    record: String,
    /// Where the proof goes; to the screen when not given.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Checks a proof that a log holds a record.
#[derive(Debug, Args)]
pub(super) struct CheckProof {
    /// The proof.
    #[arg(value_name = "FILE")]
    proof: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Print the record alone, when the proof is good.
    #[arg(long)]
    record: bool,
}

/// Checks that one head's log is the beginning of another's.
#[derive(Debug, Args)]
pub(super) struct Consistency {
    /// The log's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The earlier head; of a file with many the last.
    #[arg(value_name = "HEAD1")]
    old: PathBuf,
    /// The later head; of a file with many the last.
    #[arg(value_name = "HEAD2")]
    new: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Write the proof into this file, too.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Prove {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        // An id is 32 hexadecimal digits: no log is so long that a place has as many.
        let id = self.record.parse::<DecisionId>().ok();
        let index =
            if id.is_some() { None } else { Some(self.record.parse().context("RECORD is no id and no number")?) };
        let head = id.map(|id| format!("{{\"type\":\"decision\",\"decision_id\":\"{id}\","));
        let is_it = |line: &[u8]| head.as_ref().is_some_and(|head| line.starts_with(head.as_bytes()));
        let proof = match prove_inclusion(&self.folder, index, &is_it) {
            Ok(proof) => proof,
            Err(why @ (NoProof::NoRecord(_) | NoProof::NoHead)) => {
                println!("not proved: {why}");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        match &self.out {
            Some(path) => {
                std::fs::write(path, json(&proof)?).with_context(|| path.display().to_string())?;
                println!("proved: record {}, in {}", proof.index, path.display());
            }
            None => println!("{}", json(&proof)?),
        }
        Ok(true)
    }
}

impl CheckProof {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let keys = self.keys.read()?;
        let proof: InclusionFile =
            serde_json::from_str(&text(&self.proof)?).with_context(|| self.proof.display().to_string())?;
        match proof.check(&keys) {
            Ok(_) if self.record => println!("{}", proof.record),
            Ok(head) => {
                println!("good: record {} of `{}`, signed at {}", proof.index, head.origin, head.time);
                println!("{}", proof.record);
            }
            Err(why) => {
                println!("not good: {why}");
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Consistency {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let keys = self.keys.read()?;
        let last = |path: &PathBuf| -> anyhow::Result<SignedHead> {
            heads(path)?.pop().with_context(|| format!("{} holds no heads", path.display()))
        };
        let (old, new) = (last(&self.old)?, last(&self.new)?);
        let checked = match prove_consistency(&self.folder, &old, &new) {
            Ok(proof) => proof.check(&keys).map(|heads| (proof, heads)),
            Err(NoProof::Unreadable(error)) => return Err(error).context(self.folder.display().to_string()),
            Err(why) => Err(why),
        };
        let (proof, (old, new)) = match checked {
            Ok(checked) => checked,
            Err(why) => {
                println!("not good: {why}");
                return Ok(false);
            }
        };
        if let Some(path) = &self.out {
            std::fs::write(path, json(&proof)?).with_context(|| path.display().to_string())?;
        }
        println!("good: the first {} of {} lines of `{}` are the same", old.size, new.size, new.origin);
        Ok(true)
    }
}
