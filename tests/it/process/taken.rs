//! What lies under the running program is taken away: its disk turns read-only, the rights to its files go, its folder is
//! deleted. Nothing is allowed that is not recorded, nothing that was acknowledged is lost, and readiness says why (G3, G4).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use super::case::{Act, People};
use super::disk::{ready_again, waiting_for_fabrikam};
use super::faults::{Fault, nothing_is_answered};
use crate::support::process::{Sidecar, Site, end_of, pause};
use crate::support::settings;

const FILES: [&str; 3] = ["store.db", "store.db-wal", "decisions/00000000000000000000.jsonl"];

const BOTH: [&str; 2] = ["store.db", "decisions"];

/// A site of which these files lie in a folder of their own.
fn site_with_folder(mode: &str, names: &[&str]) -> Site {
    let site = Site::new("");
    fs::create_dir(site.file("data")).unwrap();
    let mut text = settings(site.path(), &format!("decision_log.mode = \"{mode}\""));
    for name in names {
        let own = |name: &str| format!("\"{}\"", site.file(name).display());
        text = text.replace(&own(name), &own(&format!("data/{name}")));
    }
    site.settings(&text);
    site
}

/// The program with no more rights than its user has. Root may do anything, and gives that up here.
fn serve(site: &Site) -> Command {
    let program = env!("CARGO_BIN_EXE_consentry");
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-dac_override,-dac_read_search", "--", program]);
        command
    } else {
        Command::new(program)
    };
    command.args(["serve", "--config", "consentry.toml"]).current_dir(site.path()).stdin(Stdio::null());
    command.env("NO_COLOR", "1");
    command
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Reads are refused once it is noticed, and then everything is, with a reason that says this.
async fn refused_for(people: &People, approval: &str, said: &str) {
    let mut answered = 0;
    while people.may_read("SR-1").await.unwrap().status != 503 {
        answered += 1;
        assert!(answered < 2_000, "{said}: nobody notices");
        pause();
    }
    nothing_is_answered(people, approval, said).await;
    let ready = people.tooling.get("/readyz").await;
    let told = ready.json["checks"]["decision_log"].as_str().unwrap();
    assert!(ready.status == 503 && told.contains(said), "{ready:?}");
}

#[tokio::test]
async fn a_disk_that_turns_read_only_denies_and_loses_nothing() {
    let site = Site::new("");
    let sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let (mut case, approval) = waiting_for_fabrikam(&people).await;
    let files = FILES.map(|name| site.file(name));
    // As a file system does that found itself damaged: what is open stays open, and no write gets through.
    let fault = Fault::on_all(
        &sidecar,
        &files.each_ref().map(std::path::PathBuf::as_path),
        "write,pwrite64,ftruncate:error=EROFS",
    );
    refused_for(&people, &approval, "Read-only file system").await;
    sidecar.kill();
    drop(fault);

    let sidecar = site.start();
    let people = People::of(&site, &sidecar);
    case.survived(&people).await;
    case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
    assert!(people.may_read("SR-1").await.unwrap().decision());
}

#[tokio::test]
async fn rights_that_are_taken_away_deny_until_they_are_back() {
    for mode in ["written", "synced"] {
        let site = site_with_folder(mode, &BOTH);
        let sidecar = Sidecar::spawn(serve(&site));
        let people = People::of(&site, &sidecar);
        let (mut case, approval) = waiting_for_fabrikam(&people).await;
        set_mode(&site.file("data"), 0o000);
        refused_for(&people, &approval, "Permission denied").await;
        set_mode(&site.file("data"), 0o700);
        ready_again(&people).await;
        case.survived(&people).await;

        // The files alone: those that are open stay so, and a start names the one that it may not write.
        for name in FILES {
            set_mode(&site.file("data").join(name), 0o400);
        }
        assert!(!people.may_read("SR-1").await.unwrap().decision());
        sidecar.kill();
        let (status, said) = end_of(serve(&site));
        assert!(!status.success() && said.contains("/data/") && said.contains("ermission denied"), "{said}");
        for name in FILES {
            set_mode(&site.file("data").join(name), 0o600);
        }
        let sidecar = Sidecar::spawn(serve(&site));
        let people = People::of(&site, &sidecar);
        case.survived(&people).await;
        case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
        assert!(people.may_read("SR-1").await.unwrap().decision());
    }
}

#[tokio::test]
async fn rights_to_the_store_that_are_taken_away_let_nothing_change_and_reads_go_on() {
    let site = site_with_folder("written", &["store.db"]);
    let sidecar = Sidecar::spawn(serve(&site));
    let people = People::of(&site, &sidecar);
    let (mut case, approval) = waiting_for_fabrikam(&people).await;
    set_mode(&site.file("data"), 0o000);
    let approve = people.dee.post(&approval, &json!({})).await;
    assert_eq!((approve.status, approve.code()), (503, "store_unavailable"), "{approve:?}");
    let ready = people.tooling.get("/readyz").await;
    let told = ready.json["checks"]["store"].as_str().unwrap();
    assert!(ready.status == 503 && told.contains("Permission denied"), "{ready:?}");
    let read = people.may_read("SR-1").await.unwrap();
    assert_eq!((read.status, read.code()), (200, "awaiting_consent"), "{read:?}");
    set_mode(&site.file("data"), 0o700);
    ready_again(&people).await;
    case.survived(&people).await;
    case.carry_out(&people, Act::FabrikamApproves).await.unwrap();
}

#[tokio::test]
async fn a_folder_deleted_underneath_is_told_and_its_successor_is_not_taken_for_it() {
    for mode in ["written", "synced"] {
        let site = site_with_folder(mode, &BOTH);
        let mut sidecar = site.start();
        let people = People::of(&site, &sidecar);
        let (case, approval) = waiting_for_fabrikam(&people).await;
        let tracked = format!("/v1/support-requests/{}/close", case.id);
        fs::remove_dir_all(site.file("data")).unwrap();
        // The store looks before it writes: nothing is acknowledged from the first moment on.
        let close = people.ticketing.post(&tracked, &json!({})).await;
        assert_eq!(close.status, 503, "{close:?}");
        refused_for(&people, &approval, "was moved or removed").await;

        // Somebody makes the folder anew: it is not what was there.
        fs::create_dir(site.file("data")).unwrap();
        refused_for(&people, &approval, "was moved or removed").await;
        assert_eq!(fs::read_dir(site.file("data")).unwrap().count(), 0, "something was begun in the new folder");
        sidecar.signal(Signal::TERM);
        let _ = sidecar.end();
        assert_eq!(fs::read_dir(site.file("data")).unwrap().count(), 0, "something was left in the new folder");

        // A start on nothing knows of nothing.
        let sidecar = site.start();
        let read = People::of(&site, &sidecar).may_read("SR-1").await.unwrap();
        assert_eq!((read.status, read.decision()), (200, false), "{read:?}");
    }
}
