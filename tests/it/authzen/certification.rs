//! The scenario by which the OpenID Foundation certifies decision points (AuthZEN Authorization API 1.0 - Certification
//! Scenario): its fixture as a guest model, `tests/data/records`, and each of its tests, under its number.

use http::Method;
use serde_json::{Value, json};

use super::guest::{found, records};
use crate::support::{House, Reply};

const EVALUATION: &str = "evaluation";
const EVALUATIONS: &str = "evaluations";

async fn post(house: &House, path: &str, body: &Value) -> Reply {
    house.tooling().post(&format!("/access/v1/{path}"), body).await
}

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn record(id: &str) -> Value {
    json!({ "type": "record", "id": id })
}

fn with_properties(mut entity: Value, properties: Value) -> Value {
    entity["properties"] = properties;
    entity
}

fn action(name: &str) -> Value {
    json!({ "name": name })
}

fn question(subject: Value, action: Value, resource: Value) -> Value {
    Value::Object(
        [("subject", subject), ("action", action), ("resource", resource)]
            .map(|(name, part)| (name.to_owned(), part))
            .into_iter()
            .collect(),
    )
}

/// Alice reads `record-1`: allowed by the scenario's first rule.
fn first_rule() -> Value {
    question(user("alice"), action("read"), record("record-1"))
}

fn circumstances() -> Value {
    json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" })
}

/// The same question with one member more.
fn and(mut body: Value, member: &str, value: Value) -> Value {
    body[member] = value;
    body
}

fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member).unwrap();
    body
}

/// What section 2.3 wants of every answer.
fn is_answer(reply: &Reply, test: &str) {
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{test}: {reply:?}");
}

fn is_decision(answer: &Value, test: &str) -> bool {
    assert!(answer["context"].is_object() || answer["context"].is_null(), "{test}: {answer}");
    answer["decision"].as_bool().unwrap_or_else(|| panic!("{test}: {answer}"))
}

