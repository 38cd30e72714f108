//! The fleet at scale, on loopback: what a revocation costs with many members, how fast a member starts and follows, and
//! what a lease costs a decision.
//!
//! `cargo bench --features etcd --bench fleet -- --members 8,100 [--revocations-per-second 20] [--seconds 20] [--acknowledge-ms 20]`
//!
//! `... -- --requests 100000 [--seconds 10]`
//!
//! `... -- --decisions 20000 [--rounds 7]`
//!
//! An etcd of three members, the authority and the sidecars that are measured are processes of their own; the members of
//! `--members` share this one, and each has its own connection, watch and renewals. It ends by itself.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../load/client.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod client;
mod cluster;
mod decisions;
#[path = "../fixture.rs"]
mod fixture;
mod followed;
mod members;
#[path = "../processes.rs"]
mod processes;
mod revocations;
#[path = "../load/servers.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod servers;
mod stage;

use std::path::Path;

use fixture::Failure;

pub(crate) const EVALUATION: &str = "/access/v1/evaluation";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|argument| argument == "serve-ours") {
        return processes::serve_ours(Path::new(arguments.get(1).ok_or("no folder")?));
    }
    let options = Options::of(&arguments)?;
    if let Some(requests) = options.requests {
        return followed::measure(requests, options.seconds);
    }
    if let Some(cases) = options.decisions {
        return decisions::compare(cases, options.rounds);
    }
    for members in &options.members {
        revocations::measure(*members, &options)?;
    }
    Ok(())
}

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) members: Vec<usize>,
    pub(crate) per_second: u32,
    pub(crate) seconds: u64,
    pub(crate) acknowledge_ms: u64,
    requests: Option<usize>,
    decisions: Option<usize>,
    rounds: usize,
}

impl Options {
    /// Refuses what it does not know: a slip would run for minutes, and measure something else.
    fn of(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            members: vec![8],
            per_second: 20,
            seconds: 10,
            acknowledge_ms: 20,
            requests: None,
            decisions: None,
            rounds: 7,
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("`{name}` has no value"))?;
            match name.as_str() {
                "--members" => options.members = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--revocations-per-second" => options.per_second = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--acknowledge-ms" => options.acknowledge_ms = value.parse()?,
                "--requests" => options.requests = Some(value.parse()?),
                "--decisions" => options.decisions = Some(value.parse()?),
                "--rounds" => options.rounds = value.parse()?,
                unknown => return Err(format!("`{unknown}` is no option").into()),
            }
        }
        if options.per_second == 0 || options.seconds == 0 {
            return Err("there is nothing to measure in no time".into());
        }
        Ok(options)
    }
}
