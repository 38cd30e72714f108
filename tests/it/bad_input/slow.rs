//! Clients that take their time, on purpose or not, and HTTP/2 without an upgrade.

use std::time::Duration;

use crate::support::{Connection, House, question, request};

const IMPATIENT: &str = "server.read_timeout_ms = 300";

/// A request of the tooling's whose body is still to come.
fn head(house: &House, length: usize) -> Vec<u8> {
    let (authorization, length) = (format!("Bearer {}", house.tooling().token()), length.to_string());
    let headers =
        [("authorization", authorization.as_str()), ("content-type", "application/json"), ("content-length", &length)];
    request("POST", "/access/v1/evaluation", &headers, "")
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off() {
    let house = House::start_with(IMPATIENT).await;
    let mut connection = Connection::to(&house).await;
    connection.send(&head(&house, 1_000)).await;
    // A byte now and then does not buy more time.
    for _ in 0..8 {
        connection.send(b" ").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = connection.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_slow\""), "{answer}");
    house.is_well().await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_cut_off() {
    let house = House::start_with(IMPATIENT).await;
    let answer = Connection::to(&house).await.send(&head(&house, 10)).await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // A body that comes in two pieces in time is as good as any.
    let body = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").to_string();
    let mut connection = Connection::to(&house).await;
    connection.send(&head(&house, body.len())).await.send(&body.as_bytes()[..20]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = connection.send(&body.as_bytes()[20..]).await.until("support_request_unknown").await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let house = House::start_with(IMPATIENT).await;
    for start in ["GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow:", "GET /heal", "G"] {
        let mut connection = Connection::to(&house).await;
        let answer = connection.send(start.as_bytes()).await.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{start:?}: {answer}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_cut_off() {
    let house = House::start_with(IMPATIENT).await;
    // The last is how HTTP/2 begins: it could still become either.
    for start in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let answer = Connection::to(&house).await.send(start.as_bytes()).await.rest().await;
        assert_eq!(answer, "", "{start:?}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_cut_off() {
    let house = House::start_with(IMPATIENT).await;
    let mut connection = Connection::to(&house).await;
    connection.send(&request("GET", "/healthz", &[], "")).await.until("ok\n").await;
    assert_eq!(connection.rest().await, "");
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let house = House::start_with(&format!("{IMPATIENT}\nserver.max_connections = 4")).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(Connection::to(&house).await);
    }
    house.is_well().await;
}

#[tokio::test]
async fn http_2_needs_no_upgrade() {
    let house = House::start().await;
    let mut connection = Connection::to(&house).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]); // SETTINGS, empty
    // GET http x/healthz: three fields of HPACK's static table, and a path and an authority in plain letters.
    let fields = [&[0x82, 0x86, 0x44, 8][..], b"/healthz", &[0x41, 1], b"x"].concat();
    bytes.extend([0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1]); // HEADERS, the end of stream 1
    bytes.extend(fields);
    let answer = connection.send(&bytes).await.until_bytes(b"ok\n").await;
    assert_eq!(answer[3], 4, "the first frame is SETTINGS: {answer:?}");
    // HEADERS of stream 1 that begin with `:status: 200`.
    let headers = answer.windows(10).any(|frame| frame[3] == 1 && frame[5..9] == [0, 0, 0, 1] && frame[9] == 0x88);
    assert!(headers, "{answer:?}");
}
