//! One question over the AuthZEN API: what is malformed, what is ignored, what is refused (G4, G7).

mod batch;
mod certification;
mod deciders;
mod guest;
mod questions;
mod search;
mod transport;

use serde_json::{Value, json};

use crate::support::{House, Person, Reply, question};

const PATH: &str = "/access/v1/evaluation";

/// The question that is allowed in a granted house.
fn allowed() -> Value {
    question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1")
}

/// The same with another value somewhere in it.
fn with(pointer: &str, value: Value) -> Value {
    let mut question = allowed();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    question.pointer_mut(parent).unwrap()[member] = value;
    question
}

fn without(pointer: &str) -> Value {
    let mut question = allowed();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    question.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).unwrap();
    question
}

/// An answer without what is different each time.
fn lasting(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut answer = reply.json.clone();
    let id = answer["context"].as_object_mut().unwrap().remove("decision_id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 32, "{reply:?}");
    answer
}

async fn send(caller: &Person, body: &[u8]) -> Reply {
    caller.send(http::Method::POST, PATH, Some(body.to_vec())).await
}

#[tokio::test]
async fn a_missing_member_is_named() {
    let house = House::granted().await;
    for pointer in [
        "/subject",
        "/subject/type",
        "/subject/id",
        "/action",
        "/action/name",
        "/resource",
        "/resource/type",
        "/resource/id",
    ] {
        let reply = house.tooling().post(PATH, &without(pointer)).await;
        let field = pointer[1..].replace('/', ".");
        assert_eq!(reply.problem(), (400, "invalid_request", field.as_str()), "{pointer}");
    }
}

#[tokio::test]
async fn a_member_of_the_wrong_type_is_named() {
    let house = House::granted().await;
    let wrong = [
        ("/subject", json!("vendor/ada")),
        ("/subject", json!(["SupportEngineer", "vendor/ada", null])),
        ("/subject", json!(null)),
        ("/subject/type", json!(null)),
        ("/subject/id", json!(7)),
        ("/subject/id", json!(["vendor/ada"])),
        ("/subject/properties", json!("x")),
        ("/action", json!("read")),
        ("/action", json!(["read"])),
        ("/action/name", json!(123)),
        ("/action/properties", json!([1])),
        ("/resource", json!(1)),
        ("/resource", json!(["DiagnosticData", "fabrikam/signInLogs"])),
        ("/resource/type", json!({})),
        ("/resource/properties", json!(false)),
        ("/context", json!("SR-1")),
        ("/context", json!(["SR-1"])),
        ("/context/support_request", json!(7)),
    ];
    for (pointer, value) in wrong {
        let reply = house.tooling().post(PATH, &with(pointer, value.clone())).await;
        let field = pointer[1..].replace('/', ".");
        assert_eq!(reply.problem(), (400, "invalid_request", field.as_str()), "{pointer} {value}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_an_id_is_named() {
    let house = House::granted().await;
    let long = "x".repeat(10_000);
    let wrong = [
        ("/subject/id", ""),
        ("/subject/id", "ada"),
        ("/subject/id", "vendor/ada\u{0}"),
        ("/subject/id", &long),
        ("/action/name", ""),
        ("/action/name", "re\nad"),
        ("/action/name", &long),
        ("/resource/id", ""),
        ("/resource/id", "fabrikam"),
        ("/resource/id", "fabrikam/logs"),
        ("/resource/id", "fabrikam/signInLogs/\u{7}"),
        ("/resource/id", &long),
        ("/context/support_request", ""),
        ("/context/support_request", "SR 1"),
        ("/context/support_request", &long),
    ];
    for (pointer, value) in wrong {
        let reply = house.tooling().post(PATH, &with(pointer, json!(value))).await;
        let field = pointer[1..].replace('/', ".");
        assert_eq!(reply.problem(), (400, "invalid_request", field.as_str()), "{pointer} {value:?}");
        assert!(reply.text.len() < 1_000, "the value is not sent back: {}", reply.text.len());
    }
}

#[tokio::test]
async fn what_is_not_one_json_object_is_refused() {
    let house = House::granted().await;
    let good = allowed().to_string();
    let list = json!([allowed()["subject"], allowed()["action"], allowed()["resource"], allowed()["context"]]);
    let twice = good.replacen('{', "{\"subject\":{\"type\":\"SupportEngineer\",\"id\":\"vendor/bob\"},", 1);
    let escaped = good.replacen('{', "{\"subj\\u0065ct\":{\"type\":\"SupportEngineer\",\"id\":\"vendor/bob\"},", 1);
    let inner = good.replace("\"name\":\"read\"", "\"name\":\"delete\",\"name\":\"read\"");
    assert_ne!(inner, good);
    let surrogate = good.replace("vendor/ada", "vendor/\\ud800");
    let bodies = ["", " ", "{", "null", "1", "\"read\"", "not json", &format!("{good}x"), &format!("{good}{good}")];
    for body in bodies.into_iter().chain([list.to_string().as_str(), &twice, &escaped, &inner, &surrogate]) {
        let reply = send(&house.tooling(), body.as_bytes()).await;
        assert_eq!(reply.problem().0, 400, "{body}: {reply:?}");
        assert_ne!(reply.field(), "", "{reply:?}");
    }
    let invalid_utf8 = [good.as_bytes().split_at(20).0, b"\xff", good.as_bytes().split_at(20).1].concat();
    assert_eq!(send(&house.tooling(), &invalid_utf8).await.problem().0, 400);
    assert!(send(&house.tooling(), format!(" \n{good}\r\n ").as_bytes()).await.decision(), "space around it is fine");
}

#[tokio::test]
async fn only_json_is_taken_for_json() {
    let house = House::granted().await;
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/json;x=\"y\""]
    {
        let reply = house.tooling().with("content-type", good).post(PATH, &allowed()).await;
        assert!(reply.decision(), "{good}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    for bad in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json-patch+json"]
    {
        let reply = house.tooling().with("content-type", bad).post(PATH, &allowed()).await;
        assert_eq!(reply.problem(), (400, "content_type", ""), "{bad}");
    }
}

#[tokio::test]
async fn members_that_nobody_knows_are_ignored() {
    let house = House::granted().await;
    let plain = lasting(&house.tooling().post(PATH, &allowed()).await);
    let mut question = allowed();
    question["foo"] = json!("bar");
    question["futureField"] = json!({ "nested": [true, null, 1.5] });
    question["subject"]["name"] = json!("Ada");
    question["action"]["properties"] = json!({ "method": "GET" });
    question["context"]["time"] = json!("1985-10-26T01:22-07:00");
    question["context"]["ip"] = json!("192.0.2.1");
    assert_eq!(lasting(&house.tooling().post(PATH, &question).await), plain);
    assert_eq!(plain["decision"], true);
}

#[tokio::test]
async fn what_callers_say_about_subject_and_resource_is_not_believed() {
    let house = House::granted().await;
    let denied = [
        question("vendor/bob", "read", "fabrikam/signInLogs", "SR-1"),
        question("vendor/ada", "delete", "fabrikam/signInLogs", "SR-1"),
        question("vendor/ada", "read", "northwind/signInLogs", "SR-1"),
        question("vendor/ada", "read", "fabrikam/signInLogs", "SR-2"),
    ];
    for question in denied {
        let plain = lasting(&house.tooling().post(PATH, &question).await);
        assert_eq!(plain["decision"], false);
        let mut claims = question.clone();
        claims["subject"]["properties"] = json!({
            "id": "vendor/ada", "tenant": "fabrikam", "role": "admin", "roles": ["Global Administrator"],
            "assignee": true, "vendor": true, "app_roles": ["SupportEngineer", "Decisions.Evaluate"],
        });
        claims["resource"]["properties"] =
            json!({ "tenant": "fabrikam", "category": "signInLogs", "open": true, "status": "approved" });
        claims["action"]["properties"] = json!({ "name": "read", "read": true });
        claims["context"]["consents"] = json!({ "resourceTenant": { "status": "approved" } });
        claims["context"]["assignee"] = json!("vendor/bob");
        assert_eq!(lasting(&house.tooling().post(PATH, &claims).await), plain, "{claims}");
    }
    // Nor can properties take away what the facts give.
    let doubt = with("/resource/properties", json!({ "tenant": "contoso", "status": "archived" }));
    assert!(house.tooling().post(PATH, &doubt).await.decision());
}

#[tokio::test]
async fn the_services_own_facts_are_not_taken_from_callers() {
    let house = House::granted().await;
    for key in ["now", "supportRequest", "accessRequest"] {
        for value in [json!({ "open": true }), json!("x"), json!(0), json!(false), json!(null)] {
            let reply = house.tooling().post(PATH, &with(&format!("/context/{key}"), value.clone())).await;
            let field = format!("context.{key}");
            assert_eq!(reply.problem(), (400, "invalid_request", field.as_str()), "{key} {value}");
        }
    }
}

#[tokio::test]
async fn what_no_policy_speaks_of_is_denied() {
    let house = House::granted().await;
    let strange = [
        ("/action/name", "fly"),
        ("/action/name", "readDiagnosticData"),
        ("/action/name", "Read"),
        ("/subject/type", "User"),
        ("/subject/type", "user"),
        ("/subject/type", ""),
        ("/resource/type", "record"),
        ("/resource/type", "diagnosticdata"),
    ];
    for (pointer, value) in strange {
        let reply = house.tooling().post(PATH, &with(pointer, json!(value))).await;
        assert_eq!((reply.status, reply.decision()), (200, false), "{pointer} {value}: {reply:?}");
        assert_eq!(reply.code(), "not_permitted", "{pointer} {value}: {reply:?}");
    }
}

#[tokio::test]
async fn without_a_support_request_nothing_is_read() {
    let house = House::granted().await;
    let contexts = [json!({}), json!({ "support_request": null }), json!({ "support_request": "SR-9" }), json!(null)];
    for question in contexts.map(|context| with("/context", context)).into_iter().chain([without("/context")]) {
        let reply = house.tooling().post(PATH, &question).await;
        assert_eq!((reply.decision(), reply.code()), (false, "support_request_unknown"), "{question}: {reply:?}");
    }
}

#[tokio::test]
async fn a_question_asked_again_has_the_same_answer() {
    let house = House::granted().await;
    for verb in ["read", "delete", "fly"] {
        let question = question("vendor/ada", verb, "fabrikam/signInLogs", "SR-1");
        let first = lasting(&house.tooling().post(PATH, &question).await);
        for _ in 0..3 {
            assert_eq!(lasting(&house.tooling().post(PATH, &question).await), first);
        }
        let asked: Vec<_> = house.records().into_iter().filter(|record| record["action"] == verb).collect();
        let cached: Vec<_> = asked.iter().map(|record| record["cached"].as_bool().unwrap()).collect();
        assert_eq!(cached, [false, true, true, true], "{verb}");
    }
    let reply = house.tooling().post(PATH, &allowed()).await;
    assert_eq!(reply.policies(), ["reading.cross-tenant.both-consents"]);
}
