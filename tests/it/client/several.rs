//! A service at several addresses: any of them will do, none is waited for in vain, and nothing happens twice.

use std::time::{Duration, Instant};

use consentry::client::{CallError, Change, Client, Versioned};
use serde_json::json;

use super::impostor::{Does, Impostor};

/// Longer than any test takes: whoever waits for it is found out.
const LONG: Duration = Duration::from_secs(30);

const SOON: Duration = Duration::from_millis(50);

fn contoso() -> Does {
    let view = json!({ "id": "contoso", "display_name": "Contoso" }).to_string();
    Does::answer(200, "etag: \"3\"\r\n", "application/json", &view)
}

fn problem(status: u16, code: &str, headers: &str) -> Does {
    let body = json!({ "type": "x", "title": "x", "status": status, "code": code, "detail": "x" }).to_string();
    Does::answer(status, headers, "application/problem+json", &body)
}

fn later(pause: Duration, answer: Does) -> Does {
    let Does::Answers(bytes) = answer else { panic!("no answer") };
    Does::AnswersAfter(pause, bytes)
}

/// A service at two addresses, and its client.
struct Two {
    first: Impostor,
    second: Impostor,
    client: Client,
}

impl Two {
    async fn that(first: Vec<Does>, second: Vec<Does>, hedge_after: Option<Duration>) -> Self {
        let (first, second) = (Impostor::that(first).await, Impostor::that(second).await);
        let client = Client::tcp(&first.url).also_at(&second.url).token("t").timeout(2 * LONG);
        let client = hedge_after.into_iter().fold(client, consentry::client::Builder::hedge_after);
        Self { first, second, client: client.build().unwrap() }
    }

    async fn registers(&self) -> Result<Versioned<consentry::client::Tenant>, CallError> {
        let began = Instant::now();
        let change = Change::default();
        let came = self.client.register_tenant(&"contoso".parse().unwrap(), "Contoso", &change).await;
        assert!(began.elapsed() < LONG, "{came:?}");
        came
    }

    /// How often each was asked.
    fn asked(&self) -> (usize, usize) {
        (self.first.seen.lock().len(), self.second.seen.lock().len())
    }
}

#[tokio::test]
async fn where_one_cannot_answer_the_next_one_is_asked_and_from_then_on_first() {
    let busy = || problem(503, "store_unavailable", "retry-after: 60\r\n");
    for bad in [Does::HangsUp, busy(), Does::answer(502, "", "text/html", "<html>")] {
        let two = Two::that(vec![bad.clone()], vec![contoso()], None).await;
        two.registers().await.unwrap();
        assert_eq!(two.asked(), (1, 1), "{bad:?}");
        assert_eq!(two.first.headers("idempotency-key"), two.second.headers("idempotency-key"));
        assert_eq!(two.second.headers("authorization"), ["Bearer t"]);
        two.registers().await.unwrap();
        assert_eq!(two.asked(), (1, 2), "{bad:?}");
    }
    // Who is asked again is the one that says so, and the error is the last one.
    let two = Two::that(vec![busy()], vec![problem(503, "unconfirmed", "retry-after: 60\r\n")], None).await;
    let error = two.client.support_requests(None).await.unwrap_err();
    assert_eq!((error.problem().map(|problem| &*problem.code), two.asked()), (Some("unconfirmed"), (1, 1)));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_nobody_else_is_asked() {
    let two = Two::that(vec![problem(409, "support_request_closed", "")], vec![contoso()], Some(SOON)).await;
    assert_eq!(two.registers().await.unwrap_err().problem().unwrap().code, "support_request_closed");
    tokio::time::sleep(2 * SOON).await;
    assert_eq!(two.asked(), (1, 0));
}

#[tokio::test]
async fn who_hangs_is_not_waited_for_where_another_one_answers() {
    let two = Two::that(vec![Does::Waits], vec![contoso()], Some(SOON)).await;
    let began = Instant::now();
    assert_eq!(two.registers().await.unwrap().version, 3);
    assert!(began.elapsed() >= SOON, "it was given its time");
    assert_eq!(two.asked(), (1, 1));
    assert_eq!(two.first.headers("idempotency-key"), two.second.headers("idempotency-key"));

    // It is not given up either: who was asked first may be the one that can.
    let late = vec![later(4 * SOON, contoso()), Does::Waits];
    let two = Two::that(late, vec![problem(503, "unconfirmed", "")], Some(SOON)).await;
    assert_eq!(two.registers().await.unwrap().version, 3);
    assert_eq!(two.asked().1, 1);

    // Nobody is asked twice who was not to be.
    let two = Two::that(vec![later(4 * SOON, contoso())], vec![contoso()], None).await;
    two.registers().await.unwrap();
    assert_eq!(two.asked(), (1, 0));
}

#[tokio::test]
async fn hedged_or_not_a_call_has_its_attempts_and_its_time() {
    let two = Two::that(vec![Does::Waits], vec![Does::Waits], None).await;
    let hasty = Client::tcp(&two.first.url).also_at(&two.second.url).timeout(6 * SOON).hedge_after(SOON).attempts(2);
    let error = hasty.build().unwrap().support_requests(None).await.unwrap_err();
    assert_eq!((error, two.asked()), (CallError::OutOfTime, (1, 1)));
}
