//! `consentry policy test`: rows, answers, coverage.

use std::path::PathBuf;

use anstream::println;
use anyhow::bail;
use clap::Args;

use super::{load, write};
use crate::cli::paint::{BAD, GOOD, QUIET};
use crate::workbench::coverage::{ConditionCoverage, Coverage};
use crate::workbench::run::{Outcome, run};
use crate::workbench::suite::{Suite, schema};
use crate::workbench::{cedar_tests, report};

/// Runs every `policies/tests/*.toml` of the bundle.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// The bundle's directory; the bundle and the tests that ship with the program when it is left out.
    directory: Option<PathBuf>,
    /// Run this test file instead of the bundle's own. May be given more than once.
    #[arg(long = "tests", value_name = "FILE")]
    tests: Vec<PathBuf>,
    /// Print the JSON schema of test files, for editors, and run nothing.
    #[arg(long, conflicts_with_all = ["directory", "tests", "cedar_tests", "min_coverage", "junit", "lcov", "html"])]
    schema: bool,
    /// Run this test file of the `cedar` command line's `run-tests` as well. May be given more than once.
    #[arg(long = "cedar-tests", value_name = "FILE")]
    cedar_tests: Vec<PathBuf>,
    /// Fail when less than this share of the policies has settled an answer, or of the conditions is covered.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Show every row, not just those that do not hold.
    #[arg(long, short)]
    verbose: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Write the results as `JUnit` XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the coverage as an lcov trace file.
    #[arg(long, value_name = "FILE")]
    lcov: Option<PathBuf>,
    /// Write the coverage as a page of HTML.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<bool> {
        if self.schema {
            println!("{}", serde_json::to_string_pretty(&schema())?);
            return Ok(true);
        }
        let bundle = load(self.directory.as_deref())?;
        let suites = self.suites()?;
        let outcome = run(&bundle, &suites);
        if let Some(path) = &self.junit {
            write(path, &report::junit(&outcome)?)?;
        }
        if let Some(path) = &self.lcov {
            write(path, &report::lcov(&outcome.coverage))?;
        }
        if let Some(path) = &self.html {
            write(path, &report::html(&bundle, &outcome.coverage))?;
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&outcome)?);
        } else {
            self.tell(&outcome);
        }
        let enough = self.min_coverage.is_none_or(|least| outcome.coverage.percent() >= usize::from(least));
        Ok(outcome.failed().next().is_none() && enough)
    }

    fn suites(&self) -> anyhow::Result<Vec<Suite>> {
        let mut wrong = Vec::new();
        let mut suites = Vec::new();
        if self.tests.is_empty() && self.cedar_tests.is_empty() {
            let read = match &self.directory {
                Some(directory) => Suite::read_all(&directory.join("policies/tests")),
                None => Suite::shipped(),
            };
            match read {
                Ok(read) => suites.extend(read),
                Err(errors) => wrong.extend(errors),
            }
        }
        for path in &self.tests {
            match Suite::read(path) {
                Ok(suite) => suites.push(suite),
                Err(error) => wrong.push(error),
            }
        }
        for path in &self.cedar_tests {
            match cedar_tests::read(path) {
                Ok(suite) => suites.push(suite),
                Err(error) => wrong.push(error),
            }
        }
        if !wrong.is_empty() {
            let told: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            bail!("{}", told.join("\n"));
        }
        if suites.iter().all(|suite| suite.rows.is_empty()) {
            bail!("there is no row to run: write `policies/tests/*.toml`, or name a file with --tests");
        }
        Ok(suites)
    }

    fn tell(&self, outcome: &Outcome) {
        for row in &outcome.rows {
            if !row.wrong.is_empty() {
                println!("{BAD}FAIL{BAD:#}  {}  {QUIET}{}:{}{QUIET:#}", row.name(), row.file, row.line);
                for wrong in &row.wrong {
                    println!("      {wrong}");
                }
            } else if self.verbose {
                println!("{GOOD}ok{GOOD:#}    {}", row.name());
            }
        }
        let failed = outcome.failed().count();
        let style = if failed == 0 { GOOD } else { BAD };
        println!(
            "{style}{} rows, {failed} failed{style:#}  {QUIET}bundle {}{QUIET:#}",
            outcome.rows.len(),
            outcome.policy_version
        );
        self.tell_coverage(&outcome.coverage);
    }

    fn tell_coverage(&self, coverage: &Coverage) {
        let (policies, conditions) = (coverage.of_policies(), coverage.of_conditions());
        println!(
            "coverage: {} of {} policies settled an answer, {} of {} conditions covered",
            policies.covered, policies.all, conditions.covered, conditions.all
        );
        for policy in &coverage.policies {
            if policy.determined == 0 {
                println!("  {QUIET}{}:{}{QUIET:#} `{}` settled no row", policy.file, policy.line, policy.id);
            }
            for condition in policy.conditions.iter().filter(|condition| !condition.is_covered()) {
                let line = condition.line.unwrap_or(policy.line);
                let missing = missing(condition);
                println!("  {QUIET}{}:{line}{QUIET:#} `{}` of `{}` {missing}", policy.file, condition.text, policy.id);
            }
        }
        if let Some(least) = self.min_coverage
            && coverage.percent() < usize::from(least)
        {
            println!("{BAD}the coverage is {} %, at least {least} % is asked for{BAD:#}", coverage.percent());
        }
    }
}

fn missing(condition: &ConditionCoverage) -> String {
    let lacks = [
        (condition.seen_true == 0, "was never true"),
        (condition.seen_false == 0, "was never false"),
        (condition.decisive == 0, "never decided alone"),
    ];
    lacks.into_iter().filter_map(|(lacks, words)| lacks.then_some(words)).collect::<Vec<_>>().join(", ")
}
