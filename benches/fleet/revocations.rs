//! Revocations with many members: how long each takes until no member can allow any more, and who pays for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consentry::store::Store as _;
use consentry::store::etcd::Role;
use tokio::task::JoinSet;

use crate::Options;
use crate::client::{Connection, Request};
use crate::cluster::Cluster;
use crate::fixture::{Failure, questions, resource_tenant};
use crate::members::Members;
use crate::servers::{People, Server, cpu_of};
use crate::stage::{fill, open, prepare_member, until_usable};

/// Processor time so far, by who used it.
#[derive(Debug, Clone, Copy)]
struct Spent {
    at: Instant,
    etcd: Duration,
    authority: Duration,
    members: Duration,
    machine: Duration,
}

impl Spent {
    fn now(cluster: &Cluster, authority: &Server) -> Result<Self, Failure> {
        Ok(Self {
            at: Instant::now(),
            etcd: cluster.cpu()?,
            authority: authority.cpu()?,
            members: cpu_of(std::process::id())?,
            machine: machine()?,
        })
    }

    fn report(self, before: Self) {
        let lasted = self.at.duration_since(before.at).as_secs_f64();
        let cores = |now: Duration, before: Duration| now.saturating_sub(before).as_secs_f64() / lasted;
        let etcd = cores(self.etcd, before.etcd);
        let authority = cores(self.authority, before.authority);
        let members = cores(self.members, before.members);
        let others = cores(self.machine, before.machine) - etcd - authority - members;
        println!(
            "  cores: etcd {etcd:.2}, authority {authority:.2}, members and load {members:.2}, others on this machine \
             {others:.2}"
        );
    }
}

/// The time that the machine's processors were busy, in ticks of 10 ms.
pub(crate) fn machine() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = stat.lines().next().unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq
    let busy = fields.iter().enumerate().filter(|(at, _)| matches!(at, 0..=2 | 5 | 6)).map(|(_, ticks)| ticks);
    Ok(Duration::from_millis(busy.sum::<u64>() * 10))
}

pub(crate) fn measure(members: usize, options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measured(members, options))
}

async fn measured(count: usize, options: &Options) -> Result<(), Failure> {
    let planned = usize::try_from(u64::from(options.per_second) * options.seconds)?;
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path()).await?;
    let place = folder.path().join("authority");
    let people = prepare_member(&place, &cluster, "authority", options.acknowledge_ms.min(1_500))?;
    // Every tenth case has no consent that could be revoked.
    let cases = planned * 10 / 9 + 10;
    let store = Arc::new(open(&cluster, Role::Authority { copy: &place.join("store.db") }, "loader").await?);
    fill(&store, cases).await?;
    store.close();
    drop(store);
    let authority = Server::ours(&place)?;
    let asked = questions(cases, 2);
    let first = asked.first().ok_or("no question")?;
    until_usable(&authority, Request::new(crate::EVALUATION, &people.tooling()?, &first.body())).await?;
    let started = Instant::now();
    let members = Members::start(&cluster, count, Duration::from_millis(options.acknowledge_ms)).await?;
    println!(
        "\n{count} members, {} revocations a second for {} s, acknowledged every {} ms; all members usable after {:.1} s",
        options.per_second,
        options.seconds,
        options.acknowledge_ms,
        started.elapsed().as_secs_f64(),
    );
    // Renewals alone.
    let quiet = idle(&cluster, &authority).await?;
    println!("  at rest: {quiet:.0} transactions a second");
    let (applied, _) = cluster.standing().await?;
    let (_, renewals, failures) = members.standing();
    let before = Spent::now(&cluster, &authority)?;
    let mut took = revoke(&authority, &people, planned, options.per_second).await?;
    let after = Spent::now(&cluster, &authority)?;
    let lasted = after.at.duration_since(before.at).as_secs_f64();
    let (applied_after, size) = cluster.standing().await?;
    let (usable, renewals_after, failures_after) = members.standing();
    let (waits, with_silent, silent) = cluster.barriers().await?;
    took.sort_unstable();
    let at = |share: usize| took.get((took.len() * share / 100).min(took.len() - 1)).map_or(0, Duration::as_millis);
    println!(
        "  {} revocations in {lasted:.1} s: p50 {} ms, p99 {} ms, max {} ms; {with_silent} of {waits} were waited out, for {silent} \
         silent members",
        took.len(),
        at(50),
        at(99),
        at(100),
    );
    let per_second = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / lasted;
    println!(
        "  etcd: {:.0} transactions a second, {} MB; {:.0} renewals a second, {} failed; {usable} of {count} members usable",
        per_second(applied_after - applied),
        size / 1_000_000,
        per_second(renewals_after - renewals),
        failures_after - failures,
    );
    println!("  the authority: {} MB resident", authority.resident_mb()?);
    after.report(before);
    Ok(())
}

async fn idle(cluster: &Cluster, authority: &Server) -> Result<f64, Failure> {
    const SECONDS: u32 = 4;
    let (before, _) = cluster.standing().await?;
    let spent = Spent::now(cluster, authority)?;
    tokio::time::sleep(Duration::from_secs(u64::from(SECONDS))).await;
    let (after, _) = cluster.standing().await?;
    Spent::now(cluster, authority)?.report(spent);
    Ok(f64::from(u32::try_from(after - before)?) / f64::from(SECONDS))
}

/// Revokes consents at this rate, whether or not those before are through; how long each took, from when it was planned.
async fn revoke(authority: &Server, people: &People, count: usize, per_second: u32) -> Result<Vec<Duration>, Failure> {
    let mut requests = Vec::with_capacity(count);
    for case in (0..).filter(|case| case % 10 != 9).take(count) {
        let token = people.administrator(&resource_tenant(case))?;
        requests.push(Request::new(&format!("/v1/consents/co-{:032x}/revoke", 2 * case), &token, ""));
    }
    let started = Instant::now();
    let mut under_way = JoinSet::new();
    for (number, mut request) in (0..).zip(requests) {
        let planned = started + Duration::from_secs(1) / per_second * number;
        tokio::time::sleep_until(planned.into()).await;
        let address = authority.tcp.clone();
        under_way.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let (status, body) = connection.ask(request.bytes(0)).await?;
            if status != 200 {
                return Err(Failure::from(format!("{status}: {}", String::from_utf8_lossy(body))));
            }
            Ok(planned.elapsed())
        });
    }
    let (mut took, mut refused) = (Vec::with_capacity(count), Vec::new());
    while let Some(done) = under_way.join_next().await {
        match done? {
            Ok(one) => took.push(one),
            Err(failure) => refused.push(failure),
        }
    }
    if let Some(first) = refused.first() {
        println!("  {} revocations were not confirmed, the first with {first}", refused.len());
    }
    if took.is_empty() { Err("no revocation was confirmed".into()) } else { Ok(took) }
}
