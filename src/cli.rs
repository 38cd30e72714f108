//! The command line: one small file a subcommand; no logic.

mod demo;
#[cfg(feature = "workbench")]
mod policy;
mod serve;
mod telemetry;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The authorization sidecar between a vendor's support engineers and its customers' diagnostic data.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the sidecar until it is told to stop (SIGTERM or SIGINT).
    Serve(serve::Serve),
    /// Plays the stories of support access on a server of its own, then keeps serving for you to try.
    Demo(demo::Demo),
    /// Tools for whoever writes or reviews policies.
    #[cfg(feature = "workbench")]
    Policy(policy::Policy),
    /// Mints a token from a local key, for development alone.
    Token(token::Token),
}

impl Cli {
    /// Carries out the command, and says how the program ends.
    ///
    /// # Errors
    /// Whatever stopped it, for people to read.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => serve.run()?,
            Command::Demo(demo) => demo.run()?,
            #[cfg(feature = "workbench")]
            Command::Policy(policy) => return Ok(policy.run()),
            Command::Token(token) => token.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
