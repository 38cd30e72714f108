//! The decision log: every decision is a line, and an allow without one does not leave (G3, R22).

mod full;

use serde_json::{Value, json};

use crate::support::{House, Reply, question};

const EVALUATION: &str = "/access/v1/evaluation";

/// The record of an answer.
fn record_of(house: &House, reply: &Reply) -> Value {
    let id = &reply.json["context"]["decision_id"];
    let mut found = house.records().into_iter().filter(|record| record["decision_id"] == *id);
    let record = found.next().unwrap_or_else(|| panic!("not recorded: {reply:?}"));
    assert!(found.next().is_none(), "{id} is recorded twice");
    record
}

#[tokio::test]
async fn every_answer_has_its_line() {
    let house = House::granted().await;
    let before = house.records().len();
    let mut answers = Vec::new();
    for engineer in ["vendor/ada", "vendor/bob"] {
        for verb in ["read", "list", "write", "fly"] {
            for resource in ["fabrikam/signInLogs", "fabrikam/auditLogs/item 1", "contoso/auditLogs"] {
                answers.push((engineer, verb, resource, house.may(engineer, verb, resource, "SR-1").await));
            }
        }
    }
    // Each call has a token of its own, so that each asked first whether it may ask.
    assert_eq!(house.records().len() - before, 2 * answers.len());
    for (engineer, verb, resource, reply) in &answers {
        let record = record_of(&house, reply);
        assert_eq!(record["type"], "decision");
        assert_eq!((&record["subject"], &record["action"]), (&json!(engineer), &json!(verb)));
        assert_eq!((&record["resource"], &record["decision"]), (&json!(resource), &reply.json["decision"]));
        assert_eq!((&record["caller"], &record["code"]), (&json!("vendor/tooling"), &json!(reply.code())));
        // Who is not assigned is told that alone; the log has all that decided.
        let decided: Vec<&str> = record["policies"].as_array().unwrap().iter().filter_map(|id| id.as_str()).collect();
        let told = reply.policies();
        let alone = told == ["guardrails.assigned-engineer"];
        assert!(told == decided || (alone && decided.contains(&told[0])), "{told:?} of {decided:?}");
        assert_eq!(alone, *engineer == "vendor/bob" && *verb != "fly");
        assert_eq!(record["policy_version"], reply.json["context"]["policy_version"]);
        let told = &reply.json["context"]["facts_revision"];
        assert!(record["facts_revision"].is_u64() && (told.is_null() || *told == record["facts_revision"]), "{record}");
        assert_eq!(record["time"], "2026-11-22T10:00:00.000Z");
    }
    assert!(answers.iter().any(|(.., reply)| reply.decision()) && answers.iter().any(|(.., reply)| !reply.decision()));
}

#[tokio::test]
async fn an_evaluated_answer_holds_the_facts_and_a_remembered_one_names_it() {
    let house = House::granted().await;
    let first = house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    let again = house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    let (evaluated, cached) = (record_of(&house, &first), record_of(&house, &again));
    assert_eq!((&evaluated["cached"], &cached["cached"]), (&json!(false), &json!(true)));
    let facts = evaluated["facts"].to_string();
    for fact in ["contoso", "vendor/ada", "approved", "fabrikam"] {
        assert!(facts.contains(fact), "{facts}");
    }
    assert_eq!(cached.get("facts"), None);
    assert_eq!(evaluated["evaluation"], evaluated["decision_id"]);
    assert_eq!(cached["evaluation"], evaluated["decision_id"]);
    assert_ne!(cached["decision_id"], evaluated["decision_id"]);
    assert_eq!(evaluated["consents"].as_array().unwrap().len(), 2, "{evaluated}");
    // New facts, a new evaluation.
    house.close("SR-1").await;
    let closed = record_of(&house, &house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await);
    assert_eq!((&closed["cached"], &closed["code"]), (&json!(false), &json!("support_request_closed")));
}

#[tokio::test]
async fn each_item_of_a_batch_has_its_line() {
    let house = House::granted().await;
    let mut body = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    body["evaluations"] = json!([{}, { "action": { "name": "delete" } }, { "subject": 1 }, {}]);
    let before = house.records().len();
    let reply = house.tooling().with("x-request-id", "batch 1").post("/access/v1/evaluations", &body).await;
    let records = house.records().split_off(before + 1);
    let ids: Vec<_> = records.iter().map(|record| record["decision_id"].clone()).collect();
    let answers = reply.json["evaluations"].as_array().unwrap();
    let answered: Vec<_> = [0, 1, 3].map(|item: usize| answers[item]["context"]["decision_id"].clone()).to_vec();
    assert_eq!(ids, answered);
    assert!(records.iter().all(|record| record["request_id"] == "batch 1"), "{records:?}");
}

#[tokio::test]
async fn what_people_do_is_recorded_too() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    house.approve(&house.admin("contoso", "cyd")).await;
    let records = house.records();
    let approval = records.iter().find(|record| record["action"] == "approveConsent").unwrap();
    assert_eq!((&approval["subject"], &approval["resource"]), (&json!("contoso/cyd"), &json!(consent)));
    assert_eq!((&approval["decision"], &approval["read"]), (&json!(true), &json!(false)));
    assert_eq!(approval["facts"]["consent"]["status"], "pending");
    let refused = house.admin("contoso", "cyd").post(&format!("/v1/consents/{consent}/revoke"), &json!({})).await;
    let id = &refused.json["decision_id"];
    let denial = house.records().into_iter().find(|record| record["decision_id"] == *id).unwrap();
    assert_eq!((&denial["decision"], &denial["code"]), (&json!(false), &json!("not_resource_tenant")));
}

#[tokio::test]
async fn what_callers_send_cannot_forge_a_line() {
    let house = House::granted().await;
    let evil = "\"},{\"type\":\"decision\\n";
    let before = house.records().len();
    let caller = house.tooling().with("x-request-id", evil);
    let mut strange = question("vendor/ada", "read", "fabrikam/signInLogs/a\"b\\u2028", "SR-1");
    strange["resource"]["id"] = json!("fabrikam/signInLogs/a\"}\u{2028}{\"b");
    let reply = caller.post(EVALUATION, &strange).await;
    assert!(reply.decision(), "{reply:?}");
    let records = house.records();
    assert_eq!(records.len() - before, 2);
    let record = record_of(&house, &reply);
    assert_eq!((&record["request_id"], &record["item"]), (&json!(evil), &json!("a\"}\u{2028}{\"b")));
}

#[tokio::test]
async fn only_one_service_writes_a_log() {
    let house = House::start().await;
    let other = house.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let mut config = house.config.clone();
    config.store.path = other.join("store.db");
    let second = consentry::app::App::start(&config, std::sync::Arc::new(house.clock.clone())).await;
    assert!(second.unwrap_err().to_string().contains("another process"), "two services must not share a log");
}
