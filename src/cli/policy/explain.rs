//! `consentry policy explain`: why an answer is what it is.

use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::{Context as _, bail};
use clap::Args;

use super::load;
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::trail::open_lines;
use crate::workbench::explain::{ExplainedPolicy, Explanation, explain};
use crate::workbench::recorded::{Log, RecordedDecision};
use crate::workbench::run::ask;
use crate::workbench::suite::{Expected, Suite, Wanted};

/// Explains one answer: what decided, what each condition came to, and for a denial what is missing.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The bundle's directory; the bundle that ships with the program when it is left out.
    directory: Option<PathBuf>,
    /// Explain this decision of the decision log.
    #[arg(long, value_name = "ID", requires = "log", conflicts_with = "tests")]
    decision: Option<String>,
    /// The decision log: its folder, or a file of lines.
    #[arg(long, value_name = "LOG", requires = "decision")]
    log: Option<PathBuf>,
    /// Explain a row of this test file.
    #[arg(long, value_name = "FILE", requires = "line", required_unless_present = "decision")]
    tests: Option<PathBuf>,
    /// The line at which the row stands.
    #[arg(long, value_name = "LINE", requires = "tests")]
    line: Option<usize>,
    /// Print the explanation as JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let bundle = load(self.directory.as_deref())?;
        let wanted = match (&self.log, &self.decision, &self.tests, self.line) {
            (Some(log), Some(id), ..) => {
                let decision = find(log, id)?;
                if decision.policy_version != bundle.version().as_str() && !self.json {
                    println!(
                        "{BAD}decided by the bundle {}, explained by the bundle {}{BAD:#}",
                        decision.policy_version,
                        bundle.version()
                    );
                }
                decision.question.map_err(anyhow::Error::msg)?
            }
            (_, _, Some(tests), Some(line)) => row(tests, line)?,
            _ => bail!("name a decision and its log, or a test file and a line"),
        };
        let (verdict, traces) = ask(&bundle, &wanted).map_err(anyhow::Error::msg)?;
        let explanation = explain(&bundle, &verdict, &traces);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&explanation)?);
        } else {
            tell(&explanation);
        }
        Ok(true)
    }
}

fn find(log: &Path, id: &str) -> anyhow::Result<RecordedDecision> {
    for decision in Log::new(open_lines(log).with_context(|| log.display().to_string())?) {
        let decision = decision.with_context(|| log.display().to_string())?;
        if decision.id == id {
            return Ok(decision);
        }
    }
    bail!("{} holds no decision `{id}`", log.display())
}

fn row(tests: &Path, line: usize) -> anyhow::Result<Wanted> {
    let suite = Suite::read(tests)?;
    let row = suite.rows.into_iter().rev().find(|row| row.place.line <= line);
    row.map(|row| row.wanted).with_context(|| format!("{} has no row at line {line}", tests.display()))
}

fn tell(explanation: &Explanation) {
    let answer = &explanation.answer;
    let (style, word) = match answer.decision {
        Expected::Allow => (GOOD, "ALLOW"),
        Expected::Deny => (BAD, "DENY"),
    };
    println!("{style}{word}{style:#}  {}: {}", answer.reason.code, answer.reason.message);
    for (policy, error) in &answer.failed {
        println!("{BAD}`{policy}` failed{BAD:#}: {error}");
    }
    println!("\ndecided by");
    let policies = &explanation.policies;
    if policies.determining.is_empty() {
        println!("  no policy: nothing permits it (R1)");
    }
    policies.determining.iter().for_each(tell_policy);
    if !policies.nearest_permits.is_empty() {
        println!("\nnearest permits");
        policies.nearest_permits.iter().for_each(tell_policy);
    }
}

fn tell_policy(policy: &ExplainedPolicy) {
    let unmet = match policy.unmet.len() {
        0 => String::new(),
        count => format!(", {count} of {} conditions unmet", policy.conditions.len()),
    };
    println!(
        "  {} ({}){unmet}  {QUIET}{}:{}{QUIET:#}\n    {}",
        policy.id,
        policy.rules.join(" "),
        policy.file,
        policy.line,
        policy.reason
    );
    for (at, condition) in policy.conditions.iter().enumerate() {
        let (style, mark) = match (condition.truth.as_str(), policy.unmet.contains(&at)) {
            (_, true) => (BAD, "unmet"),
            ("true", false) => (GOOD, "true "),
            ("false", false) => (QUIET, "false"),
            (_, false) => (BAD, "fails"),
        };
        println!("    {style}{mark}{style:#}  {}", condition.text);
        for (path, value) in &condition.facts {
            println!("           {QUIET}{path}: {value}{QUIET:#}");
        }
    }
}
