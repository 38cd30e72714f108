//! Decisions over HTTP, beside a bare axum handler that parses the same JSON and gives the same bytes.
//!
//! `cargo bench --bench load -- [--cases 1000,100000] [--connections 1,16,64] [--rounds 5] [--seconds 2] [--rows tcp,unix]`
//!
//! All servers run as processes of their own on one core, the load on the other; the rows take turns in every round, and
//! medians are compared. Read the ratios and the processor time: absolute rates on a shared machine say little.
//! Loopback only, and it ends by itself.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

mod client;
#[path = "../fixture.rs"]
mod fixture;
mod grants;
#[path = "../processes.rs"]
mod processes;
mod servers;
mod table;
mod writers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use consentry::client::{Client, ReadQuestion, Semantic};

use client::{Address, Connection, DIGITS, Request, Round, load};
use fixture::{Asked, Failure, fill, questions};
use processes::{option, pin};
use servers::{People, Server, prepare, socket};
use table::{Row, report};
use tokio::runtime::Runtime;
use writers::Revocations;

const HOT: usize = 2_000;
/// Questions of one batch while a server is being checked.
const AT_ONCE: usize = 500;
pub(crate) const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve-ours") => {
            pin(0);
            processes::serve_ours(Path::new(arguments.get(1).ok_or("no folder")?))
        }
        Some("serve-floor") => servers::serve_floor(arguments.get(1).ok_or("no answer")?.clone()),
        Some("serve-grants") => {
            grants::serve(Path::new(arguments.get(1).ok_or("no folder")?), arguments.get(2).ok_or("no address")?)
        }
        Some("grants-questions") => grants::write_questions(Path::new(arguments.get(1).ok_or("no folder")?)),
        _ => {
            known(&arguments)?;
            compare(&arguments)
        }
    }
}

/// The options of a comparison, and what cargo adds of its own.
const OPTIONS: [&str; 5] = ["--cases", "--connections", "--rounds", "--rows", "--seconds"];

/// Refuses what it does not know: a slip would run for minutes, and measure something else.
fn known(arguments: &[String]) -> Result<(), Failure> {
    let mut rest = arguments.iter().filter(|argument| *argument != "--bench");
    while let Some(name) = rest.next() {
        if !OPTIONS.contains(&name.as_str()) || rest.next().is_none() {
            return Err(format!("`{name}`: the options are {}, each with a value", OPTIONS.join(", ")).into());
        }
    }
    Ok(())
}

fn numbers(text: &str) -> Result<Vec<usize>, Failure> {
    text.split(',').map(|number| Ok(number.trim().parse()?)).collect()
}

/// What the rows ask, by how likely the answer is remembered, and how many at once.
struct Requests {
    hot: Arc<Vec<Request>>,
    nine_of_ten: Arc<Vec<Request>>,
    new: Arc<Vec<Request>>,
    batches: Vec<(usize, Arc<Vec<Request>>)>,
}

impl Requests {
    fn of(asked: &[Asked], token: &str) -> Self {
        let hot = |asked: &Asked| Request::new(EVALUATION, token, &asked.body());
        let new = |asked: &Asked| {
            let resource = format!("{}/{DIGITS}", asked.resource);
            Request::new(EVALUATION, token, &Asked { resource, ..asked.clone() }.body())
        };
        let mixed = asked.iter().enumerate().map(|(at, asked)| if at % 10 == 0 { new(asked) } else { hot(asked) });
        let batch = |asked: &[Asked]| {
            let bodies: Vec<String> = asked.iter().map(Asked::body).collect();
            Request::new(EVALUATIONS, token, &format!("{{\"evaluations\":[{}]}}", bodies.join(",")))
        };
        let batches = [10, 100].map(|size| (size, Arc::new(asked.chunks_exact(size).map(batch).collect())));
        Self {
            hot: Arc::new(asked.iter().map(hot).collect()),
            nine_of_ten: Arc::new(mixed.collect()),
            new: Arc::new(asked.iter().map(new).collect()),
            batches: batches.into(),
        }
    }
}

