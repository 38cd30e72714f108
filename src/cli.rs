//! The command line: one small file a subcommand; no logic.

mod audit;
mod demo;
#[cfg(feature = "etcd")]
mod fleet;
#[cfg(feature = "workbench")]
mod paint;
#[cfg(feature = "workbench")]
mod policy;
mod receipt;
#[cfg(feature = "workbench")]
mod review;
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
    /// Questions of a security reviewer, asked of the decision log.
    #[cfg(feature = "workbench")]
    Review(review::Review),
    /// How the processes that share a store are doing.
    #[cfg(feature = "etcd")]
    Fleet(fleet::Fleet),
    /// Verifies receipts of approvals.
    Receipt(receipt::Receipt),
    /// Checks decision logs, and proves what they hold.
    Audit(audit::Audit),
    /// Mints a token from a local key, for development alone.
    Token(token::Token),
}

/// How a tool's program ends: 0 when everything is as it should be, 1 when something was found, 2 when it could not look.
#[cfg(any(feature = "workbench", feature = "etcd"))]
fn ended(found: anyhow::Result<bool>) -> ExitCode {
    match found {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
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
            #[cfg(feature = "workbench")]
            Command::Review(review) => return Ok(review.run()),
            #[cfg(feature = "etcd")]
            Command::Fleet(fleet) => return Ok(ended(fleet.run())),
            Command::Receipt(receipt) => receipt.run()?,
            Command::Audit(audit) => return Ok(audit.run()),
            Command::Token(token) => token.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
