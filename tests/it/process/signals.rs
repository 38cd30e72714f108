//! SIGTERM ends it in order; SIGHUP reloads the policies, and only good ones (G6).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::case::{Act, Case, People};
use crate::support::process::{Site, pause};
use crate::support::question;

#[tokio::test]
async fn sigterm_lets_requests_under_way_finish_and_leaves_nothing_half_done() {
    let site = Site::new("server.unix_socket = \"decisions.sock\"");
    let mut sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let mut case = Case::new("SR-1".to_owned());
    case.carry_out(&people, Act::Open).await.unwrap();
    assert!(site.file("decisions.sock").exists());

    // A request of which only a part has arrived.
    let body = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").to_string();
    let (token, length) = (people.tooling.token(), body.len());
    let head = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let address = sidecar.url.trim_start_matches("http://").to_owned();
    let mut under_way = TcpStream::connect(&address).unwrap();
    under_way.write_all(head.as_bytes()).unwrap();
    under_way.write_all(&body.as_bytes()[..length / 2]).unwrap();
    // Answered on another connection: the server has had the time to take up the first one.
    assert_eq!(people.may_read("SR-1").await.unwrap().status, 200);

    sidecar.signal(Signal::TERM);
    while TcpStream::connect(&address).is_ok() {
        pause();
    }
    under_way.write_all(&body.as_bytes()[length / 2..]).unwrap();
    let mut answer = String::new();
    under_way.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(sidecar.end().code(), Some(0), "{:?}", sidecar.log.lock());
    assert!(!site.file("decisions.sock").exists(), "the socket's file is gone");

    let decided: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let id = decided["context"]["decision_id"].as_str().unwrap();
    let log = std::fs::read_to_string(site.file("decisions/00000000000000000000.jsonl")).unwrap();
    assert!(log.lines().last().unwrap().contains(id), "the last decision is the last line");
    assert!(!site.file("store.db-wal").exists(), "the store's journal is in its file");
    let sidecar = site.start();
    case.survived(&People::of(&site, &sidecar)).await;
}

#[tokio::test]
async fn sigterm_ends_it_while_every_connection_is_taken() {
    let site = Site::new("server.max_connections = 1");
    let mut sidecar = site.start();
    let people = People::of(&site, &sidecar);
    // The client keeps its connection, and nobody else gets one.
    assert_eq!(people.may_read("SR-1").await.unwrap().status, 200);
    let told = Instant::now();
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.end().code(), Some(0), "{:?}", sidecar.log.lock());
    assert!(told.elapsed() < Duration::from_secs(5), "it waited for the client: {:?}", told.elapsed());
}

#[tokio::test]
async fn sighup_takes_good_policies_and_leaves_bad_ones() {
    const FREEZE: &str = "\n@id(\"test.freeze\")\n@rule(\"R1\")\n@code(\"frozen\")\n@reason(\"nothing is read today\")\n\
                          forbid (principal, action in Action::\"readDiagnosticData\", resource is DiagnosticData);\n";
    let site = Site::new("policy = { directory = \"bundle\", watch = false }");
    site.bundle("bundle");
    let mut sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let mut case = Case::new("SR-1".to_owned());
    for act in [Act::Open, Act::Ask, Act::ContosoApproves, Act::FabrikamApproves] {
        case.carry_out(&people, act).await.unwrap();
    }
    let shipped = people.may_read("SR-1").await.unwrap();
    assert!(shipped.decision(), "{shipped:?}");
    let version = &shipped.json["context"]["policy_version"];

    let reading = site.file("bundle").join("policies/reading.cedar");
    let good = std::fs::read_to_string(&reading).unwrap();
    let bad_line = good.lines().count() + 2;
    let syntax = format!("policies/reading.cedar:{bad_line}:");
    let edits = [
        (format!("{good}\npermit (principal, action resource);\n"), syntax.as_str()),
        (good.replace("context.supportRequest.open", "context.supportRequest.opened"), "policies/reading.cedar:"),
        (good.replacen("@id(\"reading.expired\")", "", 1), "the policy has no `@id`"),
    ];
    for (bad, said) in edits {
        std::fs::write(&reading, bad).unwrap();
        let seen = sidecar.log.lock().len();
        sidecar.signal(Signal::HUP);
        let line = sidecar.wait_for_line_after(seen, "the policies are not good");
        assert!(line.contains(said) && line.contains("policies/reading.cedar:"), "{said}: {line}");
        let still = people.may_read("SR-1").await.unwrap();
        assert!(still.decision() && &still.json["context"]["policy_version"] == version, "{still:?}");
    }

    std::fs::write(&reading, format!("{good}{FREEZE}")).unwrap();
    let seen = sidecar.log.lock().len();
    sidecar.signal(Signal::HUP);
    let reloaded = sidecar.wait_for_line_after(seen, "policies reloaded");
    let frozen = people.may_read("SR-1").await.unwrap();
    assert_eq!((frozen.decision(), frozen.code()), (false, "frozen"), "{frozen:?}");
    let now = &frozen.json["context"]["policy_version"];
    assert!(now != version && reloaded.contains(now.as_str().unwrap()), "{reloaded}");

    std::fs::write(&reading, good).unwrap();
    let seen = sidecar.log.lock().len();
    sidecar.signal(Signal::HUP);
    sidecar.wait_for_line_after(seen, "policies reloaded");
    let again = people.may_read("SR-1").await.unwrap();
    assert!(again.decision() && &again.json["context"]["policy_version"] == version, "{again:?}");
}
