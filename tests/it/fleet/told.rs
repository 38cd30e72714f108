//! Who is told that access has ended may believe it: also by a refusal, at another authority, and by a call that is repeated.

use std::time::{Duration, Instant};

use http::Method;

use super::cluster::Cluster;
use super::history::up_ns;
use super::member::Times;
use super::proxy::Part;
use super::stage::{Calls, Cast, PATIENCE, Stage};

/// A lease lasts longer than a call whose outcome stays unknown.
const TIMES: Times = Times { lease: 1_500, renew: 300, timeout: 500 };

async fn stage() -> Stage {
    let mut stage = Stage::set(Cluster::of_one(), Cast { times: TIMES, ..Cast::of(2, 1) }).await;
    stage.read();
    stage
}

/// A case that everybody allows, while the sidecar is kept from hearing of changes: it decides by what it knows for a lease.
async fn given(stage: &Stage) -> usize {
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..3, PATIENCE).await);
    for part in [Part::Watch, Part::Read] {
        stage.processes[2].line.hold(part, true);
    }
    case
}

async fn until_closed(calls: &Calls, case: usize, authority: usize) {
    let deadline = Instant::now() + PATIENCE;
    while calls.status(case, authority).await != "closed" {
        assert!(Instant::now() < deadline, "nobody closes it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_at_another_authority_is_said_once_what_it_tells_of_is_in_force() {
    let mut stage = stage().await;
    let calls = stage.calls();
    let case = given(&stage).await;
    let began = up_ns();
    let closing = {
        let calls = calls.clone();
        tokio::spawn(async move { calls.close(case, 0, "first").await.unwrap() })
    };
    until_closed(&calls, case, 1).await;
    assert!(!closing.is_finished(), "the sidecar is waited for");
    let id = stage.record.cases.lock()[case].id.clone();
    let path = format!("/v1/support-requests/{id}/close");
    let late = {
        let calls = calls.clone();
        tokio::spawn(async move {
            let refused = calls.close(case, 1, "second").await.unwrap();
            calls.was_taken(case, began);
            refused
        })
    };
    let outdated = {
        let calls = calls.clone();
        tokio::spawn(async move {
            let knowing = calls.authorities[1].with("if-match", "\"1\"");
            let refused = knowing.try_send(Method::POST, &path, Some(b"{}".to_vec())).await.unwrap();
            calls.was_taken(case, began);
            refused
        })
    };
    let (refused, outdated) = (late.await.unwrap(), outdated.await.unwrap());
    assert_eq!((refused.status, refused.code()), (409, "support_request_closed"), "{refused:?}");
    assert_eq!(outdated.status, 412, "{outdated:?}");
    println!("refused after {:?}", Duration::from_nanos(up_ns() - began));
    assert_eq!(closing.await.unwrap().status, 200);
    // What is refused for the wish's own sake waits for nobody.
    let began = Instant::now();
    let unknown = stage.processes[1].ticketing();
    let reply = unknown.send(Method::POST, "/v1/support-requests/SR-none/close", Some(b"{}".to_vec())).await;
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(began.elapsed() < Duration::from_millis(stage.times.wait()), "{:?}", began.elapsed());
    stage.processes[2].line.heal();
    stage.answers(2, case, |reply| reply.status == 200 && !reply.decision()).await;
    let tally = stage.judged().await;
    println!("{}", tally.told("told elsewhere", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_call_of_unknown_outcome_succeeds_at_its_repetition_once_it_is_in_force() {
    let mut stage = stage().await;
    let calls = stage.calls();
    let case = given(&stage).await;
    // Each part of an answer: long enough to cut the line between the commit and the word of it.
    stage.processes[0].line.delay(Part::Write, Duration::from_millis(110));
    let began = up_ns();
    let first = {
        let calls = calls.clone();
        tokio::spawn(async move { calls.close(case, 0, "once").await.unwrap() })
    };
    until_closed(&calls, case, 1).await;
    stage.processes[0].line.cut(true);
    let unknown = first.await.unwrap();
    println!("unknown after {:?}", Duration::from_nanos(up_ns() - began));
    assert_eq!((unknown.status, unknown.code()), (503, "unconfirmed"), "{unknown:?}");
    assert!(unknown.header("retry-after").is_some(), "{unknown:?}");
    stage.processes[0].line.heal();
    // At the same authority, until it has found etcd again.
    let deadline = Instant::now() + PATIENCE;
    let again = loop {
        let reply = calls.close(case, 0, "once").await.unwrap();
        if reply.status != 503 {
            break reply;
        }
        assert!(Instant::now() < deadline, "{reply:?}");
    };
    calls.was_taken(case, began);
    println!("in force after {:?}", Duration::from_nanos(up_ns() - began));
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")), "{again:?}");
    assert_eq!(again.json["status"], "closed", "{again:?}");
    tokio::time::sleep(Duration::from_millis(stage.times.lease)).await;
    stage.processes[2].line.heal();
    stage.answers(2, case, |reply| reply.status == 200 && !reply.decision()).await;
    let tally = stage.judged().await;
    println!("{}", tally.told("an unknown outcome", stage.barriers()));
    assert_eq!(tally.violations, 0, "{tally:?}");
}
