//! `consentry policy`: the policy author's and reviewer's tools.
//!
//! They end with 0 when everything is as it should be, with 1 when they found something, with 2 when they could not look.

mod bundle;
mod check;
mod diff;
mod explain;
mod prove;
mod replay;
mod shadow;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::policy::{Bundle, BundleSource};

/// Tools for whoever writes or reviews policies.
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    /// Packs, signs and verifies bundles.
    Bundle(bundle::BundleTool),
    /// Checks a bundle: syntax, types, annotations, form, and lints.
    Check(check::Check),
    /// Explains one answer: what decided, and for a denial what is missing.
    Explain(explain::Explain),
    /// Asks a bundle what the decision log says was asked before.
    Replay(replay::Replay),
    /// Tells what a shadow bundle would have decided otherwise.
    Shadow(shadow::Shadow),
    /// Says what an edit changes, for every question there is, with examples.
    Diff(diff::Diff),
    /// Proves the invariants, or finds a question of which one does not hold.
    Prove(prove::Prove),
    /// Runs the policy tests, and says which policies and conditions they have seen.
    Test(test::Test),
}

impl Policy {
    pub(super) fn run(self) -> ExitCode {
        let found = match self.tool {
            Tool::Bundle(bundle) => bundle.run(),
            Tool::Check(check) => check.run(),
            Tool::Explain(explain) => explain.run(),
            Tool::Replay(replay) => replay.run(),
            Tool::Diff(diff) => diff.run(),
            Tool::Prove(prove) => prove.run(),
            Tool::Shadow(shadow) => shadow.run(),
            Tool::Test(test) => test.run(),
        };
        super::ended(found)
    }
}

/// Loads the bundle in this directory; the shipped one when there is none.
pub(super) fn load(directory: Option<&Path>) -> anyhow::Result<Bundle> {
    let source = match directory {
        Some(directory) => BundleSource::read(directory)?,
        None => BundleSource::shipped(),
    };
    Ok(Bundle::load(&source)?)
}

fn write(path: &PathBuf, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
