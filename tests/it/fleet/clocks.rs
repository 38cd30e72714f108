//! Clocks that run at other rates, and one that jumps as after a suspension.

use std::time::Duration;

use super::cluster::Cluster;
use super::member::{Nature, Times};
use super::protocol::held_up;
use super::proxy::Part;
use super::stage::{Cast, PATIENCE, Stage};
use crate::support::effort::effort;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clocks_that_run_a_tenth_faster_or_slower_allow_nothing_too_late() {
    let rate = |thousandths| Nature::Rate { thousandths };
    let cast = Cast {
        authorities: vec![Nature::Product; 2],
        sidecars: vec![rate(900), rate(1_100), Nature::Product],
        times: Times::BRIEF,
    };
    let mut stage = Stage::set(Cluster::of_one(), cast).await;
    let tally = held_up(&mut stage, "clocks a tenth off", &[Part::Watch, Part::Read], effort(3)).await;
    assert_eq!(tally.violations, 0, "{tally:?}");
    assert!(stage.barriers().1 > 0, "nobody was waited out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_machine_that_was_suspended_allows_nothing_by_what_it_knew() {
    let cast = Cast { sidecars: vec![Nature::Jumps], ..Cast::of(1, 0) };
    let mut stage = Stage::set(Cluster::of_one(), cast).await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..2, PATIENCE).await);
    let sleeper = &stage.processes[1];
    sleeper.line.stall(true);
    assert!(stage.answer(1, case).await.decision(), "its lease is still good");
    std::fs::write(sleeper.site.file("jump"), (stage.times.lease + 1).to_string()).unwrap();
    let closed = stage.answer(1, case).await;
    assert_eq!((closed.status, closed.code()), (503, "lease_expired"), "{closed:?}");
    sleeper.line.heal();
    stage.allows(1, case).await;
    calls.take(case, 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let tally = stage.judged().await;
    assert_eq!(tally.violations, 0, "{tally:?}");
}
