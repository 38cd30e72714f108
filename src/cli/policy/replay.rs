//! `consentry policy replay`: what a bundle would have answered to what was asked before.

use std::path::PathBuf;

use anstream::println;
use anyhow::Context as _;
use clap::Args;

use super::load;
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::trail::open_lines;
use crate::workbench::replay::{Difference, replay};
use crate::workbench::suite::Expected;

/// Asks a bundle every decision of a decision log, and tells which answers would be others.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The bundle's directory; the bundle that ships with the program when it is left out.
    #[arg(long, value_name = "DIRECTORY")]
    bundle: Option<PathBuf>,
    /// The decision log: its folder, or a file of lines.
    #[arg(long, value_name = "LOG")]
    log: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let bundle = load(self.bundle.as_deref())?;
        let told = || self.log.display().to_string();
        let log = open_lines(&self.log).with_context(told)?;
        let found = replay(&bundle, log).with_context(told)?;
        let is_same = found.differences.is_empty();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
            return Ok(is_same);
        }
        for difference in &found.differences {
            tell(difference);
        }
        for (why, count) in &found.unasked {
            println!("{QUIET}{count} cannot be asked again: {why}{QUIET:#}");
        }
        let style = if is_same { GOOD } else { BAD };
        println!(
            "{style}{} decisions: {} the same, {} newly allowed, {} newly denied{style:#}  {QUIET}bundle {}{QUIET:#}",
            found.decisions,
            found.same,
            found.newly_allowed(),
            found.newly_denied(),
            found.policy_version
        );
        Ok(is_same)
    }
}

fn tell(difference: &Difference) {
    let (was, would_be) = &difference.codes;
    let what = match (difference.logged, difference.answer) {
        (Expected::Deny, Expected::Allow) => "would now be allowed",
        (Expected::Allow, Expected::Deny) => "would now be denied",
        (Expected::Allow, Expected::Allow) | (Expected::Deny, Expected::Deny) => "would have another reason",
    };
    println!("{BAD}{} {what}{BAD:#}: {was} -> {would_be}", difference.decisions);
    for example in &difference.examples {
        let because = example.answer.because.join(", ");
        println!("  {} {QUIET}{} {}{QUIET:#}", example.asked, example.time, example.decision_id);
        println!("    by {}", if because.is_empty() { "no policy" } else { &because });
    }
}
