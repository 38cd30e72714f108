//! A backup that is put back: what was taken away since is open in it, and nobody may read by it.

use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::member::Times;
use super::stage::{Calls, Cast, PATIENCE, Stage};
use crate::support::process::{Site, end_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_allowed_by_a_backup_that_was_put_back() {
    let mut stage = Stage::set(Cluster::of_one(), Cast { times: Times::BRIEF, ..Cast::of(2, 2) }).await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..4, PATIENCE).await);
    let backup = stage.cluster.backup();
    calls.take(case, 0).await;
    stage.cluster.restore(&backup);
    for place in 0..4 {
        let reply = stage.answers(place, case, |reply| reply.code() == "store_regressed").await;
        assert_eq!((reply.status, reply.json["decision"].as_bool()), (503, Some(false)), "{reply:?}");
    }
    // Nothing that comes later makes it good again: new commits may bring the old numbers back.
    let until = Instant::now() + Duration::from_millis(2 * stage.times.lease);
    while Instant::now() < until {
        for authority in [0, 1] {
            let reply = calls.close(case, authority, "after").await.unwrap();
            assert_eq!(reply.status, 503, "{reply:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    begun_anew(&mut stage, calls, case).await;
    let tally = stage.judged().await;
    println!("{}", tally.told("a backup put back", (0, 0)));
    assert_eq!(tally.violations, 0, "{tally:?}");
}

/// The steps of docs/fleet.md, but that one sidecar was forgotten and runs on, and one authority's files were left.
async fn begun_anew(stage: &mut Stage, before: Calls, taken: usize) {
    let (forgotten, old_epoch) = (3, stage.cluster.keys("/acc/v1/epoch")[0].value.clone());
    for place in 0..forgotten {
        stage.processes[place].stop();
    }
    let epoch = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
    stage.cluster.ctl(&["put", "/acc/v1/epoch", epoch.trim()]);
    stage.cluster.ctl(&["del", "--prefix", "/fleet/v1/"]);
    set_aside(&stage.processes[0].site);
    // What was taken away since the backup is not promised here: an authority would allow it until it is taken away anew.
    before.leave(taken);
    stage.processes[0].start();
    let (status, said) = end_of(stage.processes[1].site.command(&["serve", "--config", "consentry.toml"]));
    assert!(status.code() == Some(1) && said.contains("epoch"), "a copy of what is gone serves nobody: {said}");
    set_aside(&stage.processes[1].site);
    stage.processes[1].start();
    // In the backup it is open, and is taken away again before anybody asks.
    let calls = stage.calls();
    let deadline = Instant::now() + PATIENCE;
    while calls.status(taken, 1).await != "open" {
        assert!(Instant::now() < deadline, "{}", calls.status(taken, 1).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(calls.close(taken, 1, "again").await.unwrap().status, 200);
    stage.processes[2].start();
    let next = calls.give(0).await;
    for place in 0..forgotten {
        stage.allows(place, next).await;
        assert!(!stage.answer(place, taken).await.decision());
    }
    // Who was not started again decides nothing, and is not waited for by those who were.
    let closed = stage.answer(forgotten, next).await;
    assert_eq!((closed.status, closed.code()), (503, "store_regressed"), "{closed:?}");
    stage.processes[forgotten].stop();
    stage.processes[forgotten].start();
    stage.allows(forgotten, next).await;
    calls.take(next, 0).await;
    for place in 0..4 {
        assert!(!stage.answer(place, next).await.decision());
    }
    let (code, said) = stage.processes[0].fleet_status(&[]);
    assert!(code == Some(0) && said.contains(epoch.trim()) && !said.contains(&old_epoch), "{said}");
}

/// An authority's copy of the state.
fn set_aside(site: &Site) {
    let aside = site.file("aside");
    std::fs::create_dir(&aside).unwrap();
    for entry in std::fs::read_dir(site.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("store.db") {
            std::fs::rename(entry.path(), aside.join(entry.file_name())).unwrap();
        }
    }
}
