//! A backup that is put back: what was taken away since is open in it, and nobody may read by it.

use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::member::Times;
use super::stage::{Cast, PATIENCE, Stage};

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
    let tally = stage.judged().await;
    println!("{}", tally.told("a backup put back", (0, 0)));
    assert_eq!(tally.violations, 0, "{tally:?}");
}
