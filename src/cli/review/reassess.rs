//! `consentry review reassess`: every allow that a bundle would deny on the same facts.

use std::path::PathBuf;

use anstream::println;
use clap::Args;

use super::{Asked, counted};
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::cli::policy::load;
use crate::workbench::review::reassess;

/// Asks a bundle every allow of a log again. Ends with 1 when it would deny one.
#[derive(Debug, Args)]
pub(super) struct ReassessArgs {
    #[command(flatten)]
    asked: Asked,
    /// The bundle's directory; the bundle that ships with the program when it is left out.
    #[arg(long, value_name = "DIRECTORY")]
    bundle: Option<PathBuf>,
}

impl ReassessArgs {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let bundle = load(self.bundle.as_deref())?;
        let found = self.asked.answer(|log| reassess(&bundle, log))?;
        let is_good = found.would_be_denied.is_empty();
        if self.asked.printed(&found)? {
            return Ok(is_good);
        }
        for allow in &found.would_be_denied {
            println!("{} {}  {}", allow.time, allow.asked, allow.answer.reason.message);
            let (policies, version) = (allow.policies.join(", "), &allow.policy_version);
            println!("{QUIET}  {} was allowed by {policies} of {version}{QUIET:#}", allow.decision_id);
        }
        for (why, count) in &found.unasked {
            println!("{QUIET}{count} cannot be asked again: {why}{QUIET:#}");
        }
        let style = if is_good { GOOD } else { BAD };
        let denied = found.would_be_denied.len();
        println!(
            "{style}{denied} of {} would be denied{style:#}  {QUIET}bundle {}{QUIET:#}",
            counted(usize::try_from(found.allows).unwrap_or(usize::MAX), "allow"),
            found.policy_version
        );
        Ok(is_good)
    }
}
