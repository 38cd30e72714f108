//! The protocol under faults, and without itself: nothing is allowed after a revocation has succeeded (G1), and a test that
//! could not see it would have seen nothing in its mutants either.

use std::time::Duration;

use super::cluster::Cluster;
use super::faults::Faults;
use super::history::Tally;
use super::member::{Nature, Times};
use super::proxy::Part;
use super::stage::{Calls, Cast, Stage};
use crate::support::effort::{effort, random};

/// Longer than any call to etcd is held up.
const PATIENT_MS: u64 = 4_000;

/// Gives a case and takes it away, so many times.
async fn revoke(calls: Calls, mut rng: fastrand::Rng, first: usize, rounds: u64, processes: usize) {
    for _ in 0..rounds {
        let case = calls.give(first).await;
        calls.allowed_by(case, 0..processes, Duration::from_millis(rng.u64(50..800))).await;
        calls.take(case, first).await;
        // So that every reader asks afterwards, also one whose process goes on only then.
        tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
        let calls = calls.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            calls.leave(case);
        });
    }
}

/// Random faults while so many revokers work.
async fn under_faults(stage: &mut Stage, run: &str, revokers: usize, rounds: u64) -> Tally {
    let mut rng = random(run);
    stage.read();
    let calls = stage.calls();
    let faults = Faults::begin(stage, &mut rng);
    let revokers: Vec<_> = (0..revokers)
        .map(|place| tokio::spawn(revoke(calls.clone(), rng.fork(), place, rounds, stage.processes.len())))
        .collect();
    for revoker in revokers {
        revoker.await.unwrap();
    }
    let faults = faults.end();
    let tally = stage.judged().await;
    println!("{faults} faults; {}", tally.told(run, stage.barriers()));
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_allowed_after_a_revocation_whatever_fails() {
    let run = "nothing_is_allowed_after_a_revocation_whatever_fails";
    // The longer it goes on, the more of them.
    let sidecars = if effort(1) > 1 { 8 } else { 4 };
    let mut stage = Stage::set(Cluster::of_three(), Cast::of(2, sidecars)).await;
    let tally = under_faults(&mut stage, run, 4, effort(4)).await;
    assert_eq!(tally.violations, 0, "{tally:?}");
    stage.nothing_is_lost().await;
    // Whoever finds nothing wrong must have looked.
    let rounds = usize::try_from(effort(16)).unwrap();
    assert!(tally.revocations == rounds && tally.allows > 20 * rounds && tally.denials > 20, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_leases_and_acknowledgements_the_same_faults_are_seen() {
    let run = "without_leases_and_acknowledgements_the_same_faults_are_seen";
    let cast =
        Cast { authorities: vec![Nature::NoWaiting; 2], sidecars: vec![Nature::NoLease; 4], times: Times::SHORT };
    let mut stage = Stage::set(Cluster::of_three(), cast).await;
    // Chance decides how soon; so many times without one would be a wonder.
    let mut seen = 0;
    for _ in 0..6 {
        seen += under_faults(&mut stage, run, 4, effort(3)).await.violations;
        if seen > 0 {
            break;
        }
    }
    assert!(seen > 0, "nothing is seen of what is certain to be wrong");
}

/// Revokes several cases at once, again and again, each time while these parts of every sidecar's replies are held up.
pub async fn held_up(stage: &mut Stage, run: &str, parts: &[Part], rounds: u64) -> Tally {
    stage.read();
    let (calls, sidecars) = (stage.calls(), stage.sidecars());
    let lines: Vec<_> = sidecars.clone().map(|place| stage.processes[place].line.clone()).collect();
    let wait = Duration::from_millis(stage.times.wait());
    for _ in 0..rounds {
        let mut cases = Vec::new();
        for place in 0..5 {
            cases.push(calls.give(place).await);
        }
        for case in &cases {
            assert!(
                calls.allowed_by(*case, sidecars.clone(), Duration::from_secs(20)).await,
                "{run}: nobody allows it"
            );
        }
        for part in parts {
            for line in &lines {
                line.hold(*part, true);
            }
        }
        if parts.contains(&Part::Write) {
            // Every sidecar has renewed, and does not know it yet.
            for line in &lines {
                line.holds_one(Part::Write).await;
            }
        }
        let taking = cases.iter().enumerate().map(|(place, case)| {
            let (calls, case) = (calls.clone(), *case);
            tokio::spawn(async move { calls.take(case, place).await })
        });
        let taking: Vec<_> = taking.collect();
        if parts.contains(&Part::Write) {
            // Shortly before it is over for those who wait, their replies arrive.
            tokio::time::sleep(wait.mul_f64(0.9)).await;
            for line in &lines {
                line.hold(Part::Write, false);
            }
        }
        for taken in taking {
            taken.await.unwrap();
        }
        tokio::time::sleep(wait.mul_f64(0.4)).await;
        for line in &lines {
            line.heal();
        }
        for case in cases {
            calls.leave(case);
        }
    }
    let tally = stage.judged().await;
    println!("{}", tally.told(run, stage.barriers()));
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_nothing_fails_everybody_acknowledges_at_once() {
    let mut stage = Stage::set(Cluster::of_three(), Cast::of(2, 8)).await;
    stage.read();
    let calls = stage.calls();
    for round in 0..usize::try_from(effort(20)).unwrap() {
        let case = calls.give(round).await;
        assert!(calls.allowed_by(case, 0..stage.processes.len(), Duration::from_secs(20)).await, "nobody allows it");
        calls.take(case, round).await;
        calls.leave(case);
    }
    let tally = stage.judged().await;
    let (acknowledged, waited) = stage.barriers();
    println!("{}", tally.told("no faults", (acknowledged, waited)));
    assert_eq!(tally.violations, 0, "{tally:?}");
    // A machine that is busy with other things may make one of them late.
    assert!(acknowledged > 10 * waited && tally.p50 < Duration::from_secs(1), "{tally:?}");
}

fn brief(nature: Nature) -> Cast {
    Cast { authorities: vec![Nature::Product; 2], sidecars: vec![nature; 4], times: Times::BRIEF }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hears_of_renewals_and_not_of_changes_allows_nothing_after_a_revocation() {
    // A member whose watch alone is silent asks for what it missed.
    let mut stage = Stage::set(Cluster::of_one(), brief(Nature::Product)).await;
    let tally = held_up(&mut stage, "the watch alone is held up", &[Part::Watch], effort(1)).await;
    assert_eq!(tally.violations, 0, "{tally:?}");
    drop(stage);

    let parts = [Part::Watch, Part::Read];
    let mut stage = Stage::set(Cluster::of_one(), brief(Nature::Product)).await;
    let tally = held_up(&mut stage, "changes are held up, renewals are not", &parts, effort(2)).await;
    assert_eq!(tally.violations, 0, "{tally:?}");
    assert!(stage.barriers().1 > 0, "nobody was waited out");
    stage.nothing_is_lost().await;
    drop(stage);

    let mut stage = Stage::set(Cluster::of_one(), brief(Nature::BehindTheHead)).await;
    let tally = held_up(&mut stage, "... and leases count behind the head", &parts, effort(1)).await;
    assert!(tally.violations > 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hears_of_renewals_late_allows_nothing_after_a_revocation() {
    let (run, parts) = ("changes and renewals are held up", [Part::Watch, Part::Read, Part::Write]);
    let mut stage = Stage::set(Cluster::of_one(), brief(Nature::Patient { timeout_ms: PATIENT_MS })).await;
    let tally = held_up(&mut stage, run, &parts, effort(2)).await;
    assert_eq!(tally.violations, 0, "{tally:?}");
    stage.nothing_is_lost().await;
    drop(stage);

    let mut stage = Stage::set(Cluster::of_one(), brief(Nature::FromTheReply { timeout_ms: PATIENT_MS })).await;
    let tally = held_up(&mut stage, "... and leases count from the reply", &parts, effort(1)).await;
    assert!(tally.violations > 0, "{tally:?}");
}
