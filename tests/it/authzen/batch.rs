//! Many questions in one request: defaults, semantics, broken items.

use serde_json::{Value, json};

use super::{allowed, lasting};
use crate::support::{House, Person, Reply, question};

const PATH: &str = "/access/v1/evaluations";

/// The answers of a batch; it has no decision of its own.
async fn answers(caller: &Person, body: &Value) -> Vec<Value> {
    let reply = caller.post(PATH, body).await;
    assert_eq!((reply.status, &reply.json["decision"]), (200, &Value::Null), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    reply.json["evaluations"].as_array().unwrap_or_else(|| panic!("{reply:?}")).clone()
}

async fn decisions(caller: &Person, body: &Value) -> Vec<bool> {
    answers(caller, body).await.iter().map(|answer| answer["decision"].as_bool().unwrap()).collect()
}

fn code(answer: &Value) -> &str {
    answer["context"]["reason"]["code"].as_str().unwrap_or_default()
}

/// A batch of these verbs, everything else by default.
fn verbs(verbs: &[&str], semantic: Option<&str>) -> Value {
    let mut body = allowed();
    body["evaluations"] = verbs.iter().map(|verb| json!({ "action": { "name": verb } })).collect();
    if let Some(semantic) = semantic {
        body["options"] = json!({ "evaluations_semantic": semantic, "another_option": "value" });
    }
    body
}

#[tokio::test]
async fn an_item_takes_what_it_leaves_out_from_the_batch() {
    let house = House::granted().await;
    let mut body = allowed();
    body["evaluations"] = json!([
        {},
        { "subject": { "type": "SupportEngineer", "id": "vendor/bob" } },
        { "action": { "name": "delete" } },
        { "resource": { "type": "DiagnosticData", "id": "northwind/auditLogs" } },
        { "context": { "support_request": "SR-9" } },
        question("vendor/ada", "list", "fabrikam/auditLogs", "SR-1"),
        { "unknown": 1, "action": { "name": "search" } },
    ]);
    let answers = answers(&house.tooling(), &body).await;
    let codes: Vec<_> = answers.iter().map(code).collect();
    let expected = [
        "permitted",
        "not_assigned",
        "read_only",
        "outside_granted_tenant",
        "support_request_unknown",
        "permitted",
        "permitted",
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn a_member_of_an_item_replaces_the_whole_default() {
    let house = House::granted().await;
    let mut body = allowed();
    body["evaluations"] = json!([
        { "context": {} },
        { "context": { "time": "2024-05-31T15:22-07:00" } },
        { "subject": { "type": "SupportEngineer" } },
        { "resource": { "id": "fabrikam/signInLogs" } },
        { "action": {} },
    ]);
    let answers = answers(&house.tooling(), &body).await;
    assert_eq!((code(&answers[0]), code(&answers[1])), ("support_request_unknown", "support_request_unknown"));
    for (answer, field) in answers[2..].iter().zip(["subject.id", "resource.type", "action.name"]) {
        assert_eq!(answer["context"]["error"]["field"], field, "{answer}");
    }
}

#[tokio::test]
async fn every_member_may_stand_in_the_items_alone() {
    let house = House::granted().await;
    let body = json!({ "evaluations": [allowed(), question("vendor/ada", "write", "fabrikam/signInLogs", "SR-1")] });
    assert_eq!(decisions(&house.tooling(), &body).await, [true, false]);
}

#[tokio::test]
async fn each_semantic_stops_where_it_must() {
    let house = House::granted().await;
    let cases: [(&[&str], Option<&str>, &[bool]); 8] = [
        (&["read", "write", "list"], None, &[true, false, true]),
        (&["read", "write", "list"], Some("execute_all"), &[true, false, true]),
        (&["read", "write", "list"], Some("deny_on_first_deny"), &[true, false]),
        (&["read", "list"], Some("deny_on_first_deny"), &[true, true]),
        (&["write", "list"], Some("deny_on_first_deny"), &[false]),
        (&["write", "read", "list"], Some("permit_on_first_permit"), &[false, true]),
        (&["read", "list"], Some("permit_on_first_permit"), &[true]),
        (&["write", "delete"], Some("permit_on_first_permit"), &[false, false]),
    ];
    for (asked, semantic, expected) in cases {
        let before = house.records().len();
        assert_eq!(decisions(&house.tooling(), &verbs(asked, semantic)).await, expected, "{asked:?} {semantic:?}");
        // What is not answered is not decided either; one more record says that the tooling may ask.
        assert_eq!(house.records().len() - before, expected.len() + 1, "{asked:?} {semantic:?}");
    }
}

#[tokio::test]
async fn a_semantic_that_nobody_knows_is_refused() {
    let house = House::granted().await;
    for semantic in [json!("best_effort"), json!(""), json!("EXECUTE_ALL"), json!(1), json!(["execute_all"])] {
        let mut body = verbs(&["read"], None);
        body["options"] = json!({ "evaluations_semantic": semantic });
        let reply = house.tooling().post(PATH, &body).await;
        assert_eq!(reply.problem(), (400, "invalid_request", "options.evaluations_semantic"), "{semantic}");
    }
    for options in [json!("execute_all"), json!(["execute_all"])] {
        let mut body = verbs(&["read"], None);
        body["options"] = options;
        assert_eq!(house.tooling().post(PATH, &body).await.problem(), (400, "invalid_request", "options"));
    }
}

#[tokio::test]
async fn a_broken_item_is_denied_and_does_not_break_the_others() {
    let house = House::granted().await;
    let mut body = allowed();
    body["evaluations"] = json!([
        {},
        { "subject": "ada" },
        null,
        [],
        7,
        { "resource": { "type": "DiagnosticData", "id": "fabrikam" } },
        { "context": { "support_request": "SR-1", "now": 0 } },
        {},
    ]);
    let answers = answers(&house.tooling(), &body).await;
    assert_eq!(answers.len(), 8);
    let errors: Vec<_> = answers.iter().map(|answer| answer["context"]["error"]["field"].clone()).collect();
    let expected = json!([null, "subject", "body", "body", "body", "resource.id", "context.now", null]);
    assert_eq!(json!(errors), expected);
    for (number, answer) in answers.iter().enumerate() {
        let broken = (1..7).contains(&number);
        assert_eq!(answer["decision"], !broken, "{answer}");
        let error = &answer["context"]["error"];
        assert_eq!(broken, error["status"] == 400 && error["message"].is_string(), "{answer}");
    }
    for (semantic, length) in [("deny_on_first_deny", 2), ("permit_on_first_permit", 1)] {
        body["options"] = json!({ "evaluations_semantic": semantic });
        assert_eq!(decisions(&house.tooling(), &body).await.len(), length);
    }
}

#[tokio::test]
async fn a_batch_without_items_is_one_question() {
    let house = House::granted().await;
    let single = lasting(&house.tooling().post("/access/v1/evaluation", &allowed()).await);
    let mut empty = allowed();
    empty["evaluations"] = json!([]);
    let mut null = allowed();
    null["evaluations"] = json!(null);
    for body in [allowed(), empty.clone(), null] {
        assert_eq!(lasting(&house.tooling().post(PATH, &body).await), single);
    }
    for member in ["subject", "action", "resource"] {
        let mut body = empty.clone();
        body.as_object_mut().unwrap().remove(member);
        assert_eq!(house.tooling().post(PATH, &body).await.problem(), (400, "invalid_request", member));
    }
}

#[tokio::test]
async fn a_malformed_batch_is_refused_as_a_whole() {
    let house = House::granted().await;
    let refused = async |member: &str, value: Value| -> Reply {
        let mut body = verbs(&["read"], None);
        body[member] = value;
        house.tooling().post(PATH, &body).await
    };
    for (member, value) in
        [("evaluations", json!({})), ("evaluations", json!("x")), ("subject", json!("ada")), ("context", json!([]))]
    {
        assert_eq!(refused(member, value).await.problem(), (400, "invalid_request", member));
    }
    let list = json!([allowed()["subject"], allowed()["action"], allowed()["resource"], allowed()["context"]]);
    assert_eq!(house.tooling().post(PATH, &list).await.problem(), (400, "invalid_request", "body"));
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_questions() {
    let house = House::granted().await;
    let asked: Vec<&str> = (0..100_usize).map(|n| if n % 3 == 0 || n % 7 == 0 { "read" } else { "write" }).collect();
    let expected: Vec<bool> = asked.iter().map(|verb| *verb == "read").collect();
    assert_eq!(decisions(&house.tooling(), &verbs(&asked, None)).await, expected);
}

#[tokio::test]
async fn a_batch_has_an_end() {
    let house = House::start_with("server.max_batch = 3").await;
    assert_eq!(decisions(&house.tooling(), &verbs(&["read"; 3], None)).await, [false; 3]);
    let before = house.records().len();
    let reply = house.tooling().post(PATH, &verbs(&["read"; 4], None)).await;
    assert_eq!(reply.problem(), (400, "invalid_request", "evaluations"));
    assert!(house.records()[before..].iter().all(|record| record["action"] == "evaluate"), "nothing was decided");
}

#[tokio::test]
async fn reads_and_workflow_questions_may_be_mixed() {
    let house = House::granted().await;
    let ada = house.engineer("ada");
    let create = json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" },
        "action": { "name": "createAccessRequest" },
        "resource": { "type": "SupportRequest", "id": "SR-1" },
        "context": { "resource_tenant": "contoso" },
    });
    let view =
        json!({ "action": { "name": "viewSupportRequest" }, "resource": { "type": "SupportRequest", "id": "SR-1" } });
    let others = question("vendor/bob", "read", "fabrikam/signInLogs", "SR-1");
    let mut body = allowed();
    body["evaluations"] = json!([{}, create, view, others, {}]);
    let answers = answers(&ada, &body).await;
    let decisions: Vec<_> = answers.iter().map(|answer| answer["decision"].as_bool().unwrap()).collect();
    assert_eq!(decisions, [true, false, true, false, true]);
    assert_eq!(code(&answers[1]), "advanced_diagnostics_setting_decides");
    assert_eq!(answers[3]["context"]["error"]["status"], 403, "others are none of a person's business");
}
