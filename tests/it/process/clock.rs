//! A clock that is set while the program runs and while it does not: nothing that ended begins again (R9, G4).

use std::path::PathBuf;
use std::process::Command;

use http::Method;
use serde_json::json;

use super::case::{Act, People};
use super::disk::waiting_for_fabrikam;
use crate::support::process::{Sidecar, Site, end_of};

/// Where Debian, and others, put the library that gives a process another time.
fn library() -> PathBuf {
    let places = "ls /usr/lib/*/faketime/libfaketime.so.1 /usr/lib*/faketime/libfaketime.so.1";
    let output = Command::new("sh").args(["-c", places]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    PathBuf::from(text.lines().next().expect("this test needs libfaketime: ./test installs it"))
}

/// The program, with its wall clock off by what the file `offset` says.
fn command(site: &Site) -> Command {
    let mut command = site.command(&["serve", "--config", "consentry.toml"]);
    command.env("LD_PRELOAD", library()).env("FAKETIME_TIMESTAMP_FILE", site.file("offset"));
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    command
}

/// Sets the clock to so many seconds from the machine's.
fn set(site: &Site, offset_s: i64) {
    std::fs::write(site.file("offset.new"), format!("{offset_s:+}\n")).unwrap();
    std::fs::rename(site.file("offset.new"), site.file("offset")).unwrap();
}

const HOUR: i64 = 3_600;
const MONTH: i64 = 30 * 24 * HOUR;

async fn clock_of(people: &People) -> Option<String> {
    people.tooling.get("/readyz").await.json["clock"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_clock_that_jumps_gives_no_access_back_and_leaves_nothing_stuck() {
    let site = Site::new("");
    set(&site, 0);
    let sidecar = Sidecar::spawn(command(&site));
    let people = People::of(&site, &sidecar);
    let (mut case, approval) = waiting_for_fabrikam(&people).await;
    // For three seconds from now.
    let until = consentry::clock::Clock::now(&consentry::clock::SystemClock::new()).plus_millis(3_000);
    let approve = people.dee.post(&approval, &json!({ "until": until.to_string() })).await;
    assert_eq!(approve.status, 200, "{approve:?}");
    assert!(people.may_read("SR-1").await.unwrap().decision());

    set(&site, -HOUR);
    let mut answers = Vec::new();
    let ended = loop {
        // The tokens are from the future, by the clock that was set back; by the time that passes they are not.
        let read = people.may_read("SR-1").await.unwrap();
        assert_eq!(read.status, 200, "{read:?}");
        if !read.decision() {
            break read;
        }
        answers.push(read);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert!(answers.len() < 400, "what was to end does not end");
    };
    assert_eq!(ended.code(), "consent_expired", "{ended:?}");
    assert!(clock_of(&people).await.unwrap().contains("set back by 3"), "{:?}", clock_of(&people).await);
    set(&site, -2 * MONTH);
    assert!(!people.may_read("SR-1").await.unwrap().decision(), "what has ended stays ended");
    set(&site, 0);
    assert!(!people.may_read("SR-1").await.unwrap().decision());
    assert_eq!(clock_of(&people).await, None);

    // A month ahead everybody's token has expired; back again, nobody's has.
    set(&site, MONTH);
    let read = people.may_read("SR-1").await.unwrap();
    assert_eq!((read.status, read.code()), (401, "token_expired"), "{read:?}");
    set(&site, 0);
    let read = people.may_read("SR-1").await.unwrap();
    assert_eq!((read.status, read.code()), (200, "consent_expired"), "{read:?}");
    case.carry_out(&people, Act::Close).await.unwrap();
}

#[tokio::test]
async fn a_clock_behind_the_store_is_refused_until_somebody_has_looked() {
    let site = Site::new("");
    set(&site, 0);
    let sidecar = Sidecar::spawn(command(&site));
    waiting_for_fabrikam(&People::of(&site, &sidecar)).await;
    sidecar.kill();

    set(&site, -HOUR);
    let (status, said) = end_of(command(&site));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("the last change in the store was made at") && said.contains("accept_earlier_clock"),
        "{said}"
    );

    // A little behind: the time goes on from what is stored.
    set(&site, -120);
    let sidecar = Sidecar::spawn(command(&site));
    let people = People::of(&site, &sidecar);
    assert!(clock_of(&people).await.is_some());
    let reply = people.tooling.try_send(Method::GET, "/readyz", None).await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    sidecar.kill();

    set(&site, -HOUR);
    let mut accepting = command(&site);
    accepting.env("CONSENTRY_STORE__ACCEPT_EARLIER_CLOCK", "true");
    let sidecar = Sidecar::spawn(accepting);
    assert_eq!(People::of(&site, &sidecar).tooling.get("/readyz").await.status, 200);
}
