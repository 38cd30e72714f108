//! `consentry policy prove`: the invariants, for every question there is.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::anyhow;
use clap::Args;

use super::{load, write};
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::config;
use crate::policy::{ClaimReport, ClaimStatus, Invariants, ProofReport};
use crate::workbench::example::suite;
use crate::workbench::prove::{Settings, markdown, prove};
use crate::workbench::solver::Solver;

/// Which solver, and how many at once.
#[derive(Debug, Args)]
pub(super) struct Solving {
    /// The solver: a path, or a name on the PATH.
    #[arg(long, value_name = "PROGRAM", env = "CVC5", default_value = "cvc5")]
    solver: PathBuf,
    /// How many solvers work at once.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
}

impl Solving {
    pub(super) fn find(&self) -> anyhow::Result<Solver> {
        Ok(Solver::find(&self.solver)?)
    }

    pub(super) fn workers(&self) -> usize {
        usize::from(self.workers)
    }
}

/// Where what a solver found out is kept.
#[derive(Debug, Args)]
pub(super) struct Keeping {
    /// Where proofs are kept, so that what did not change is not proved again [default: the user's cache directory].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Prove everything anew, and keep nothing.
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
}

impl Keeping {
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let folder = self.cache.clone().or_else(|| config::cache_directory().map(|folder| folder.join("proofs")));
        folder.filter(|_| !self.no_cache)
    }
}

/// Proves every invariant of `policies/invariants/` for every question that the schema allows, or finds a question of
/// which it does not hold.
#[derive(Debug, Args)]
pub(super) struct Prove {
    /// The bundle's directory; the bundle and the invariants that ship with the program when it is left out.
    directory: Option<PathBuf>,
    #[command(flatten)]
    solving: Solving,
    #[command(flatten)]
    keeping: Keeping,
    /// Write the report: JSON when the name ends with `.json`, which `serve` can demand; Markdown otherwise. May be
    /// given more than once.
    #[arg(long = "report", value_name = "FILE")]
    reports: Vec<PathBuf>,
    /// Write the counterexamples as a policy test file.
    #[arg(long, value_name = "FILE")]
    write_rows: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let bundle = load(self.directory.as_deref())?;
        let invariants = invariants(self.directory.as_deref())?;
        let solver = self.solving.find()?;
        let settings = Settings {
            solver: &solver,
            workers: self.solving.workers(),
            cache: self.keeping.folder(),
            progress: &show_progress,
        };
        let report = prove(&bundle, &invariants, &settings).map_err(|error| anyhow!(error))?;
        for path in &self.reports {
            let json = path.extension().is_some_and(|extension| extension == "json");
            let text = if json { format!("{}\n", serde_json::to_string_pretty(&report)?) } else { markdown(&report) };
            write(path, &text)?;
        }
        let rows: Vec<&str> = report
            .claims
            .iter()
            .flat_map(|claim| &claim.counterexamples)
            .filter_map(|one| one.row.as_deref())
            .collect();
        if let Some(path) = &self.write_rows {
            let title = format!("Counterexamples to the invariants, found in bundle {}", report.policy_version);
            write(path, &suite(&title, rows.iter().copied()))?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            tell(&report, self.write_rows.is_none());
        }
        Ok(report.passed)
    }
}

/// Says on a terminal how far the work is.
pub(super) fn show_progress(done: usize, of: usize) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let end = if done == of { "\r\u{1b}[K" } else { "" };
        // Nothing depends on it.
        let _ = write!(terminal, "\r{done} of {of} kinds of question{end}");
    }
}

/// The invariants of the bundle in this directory; the shipped ones when there is none.
pub(super) fn invariants(directory: Option<&Path>) -> anyhow::Result<Invariants> {
    Ok(match directory {
        Some(directory) => Invariants::read(directory)?,
        None => Invariants::shipped()?,
    })
}

fn tell(report: &ProofReport, with_rows: bool) {
    for claim in &report.claims {
        let (style, word) = match claim.status {
            ClaimStatus::Proved => (GOOD, "proved    "),
            ClaimStatus::Violated => (BAD, "VIOLATED  "),
            ClaimStatus::NotProved => (BAD, "NOT PROVED"),
        };
        println!(
            "{style}{word}{style:#}  {}: {}  {QUIET}{}, {}{QUIET:#}",
            claim.rules.join(" "),
            claim.says,
            claim.id,
            effort(claim)
        );
        for assumption in &claim.assuming {
            println!("            assuming {assumption}");
        }
        for why in &claim.why {
            println!("            {why}");
        }
        // One example tells what is wrong; the report has the others.
        if let Some(example) = claim.counterexamples.first() {
            println!("            {QUIET}for example, {}{QUIET:#}", example.environment);
            for line in &example.told {
                println!("            {line}");
            }
            let confirmed = if example.confirmed { "the real engine says so" } else { "NOT confirmed" };
            println!("            answer   {BAD}{}{BAD:#} {QUIET}({confirmed}){QUIET:#}", example.answer);
            if !example.realistic {
                println!("            {QUIET}facts like these never come from the service as it is{QUIET:#}");
            }
            let others: Vec<_> = claim.counterexamples.iter().skip(1).map(|one| one.environment.as_str()).collect();
            if !others.is_empty() {
                println!("            {QUIET}and so of {}{QUIET:#}", others.join(", "));
            }
            if let Some(row) = example.row.as_ref().filter(|_| with_rows) {
                println!("            {QUIET}as a policy test:{QUIET:#}\n{row}");
            }
        }
    }
    let proved = report.claims.iter().filter(|claim| claim.status == ClaimStatus::Proved).count();
    let style = if report.passed { GOOD } else { BAD };
    let seconds = std::time::Duration::from_millis(report.took_ms).as_secs_f64();
    println!(
        "{style}{proved} of {} invariants proved{style:#} over {} kinds of question in {seconds:.1} s  {QUIET}bundle {}, \
         invariants {}, {}{QUIET:#}",
        report.claims.len(),
        report.environments,
        report.policy_version,
        report.invariants_digest,
        report.solver
    );
}

fn effort(claim: &ClaimReport) -> String {
    format!("{} queries, {} kept, {} ms", claim.queries, claim.cached, claim.took_ms)
}
