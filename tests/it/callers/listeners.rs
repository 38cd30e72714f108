//! Listeners that ask for no token: the Unix domain socket, and the loopback port that an operator opened.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use consentry::config::{Config, Overrides};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{EVALUATION, ask_about};
use crate::support::{Connection, House, request};

/// A granted house that also listens on a socket.
async fn with_socket() -> (House, TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("consentry.sock");
    let house = House::start_with(&format!("server.unix_socket = \"{}\"", socket.display())).await;
    house.grant().await;
    (house, folder, socket)
}

/// Status and body of one request through the socket.
async fn through(socket: &std::path::Path, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("connection", "close")];
    if !token.is_empty() {
        headers.push(("authorization", &authorization));
    }
    let answer = Connection::through(socket).await.send(&request(method, path, &headers, &body)).await.rest().await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_unix_socket_answers_whoever_may_open_it() {
    let (house, _folder, socket) = with_socket().await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660, "owner and group, and nobody else");
    let (status, answer) = through(&socket, "POST", EVALUATION, "", &ask_about("vendor/ada")).await;
    assert_eq!((status, &answer["decision"]), (200, &json!(true)));
    let (status, answer) = through(&socket, "POST", EVALUATION, "", &ask_about("vendor/bob")).await;
    assert_eq!((status, &answer["context"]["reason"]["code"]), (200, &json!("not_assigned")));
    let mut batch = ask_about("vendor/ada");
    batch["evaluations"] = json!([{}, {}]);
    let (status, answer) = through(&socket, "POST", "/access/v1/evaluations", "", &batch).await;
    assert_eq!((status, answer["evaluations"].as_array().unwrap().len()), (200, 2));
    let last = house.records().pop().unwrap();
    assert_eq!(last["caller"], "unix-socket");
}

#[tokio::test]
async fn a_token_counts_on_the_socket_too() {
    let (house, _folder, socket) = with_socket().await;
    let (status, answer) = through(&socket, "POST", EVALUATION, "nonsense", &ask_about("vendor/ada")).await;
    assert_eq!((status, &answer["code"]), (401, &json!("token_malformed")));
    let stranger = house.service("other", &[]).token();
    let (status, _) = through(&socket, "POST", EVALUATION, &stranger, &ask_about("vendor/ada")).await;
    assert_eq!(status, 403);
    let tooling = house.tooling().token();
    let (status, _) = through(&socket, "POST", EVALUATION, &tooling, &ask_about("vendor/ada")).await;
    assert_eq!((status, house.records().pop().unwrap()["caller"].clone()), (200, json!("vendor/tooling")));
}

#[tokio::test]
async fn the_workflow_is_not_on_the_socket() {
    let (house, _folder, socket) = with_socket().await;
    let admin = house.admin("contoso", "cyd").token();
    for token in ["", admin.as_str()] {
        for path in ["/v1/consents?view=pending", "/v1/audit-log", "/v1/support-requests/SR-1", "/v1/access-requests"] {
            let (status, answer) = through(&socket, "GET", path, token, &Value::Null).await;
            assert_eq!((status, &answer["code"]), (404, &json!("no_such_path")), "{path}");
        }
        let (status, _) = through(&socket, "POST", "/v1/support-requests/SR-1/close", token, &json!({})).await;
        assert_eq!(status, 404);
    }
    for path in ["/healthz", "/readyz", "/.well-known/authzen-configuration"] {
        assert_eq!(through(&socket, "GET", path, "", &Value::Null).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn the_socket_is_taken_away_and_taken_over() {
    let (mut house, _folder, socket) = with_socket().await;
    house.restart().await;
    assert_eq!(through(&socket, "POST", EVALUATION, "", &ask_about("vendor/ada")).await.0, 200);
    house.app.take().unwrap().stop().await.unwrap();
    assert!(!socket.exists(), "a socket goes with its service");
    // What a crash leaves behind is nobody's: it is replaced.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    house.restart().await;
    assert_eq!(through(&socket, "POST", EVALUATION, "", &ask_about("vendor/ada")).await.0, 200);
}

#[tokio::test]
async fn insecure_loopback_opens_the_decision_endpoint_alone() {
    let house = House::start_with("server.insecure_loopback = true").await;
    house.grant().await;
    let nobody = house.tooling().holding("");
    assert!(nobody.post(EVALUATION, &ask_about("vendor/ada")).await.decision());
    assert_eq!(house.records().pop().unwrap()["caller"], "insecure-loopback");
    for path in ["/v1/consents?view=pending", "/v1/audit-log", "/v1/audit-log/reads"] {
        assert_eq!(nobody.get(path).await.status, 404, "{path}");
    }
    for path in ["/v1/support-requests", "/v1/access-requests"] {
        assert_eq!(nobody.get(path).await.problem().0, 403, "{path}");
    }
    for path in ["/v1/support-requests/SR-1/close", "/v1/support-requests/SR-1/reopen"] {
        assert_eq!(nobody.post(path, &json!({})).await.problem(), (403, "not_permitted", ""), "{path}");
    }
    let reply = nobody.put("/v1/tenants/evil", &json!({ "display_name": "x" })).await;
    assert_eq!(reply.problem(), (403, "not_permitted", ""));
    assert_eq!(nobody.holding("nonsense").post(EVALUATION, &ask_about("vendor/ada")).await.status, 401);
}

#[tokio::test]
async fn production_refuses_an_open_loopback() {
    let house = House::start().await;
    let path = house.folder.path().join("production.toml");
    let settings = |mode: &str, listen: &str| {
        format!(
            "mode = \"{mode}\"\nserver.listen = \"{listen}\"\nserver.insecure_loopback = true\n\
             store.path = \"x\"\ndecision_log.path = \"x\"\n"
        )
    };
    for (mode, listen, good) in [
        ("development", "127.0.0.1:0", true),
        ("production", "127.0.0.1:0", false),
        ("development", "0.0.0.0:0", false),
    ] {
        std::fs::write(&path, settings(mode, listen)).unwrap();
        assert_eq!(Config::read(Some(&path), &Overrides::default()).is_ok(), good, "{mode} {listen}");
    }
}
