//! The `consentry` program.

use std::process::ExitCode;

use clap::Parser;
use consentry::cli::Cli;

/// An error with its causes, each told once: many of ours name their cause in their own sentence.
fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = cause.to_string();
        match (told.is_empty(), told.contains(&cause)) {
            (true, _) => cause,
            (false, true) => told,
            (false, false) => format!("{told}: {cause}"),
        }
    })
}

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the program's last word, also before logs are set up")]
            {
                eprintln!("error: {}", told(&error));
            }
            ExitCode::FAILURE
        }
    }
}
