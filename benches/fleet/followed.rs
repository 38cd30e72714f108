//! A sidecar of a large store: how soon it is usable, what it takes, and how fast it follows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consentry::store::etcd::{EtcdStore, Role};
use consentry::store::{MemberId, Seq, Store as _};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;

use crate::client::Request;
use crate::cluster::Cluster;
use crate::fixture::{Failure, case_objects, questions};
use crate::servers::Server;
use crate::stage::{commit, fill, open, prepare_member, until_usable};

/// How many commits are under way at once.
const WRITERS: usize = 32;

pub(crate) fn measure(requests: usize, seconds: u64) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measured(requests, Duration::from_secs(seconds)))
}

async fn measured(requests: usize, duration: Duration) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(folder.path()).await?;
    let copy = folder.path().join("copy.db");
    let store = Arc::new(open(&cluster, Role::Authority { copy: &copy }, "authority").await?);
    let started = Instant::now();
    fill(&store, requests).await?;
    let filled = started.elapsed().as_secs_f64();
    let (_, size) = cluster.standing().await?;
    println!("\n{requests} live access requests: written in {filled:.1} s; etcd: {} MB", size / 1_000_000);

    let place = folder.path().join("sidecar");
    let people = prepare_member(&place, &cluster, "sidecar", 20)?;
    let asked = questions(requests, 2);
    let question = asked.first().ok_or("no question")?.body();
    let request = Request::new(crate::EVALUATION, &people.tooling()?, &question);
    for _ in 0..2 {
        let (started, etcd) = (Instant::now(), cluster.cpu()?);
        let sidecar = Server::ours(&place)?;
        until_usable(&sidecar, request.clone()).await?;
        println!(
            "a sidecar: usable after {:.2} s, with {:.2} s of its processor time and {:.2} s of etcd's; {} MB resident",
            started.elapsed().as_secs_f64(),
            sidecar.cpu()?.as_secs_f64(),
            cluster.cpu()?.saturating_sub(etcd).as_secs_f64(),
            sidecar.resident_mb()?,
        );
    }

    let sidecar = Server::ours(&place)?;
    until_usable(&sidecar, request).await?;
    let before = (sidecar.cpu()?, cluster.cpu()?);
    let started = Instant::now();
    let (commits, last) = write(&store, requests, duration).await?;
    let written = started.elapsed();
    until_told(&store, last).await?;
    let (lag, used) = (started.elapsed().saturating_sub(written), sidecar.cpu()?.saturating_sub(before.0));
    let count = f64::from(u32::try_from(commits)?);
    println!(
        "following: {:.0} changes a second, in force {} ms after the last; {:.0} us of the sidecar's processor time each, {:.0} us of \
         etcd's",
        count / written.as_secs_f64(),
        lag.as_millis(),
        used.as_secs_f64() * 1e6 / count,
        cluster.cpu()?.saturating_sub(before.1).as_secs_f64() * 1e6 / count,
    );

    // What has piled up while it stood still shows how fast it can be.
    let process = Pid::from_raw(i32::try_from(sidecar.id())?).ok_or("no process")?;
    kill_process(process, Signal::STOP)?;
    let piled_up = write(&store, requests, duration.min(Duration::from_secs(4))).await;
    let (used, started) = (sidecar.cpu()?, Instant::now());
    kill_process(process, Signal::CONT)?;
    let (commits, last) = piled_up?;
    until_told(&store, last).await?;
    println!(
        "catching up: {commits} changes in {:.2} s, {:.2} s of its processor time; {} MB resident",
        started.elapsed().as_secs_f64(),
        sidecar.cpu()?.saturating_sub(used).as_secs_f64(),
        sidecar.resident_mb()?,
    );
    Ok(())
}

/// Commits as fast as the store takes it; how many, and the last one's place.
async fn write(store: &Arc<EtcdStore>, cases: usize, duration: Duration) -> Result<(usize, Seq), Failure> {
    let mut writers: JoinSet<Result<(usize, Seq), Failure>> = JoinSet::new();
    let deadline = Instant::now() + duration;
    for writer in 0..WRITERS {
        let store = Arc::clone(store);
        writers.spawn(async move {
            let (mut count, mut last) = (0, Seq(0));
            while Instant::now() < deadline {
                let case = (writer * 7_919 + count * 31) % cases;
                last = store.commit(commit(case_objects(case)?)).await?.seq;
                count += 1;
            }
            Ok((count, last))
        });
    }
    let (mut count, mut last) = (0, Seq(0));
    while let Some(done) = writers.join_next().await {
        let (some, seq) = done??;
        count += some;
        last = last.max(seq);
    }
    Ok((count, last))
}

/// Waits until the sidecar has said that this commit is in force.
async fn until_told(store: &EtcdStore, seq: Seq) -> Result<(), Failure> {
    let sidecar = MemberId("sidecar-of-its-own".to_owned());
    let mut members = store.watch_members();
    let told = members.wait_for(|members| members.iter().any(|member| member.id == sidecar && member.applied >= seq));
    tokio::time::timeout(Duration::from_secs(60), told).await.map_err(|_| "the sidecar does not follow")??;
    Ok(())
}
