//! Clients that are not ours: the examples for shell, Python and JavaScript, and an AuthZEN client by others.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use super::impostor::{Does, Impostor};
use crate::openapi::tools;
use crate::support::House;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Asks through an example whether `vendor/ada` may read this under `SR-1`.
async fn ask(example: &str, place: &str, token: &str, resource: &str) -> (bool, String) {
    let mut command = Command::new(file("examples").join(example));
    command.args([place, "vendor/ada", resource, "SR-1"]).env("CONSENTRY_TOKEN", token).env("NO_PROXY", "*");
    let Output { status, stdout, stderr } = command.output().await.unwrap_or_else(|error| panic!("{example}: {error}"));
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.code().is_some_and(|code| code != 127), "{example}: {said}");
    (status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_tell_an_allow_from_everything_else() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = folder.path().join("consentry.sock");
    let house = House::start_with(&format!("server.unix_socket = \"{}\"", socket.display())).await;
    house.grant().await;
    let token = house.tooling().token();
    for (example, speaks_unix) in [("may-read.sh", true), ("may_read.py", true), ("may-read.mjs", false)] {
        let (allowed, said) = ask(example, &house.url, &token, "fabrikam/signInLogs").await;
        assert!(allowed && said.contains("permitted"), "{example}: {said}");
        for (resource, code) in [("contoso/signInLogs", "advanced_diagnostics_not_allowed"), ("?", "invalid_request")] {
            let (allowed, said) = ask(example, &house.url, &token, resource).await;
            assert!(!allowed && said.contains(code), "{example}: {said}");
        }
        let (allowed, said) = ask(example, &house.url, "no-token", "fabrikam/signInLogs").await;
        assert!(!allowed && said.contains("token_malformed"), "{example}: {said}");
        let (allowed, said) = ask(example, "http://127.0.0.1:1", &token, "fabrikam/signInLogs").await;
        assert!(!allowed, "{example}: {said}");
        if speaks_unix {
            let (allowed, said) = ask(example, socket.to_str().unwrap(), "", "fabrikam/signInLogs").await;
            assert!(allowed && said.contains("permitted"), "{example}: {said}");
        }
        for body in [r#"{"decision":"true","context":{"reason":{"code":"x"}}}"#, "true", ""] {
            let impostor = Impostor::that(vec![Does::answer(200, "", "application/json", body)]).await;
            let (allowed, said) = ask(example, &impostor.url, &token, "fabrikam/signInLogs").await;
            assert!(!allowed, "{example}: {body}: {said}");
        }
        let refusing =
            Does::answer(500, "", "application/json", r#"{"decision":true,"context":{"reason":{"code":"x"}}}"#);
        let impostor = Impostor::that(vec![refusing]).await;
        assert!(!ask(example, &impostor.url, &token, "fabrikam/signInLogs").await.0, "{example}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authzen_client_by_others_gets_right_answers() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    house.ask(&house.engineer("ada"), "SR-1", "fabrikam").await;
    house.approve(&house.admin("contoso", "cyd")).await;
    house.approve_with(&house.admin("fabrikam", "dee"), json!({ "categories": ["signInLogs"] })).await;
    let mut command = Command::new(tools::path("python"));
    command.arg(file("tests/it/client/authzen.py")).args([&house.url, &house.tooling().token()]);
    let Output { status, stdout, stderr } =
        command.env("NO_PROXY", "*").output().await.unwrap_or_else(|error| panic!("{}: {error}", tools::MISSING));
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let said = String::from_utf8(stdout).unwrap();
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!([true, "permitted"]),
        json!([false, "not_assigned"]),
        json!([false, true]),
        json!([false]),
        json!([false, true]),
        json!("PDP rejected the request (HTTP 400)"),
    ];
    assert_eq!(answers, expected);
}
