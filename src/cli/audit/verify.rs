//! `consentry audit verify`: checks logs from their files and a public key.

use std::collections::HashSet;
use std::path::PathBuf;

use anstream::println;
use clap::Args;

use super::{Keys, heads, json};
use crate::trail::{Report, SignedHead, verify};

/// Checks that the logs in these folders are complete and as they were written.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The folders of the logs.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    keys: Keys,
    /// A file with heads that were published elsewhere: without one, nobody can tell that a log was cut off together with
    /// its heads. May be given more than once.
    #[arg(long = "head", value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Found<'a> {
    good: bool,
    logs: &'a [Report],
    /// Published heads of logs that are not here.
    heads_of_other_logs: &'a [&'a str],
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let keys = self.keys.read()?;
        let mut published: Vec<SignedHead> = Vec::new();
        for path in &self.heads {
            published.extend(heads(path)?);
        }
        let mut reports = Vec::new();
        for folder in &self.folders {
            reports.push(verify(folder, &keys, &published)?);
        }
        let logs: HashSet<&str> = reports.iter().filter_map(|report| report.log.as_deref()).collect();
        let mut others: Vec<_> = published.iter().map(|head| head.head().origin.as_str()).collect();
        others.retain(|origin| !logs.contains(origin));
        others.sort_unstable();
        others.dedup();
        // A head that says that there is a log, and no such log: whoever took the log away took all of it.
        let good = others.is_empty() && reports.iter().all(Report::is_good);
        if self.json {
            println!("{}", json(&Found { good, logs: &reports, heads_of_other_logs: &others })?);
        } else {
            for report in &reports {
                tell(report);
            }
            for origin in others {
                println!("missing: a head was published of `{origin}`, and none of these folders holds that log");
            }
        }
        Ok(good)
    }
}

fn tell(report: &Report) {
    let Report { folder, first, size, segments, bytes, heads, signed_size, .. } = report;
    let log = report.log.as_deref().unwrap_or("a log without a name");
    let word = if report.is_good() { "good" } else { "not good" };
    println!("{word}: {folder} ({log}): {size} lines, {segments} segments, {bytes} bytes, {heads} heads");
    if *first > 0 {
        println!("  lines 0 to {} are not there any more", first - 1);
    }
    match &report.signed_at {
        _ if !report.is_good() => {}
        Some(at) if signed_size == size => println!("  all of it was signed at {at}"),
        Some(at) => {
            println!("  lines up to {} were signed at {at}; {} are not yet", signed_size - 1, size - signed_size);
        }
        None => println!("  nothing of it was signed yet"),
    }
    if report.unfinished_bytes > 0 {
        println!("  {} bytes stand behind the last line", report.unfinished_bytes);
    }
    if let Some(reason) = &report.hold {
        println!("  nothing may be removed: {reason}");
    }
    for finding in &report.findings {
        println!("  {finding}");
    }
}
