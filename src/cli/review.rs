//! `consentry review`: the questions of a security reviewer, asked of the decision log.
//!
//! They end with 0 when nothing was found that somebody should look at, with 1 when something was, with 2 when they could
//! not look.

mod could_read;
mod reads;
mod reassess;
mod served;
mod unused;

use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::println;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::paint::BAD;
use crate::trail::open_lines;

/// Questions of a security reviewer, asked of the decision log.
#[derive(Debug, Args)]
pub(super) struct Review {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Who could have read a tenant's data at some time, and why.
    CouldRead(could_read::CouldReadArgs),
    /// Every read that was allowed, and the consents behind it.
    Reads(reads::ReadsArgs),
    /// Every allow that a bundle would deny on the same facts.
    Reassess(reassess::ReassessArgs),
    /// Which policies were in force when.
    Served(served::ServedArgs),
    /// Access that was approved and never used.
    Unused(unused::UnusedArgs),
}

impl Review {
    pub(super) fn run(self) -> ExitCode {
        let found = match self.question {
            Question::CouldRead(question) => question.run(),
            Question::Reads(question) => question.run(),
            Question::Reassess(question) => question.run(),
            Question::Served(question) => question.run(),
            Question::Unused(question) => question.run(),
        };
        super::ended(found)
    }
}

/// Which log is asked, and how the answer is told.
#[derive(Debug, Args)]
struct Asked {
    /// The decision log: its folder, or a file of lines.
    #[arg(long, value_name = "LOG")]
    log: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Asked {
    /// The answer that the log gives.
    fn answer<T>(&self, ask: impl FnOnce(Box<dyn BufRead>) -> std::io::Result<T>) -> anyhow::Result<T> {
        let told = || self.log.display().to_string();
        let log = open_lines(&self.log).with_context(told)?;
        ask(Box::new(log)).with_context(told)
    }

    /// Prints the answer as JSON, if that is how it is wanted.
    fn printed<T: Serialize>(&self, answer: &T) -> anyhow::Result<bool> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(answer)?);
        }
        Ok(self.json)
    }
}

/// What a consent covers, for people.
fn scope(scope: crate::model::Scope) -> String {
    let categories: Vec<crate::model::Category> = scope.categories.into();
    let categories: Vec<_> = categories.iter().map(|category| category.as_str()).collect();
    let until =
        scope.until.map_or_else(|| "until the support request closes".to_owned(), |until| format!("until {until}"));
    format!("{}, {until}", categories.join(", "))
}

/// That some of the log's facts cannot be read.
fn tell_masked(lines: u64) {
    if lines > 0 {
        println!("{BAD}the facts of {lines} lines are masked: what they tell of consents is not known{BAD:#}");
    }
}

/// "1 read", "2 reads".
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
