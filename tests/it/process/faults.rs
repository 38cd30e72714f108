//! A disk that fails under the running program: errors of its own making, and calls that do not return (G3, G4).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::case::{Act, Case, People};
use super::disk::{not_ready, ready_again, waiting_for_fabrikam};
use super::kill::recorded;
use crate::support::Reply;
use crate::support::process::{Sidecar, Site, pause};

/// Some of a process's calls on one file fail, or hang, until this is dropped.
pub(super) struct Fault(Child);

impl Fault {
    /// `fault` as `strace -e inject=` takes it.
    fn on(sidecar: &Sidecar, file: &Path, fault: &str) -> Self {
        Self::on_all(sidecar, &[file], fault)
    }

    /// The same, on each of these files.
    pub(super) fn on_all(sidecar: &Sidecar, files: &[&Path], fault: &str) -> Self {
        let said = files[0].with_extension("strace");
        let strace = Command::new("strace")
            .args(["-f", "-e", "signal=none", "-p", &sidecar.child.id().to_string(), "-e"])
            .args([&format!("inject={fault}"), "-o", "/dev/null"])
            .args(files.iter().flat_map(|file| [Path::new("-P"), file]))
            .stderr(Stdio::from(std::fs::File::create(&said).unwrap()))
            .spawn()
            .expect("this test needs strace: ./test installs it");
        let mut fault = Self(strace);
        while !std::fs::read_to_string(&said).unwrap().contains("attached") {
            let ended = fault.0.try_wait().unwrap();
            let words = std::fs::read_to_string(&said).unwrap();
            assert_eq!(ended, None, "strace may not look at the program; be root, or allow ptrace: {words}");
            pause();
        }
        fault
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

/// Nothing that is asked while the log cannot be written is allowed, or changes anything.
pub(super) async fn nothing_is_answered(people: &People, approval: &str, told: &str) {
    for _ in 0..2 {
        let read = people.may_read("SR-1").await.unwrap();
        assert_eq!((read.status, read.code(), read.decision()), (503, "log_unavailable", false), "{told}: {read:?}");
        let approve = people.dee.post(approval, &json!({})).await;
        assert_eq!((approve.status, approve.code()), (503, "log_unavailable"), "{told}: {approve:?}");
    }
}

fn id_of(reply: &Reply) -> String {
    reply.json["context"]["decision_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_log_that_fails_denies_until_it_is_mended() {
    let calls = [("written", "write"), ("written", "fdatasync"), ("synced", "write"), ("synced", "fdatasync")];
    for (mode, call) in calls {
        let site = Site::new(&format!("decision_log.mode = \"{mode}\""));
        let sidecar = site.start();
        let people = People::of(&site, &sidecar);
        let (mut case, approval) = waiting_for_fabrikam(&people).await;
        let before = id_of(&people.may_read("SR-1").await.unwrap());
        for error in ["EIO", "EROFS", "ENOSPC"] {
            let told = format!("{mode}: {call} fails with {error}");
            let fault = Fault::on(
                &sidecar,
                &site.file("decisions/00000000000000000000.jsonl"),
                &format!("{call}:error={error}"),
            );
            if (mode, call) == ("written", "fdatasync") {
                // The failure is found within the interval; until then records are written as they always are.
                while people.tooling.get("/readyz").await.status == 200 {
                    people.may_read("SR-1").await.unwrap();
                }
            }
            nothing_is_answered(&people, &approval, &told).await;
            not_ready(&people, "decision_log").await;
            drop(fault);
            ready_again(&people).await;
        }
        case.survived(&people).await;
        case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
        let allowed = people.may_read("SR-1").await.unwrap();
        assert!(allowed.decision(), "{allowed:?}");
        recorded(
            &site.file("decisions/00000000000000000000.jsonl"),
            &[(before, false), (id_of(&allowed), true)].into(),
        );
    }
}

#[tokio::test]
async fn a_store_that_fails_changes_nothing_or_says_that_it_does_not_know() {
    for call in ["pwrite64", "fsync,fdatasync"] {
        for error in ["EIO", "EROFS", "ENOSPC"] {
            let site = Site::new("");
            let sidecar = site.start();
            let people = People::of(&site, &sidecar);
            let mut case = Case::new("SR-1".to_owned());
            for act in [Act::Open, Act::Ask, Act::ContosoApproves, Act::FabrikamApproves] {
                case.carry_out(&people, act).await.unwrap();
            }
            let revocation = case.consent(&people.dee, "approved", "revoke").await.unwrap();
            let told = format!("{call} fails with {error}");
            let fault = Fault::on(&sidecar, &site.file("store.db-wal"), &format!("{call}:error={error}"));
            let once = people.dee.with("idempotency-key", "once");
            for _ in 0..2 {
                let revoke = once.post(&revocation, &json!({})).await;
                assert_eq!(revoke.status, 503, "{told}: {revoke:?}");
                assert!(["store_unavailable", "unconfirmed"].contains(&revoke.code()), "{told}: {revoke:?}");
                // Nothing was acknowledged: the facts are what they were, or what they are to be.
                let read = people.may_read("SR-1").await.unwrap();
                assert_eq!(read.status, 200, "{told}: {read:?}");
            }
            not_ready(&people, "store").await;
            drop(fault);
            ready_again(&people).await;
            let revoke = once.post(&revocation, &json!({})).await;
            assert_eq!(revoke.status, 200, "{told}: {revoke:?}");
            assert!(!people.may_read("SR-1").await.unwrap().decision(), "{told}");
            sidecar.kill();

            let sidecar = site.start();
            let people = People::of(&site, &sidecar);
            assert!(!people.may_read("SR-1").await.unwrap().decision(), "{told}");
            let entries = people.dee.get("/v1/audit-log").await;
            assert_eq!(entries.text.matches("Approval removed").count(), 1, "{told}: {entries:?}");
        }
    }
}

/// Long enough that it does not end by itself while a test looks.
const HANG: &str = "delay_enter=60000000";

#[tokio::test]
async fn a_log_that_hangs_is_told_and_keeps_nobody_else_waiting() {
    // Side by side: each takes as long as it takes until a slow disk counts as one that hangs.
    tokio::join!(hanging("written", "write"), hanging("written", "fdatasync"), hanging("synced", "fdatasync"));
}

async fn hanging(mode: &str, call: &str) {
    let site = Site::new(&format!("decision_log.mode = \"{mode}\""));
    let sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let (mut case, _) = waiting_for_fabrikam(&people).await;
    let fault = Fault::on(&sidecar, &site.file("decisions/00000000000000000000.jsonl"), &format!("{call}:{HANG}"));
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let people = people.clone();
            tokio::spawn(async move { people.may_read("SR-1").await })
        })
        .collect();
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let ready = people.tooling.get("/readyz").await;
        assert!(asked.elapsed() < Duration::from_secs(4), "{mode}: readiness hangs with the disk");
        if ready.status == 503 {
            assert!(ready.json["checks"]["decision_log"].as_str().unwrap().contains("hangs"), "{ready:?}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{mode}, {call}: nobody notices");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(fault);
    for asked in asking {
        let reply = asked.await.unwrap().unwrap();
        assert!(!reply.decision() && [200, 503].contains(&reply.status), "{mode}, {call}: {reply:?}");
    }
    ready_again(&people).await;
    case.survived(&people).await;
    case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
    assert!(people.may_read("SR-1").await.unwrap().decision());
}

#[tokio::test]
async fn a_store_that_hangs_is_told_and_reads_go_on() {
    let site = Site::new("");
    let sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let (case, approval) = waiting_for_fabrikam(&people).await;
    let fault = Fault::on(&sidecar, &site.file("store.db-wal"), &format!("fsync,fdatasync:{HANG}"));
    let once = people.dee.with("idempotency-key", "once");
    let approve = once.post(&approval, &json!({})).await;
    assert_eq!((approve.status, approve.code()), (503, "unconfirmed"), "{approve:?}");
    not_ready(&people, "store").await;
    let read = people.may_read("SR-1").await.unwrap();
    assert_eq!((read.status, read.decision()), (200, false), "{read:?}");
    let other = people.ticketing.post(&format!("/v1/support-requests/{}/close", case.id), &json!({})).await;
    assert_eq!((other.status, other.code()), (503, "store_unavailable"), "nobody waits any more: {other:?}");
    drop(fault);
    ready_again(&people).await;
    let again = once.post(&approval, &json!({})).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "it was made once: {again:?}");
    assert!(people.may_read("SR-1").await.unwrap().decision());
}

#[tokio::test]
async fn files_taken_away_underneath_are_told() {
    let site = Site::new("");
    let sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let (_, approval) = waiting_for_fabrikam(&people).await;
    std::fs::rename(site.file("decisions/00000000000000000000.jsonl"), site.file("moved.jsonl")).unwrap();
    let began = Instant::now();
    while people.may_read("SR-1").await.unwrap().status != 503 {
        assert!(began.elapsed() < Duration::from_secs(20), "records go into a file that was moved away");
        pause();
    }
    nothing_is_answered(&people, &approval, "the log was moved away").await;
    let ready = people.tooling.get("/readyz").await;
    assert!(ready.json["checks"]["decision_log"].as_str().unwrap().contains("moved"), "{ready:?}");
    std::fs::rename(site.file("moved.jsonl"), site.file("decisions/00000000000000000000.jsonl")).unwrap();
    ready_again(&people).await;
    assert_eq!(people.may_read("SR-1").await.unwrap().status, 200);

    std::fs::rename(site.file("store.db"), site.file("moved.db")).unwrap();
    std::fs::write(site.file("store.db"), "").unwrap();
    let approve = people.dee.post(&approval, &json!({})).await;
    assert_eq!((approve.status, approve.code()), (503, "store_unavailable"), "{approve:?}");
    not_ready(&people, "store").await;
    std::fs::rename(site.file("moved.db"), site.file("store.db")).unwrap();
    ready_again(&people).await;
    let approve = people.dee.post(&approval, &json!({})).await;
    assert_eq!(approve.status, 200, "{approve:?}");
    assert!(people.may_read("SR-1").await.unwrap().decision());
}
