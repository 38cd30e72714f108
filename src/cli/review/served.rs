//! `consentry review served`: which policies were in force when.

use anstream::println;
use clap::Args;

use super::Asked;
use crate::cli::paint::QUIET;
use crate::workbench::review::served;

/// Lists the versions of the policies that a log tells of.
#[derive(Debug, Args)]
pub(super) struct ServedArgs {
    #[command(flatten)]
    asked: Asked,
}

impl ServedArgs {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let found = self.asked.answer(served)?;
        if self.asked.printed(&found)? {
            return Ok(true);
        }
        for time in &found.times {
            let to = time.to.as_deref().unwrap_or("now");
            println!("{} from {} to {to}", time.policy_version, time.from);
        }
        for version in &found.decisions {
            let (first, last) = (version.decisions.first.as_deref(), version.decisions.last.as_deref());
            println!(
                "{QUIET}{}: {} decisions, {} to {}{QUIET:#}",
                version.policy_version,
                version.decisions.count,
                first.unwrap_or_default(),
                last.unwrap_or_default()
            );
        }
        Ok(true)
    }
}
