//! Limits one by one: what a client is told that comes up against one, and that it harms nobody else.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Connection, House, question, request};

const LARGE: usize = 4 * 1024 * 1024;

/// A POST whose body of this length is still to come.
fn head(path: &str, headers: &[(&str, &str)], length: usize) -> Vec<u8> {
    let length = length.to_string();
    request("POST", path, &[headers, &[("content-length", &length)]].concat(), "")
}

#[tokio::test]
async fn an_early_refusal_of_a_large_body_arrives() {
    let house = House::start().await;
    let ada = format!("Bearer {}", house.engineer("ada").token());
    let (nobody, ada) = (("authorization", "Bearer e30.e30.c2ln"), ("authorization", ada.as_str()));
    let (json, text) = (("content-type", "application/json"), ("content-type", "text/plain"));
    for (headers, path, expected) in [
        ([nobody, json], "/v1/access-requests", "HTTP/1.1 401 "),
        ([nobody, json], "/access/v1/evaluation", "HTTP/1.1 401 "),
        ([ada, text], "/v1/access-requests", "HTTP/1.1 415 "),
        ([ada, json], "/nowhere", "HTTP/1.1 404 "),
        ([ada, json], "/v1/access-requests", "HTTP/1.1 413 "),
    ] {
        let socket = TcpSocket::new_v4().unwrap();
        // Little fits in between, so that the client notices when nobody reads its body any more.
        socket.set_send_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(house.app().address()).await.unwrap();
        stream.write_all(&head(path, &headers, LARGE)).await.unwrap();
        stream.write_all(&vec![b' '; LARGE]).await.unwrap_or_else(|error| panic!("{expected}{path}: {error}"));
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{path}");
    }
    house.is_well().await;
}

#[tokio::test]
async fn who_waits_to_be_asked_for_a_body_is_not_asked_in_vain() {
    let house = House::start().await;
    let headers = [("authorization", "Bearer e30.e30.c2ln"), ("expect", "100-continue")];
    let answer = Connection::to(&house).await.send(&head("/v1/access-requests", &headers, LARGE)).await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn large_bodies_wait_for_room_and_small_ones_do_not() {
    let limits = "server.read_timeout_ms = 1000\nserver.max_body_bytes = 100000\nserver.max_bodies_bytes = 100000";
    let house = House::start_with(limits).await;
    let tooling = house.tooling();
    let authorization = format!("Bearer {}", tooling.token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    // It takes all the room, and never comes.
    let mut greedy = Connection::to(&house).await;
    greedy.send(&head("/access/v1/evaluation", &[&headers[..], &[("expect", "100-continue")]].concat(), 100_000)).await;
    greedy.until("100 Continue").await;
    let small = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    let mut large = small.clone();
    large["padding"] = " ".repeat(90_000).into();
    let (refused, answered) = tokio::join!(tooling.post("/access/v1/evaluation", &large), async {
        tooling.post("/access/v1/evaluation", &small).await
    });
    assert_eq!(answered.status, 200, "{answered:?}");
    // The greedy one is cut off at about the time at which the other has waited long enough.
    assert!(refused.status == 200 || refused.problem() == (503, "no_room", ""), "{refused:?}");
    assert!(greedy.rest().await.contains("\"code\":\"body_too_slow\""));
    assert_eq!(tooling.post("/access/v1/evaluation", &large).await.status, 200);
}

#[tokio::test]
async fn a_head_is_read_to_its_limit_and_no_further() {
    let house = House::start().await;
    for (bytes, expected) in [(60 * 1024, "HTTP/1.1 200 "), (65 * 1024, "HTTP/1.1 431 ")] {
        let long = "y".repeat(bytes);
        let head = request("GET", "/healthz", &[("connection", "close"), ("x", &long)], "");
        let answer = Connection::to(&house).await.send(&head).await.rest().await;
        assert!(answer.starts_with(expected), "{bytes} bytes: {answer}");
    }
    house.is_well().await;
}

/// What is sent ahead is answered in its order, also by a service that waits for its client to read.
#[tokio::test]
async fn who_asks_ahead_and_reads_late_gets_every_answer() {
    let house = House::start().await;
    let authorization = format!("Bearer {}", house.tooling().token());
    let mut batch = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    batch["evaluations"] = vec![serde_json::json!({}); 500].into();
    let batch = batch.to_string();
    let asking = move |id: usize| {
        let id = id.to_string();
        let headers = [("authorization", authorization.as_str()), ("x-request-id", &id)];
        let batch = request("POST", "/access/v1/evaluations", &headers, &batch);
        [batch, request("HEAD", "/healthz", &[], "")].concat()
    };
    let socket = TcpSocket::new_v4().unwrap();
    // Little fits in between.
    socket.set_recv_buffer_size(4_096).unwrap();
    let (mut reading, mut writing) = socket.connect(house.app().address()).await.unwrap().into_split();
    let sent = tokio::spawn(async move {
        for id in 0..40 {
            writing.write_all(&asking(id)).await.unwrap();
        }
        writing.write_all(&request("GET", "/healthz", &[("connection", "close")], "")).await.unwrap();
        writing
    });
    // The first answer is larger than what fits in between: from now on the service has to wait.
    while house.records().len() < 500 {
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), reading.read_to_end(&mut answers)).await.expect("no end").unwrap();
    sent.await.unwrap();
    let answers = String::from_utf8(answers).unwrap();
    let ids: Vec<usize> =
        answers.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids, (0..40).collect::<Vec<_>>());
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2 * 40 + 1);
    assert_eq!(answers.matches("\"decision\":false").count(), 40 * 500);
}

#[tokio::test]
async fn who_finds_every_place_taken_waits_for_one() {
    let house = House::start_with("server.max_connections = 1").await;
    let asking = request("GET", "/healthz", &[], "");
    let mut inside = Connection::to(&house).await;
    inside.send(&asking).await.until("ok\n").await;
    let mut outside = TcpStream::connect(house.app().address()).await.unwrap();
    outside.write_all(&asking).await.unwrap();
    // Time enough for whoever is let in.
    for _ in 0..20 {
        inside.send(&asking).await.until("ok\n").await;
    }
    let mut answer = [0; 13];
    assert!(outside.try_read(&mut answer).is_err(), "there is one place, and two are in");
    drop(inside);
    tokio::time::timeout(Duration::from_secs(20), outside.read_exact(&mut answer)).await.expect("no place").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 ");
}

/// The settings of RFC 9113, section 6.5.2: what a client may not do it is told, and h2 sees to it.
#[tokio::test]
async fn an_http_2_client_is_told_its_limits() {
    let house = House::start().await;
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let requests_at_once = [0, 3, 0, 0, 0, 100];
    let told = Connection::to(&house).await.send(&opening).await.until_bytes(&requests_at_once).await;
    let bytes_of_a_head = [0, 6, 0, 1, 0, 0];
    assert!(told.windows(6).any(|setting| setting == bytes_of_a_head), "{told:?}");
}