#[tokio::test]
async fn basic() {
    let house = records().await;
    let archived = || with_properties(record("record-2"), json!({ "status": "archived" }));
    let delete = |soft: bool| json!({ "name": "delete", "properties": { "soft": soft } });
    let many = question(
        with_properties(user("alice"), json!({ "department": "Sales", "role": "manager" })),
        with_properties(action("read"), json!({ "method": "GET" })),
        with_properties(record("record-1"), json!({ "status": "active", "owner": "bob" })),
    );
    let strange = and(and(first_rule(), "foo", json!("bar")), "futureField", json!({ "nested": true }));
    let rows = [
        ("2.2.1", first_rule(), true),
        ("2.2.2", question(user("bob"), action("write"), record("record-1")), false),
        ("2.2.3", and(first_rule(), "context", circumstances()), true),
        ("2.2.4", question(user("alice"), action("write"), archived()), false),
        (
            "2.2.5",
            question(with_properties(user("bob"), json!({ "role": "admin" })), action("write"), archived()),
            true,
        ),
        ("2.2.6", question(user("alice"), delete(true), record("record-1")), true),
        ("2.2.7", question(user("alice"), delete(false), record("record-1")), false),
        ("2.2.8", many, true),
        ("2.2.9", strange, true),
        // The rules that no test of the scenario asks by itself.
        ("rule 2", question(user("alice"), action("write"), record("record-1")), true),
        ("rule 3", question(user("bob"), action("read"), record("record-1")), true),
        (
            "rule 5",
            question(
                user("alice"),
                action("write"),
                with_properties(record("record-1"), json!({ "status": "archived" })),
            ),
            false,
        ),
    ];
    for (test, body, expected) in rows {
        // 2.6: the same each time; 1.6: with a context and without one.
        for body in [body.clone(), body.clone(), and(body, "context", circumstances())] {
            let reply = post(&house, EVALUATION, &body).await;
            is_answer(&reply, test);
            assert_eq!(is_decision(&reply.json, test), expected, "{test}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn basic_errors_and_headers() {
    let house = records().await;
    for missing in [
        "/subject",
        "/action",
        "/resource",
        "/subject/type",
        "/subject/id",
        "/action/name",
        "/resource/type",
        "/resource/id",
    ] {
        let reply = post(&house, EVALUATION, &without(first_rule(), missing)).await;
        let field = missing[1..].replace('/', ".");
        assert_eq!(reply.problem(), (400, "invalid_request", field.as_str()), "2.4.1, 2.4.2");
    }
    let as_bytes = |text: &str| Some(text.as_bytes().to_vec());
    let path = "/access/v1/evaluation";
    let good = first_rule().to_string();
    for wrong in ["text/plain", "application/x-www-form-urlencoded"] {
        let reply = house.tooling().with("content-type", wrong).send(Method::POST, path, as_bytes(&good)).await;
        assert_eq!(reply.problem().0, 400, "2.4.3 {wrong}");
    }
    for malformed in ["{\"subject\":", "not json", ""] {
        let reply = house.tooling().send(Method::POST, path, as_bytes(malformed)).await;
        assert_eq!(reply.problem().0, 400, "2.4.4, 2.4.5 {malformed:?}");
    }
    for wrong in [and(first_rule(), "subject", json!("alice")), and(first_rule(), "action", json!({ "name": 123 }))] {
        assert_eq!(post(&house, EVALUATION, &wrong).await.problem().0, 400, "2.4.6");
    }
    let id = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716";
    for path in [path, "/access/v1/evaluations", "/access/v1/search/subject"] {
        let reply = house.tooling().with("x-request-id", id).post(path, &first_rule()).await;
        assert_eq!((reply.status, reply.header("x-request-id")), (200, Some(id)), "2.5.1, 5");
        assert_eq!(house.tooling().post(path, &first_rule()).await.status, 200, "2.5.2");
        let spelt = house.tooling().with("content-type", "application/json; charset=utf-8");
        assert_eq!(spelt.post(path, &first_rule()).await.status, 200, "5");
    }
}

#[tokio::test]
async fn batch() {
    let house = records().await;
    let archived = || with_properties(record("record-2"), json!({ "status": "archived" }));
    let active = || with_properties(record("record-1"), json!({ "status": "active" }));
    let (any, yes, no) = (None, Some(true), Some(false));
    let rows = [
        (
            "3.2.1",
            json!({
                "subject": user("alice"), "action": action("read"),
                "evaluations": [{ "resource": record("record-1") }, { "resource": record("record-2") }],
            }),
            [any, any],
        ),
        (
            "3.2.2",
            json!({
                "subject": user("bob"), "resource": record("record-1"),
                "evaluations": [{ "action": action("read") }, { "action": action("write") }],
            }),
            [yes, no],
        ),
        (
            "3.2.3",
            json!({
                "subject": user("alice"), "action": action("write"),
                "evaluations": [{ "resource": active() }, { "resource": archived() }],
            }),
            [yes, no],
        ),
        (
            "3.2.4",
            json!({
                "action": action("write"), "resource": archived(),
                "evaluations": [
                    { "subject": user("alice") },
                    { "subject": with_properties(user("bob"), json!({ "role": "admin" })) },
                ],
            }),
            [no, yes],
        ),
        (
            "3.2.5",
            json!({ "evaluations": [first_rule(), question(user("bob"), action("write"), record("record-1"))] }),
            [yes, no],
        ),
        (
            "3.2.6",
            json!({
                "subject": user("alice"), "action": action("read"), "context": { "time": "2025-06-27T18:03-07:00" },
                "evaluations": [
                    { "resource": record("record-1") },
                    { "resource": record("record-2"), "context": { "time": "x", "source": "batch-override" } },
                ],
            }),
            [any, any],
        ),
        (
            "3.2.7",
            json!({
                "subject": user("alice"), "action": action("write"), "resource": active(),
                "evaluations": [{}, { "resource": archived() }],
            }),
            [yes, no],
        ),
        (
            "3.4.1",
            json!({
                "subject": user("alice"), "action": action("read"),
                "options": { "evaluations_semantic": "execute_all" },
                "evaluations": [{ "resource": record("record-1") }, {}],
            }),
            [yes, no],
        ),
    ];
    for (test, body, expected) in rows {
        let reply = post(&house, EVALUATIONS, &body).await;
        is_answer(&reply, test);
        assert_eq!(reply.json["decision"], Value::Null, "3.3.4 {test}");
        let answers = reply.json["evaluations"].as_array().unwrap();
        assert_eq!(answers.len(), expected.len(), "3.3.1 {test}: {reply:?}");
        for (answer, expected) in answers.iter().zip(expected) {
            let decision = is_decision(answer, test);
            assert!(expected.is_none_or(|expected| decision == expected), "{test}: {reply:?}");
        }
        if test == "3.4.1" {
            let error = json!({ "status": 400, "message": "missing field `resource`", "field": "resource" });
            assert_eq!(answers[1]["context"]["error"], error);
        }
    }
    for (test, body) in [("3.4.2", first_rule()), ("3.4.3", and(first_rule(), "evaluations", json!([])))] {
        let reply = post(&house, EVALUATIONS, &body).await;
        is_answer(&reply, test);
        assert_eq!((is_decision(&reply.json, test), &reply.json["evaluations"]), (true, &Value::Null), "{test}");
    }
    let unknown = json!({ "evaluations": [first_rule()], "options": { "evaluations_semantic": "best_effort" } });
    let reply = post(&house, EVALUATIONS, &unknown).await;
    assert_eq!(reply.problem(), (400, "invalid_request", "options.evaluations_semantic"));
}

#[tokio::test]
async fn search() {
    let house = records().await;
    let archived = with_properties(record("record-2"), json!({ "status": "archived" }));
    let admin = with_properties(user("bob"), json!({ "role": "admin" }));
    let subjects = || question(json!({ "type": "user" }), action("read"), record("record-1"));
    let resources = || question(user("alice"), action("read"), json!({ "type": "record" }));
    let actions = || json!({ "subject": user("alice"), "resource": record("record-1") });
    let rows: [(&str, &str, Value, &[&str]); 12] = [
        ("4.2.1", "subject", subjects(), &["alice", "bob"]),
        ("4.2.2", "subject", and(subjects(), "context", circumstances()), &["alice", "bob"]),
        ("4.2.3", "subject", and(subjects(), "subject", user("alice")), &["alice", "bob"]),
        ("4.2.4", "subject", question(json!({ "type": "user" }), action("write"), archived.clone()), &["bob"]),
        ("4.3.1", "resource", resources(), &["record-1", "record-2"]),
        ("4.3.2", "resource", and(resources(), "context", circumstances()), &["record-1", "record-2"]),
        ("4.3.3", "resource", and(resources(), "resource", record("record-1")), &["record-1", "record-2"]),
        ("4.3.4", "resource", question(admin.clone(), action("write"), json!({ "type": "record" })), &["record-2"]),
        ("4.4.1", "action", actions(), &["read", "write"]),
        ("4.4.2", "action", and(actions(), "context", circumstances()), &["read", "write"]),
        ("4.4.3", "action", json!({ "subject": admin, "resource": archived }), &["read", "write"]),
        ("4.6.1", "action", and(actions(), "subject", user("nonexistent-user")), &[]),
    ];
    for (test, what, body, expected) in rows {
        let reply = post(&house, &format!("search/{what}"), &body).await;
        is_answer(&reply, test);
        assert_eq!(found(&reply), expected, "{test}: {reply:?}");
        for result in reply.json["results"].as_array().unwrap() {
            let kind = if what == "subject" { "user" } else { "record" };
            assert!(what == "action" || result["type"] == kind, "{test}: {reply:?}");
        }
    }
    // 4.6: nothing, and no error, wherever a type or an id is not known.
    let unknown = [
        ("subject", and(subjects(), "subject", json!({ "type": "spaceship" }))),
        ("subject", and(subjects(), "resource", record("record-9"))),
        ("subject", and(subjects(), "resource", json!({ "type": "spaceship", "id": "1" }))),
        ("subject", and(subjects(), "action", action("fly"))),
        ("resource", and(resources(), "resource", json!({ "type": "spaceship" }))),
        ("resource", and(resources(), "subject", user("nonexistent-user"))),
        ("resource", and(resources(), "subject", json!({ "type": "spaceship", "id": "1" }))),
        ("action", and(actions(), "resource", record("record-9"))),
        ("action", and(actions(), "subject", json!({ "type": "spaceship", "id": "1" }))),
    ];
    for (what, body) in unknown {
        let reply = post(&house, &format!("search/{what}"), &body).await;
        assert_eq!((reply.status, &reply.json["results"]), (200, &json!([])), "4.6 {body}: {reply:?}");
    }
}

#[tokio::test]
async fn search_pages_and_errors() {
    let house = records().await;
    let page = |page: Value| and(question(json!({ "type": "user" }), action("read"), record("record-1")), "page", page);
    let first = post(&house, "search/subject", &page(json!({ "limit": 1 }))).await;
    is_answer(&first, "4.5.1");
    assert_eq!(found(&first), ["alice"]);
    let token = first.json["page"]["next_token"].as_str().unwrap();
    assert_ne!(token, "");
    let second = post(&house, "search/subject", &page(json!({ "token": token }))).await;
    is_answer(&second, "4.5.2");
    assert_eq!((found(&second), &second.json["page"]["next_token"]), (vec!["bob".to_owned()], &json!("")), "4.5.2");
    for page in [&first.json["page"], &second.json["page"]] {
        assert_eq!(page["count"], 1, "4.5.3");
    }
    let incomplete = question(json!({ "type": "user" }), action("read"), json!({ "type": "record" }));
    let errors = [
        ("4.7.1", "subject", json!({ "subject": { "type": "user" }, "resource": record("record-1") }), "action"),
        ("4.7.1", "resource", json!({ "action": action("read"), "resource": { "type": "record" } }), "subject"),
        ("4.7.1", "action", json!({ "subject": user("alice") }), "resource"),
        ("4.7.2", "subject", incomplete.clone(), "resource.id"),
        ("4.7.2", "resource", incomplete, "subject.id"),
        ("4.7.2", "action", json!({ "subject": { "type": "user" }, "resource": record("record-1") }), "subject.id"),
    ];
    for (test, what, body, field) in errors {
        let reply = post(&house, &format!("search/{what}"), &body).await;
        assert_eq!(reply.problem(), (400, "invalid_request", field), "{test}");
    }
}

#[tokio::test]
async fn discovery() {
    let house = records().await;
    let reply = house.tooling().holding("").get("/.well-known/authzen-configuration").await;
    is_answer(&reply, "6.2");
    let base = &house.url;
    assert_eq!(reply.json["policy_decision_point"], json!(base), "6.5");
    for (member, path) in [
        ("access_evaluation_endpoint", EVALUATION),
        ("access_evaluations_endpoint", EVALUATIONS),
        ("search_subject_endpoint", "search/subject"),
        ("search_resource_endpoint", "search/resource"),
        ("search_action_endpoint", "search/action"),
    ] {
        assert_eq!(reply.json[member], json!(format!("{base}/access/v1/{path}")), "6.3, 6.4");
        assert_eq!(house.tooling().get(&format!("/access/v1/{path}")).await.problem().0, 405);
    }
}
