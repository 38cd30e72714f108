//! Decisions of a fleet's sidecar beside those of an embedded service: the same cases, in turn.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use consentry::audit::DecisionIds;
use consentry::clock::SystemClock;
use consentry::decision::{Decisions, ReadQuestion};
use consentry::policy::{Bundle, BundleSource, Policies};
use consentry::replica::{Following, Replica, follow};
use consentry::store::etcd::Role;
use consentry::store::sqlite::SqliteStore;
use consentry::store::{MemberId, Store};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::client::{Request, Round, load};
use crate::cluster::Cluster;
use crate::fixture::{self, Asked, Failure, questions};
use crate::processes::pin;
use crate::servers::{Server, prepare};
use crate::stage::{fill, open, prepare_member, until_usable};

const HOT: usize = 2_000;
/// How often each question is asked in a round.
const TIMES: u32 = 100;
const CONNECTIONS: usize = 16;
const A_ROUND: Duration = Duration::from_secs(2);

pub(crate) fn compare(cases: usize, rounds: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (embedded, sidecar) = (folder.path().join("embedded"), folder.path().join("sidecar"));
    std::fs::create_dir_all(&embedded)?;
    let cluster = runtime.block_on(Cluster::start(folder.path()))?;
    runtime.block_on(async {
        let copy = folder.path().join("copy.db");
        let store = Arc::new(open(&cluster, Role::Authority { copy: &copy }, "loader").await?);
        fill(&store, cases).await?;
        store.close();
        fixture::fill(&embedded.join("store.db"), cases).await
    })?;
    let asked = questions(cases, HOT);
    in_process(&runtime, &cluster, &embedded, &asked, rounds)?;
    over_http(&cluster, &embedded, &sidecar, &asked, rounds)
}

/// One replica with what decides by it.
struct Deciding {
    decisions: Decisions,
    forgetful: Decisions,
}

impl Deciding {
    fn on(runtime: &Runtime, store: Arc<dyn Store>, policies: &Arc<Policies>) -> Self {
        let replica = Arc::new(Replica::new(Arc::new(SystemClock::new())));
        let member = Following::as_member(MemberId("bench".to_owned()));
        runtime.spawn(follow(Arc::clone(&replica), store, member));
        while replica.fresh().is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let decisions = |capacity| {
            let (policies, replica) = (Arc::clone(policies), Arc::clone(&replica));
            Decisions::new(policies, replica, Arc::new(SystemClock::new()), Arc::new(DecisionIds::new()), capacity)
        };
        Self { decisions: decisions(100_000), forgetful: decisions(0) }
    }
}

/// Processor time of this thread for one decision, in nanoseconds.
fn cost(decisions: &Decisions, questions: &[ReadQuestion<'_>], times: u32) -> Result<f64, Failure> {
    let now = || -> Result<Duration, Failure> {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
    };
    let before = now()?;
    for _ in 0..times {
        for question in questions {
            let decided = decisions.decide(black_box(question))?;
            // As before an answer leaves.
            black_box(decisions.still_holds(question, &decided));
        }
    }
    let asked = f64::from(times) * f64::from(u32::try_from(questions.len())?);
    Ok(now()?.saturating_sub(before).as_secs_f64() * 1e9 / asked)
}

fn in_process(
    runtime: &Runtime,
    cluster: &Cluster,
    embedded: &Path,
    asked: &[Asked],
    rounds: usize,
) -> Result<(), Failure> {
    let policies = Arc::new(Policies::new(Bundle::load(&BundleSource::shipped())?));
    let alone: Arc<dyn Store> = Arc::new(SqliteStore::open(&embedded.join("store.db"))?);
    let shared: Arc<dyn Store> = Arc::new(runtime.block_on(open(cluster, Role::Sidecar, "bench"))?);
    let sides = [Deciding::on(runtime, Arc::clone(&alone), &policies), Deciding::on(runtime, shared, &policies)];
    let questions: Vec<ReadQuestion<'_>> = asked
        .iter()
        .map(|asked| Ok(ReadQuestion::parse(&asked.engineer, "read", &asked.resource, Some(&asked.support_request))?))
        .collect::<Result<_, Failure>>()?;
    for side in &sides {
        for (question, asked) in questions.iter().zip(asked) {
            let decided = side.decisions.decide(question)?;
            if decided.answer.allowed != asked.allowed {
                return Err(format!("{asked:?} was answered {}", decided.answer.allowed).into());
            }
            side.decisions.remember(question, &decided);
        }
    }
    let [mut remembered, mut evaluated] = [(); 2].map(|()| [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        for (side, (remembered, evaluated)) in sides.iter().zip(remembered.iter_mut().zip(&mut evaluated)) {
            remembered.push(cost(&side.decisions, &questions, TIMES)?);
            evaluated.push(cost(&side.forgetful, &questions, 2)?);
        }
    }
    report("in process, remembered", "ns", &remembered);
    report("in process, evaluated", "ns", &evaluated);
    alone.close();
    Ok(())
}

/// The medians, and the median of the rounds' ratios: above 1, the sidecar is faster.
fn report(what: &str, unit: &str, rounds: &[Vec<f64>; 2]) {
    let [alone, shared] = rounds;
    let ratios = alone.iter().zip(shared).map(|(alone, shared)| alone / shared);
    println!(
        "{what}: {:.1} {unit} embedded, {:.1} {unit} in a fleet, {:.3} times as fast",
        median(alone.clone()),
        median(shared.clone()),
        median(ratios.collect()),
    );
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn over_http(
    cluster: &Cluster,
    embedded: &Path,
    sidecar: &Path,
    asked: &[Asked],
    rounds: usize,
) -> Result<(), Failure> {
    let people = [prepare(embedded, "written")?, prepare_member(sidecar, cluster, "sidecar", 20)?];
    pin(0);
    let servers = [Server::ours(embedded)?, Server::ours(sidecar)?];
    pin(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut requests = Vec::new();
    for (server, people) in servers.iter().zip(&people) {
        let token = people.tooling()?;
        let all: Vec<Request> =
            asked.iter().map(|asked| Request::new(crate::EVALUATION, &token, &asked.body())).collect();
        runtime.block_on(until_usable(server, all.first().ok_or("no question")?.clone()))?;
        requests.push(Arc::new(all));
    }
    let [mut each, mut cpu] = [(); 2].map(|()| [Vec::new(), Vec::new()]);
    for round in 0..=rounds {
        for (at, (server, requests)) in servers.iter().zip(&requests).enumerate() {
            let before = server.cpu()?;
            let (took, lasted) = runtime.block_on(load(&server.tcp, requests, CONNECTIONS, A_ROUND, 0))?;
            let figures = Round::of(took, lasted, server.cpu()?.saturating_sub(before))?;
            // In the first one the answers are not yet remembered.
            if round > 0
                && let (Some(each), Some(cpu)) = (each.get_mut(at), cpu.get_mut(at))
            {
                each.push(1e6 / figures.per_second);
                cpu.push(figures.cpu_us);
            }
        }
    }
    report("over HTTP, 16 connections", "us a request", &each);
    report("over HTTP, processor time", "us a request", &cpu);
    Ok(())
}
