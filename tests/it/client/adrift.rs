//! Everything that can come in place of an answer: none of it is an allow, nothing happens twice, and nothing is waited for
//! without end.

use std::time::{Duration, Instant};

use consentry::client::{CallError, Change, Client, Semantic};
use http::Method;
use serde_json::json;

use super::impostor::{Does, Impostor};
use super::question;
use crate::support::effort::random;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

fn allow() -> String {
    json!({
        "decision": true,
        "context": {
            "decision_id": "840cb7c824de243ef6b6d478debc8efd",
            "reason": { "code": "permitted", "message": "both have approved" },
            "policies": [], "policy_version": "v",
        },
    })
    .to_string()
}

fn problem(status: u16, code: &str) -> String {
    json!({ "type": "x", "title": "x", "status": status, "code": code, "detail": "x" }).to_string()
}

/// A client that does not wait long.
fn hasty(url: &str) -> Client {
    Client::tcp(url).token("t").timeout(Duration::from_millis(400)).build().unwrap()
}

#[tokio::test]
async fn whatever_is_no_whole_allow_is_a_denial() {
    let allow = allow();
    let whole = Does::answer(200, "", JSON, &allow);
    let impostor = Impostor::that(vec![whole]).await;
    assert!(hasty(&impostor.url).may_read(&question()).await.is_allowed());

    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n", allow.len());
    let cut = |at: usize| Does::Sends([head.as_bytes(), &allow.as_bytes()[..at]].concat());
    let answers = [
        Does::answer(200, "", JSON, &allow.replacen("true", "false", 1)),
        Does::answer(200, "", JSON, &allow.replacen("true", "\"true\"", 1)),
        Does::answer(200, "", JSON, &allow.replacen("true", "1", 1)),
        Does::answer(200, "", JSON, r#"{"decision":true}"#),
        Does::answer(200, "", JSON, r#"{"decision":true,"context":{"error":{"status":400,"message":"x"}}}"#),
        Does::answer(200, "", JSON, &format!("{allow}{allow}")),
        Does::answer(200, "", JSON, "true"),
        Does::answer(200, "", JSON, ""),
        Does::answer(200, "", "text/html", &allow),
        Does::answer(200, "", PROBLEM, &allow),
        Does::answer(201, "", PROBLEM, &allow),
        Does::answer(202, "", JSON, &allow),
        Does::answer(204, "", JSON, ""),
        Does::answer(302, "location: /elsewhere\r\n", JSON, &allow),
        Does::answer(400, "", JSON, &allow),
        Does::answer(403, "", PROBLEM, &problem(403, "not_permitted")),
        Does::answer(404, "", "text/html", "<html>"),
        Does::answer(500, "", JSON, &allow),
        Does::answer(503, "", PROBLEM, &problem(503, "replica_behind")),
        Does::answer(503, "", JSON, &allow),
        Does::Sends(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Does::Sends(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        Does::Sends(Vec::new()),
        cut(0),
        cut(allow.len() / 2),
        cut(allow.len() - 1),
        Does::HangsUp,
        Does::Waits,
    ];
    for answer in answers {
        let impostor = Impostor::that(vec![answer.clone()]).await;
        let began = Instant::now();
        let client = hasty(&impostor.url);
        let decision = client.may_read(&question()).await;
        assert!(!decision.is_allowed(), "{answer:?}: {decision:?}");
        assert!(
            decision.reason.code == "unavailable" || decision.id.is_some() || decision.reason.code == "invalid_request"
        );
        let questions = [question(), question()];
        let decisions = client.may_read_all(&questions, Semantic::ExecuteAll).await;
        assert!(decisions.len() == 2 && !decisions.iter().any(consentry::client::Decision::is_allowed), "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // Nobody at all.
    let decision = hasty("http://127.0.0.1:1").may_read(&question()).await;
    assert_eq!((decision.is_allowed(), decision.reason.code.as_str()), (false, "unavailable"));
    let decision = Client::unix("/nowhere/consentry.sock").build().unwrap().may_read(&question()).await;
    assert_eq!((decision.is_allowed(), decision.reason.code.as_str()), (false, "unavailable"));
}

/// An allow with a byte cut out, put in or changed: never an allow that was not said.
#[tokio::test]
async fn an_answer_that_was_damaged_is_no_allow() {
    let mut dice = random("an_answer_that_was_damaged_is_no_allow");
    let deny = allow().replacen("true", "false", 1);
    for _ in 0..60 {
        let mut bytes = deny.clone().into_bytes();
        for _ in 0..dice.usize(1..4) {
            let at = dice.usize(..bytes.len());
            match dice.u8(..3) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, dice.u8(32..127)),
                _ => bytes[at] = dice.u8(32..127),
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        let impostor = Impostor::that(vec![Does::answer(200, "", JSON, &text)]).await;
        assert!(!hasty(&impostor.url).may_read(&question()).await.is_allowed(), "{text}");
    }
}

#[tokio::test]
async fn answers_of_a_batch_that_do_not_match_its_questions_allow_nothing() {
    let allow = allow();
    let batch = |count: usize| format!("{{\"evaluations\":[{}]}}", vec![allow.as_str(); count].join(","));
    for (count, semantic, allowed) in [
        (2, Semantic::ExecuteAll, 2),
        (1, Semantic::ExecuteAll, 0),
        (3, Semantic::ExecuteAll, 0),
        (0, Semantic::ExecuteAll, 0),
        (1, Semantic::PermitOnFirstPermit, 1),
        (1, Semantic::DenyOnFirstDeny, 0),
        (0, Semantic::DenyOnFirstDeny, 0),
    ] {
        let impostor = Impostor::that(vec![Does::answer(200, "", JSON, &batch(count))]).await;
        let decisions = hasty(&impostor.url).may_read_all(&[question(), question()], semantic).await;
        let allows = decisions.iter().filter(|decision| decision.is_allowed()).count();
        assert_eq!((decisions.len(), allows), (2, allowed), "{count} {semantic:?}");
    }
}

#[tokio::test]
async fn a_question_is_asked_again_and_no_more_often_than_it_may_be() {
    let unavailable = || Does::answer(503, "", PROBLEM, &problem(503, "replica_behind"));
    let fine = || Does::answer(200, "", JSON, &allow());
    for bad in
        [unavailable(), Does::HangsUp, Does::answer(502, "", "text/html", "<html>"), Does::Sends(b"HTT".to_vec())]
    {
        let impostor = Impostor::that(vec![bad.clone(), bad.clone(), fine()]).await;
        assert!(hasty(&impostor.url).may_read(&question()).await.is_allowed(), "{bad:?}");
        assert_eq!(impostor.seen.lock().len(), 3);
        let impostor = Impostor::that(vec![bad.clone(), bad.clone(), bad.clone(), fine()]).await;
        assert!(!hasty(&impostor.url).may_read(&question()).await.is_allowed(), "{bad:?}");
        assert_eq!(impostor.seen.lock().len(), 3);
    }
    // What another attempt would not cure is not tried again.
    for settled in
        [Does::answer(403, "", PROBLEM, &problem(403, "not_permitted")), Does::answer(200, "", "text/html", "x")]
    {
        let impostor = Impostor::that(vec![settled, fine()]).await;
        assert!(!hasty(&impostor.url).may_read(&question()).await.is_allowed());
        assert_eq!(impostor.seen.lock().len(), 1);
    }
}

#[tokio::test]
async fn a_change_is_tried_again_under_one_key_and_goes_nowhere_without() {
    let view = json!({ "id": "contoso", "display_name": "Contoso" }).to_string();
    let fine = Does::answer(200, "etag: \"3\"\r\n", JSON, &view);
    let unconfirmed = Does::answer(503, "", PROBLEM, &problem(503, "unconfirmed"));
    let impostor = Impostor::that(vec![Does::HangsUp, unconfirmed, fine]).await;
    let client = hasty(&impostor.url);
    let change = Change::default();
    let registered = client.register_tenant(&"contoso".parse().unwrap(), "Contoso", &change).await.unwrap();
    assert_eq!(registered.version, 3);
    let keys = impostor.headers("idempotency-key");
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 36), "{keys:?}");
    assert!(impostor.seen.lock().iter().all(|request| request.starts_with(Method::PUT.as_str())));

    // The same change again goes under the same key, another one under another.
    client.register_tenant(&"contoso".parse().unwrap(), "Contoso", &change.clone().of_version(3)).await.unwrap();
    client.register_tenant(&"contoso".parse().unwrap(), "Contoso", &Change::default()).await.unwrap();
    let keys = impostor.headers("idempotency-key");
    assert!(keys[3] == keys[0] && keys[4] != keys[0], "{keys:?}");
    assert_eq!(impostor.headers("if-match")[3..], ["\"3\"", ""]);
}

#[tokio::test]
async fn who_asks_to_be_left_alone_is_left_alone() {
    let later = |seconds: u32| {
        Does::answer(503, &format!("retry-after: {seconds}\r\n"), PROBLEM, &problem(503, "store_unavailable"))
    };
    let fine = Does::answer(200, "", JSON, &allow());
    // Longer than the call may take: it is over at once.
    let impostor = Impostor::that(vec![later(3_600), fine.clone()]).await;
    let began = Instant::now();
    let error = hasty(&impostor.url).ask(&question()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(400));
    assert_eq!(impostor.seen.lock().len(), 1);
    assert!(
        matches!(&error, CallError::Unavailable { retry_after: Some(wait), .. } if wait.as_secs() == 3_600),
        "{error:?}"
    );
    assert_eq!(error.problem().unwrap().code, "store_unavailable");
    // Within it: the call goes on after that.
    let impostor = Impostor::that(vec![later(1), fine]).await;
    let began = Instant::now();
    let client = Client::tcp(&impostor.url).timeout(Duration::from_secs(20)).build().unwrap();
    assert!(client.may_read(&question()).await.is_allowed());
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for_beyond_the_time_of_the_call() {
    let impostor = Impostor::that(vec![Does::Waits]).await;
    let client = hasty(&impostor.url);
    let began = Instant::now();
    assert_eq!(client.ask(&question()).await, Err(CallError::OutOfTime));
    assert!(began.elapsed() >= Duration::from_millis(400));
    // Nor one whose answer has no end.
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: 99999999999\r\n\r\n");
    let impostor = Impostor::that(vec![Does::Answers([endless.as_bytes(), &[b' '; 17 << 20]].concat())]).await;
    let client = Client::tcp(&impostor.url).timeout(Duration::from_secs(20)).build().unwrap();
    assert!(matches!(client.ask(&question()).await, Err(CallError::NotAnAnswer(_))));
}

#[tokio::test]
async fn connections_are_used_again() {
    let impostor = Impostor::that(vec![Does::answer(200, "", JSON, &allow())]).await;
    let client = Client::tcp(&impostor.url).build().unwrap();
    for _ in 0..20 {
        assert!(client.clone().may_read(&question()).await.is_allowed());
    }
    assert_eq!((impostor.seen.lock().len(), *impostor.connections.lock()), (20, 1));
}

/// Bytes that came before the question are no answer to it.
#[tokio::test]
async fn what_was_said_before_a_question_is_no_answer_to_it() {
    let deny = allow().replacen("true", "false", 1);
    let bytes = |body: &str| {
        let Does::Answers(bytes) = Does::answer(200, "", JSON, body) else { panic!("no answer") };
        bytes
    };
    let (no, yes) = (bytes(&deny), bytes(&allow()));
    let then = Does::Answers(no.clone());
    // An answer too many behind the one that was asked for, whole or in part.
    for more in [yes.clone(), [yes.as_slice(), &yes].concat(), yes[..yes.len() - 1].to_vec()] {
        let impostor = Impostor::that(vec![Does::Answers([no.as_slice(), &more].concat()), then.clone()]).await;
        let client = hasty(&impostor.url);
        for _ in 0..4 {
            assert!(!client.may_read(&question()).await.is_allowed());
        }
        assert!(*impostor.connections.lock() >= 2, "the connection was used again");
    }
}

/// For how long an answer counts is counted from when it was asked for first, however often and however long that took.
#[tokio::test]
async fn an_answer_that_comes_after_its_time_allows_nothing() {
    let answer = |valid_for_ms: u64| {
        let mut answer: serde_json::Value = serde_json::from_str(&allow()).unwrap();
        answer["context"]["valid_for_ms"] = json!(valid_for_ms);
        answer
    };
    // The service asks for a second, and answers then.
    let after_a_second = async |answer: &serde_json::Value| {
        let later = Does::answer(503, "retry-after: 1\r\n", PROBLEM, &problem(503, "store_unavailable"));
        let impostor = Impostor::that(vec![later, Does::answer(200, "", JSON, &answer.to_string())]).await;
        let client = Client::tcp(&impostor.url).timeout(Duration::from_secs(20)).build().unwrap();
        (impostor, client)
    };
    let one = async |valid_for_ms: u64| {
        let (_impostor, client) = after_a_second(&answer(valid_for_ms)).await;
        client.may_read(&question()).await
    };
    let batch = async |valid_for_ms: u64| {
        let (_impostor, client) = after_a_second(&json!({ "evaluations": [answer(valid_for_ms)] })).await;
        client.may_read_all(&[question()], Semantic::ExecuteAll).await.remove(0)
    };
    let (late, in_time, late_too, in_time_too) = tokio::join!(one(1_000), one(60_000), batch(1_000), batch(60_000));
    assert!(!late.is_allowed() && !late_too.is_allowed(), "{late:?} {late_too:?}");
    assert!(late.id.is_some() && late.left() == Some(Duration::ZERO), "the service decided, and it is over: {late:?}");
    assert!(in_time.is_allowed() && in_time_too.is_allowed(), "{in_time:?} {in_time_too:?}");
}

/// A connection that the service has closed meanwhile costs no answer.
#[tokio::test]
async fn a_connection_that_was_closed_is_not_missed() {
    let Does::Answers(whole) = Does::answer(200, "", JSON, &allow()) else { panic!("no answer") };
    let impostor = Impostor::that(vec![Does::Sends(whole)]).await;
    let client = Client::tcp(&impostor.url).timeout(Duration::from_secs(20)).build().unwrap();
    for _ in 0..10 {
        assert!(client.may_read(&question()).await.is_allowed());
    }
    assert_eq!((impostor.seen.lock().len(), *impostor.connections.lock()), (10, 10));
}

/// A token goes to the address that was named, and nowhere else.
#[tokio::test]
async fn nobody_sends_a_client_elsewhere() {
    let elsewhere = Impostor::that(vec![Does::answer(200, "", JSON, &allow())]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/access/v1/evaluation\r\n", elsewhere.url);
        let impostor = Impostor::that(vec![Does::answer(status, &location, JSON, "")]).await;
        assert!(!hasty(&impostor.url).may_read(&question()).await.is_allowed());
        assert_eq!(impostor.headers("authorization"), ["Bearer t"]);
    }
    assert!(elsewhere.seen.lock().is_empty());
}
