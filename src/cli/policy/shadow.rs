//! `consentry policy shadow`: what a shadow bundle would have decided otherwise.

use std::path::PathBuf;

use anstream::println;
use anyhow::Context as _;
use clap::Args;

use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::workbench::shadow::{ShadowDifference, read};

/// Tells what the report of a service (`policy.shadow.report`) says. Ends with 1 when a decision would have been another.
#[derive(Debug, Args)]
pub(super) struct Shadow {
    /// The report.
    report: PathBuf,
    /// List the latest decisions that differ, not just examples of each kind.
    #[arg(long)]
    list: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Shadow {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let report = read(&self.report).with_context(|| self.report.display().to_string())?;
        let is_same = report.differences.is_empty() && report.refused.is_none();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
            return Ok(is_same);
        }
        for difference in &report.differences {
            tell(difference);
        }
        for one in report.latest.iter().filter(|_| self.list) {
            let (live, shadow) = (&one.live.code, &one.shadow.code);
            println!("{QUIET}{} {}{QUIET:#} {}  {live} -> {shadow}", one.time, one.decision_id, one.asked);
        }
        if let Some(why) = &report.refused {
            println!("{BAD}the shadow bundle's files were refused:{BAD:#}\n{why}");
        }
        let asked = report.same + report.newly_allowed + report.newly_denied + report.other_reason;
        let style = if is_same { GOOD } else { BAD };
        println!(
            "{style}{asked} decisions: {} the same, {} newly allowed, {} newly denied, {} for another reason{style:#}, {} \
             not asked  {QUIET}bundle {} since {}{QUIET:#}",
            report.same,
            report.newly_allowed,
            report.newly_denied,
            report.other_reason,
            report.dropped,
            report.shadow_version.as_deref().unwrap_or("none"),
            report.since.as_deref().unwrap_or("never"),
        );
        Ok(is_same)
    }
}

fn tell(difference: &ShadowDifference) {
    let what = match difference.allowed {
        (false, true) => "would be allowed",
        (true, false) => "would be denied",
        (true, true) | (false, false) => "would have another reason",
    };
    let (live, shadow) = &difference.codes;
    println!("{BAD}{} {what}{BAD:#}: {live} -> {shadow}", difference.decisions);
    for one in &difference.examples {
        let because = one.shadow.because.join(", ");
        println!("  {} {QUIET}{} {}{QUIET:#}", one.asked, one.time, one.decision_id);
        println!("    by {}", if because.is_empty() { "no policy" } else { &because });
    }
}
