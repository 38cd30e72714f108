//! `consentry review unused`: access that was approved and never used.

use anstream::println;
use clap::Args;

use super::{Asked, scope, tell_masked};
use crate::cli::paint::{GOOD, QUIET};
use crate::workbench::review::unused;

/// Lists the consents that were approved and that no allowed read names. Ends with 1 when facts are masked: there may be
/// more of them.
#[derive(Debug, Args)]
pub(super) struct UnusedArgs {
    #[command(flatten)]
    asked: Asked,
}

impl UnusedArgs {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let found = self.asked.answer(unused)?;
        if self.asked.printed(&found)? {
            return Ok(found.masked_facts == 0);
        }
        for consent in &found.unused {
            let (tenant, request) = (&consent.resource_tenant, &consent.support_request);
            println!("{} for {tenant} under {request}, now {}", consent.id, consent.status.as_str());
            println!("{QUIET}  approved {}: {}{QUIET:#}", consent.approved, scope(consent.scope));
        }
        println!("{GOOD}{} of {} approved consents were never used{GOOD:#}", found.unused.len(), found.approved);
        tell_masked(found.masked_facts);
        Ok(found.masked_facts == 0)
    }
}
