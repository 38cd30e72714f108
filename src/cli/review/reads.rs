//! `consentry review reads`: every read that was allowed, and the consents behind it.

use anstream::println;
use clap::Args;

use super::{Asked, counted, scope, tell_masked};
use crate::cli::paint::{GOOD, QUIET};
use crate::model::Timestamp;
use crate::workbench::review::{ReadFilter, reads};

/// Lists the allowed reads of a log, and the consents they rest on with who approved them.
#[derive(Debug, Args)]
pub(super) struct ReadsArgs {
    #[command(flatten)]
    asked: Asked,
    /// Under this support request.
    #[arg(long, value_name = "ID")]
    support_request: Option<String>,
    /// Of this tenant's data.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// By this engineer: `<tenant>/<object id>`.
    #[arg(long, value_name = "ID")]
    engineer: Option<String>,
    /// At or after this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Before this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

impl ReadsArgs {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let Self { asked, support_request, tenant, engineer, from, to } = self;
        let filter = ReadFilter { support_request, resource_tenant: tenant, engineer, from, to };
        let found = asked.answer(|log| reads(log, &filter))?;
        if asked.printed(&found)? {
            return Ok(true);
        }
        for read in &found.reads {
            let under = read.support_request.as_deref().unwrap_or("no support request");
            println!("{} {} {} {} under {under}", read.time, read.engineer, read.action, read.resource);
            let consents = if read.consents.is_empty() { "none (R5)".to_owned() } else { read.consents.join(", ") };
            println!("{QUIET}  {} consents {consents}; {}{QUIET:#}", read.decision_id, read.policies.join(", "));
        }
        for consent in &found.consents {
            let covered = consent.scope.map_or_else(|| "the log does not tell what it covers".to_owned(), scope);
            println!("consent {} ({}): {covered}", consent.id, counted(count(consent.reads), "read"));
            for approval in &consent.approvals {
                println!(
                    "{QUIET}  approved by {} at {}, {}{QUIET:#}",
                    approval.by, approval.time, approval.decision_id
                );
            }
        }
        tell_masked(found.masked_facts);
        let (reads, consents) = (counted(found.reads.len(), "read"), counted(found.consents.len(), "consent"));
        println!("{GOOD}{reads} under {consents}{GOOD:#}");
        Ok(true)
    }
}

fn count(reads: u64) -> usize {
    usize::try_from(reads).unwrap_or(usize::MAX)
}
