//! `consentry policy diff`: what an edit changes, for every question there is.

use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use super::load;
use super::prove::{Solving, invariants, show_progress};
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::trail::open_lines;
use crate::workbench::diff::{Change, Diff as Found, Difference, LogChanges, Settings, diff, logged};
use crate::workbench::suite::Suite;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    MorePermissive,
    LessPermissive,
    Any,
}

/// Says for each action, kind of principal and kind of resource what an edit changes: nothing (proved), only more, only
/// less, or both, with examples; which policy tests change their answers; and which decisions of a log would.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The old bundle's directory and the new one's.
    #[arg(value_names = ["OLD", "NEW"], num_args = 1..=2, required = true)]
    directories: Vec<PathBuf>,
    /// The bundle that ships with the program is the old one; name the new one alone.
    #[arg(long)]
    shipped: bool,
    #[command(flatten)]
    solving: Solving,
    /// A decision log: tell of each of its decisions that the two bundles make differently.
    #[arg(long, value_name = "LOG")]
    log: Option<PathBuf>,
    /// End with 1 when the edit is of this kind; `any` counts logged decisions with another reason, too.
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let (old, new) = match (self.directories.as_slice(), self.shipped) {
            ([old, new], false) => (Some(old.as_path()), new.as_path()),
            ([new], true) => (None, new.as_path()),
            _ => bail!("name two directories, OLD and NEW, or one with --shipped"),
        };
        let (old_bundle, new_bundle) = (load(old)?, load(Some(new))?);
        let mut suites = suites(old)?;
        suites.extend(self::suites(Some(new))?);
        let invariants = invariants(Some(new))?;
        let solver = self.solving.find()?;
        let settings = Settings {
            solver: &solver,
            workers: self.solving.workers(),
            invariants: &invariants,
            suites: &suites,
            progress: &show_progress,
        };
        let log = self.log.as_ref().map(|path| -> anyhow::Result<LogChanges> {
            let told = || path.display().to_string();
            let log = open_lines(path).with_context(told)?;
            logged(&old_bundle, &new_bundle, log).with_context(told)
        });
        let log = log.transpose()?;
        let found = diff(&old_bundle, &new_bundle, &settings).map_err(|error| anyhow!(error))?;
        let found = Found { log, ..found };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found)?);
        } else {
            tell(&found);
        }
        if let Some(kind) = found.unknown().next() {
            bail!("{} could not be compared: {}", kind.environment, kind.notes.join("; "));
        }
        Ok(match self.fail_on {
            None => true,
            Some(FailOn::MorePermissive) => !found.allows_more(),
            Some(FailOn::LessPermissive) => !found.allows_less(),
            Some(FailOn::Any) => {
                let logged = found.log.as_ref().is_some_and(|log| log.all() > 0);
                !found.allows_more() && !found.allows_less() && !logged
            }
        })
    }
}

fn suites(directory: Option<&Path>) -> anyhow::Result<Vec<Suite>> {
    let read = match directory {
        Some(directory) => Suite::read_all(&directory.join("policies/tests")),
        None => Suite::shipped(),
    };
    read.map_err(|errors| anyhow!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

fn tell(found: &Found) {
    let equal = found.kinds.iter().filter(|kind| kind.change == Change::Equal).count();
    if found.schemas_differ {
        println!("the schemas differ: facts are those that the new one knows");
    }
    for kind in found.kinds.iter().filter(|kind| kind.change != Change::Equal || kind.only_in.is_some()) {
        let (style, words) = match kind.change {
            Change::Equal => (GOOD, "equal"),
            Change::More => (BAD, "allows more"),
            Change::Less => (BAD, "allows less"),
            Change::Both => (BAD, "allows more and less"),
            Change::Unknown => (BAD, "not known"),
        };
        let only = kind.only_in.map(|side| format!(" (only the {side} schema has it)")).unwrap_or_default();
        println!("{style}{words}{style:#}  {}{only}", kind.environment);
        for note in &kind.notes {
            println!("    {note}");
        }
        for one in &kind.newly_allowed {
            tell_one("newly allowed", one);
        }
        for one in &kind.newly_denied {
            tell_one("newly denied", one);
        }
    }
    for test in &found.tests {
        println!(
            "{BAD}test{BAD:#}  {}: {} before, {} now, expects {}  {QUIET}{}:{}{QUIET:#}",
            test.name, test.old, test.new, test.expects, test.file, test.line
        );
    }
    if let Some(log) = &found.log {
        tell_log(log);
    }
    let seconds = std::time::Duration::from_millis(found.took_ms).as_secs_f64();
    println!(
        "{equal} of {} kinds of question are answered as before, {} policy tests change their answer  {QUIET}{} to {}, {} \
         in {seconds:.1} s{QUIET:#}",
        found.kinds.len(),
        found.tests.len(),
        found.old,
        found.new,
        found.solver
    );
}

fn tell_log(log: &LogChanges) {
    for one in &log.changed {
        println!(
            "{BAD}decision{BAD:#}  {}: {} before, {} now  {QUIET}{} {}{QUIET:#}",
            one.asked, one.old, one.new, one.time, one.decision_id
        );
    }
    let left_out = log.all().saturating_sub(log.changed.len() as u64);
    if left_out > 0 {
        println!("{QUIET}and {left_out} more{QUIET:#}");
    }
    for (why, count) in &log.unasked {
        println!("{QUIET}{count} decisions cannot be asked again: {why}{QUIET:#}");
    }
    println!(
        "of {} logged decisions {} would now be allowed, {} would now be denied, {} would have another reason",
        log.decisions, log.newly_allowed, log.newly_denied, log.other_reason
    );
}

fn tell_one(word: &str, one: &Difference) {
    let through = if one.through.is_empty() { String::new() } else { format!(", through {}", one.through) };
    println!("    {word}{through}");
    for line in &one.told {
        println!("      {line}");
    }
    let confirmed = if one.confirmed { "" } else { "  NOT confirmed by the real engine" };
    println!("      before   {}\n      now      {}{BAD}{confirmed}{BAD:#}", one.old, one.new);
    if !one.realistic {
        println!("      {QUIET}facts like these never come from the service as it is{QUIET:#}");
    }
}