fn compare(arguments: &[String]) -> Result<(), Failure> {
    let cases = numbers(&option(arguments, "cases", "1000,100000"))?;
    let connections = numbers(&option(arguments, "connections", "1,16,64"))?;
    let rounds: usize = option(arguments, "rounds", "5").parse()?;
    let seconds: u64 = option(arguments, "seconds", "2").parse()?;
    let wanted = option(arguments, "rows", "");
    pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for n in cases {
        let (folder, synced) = (tempfile::tempdir()?, tempfile::tempdir()?);
        runtime.block_on(fill(&folder.path().join("store.db"), n))?;
        std::fs::copy(folder.path().join("store.db"), synced.path().join("store.db"))?;
        let people = prepare(folder.path(), "written")?;
        let others = prepare(synced.path(), "synced")?;
        let ours = Server::ours(folder.path())?;
        println!("\n{n} live access requests: ready in {:?}, {} MB resident", ours.ready_in, ours.resident_mb()?);
        let syncing = Server::ours(synced.path())?;
        let asked = questions(n, HOT);
        let requests = Requests::of(&asked, &people.tooling()?);
        let sample = runtime.block_on(check(&ours.tcp, &people.tooling()?, &asked, &requests.hot))?;
        let for_synced = Requests::of(&asked, &others.tooling()?);
        runtime.block_on(check(&syncing.tcp, &others.tooling()?, &asked, &for_synced.hot))?;
        let floor = Server::floor(&sample)?;
        let unix = Address::Unix(socket(folder.path()));
        let mut rows = Vec::new();
        for count in &connections {
            rows.push(Row::new("floor", *count, &floor, &floor.tcp, &requests.hot));
            rows.push(Row::new("tcp", *count, &ours, &ours.tcp, &requests.hot));
            rows.push(Row::new("unix", *count, &ours, &unix, &requests.hot));
            rows.push(Row::new("synced", *count, &syncing, &syncing.tcp, &for_synced.hot));
        }
        rows.push(Row::new("90 % hits", 16, &ours, &ours.tcp, &requests.nine_of_ten));
        rows.push(Row::new("0 % hits", 16, &ours, &ours.tcp, &requests.new));
        for (size, batch) in &requests.batches {
            rows.push(Row { size: *size, ..Row::new("batch", 1, &ours, &ours.tcp, batch) });
            rows.push(Row { size: *size, ..Row::new("batch", 16, &ours, &ours.tcp, batch) });
        }
        if n >= 10_000 {
            rows.push(Row { revoking: true, ..Row::new("revoking", 16, &ours, &ours.tcp, &requests.hot) });
        }
        rows.retain(|row| {
            wanted.is_empty() || row.name == "floor" || wanted.split(',').any(|name| row.name.contains(name))
        });
        let mut revocations = Revocations::over(n);
        for round in 0..rounds {
            for row in &mut rows {
                row.measure(&runtime, Duration::from_secs(seconds), round as u64, &people, &mut revocations)?;
            }
        }
        report(&rows);
        println!("after the load: {} MB resident", ours.resident_mb()?);
    }
    Ok(())
}

impl Row<'_> {
    fn measure(
        &mut self,
        runtime: &Runtime,
        duration: Duration,
        round: u64,
        people: &People,
        revocations: &mut Revocations,
    ) -> Result<(), Failure> {
        let before = self.server.cpu()?;
        let reading = load(self.address, &self.requests, self.connections, duration, round * 10_000_000);
        let (took, lasted) = if self.revoking {
            let (read, revoked) =
                runtime.block_on(async { tokio::join!(reading, revocations.run(&self.server.tcp, people, duration)) });
            self.revoked.extend(revoked?);
            read?
        } else {
            runtime.block_on(reading)?
        };
        self.rounds.push(Round::of(took, lasted, self.server.cpu()?.saturating_sub(before))?);
        Ok(())
    }
}

fn question(asked: &Asked) -> Result<ReadQuestion, Failure> {
    let (tenant, category) = asked.resource.split_once('/').ok_or("a resource without a category")?;
    Ok(ReadQuestion {
        engineer: asked.engineer.parse()?,
        verb: "read".to_owned(),
        tenant: tenant.parse()?,
        category: category.parse()?,
        item: None,
        support_request: asked.support_request.parse()?,
    })
}

/// A server that answers wrongly is not worth measuring. Gives the answer to the first question.
async fn check(address: &Address, token: &str, asked: &[Asked], requests: &[Request]) -> Result<String, Failure> {
    let client = match address {
        Address::Tcp(address) => Client::tcp(&format!("http://{address}")).token(token),
        Address::Unix(socket) => Client::unix(socket),
    };
    let client = client.timeout(Duration::from_secs(60)).build()?;
    for some in asked.chunks(AT_ONCE) {
        let questions = some.iter().map(question).collect::<Result<Vec<_>, Failure>>()?;
        let decisions = client.ask_all(&questions, Semantic::ExecuteAll).await?;
        for (asked, decision) in some.iter().zip(decisions) {
            if decision.is_allowed() != asked.allowed {
                return Err(format!("{asked:?} was answered {decision:?}").into());
            }
        }
    }
    let mut connection = Connection::open(address).await?;
    let first = requests.first().ok_or("no request")?;
    let (_, body) = connection.ask(first.clone().bytes(0)).await?;
    Ok(String::from_utf8_lossy(body).into_owned())
}
