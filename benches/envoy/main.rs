//! Requests to a diagnostic API through a real Envoy: without asking, asking Consentry, and Consentry's own part by gRPC.
//!
//! `cargo bench --bench envoy -- [--cases 1000] [--connections 1,16] [--rounds 5] [--seconds 2]`
//!
//! Envoy, Consentry and the API run as processes of their own on one core, the load on the other; the rows take turns in
//! every round, and medians are reported. What asking costs is the difference between the first two rows. Envoy is the one
//! that `./test` installs. Loopback only, and it ends by itself.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

#[allow(dead_code, reason = "decisions by HTTP are not measured here")]
#[path = "../load/client.rs"]
mod client;
#[path = "../fixture.rs"]
mod fixture;
mod grpc;
#[path = "../processes.rs"]
mod processes;
mod servers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::{Connection, Request, load};
use fixture::{Asked, Failure, fill, questions};
use processes::option;
use servers::{Process, prepare, token};

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve-ours") => {
            processes::pin(0);
            processes::serve_ours(Path::new(arguments.get(1).ok_or("no folder")?))
        }
        Some("serve-api") => servers::serve_api(),
        _ => measure(&arguments),
    }
}

/// One way of asking, and how long each answer took, round by round.
struct Row {
    name: &'static str,
    connections: usize,
    rounds: Vec<Vec<Duration>>,
    lasted: Vec<Duration>,
}

fn measure(arguments: &[String]) -> Result<(), Failure> {
    let cases: usize = option(arguments, "cases", "1000").parse()?;
    let rounds: usize = option(arguments, "rounds", "5").parse()?;
    let seconds = Duration::from_secs(option(arguments, "seconds", "2").parse()?);
    let connections = option(arguments, "connections", "1,16");
    let connections = connections.split(',').map(str::parse::<usize>).collect::<Result<Vec<_>, _>>()?;
    processes::pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    runtime.block_on(fill(&folder.path().join("store.db"), cases))?;
    let key = prepare(folder.path())?;
    let _ours = Process::ours(folder.path())?;
    let api = Process::api()?;
    let plain = Process::envoy(folder.path(), "plain", &api.address, false)?;
    let asking = Process::envoy(folder.path(), "asking", &api.address, true)?;
    let asked: Vec<Asked> = questions(cases, 2_000).into_iter().filter(|asked| asked.allowed).collect();
    let sent = asked.iter().map(|asked| Ok(Request::written(head(asked, &token(&key, &asked.engineer)?))));
    let sent = Arc::new(sent.collect::<Result<Vec<Request>, Failure>>()?);
    let messages = asked.iter().map(|asked| Ok(grpc::message(asked, &token(&key, &asked.engineer)?)));
    let messages = Arc::new(messages.collect::<Result<Vec<_>, Failure>>()?);
    runtime.block_on(check(&asking, &asked, &key))?;
    let mut rows = Vec::new();
    for connections in connections {
        for name in ["envoy alone", "envoy asking", "gRPC check"] {
            rows.push(Row { name, connections, rounds: Vec::new(), lasted: Vec::new() });
        }
    }
    for _ in 0..rounds {
        for row in &mut rows {
            let (took, lasted) = runtime.block_on(async {
                match row.name {
                    "envoy alone" => load(&plain.address, &sent, row.connections, seconds, 0).await,
                    "envoy asking" => load(&asking.address, &sent, row.connections, seconds, 0).await,
                    _ => grpc::load(folder.path(), &messages, row.connections, seconds).await,
                }
            })?;
            row.rounds.push(took);
            row.lasted.push(lasted);
        }
    }
    report(rows);
    Ok(())
}

/// The request to the API that asks this.
fn head(asked: &Asked, token: &str) -> String {
    let Asked { resource, support_request, .. } = asked;
    format!(
        "GET /v1/{resource} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         X-Support-Request: {support_request}\r\n\r\n"
    )
}

/// What answers wrongly is not worth measuring: what is allowed reaches the API, and nothing else does.
async fn check(envoy: &Process, asked: &[Asked], key: &servers::Key) -> Result<(), Failure> {
    let mut connection = Connection::open(&envoy.address).await?;
    let first = asked.first().ok_or("no question")?;
    let mut found = Vec::new();
    for engineer in [first.engineer.as_str(), "vendor/nobody"] {
        let mut request = Request::written(head(first, &token(key, engineer)?));
        found.push(connection.ask(request.bytes(0)).await?.0);
    }
    if found == [200, 403] { Ok(()) } else { Err(format!("answered {found:?}").into()) }
}

fn report(rows: Vec<Row>) {
    println!(
        "{:<14} {:>5} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "conns", "per s", "p50 us", "p90 us", "p99 us", "p99.9 us"
    );
    for mut row in rows {
        let mut figures: Vec<[f64; 5]> = Vec::new();
        for (took, lasted) in row.rounds.iter_mut().zip(&row.lasted) {
            took.sort_unstable();
            let at = |share: usize| took.get(took.len() * share / 1000).map_or(0.0, |took| took.as_secs_f64() * 1e6);
            let answered = f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX));
            figures.push([answered / lasted.as_secs_f64(), at(500), at(900), at(990), at(999)]);
        }
        let median = |column: usize| {
            let mut values: Vec<f64> = figures.iter().filter_map(|figures| figures.get(column).copied()).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        let [rate, p50, p90, p99, p999] = [0, 1, 2, 3, 4].map(median);
        let (name, connections) = (row.name, row.connections);
        println!("{name:<14} {connections:>5} {rate:>10.0} {p50:>10.0} {p90:>10.0} {p99:>10.0} {p999:>10.0}");
    }
}
