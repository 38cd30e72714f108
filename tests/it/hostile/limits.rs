//! Limits one by one: what a client is told that comes up against one, and that it harms nobody else.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

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
