//! Whoever takes access away: killed before it has succeeded, two at once, and members that come and go meanwhile.

use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::history::up_ns;
use super::member::{Nature, Role, Times};
use super::proxy::Part;
use super::stage::{Cast, PATIENCE, Stage};
use crate::support::effort::effort;

fn small() -> Cast {
    Cast { times: Times::BRIEF, ..Cast::of(2, 2) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revoker_that_is_killed_is_followed_by_one_that_waits_in_full() {
    let mut stage = Stage::set(Cluster::of_one(), Cast::of(2, 2)).await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..4, PATIENCE).await);
    let silent = stage.sidecars().start;
    stage.processes[silent].line.stall(true);
    let began = up_ns();
    let first = {
        let calls = calls.clone();
        tokio::spawn(async move { calls.close(case, 0, "once").await })
    };
    // The change is made; who made it still waits.
    let deadline = Instant::now() + PATIENCE;
    while calls.status(case, 1).await != "closed" {
        assert!(Instant::now() < deadline, "the change is not made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!first.is_finished());
    stage.processes[0].kill();
    assert!(first.await.unwrap().is_err());
    let again = Instant::now();
    let reply = calls.close(case, 1, "once").await.unwrap();
    calls.was_taken(case, began);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("idempotency-replayed"), Some("true"), "{reply:?}");
    // Nobody knows when the first one began to wait.
    assert!(again.elapsed() >= Duration::from_millis(stage.times.lease), "{:?}", again.elapsed());
    stage.processes[silent].line.heal();
    stage.answers(silent, case, |reply| reply.status == 200 && !reply.decision()).await;
    // The one that was killed comes back under its name.
    stage.processes[0].start();
    assert_eq!(stage.calls().status(case, 0).await, "closed");
    let tally = stage.judged().await;
    println!("{}", tally.told("a revoker killed", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_revokers_at_once_neither_succeeds_too_early() {
    let mut stage = Stage::set(Cluster::of_one(), small()).await;
    stage.read();
    let calls = stage.calls();
    let mut both = 0;
    for round in 0..effort(5) {
        let case = calls.give(0).await;
        assert!(calls.allowed_by(case, 0..4, PATIENCE).await);
        let line = stage.processes[stage.sidecars().start].line.clone();
        line.hold(Part::Watch, round % 2 == 0);
        line.hold(Part::Read, round % 2 == 0);
        let began = up_ns();
        let closing = {
            let calls = calls.clone();
            tokio::spawn(async move {
                let reply = calls.close(case, 0, &format!("close-{round}")).await.unwrap();
                assert_eq!(reply.status, 200, "{reply:?}");
                calls.was_taken(case, began);
            })
        };
        let unassigning = {
            let calls = calls.clone();
            tokio::spawn(async move {
                let reply = calls.unassign(case, 1, &format!("unassign-{round}")).await.unwrap();
                // Who comes too late is refused, and has taken nothing away.
                if reply.status == 409 {
                    return 0;
                }
                assert_eq!(reply.status, 200, "{reply:?}");
                calls.was_taken(case, began);
                1
            })
        };
        closing.await.unwrap();
        both += unassigning.await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        line.heal();
        calls.leave(case);
    }
    println!("both succeeded {both} times");
    let tally = stage.judged().await;
    println!("{}", tally.told("two revokers", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
    stage.nothing_is_lost().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_registers_during_a_revocation_knows_of_it() {
    let mut stage = Stage::set(Cluster::of_one(), Cast::of(1, 1)).await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..2, PATIENCE).await);
    stage.processes[1].line.stall(true);
    let revoking = {
        let calls = calls.clone();
        tokio::spawn(async move { calls.take(case, 0).await })
    };
    while calls.status(case, 0).await != "closed" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let late = stage.hire("late", Role::Sidecar, Nature::Product);
    stage.processes[late].start();
    stage.read_from(late);
    stage.answers(late, case, |reply| reply.status == 200 && !reply.decision()).await;
    revoking.await.unwrap();
    let tally = stage.judged().await;
    println!("{}", tally.told("one registers", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_struck_off_registers_anew() {
    let mut stage = Stage::set(Cluster::of_one(), small()).await;
    stage.read();
    let calls = stage.calls();
    let sidecar = stage.sidecars().start;
    let name = stage.processes[sidecar].name.clone();
    for round in 0..4 {
        let case = calls.give(0).await;
        assert!(calls.allowed_by(case, 0..4, PATIENCE).await);
        // What it was granted still counts for it, and nobody waits for it: only who is told the truth may take its key.
        // So nothing is taken away before it has had its time, as after a barrier.
        assert_eq!(stage.cluster.ctl(&["del", &format!("/fleet/v1/{name}")]).trim(), "1", "round {round}");
        let deadline = Instant::now() + PATIENCE;
        while !stage.members().contains(&name) {
            assert!(Instant::now() < deadline, "it does not register anew");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        calls.take(case, 1).await;
    }
    let tally = stage.judged().await;
    println!("{}", tally.told("struck off", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
}
