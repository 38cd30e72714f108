//! `consentry review could-read`: who could have read a tenant's data at some time, and why.

use std::path::PathBuf;

use anstream::println;
use clap::Args;

use super::{Asked, counted};
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::cli::policy::load;
use crate::model::{Category, TenantId, Timestamp};
use crate::workbench::review::{Moment, Reader, could_read};

/// Asks the policies anew on the facts of that time. Ends with 1 when the bundle is not the one that was in force
/// then, or when facts are masked.
#[derive(Debug, Args)]
pub(super) struct CouldReadArgs {
    #[command(flatten)]
    asked: Asked,
    /// Whose data.
    #[arg(long, value_name = "ID")]
    tenant: TenantId,
    /// Which category: signInLogs, auditLogs ...
    #[arg(long)]
    category: Category,
    /// When, RFC 3339.
    #[arg(long, value_name = "TIME")]
    at: Timestamp,
    /// The bundle that was in force then; the one that ships with the program when it is left out.
    #[arg(long, value_name = "DIRECTORY")]
    bundle: Option<PathBuf>,
    /// Tell also of the assigned engineers who could not have read, and why not.
    #[arg(long)]
    all: bool,
}

impl CouldReadArgs {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let Self { asked, tenant, category, at, bundle, all } = self;
        let bundle = load(bundle.as_deref())?;
        let moment = Moment { tenant, category, at };
        let found = asked.answer(|log| could_read(&bundle, log, &moment))?;
        let is_then = found.in_force.as_ref() == Some(&found.policy_version);
        let is_good = is_then && found.masked.is_empty();
        if asked.printed(&found)? {
            return Ok(is_good);
        }
        for reader in &found.could {
            tell("could read", reader);
        }
        for reader in found.could_not.iter().filter(|_| all) {
            tell("could not", reader);
        }
        let engineers = counted(found.could.len(), "reader");
        let looked_at = counted(found.support_requests, "support request");
        println!("{GOOD}{engineers} of {}/{} at {at}{GOOD:#}, {looked_at} looked at", moment.tenant, category.as_str());
        if !is_then {
            let then = found.in_force.as_deref().unwrap_or("unknown to the log");
            println!("{BAD}asked of bundle {}; in force then: {then}{BAD:#}", found.policy_version);
        }
        if !found.masked.is_empty() {
            println!("{BAD}not known, because facts are masked: {}{BAD:#}", found.masked.join(", "));
        }
        Ok(is_good)
    }
}

fn tell(could: &str, reader: &Reader) {
    let Reader { engineer, support_request, facts_revision, consents, reason, policies } = reader;
    println!("{engineer} {could} under {support_request}: {}", reason.message);
    let consents = if consents.is_empty() { String::new() } else { format!(", consents {}", consents.join(", ")) };
    let policies: Vec<_> =
        policies.iter().map(|policy| format!("{} ({})", policy.id, policy.rules.join(", "))).collect();
    println!("{QUIET}  {}{consents}, facts of commit {facts_revision}{QUIET:#}", policies.join(", "));
}
