//! What a fleet tells of itself: to its operators, and with each answer.

use std::time::{Duration, Instant};

use consentry::clock::{Clock as _, SystemClock};
use consentry::model::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use super::cluster::Cluster;
use super::history::up_ns;
use super::member::{Nature, Role, Times};
use super::proxy::Part;
use super::stage::{PATIENCE, Stage};

const STRICT: &str = "fleet.strict = true";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operator_sees_who_is_there_how_far_and_by_which_policies() {
    let mut stage = Stage::bare(Cluster::of_one(), Times::BRIEF).await;
    for (name, role) in [("authority-0", Role::Authority), ("sidecar-0", Role::Sidecar), ("sidecar-1", Role::Sidecar)] {
        stage.hire(name, role, Nature::Product);
    }
    // Nobody has begun it.
    let (code, said) = stage.processes[0].fleet_status(&[]);
    assert!(code == Some(1) && said.contains("no authority has begun it"), "{said}");
    stage.begin().await;
    let calls = stage.calls();
    let seen = |place: usize| {
        let (code, said) = stage.processes[place].fleet_status(&["--json"]);
        let status: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
        (code, status)
    };
    calls.give(0).await;
    let policies = stage.processes[0].tooling().get("/readyz").await.json["policy_version"].clone();
    let (code, status) = seen(1);
    assert_eq!(code, Some(0), "{status:#}");
    assert_eq!(status["epoch"], stage.cluster.keys("/acc/v1/epoch")[0].value);
    assert_eq!(status["head"], stage.cluster.keys("/acc/v1/head")[0].version);
    assert_eq!(status["policy_version"], policies);
    let members = status["members"].as_array().unwrap();
    for (member, process) in members.iter().zip(&stage.processes) {
        let wanted = serde_json::json!({
            "member": process.name, "role": if process.role == Role::Authority { "authority" } else { "sidecar" },
            "applied": status["head"], "lag": 0, "renews": true, "policy_version": policies,
            "program": env!("CARGO_PKG_VERSION"), "trouble": null,
        });
        assert_eq!(*member, wanted);
    }
    assert_eq!(members.len(), 3);
    let (code, said) = stage.processes[0].fleet_status(&[]);
    let told = said.lines().find(|line| line.starts_with("sidecar-1 ")).unwrap_or_else(|| panic!("{said}"));
    let words: Vec<_> = told.split_whitespace().collect();
    let head = status["head"].to_string();
    assert_eq!(words, ["sidecar-1", "sidecar", &head, "0", "renews", policies.as_str().unwrap()], "{said}");
    assert_eq!(code, Some(0), "{said}");

    // One that is stopped is seen, and how far behind it is.
    stage.processes[1].process().signal(Signal::STOP);
    calls.give(0).await;
    calls.give(0).await;
    let (code, status) = seen(2);
    let stopped = &status["members"][1];
    assert_eq!((code, &stopped["member"], &stopped["renews"]), (Some(1), &"sidecar-0".into(), &false.into()));
    assert!(stopped["lag"].as_u64().unwrap() >= 2, "{status:#}");
    assert!(stopped["trouble"].as_str().unwrap().contains("does not renew its lease"), "{status:#}");
    for other in [0, 2] {
        assert!(status["members"][other]["trouble"].is_null(), "{status:#}");
    }
    stage.processes[1].process().signal(Signal::CONT);
    let deadline = Instant::now() + PATIENCE;
    while seen(0).0 != Some(0) {
        assert!(Instant::now() < deadline);
    }
    // A clean stop leaves the list.
    stage.processes[1].stop();
    let (code, said) = stage.processes[0].fleet_status(&["--json"]);
    let status: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, status["members"].as_array().unwrap().len()), (Some(0), 2), "{said}");
    // Who cannot look says so.
    stage.cluster.kill(0);
    let (code, said) = stage.processes[0].fleet_status(&["--json"]);
    assert!(code == Some(2) && said.starts_with("error: "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_counts_for_as_long_as_its_lease_and_a_strict_one_is_renewed_for() {
    let times = Times::BRIEF;
    let mut stage = Stage::bare(Cluster::of_one(), times).await;
    for (name, role) in [("authority-0", Role::Authority), ("sidecar-0", Role::Sidecar), ("strict", Role::Sidecar)] {
        stage.hire(name, role, Nature::Product);
    }
    stage.processes[2].also(times, STRICT);
    stage.begin().await;
    let calls = stage.calls();
    let (kept, taken) = (calls.give(0).await, calls.give(0).await);
    for place in 0..3 {
        stage.allows(place, kept).await;
        stage.allows(place, taken).await;
    }

    // Every answer says until when: what allows and what denies.
    let unknown = stage.record.cases.lock().len();
    stage.record.cases.lock().push(super::history::Case { id: "SR-none".to_owned(), ..Default::default() });
    for (case, decision) in [(kept, true), (unknown, false)] {
        let before = SystemClock::new().now();
        let reply = stage.answer(1, case).await;
        assert_eq!((reply.status, reply.decision()), (200, decision), "{reply:?}");
        let until: Timestamp = reply.json["context"]["valid_until"].as_str().unwrap().parse().unwrap();
        let for_ms = reply.json["context"]["valid_for_ms"].as_u64().unwrap();
        let latest = SystemClock::new().now().plus_millis(i64::try_from(times.lease).unwrap());
        assert!(before < until && until <= latest, "{before} {until} {latest}");
        assert!(0 < for_ms && for_ms <= times.lease, "{reply:?}");
    }

    // A strict member renews for each question.
    let renewals = |name: &str| stage.cluster.keys(&format!("/fleet/v1/{name}"))[0].version;
    let before = renewals("strict");
    for _ in 0..20 {
        assert!(stage.answer(2, kept).await.decision());
    }
    assert!(renewals("strict") >= before + 20, "{before} {}", renewals("strict"));

    // What it is told of has not come: it does not wait for its lease to end.
    for part in [Part::Watch, Part::Read] {
        stage.processes[2].line.hold(part, true);
    }
    let closing = {
        let calls = calls.clone();
        tokio::spawn(async move { calls.take(taken, 0).await })
    };
    while calls.status(taken, 0).await != "closed" {
        assert!(!closing.is_finished(), "it is not waited for");
    }
    let closed = stage.answer(2, taken).await;
    assert_eq!((closed.status, closed.json["decision"].as_bool()), (503, Some(false)), "{closed:?}");
    assert!(closed.header("retry-after").is_some(), "{closed:?}");
    closing.await.unwrap();
    stage.processes[2].line.heal();
    stage.allows(2, kept).await;

    // A line that stalls: no answer counts for longer than a lease from then on, and then there is none.
    let pid = stage.processes[1].process().pid();
    stage.processes[1].line.stall(true);
    let last_ns = up_ns() + times.lease * 1_000_000;
    let mut allowed = 0;
    let closed = loop {
        let asked_ns = up_ns();
        let reply = stage.answer(1, kept).await;
        if reply.status != 200 {
            break reply;
        }
        allowed += 1;
        let for_ms = reply.json["context"]["valid_for_ms"].as_u64().unwrap();
        assert!(asked_ns + for_ms * 1_000_000 <= last_ns, "{reply:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("{allowed} allows by the last lease");
    assert!(allowed > 0, "it has its lease");
    assert!(up_ns() <= last_ns + 5_000_000_000, "it asks nobody");
    assert_eq!((closed.status, closed.code()), (503, "lease_expired"), "{closed:?}");
    assert_eq!((closed.header("retry-after"), closed.json["decision"].as_bool()), (Some("1"), Some(false)));
    let ready = stage.processes[1].tooling().get("/readyz").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    stage.processes[1].line.heal();
    stage.allows(1, kept).await;
    assert_eq!(stage.processes[1].process().pid(), pid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_machine_whose_clock_stands_still_is_safe_where_it_is_strict() {
    let frozen = Nature::Rate { thousandths: 1 };
    let mut stage = Stage::bare(Cluster::of_one(), Times::BRIEF).await;
    stage.hire("authority-0", Role::Authority, Nature::Product);
    stage.hire("strict", Role::Sidecar, frozen);
    stage.hire("usual", Role::Sidecar, frozen);
    stage.processes[1].also(stage.times, STRICT);
    stage.begin().await;
    stage.read();
    let calls = stage.calls();
    let case = calls.give(0).await;
    assert!(calls.allowed_by(case, 0..3, PATIENCE).await);
    for place in [1, 2] {
        stage.processes[place].line.stall(true);
    }
    calls.take(case, 0).await;
    tokio::time::sleep(Duration::from_millis(stage.times.lease)).await;
    let tally = stage.judged().await;
    println!("{}", tally.told("clocks that stand still", stage.barriers()));
    assert_eq!(tally.by_process.get(&1), None, "{tally:?}");
    assert!(tally.by_process.contains_key(&2), "nothing is seen of what is certain to be wrong: {tally:?}");
}
