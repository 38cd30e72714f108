//! Which denials say that an access request would cure them: those that one does cure, and no others.

use serde_json::{Value, json};

use super::{REQUESTS, Stage, submission};
use crate::support::{Person, Reply, question};

fn is_requestable(reply: &Reply) -> bool {
    assert_eq!((reply.status, reply.decision()), (200, false), "{reply:?}");
    let context = reply.json["context"].as_object().unwrap();
    let has = |member: &str| context.contains_key(member);
    assert_eq!(has("access_request"), has("evaluation_id"), "{reply:?}");
    assert_eq!(has("access_request"), has("evaluated_at"), "{reply:?}");
    has("access_request")
}

impl Stage {
    /// Asserts that a read under SR-1 is denied so, and that an access request cures it or not. Where it says that one
    /// does, one is taken.
    async fn is_denied(&self, code: &str, resource: &str, requestable: bool) {
        let asked = question("vendor/ada", "read", resource, "SR-1");
        // Evaluated, and remembered.
        for _ in 0..2 {
            let reply = self.house.tooling().post("/access/v1/evaluation", &asked).await;
            assert_eq!((reply.code(), is_requestable(&reply)), (code, requestable), "{resource}: {reply:?}");
        }
    }

    async fn is_cured(&self, resource: &str) -> String {
        let asked = question("vendor/ada", "read", resource, "SR-1");
        let denial = self.house.tooling().post("/access/v1/evaluation", &asked).await;
        let reply = self.submit(&submission(&asked, &denial)).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json["task"]["id"].as_str().unwrap().to_owned()
    }

    fn admins(&self) -> (Person, Person) {
        (self.house.admin("contoso", "cyd"), self.house.admin("fabrikam", "dee"))
    }
}

const READ: &str = "fabrikam/signInLogs";

#[tokio::test]
async fn a_denial_is_requestable_while_a_new_access_request_would_cure_it() {
    let stage = Stage::set().await;
    let (cyd, dee) = stage.admins();
    stage.is_denied("access_request_required", READ, true).await;
    let first = stage.is_cured(READ).await;
    // One is under way.
    stage.is_denied("awaiting_consent", READ, false).await;
    assert_eq!(stage.ada.post(&format!("{REQUESTS}/{first}/cancel"), &json!({})).await.status, 200);
    stage.is_denied("consent_ended", READ, true).await;
    stage.is_cured(READ).await;
    stage.decide(&dee, "approve", json!({ "until": "2026-11-22T10:05:00Z" })).await;
    stage.house.clock.advance_millis(5 * 60_000);
    // Nothing can come of what waits any more: one of its two consents is over.
    stage.is_denied("awaiting_consent", READ, true).await;
    stage.is_cured(READ).await;
    stage.decide(&cyd, "approve", json!({})).await;
    stage.decide(&dee, "approve", json!({ "until": "2026-11-22T10:10:00Z", "categories": ["signInLogs"] })).await;
    stage.is_denied("category_not_granted", "fabrikam/auditLogs", false).await;
    stage.house.clock.advance_millis(5 * 60_000);
    stage.is_denied("consent_expired", READ, true).await;
    stage.is_denied("consent_expired", "fabrikam/auditLogs", true).await;
    stage.is_cured("fabrikam/auditLogs").await;
    // The customer has said no: it is asked, and not requested again (R12).
    stage.decide(&dee, "reject", json!({})).await;
    stage.is_denied("awaiting_consent", READ, false).await;
    stage.decide(&cyd, "approve", json!({})).await;
    stage.is_denied("consent_rejected", READ, false).await;
}

#[tokio::test]
async fn a_denial_for_another_reason_is_not_requestable() {
    let stage = Stage::set().await;
    let house = &stage.house;
    stage.is_denied("advanced_diagnostics_not_allowed", "contoso/signInLogs", false).await;
    // Nobody could approve it (R10).
    stage.is_denied("access_request_required", "nowhere/signInLogs", false).await;
    let registered = house.ticketing().put("/v1/tenants/nowhere", &json!({ "display_name": "Nowhere" })).await;
    assert_eq!(registered.status, 201);
    stage.is_denied("access_request_required", "nowhere/signInLogs", true).await;
    for (who, verb, resource, support_request, code) in [
        ("vendor/ada", "delete", READ, "SR-1", "read_only"),
        ("vendor/ada", "make", READ, "SR-1", "not_permitted"),
        ("vendor/bob", "read", READ, "SR-1", "not_assigned"),
        ("vendor/ada", "read", READ, "SR-none", "support_request_unknown"),
    ] {
        let reply = house.may(who, verb, resource, support_request).await;
        assert_eq!((reply.code(), is_requestable(&reply)), (code, false), "{reply:?}");
    }
    let mut without = question("vendor/ada", "read", READ, "SR-1");
    without["context"] = json!({});
    assert!(!is_requestable(&house.tooling().post("/access/v1/evaluation", &without).await));
    house.close("SR-1").await;
    stage.is_denied("support_request_closed", READ, false).await;
    let workflow = json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" }, "action": { "name": "createAccessRequest" },
        "resource": { "type": "SupportRequest", "id": "SR-1" }, "context": { "resource_tenant": "fabrikam" },
    });
    assert!(!is_requestable(&stage.ada.post("/access/v1/evaluation", &workflow).await));
}

#[tokio::test]
async fn access_that_was_removed_is_not_requested_again_and_another_tenants_is() {
    let stage = Stage::set().await;
    let (cyd, dee) = stage.admins();
    stage.is_cured(READ).await;
    stage.decide(&cyd, "approve", json!({})).await;
    stage.decide(&dee, "approve", json!({})).await;
    stage.house.ticketing().put("/v1/tenants/northwind", &json!({ "display_name": "Northwind" })).await;
    stage.is_denied("outside_granted_tenant", "northwind/signInLogs", true).await;
    stage.decide(&dee, "revoke", json!({})).await;
    stage.is_denied("consent_revoked", READ, false).await;
    stage.is_cured("northwind/signInLogs").await;
}

#[tokio::test]
async fn each_question_of_a_batch_has_its_own_binding() {
    let stage = Stage::set().await;
    let resources = ["fabrikam/signInLogs", "contoso/signInLogs", "fabrikam/auditLogs", "fabrikam/signInLogs"];
    let evaluations: Vec<Value> =
        resources.iter().map(|id| json!({ "resource": { "type": "DiagnosticData", "id": id } })).collect();
    let batch = json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" }, "action": { "name": "read" },
        "context": { "support_request": "SR-1" }, "evaluations": evaluations,
    });
    let answer = stage.house.tooling().post("/access/v1/evaluations", &batch).await;
    let context = |nth: usize| &answer.json["evaluations"][nth]["context"];
    assert!(context(1).get("access_request").is_none(), "{answer:?}");
    for nth in [0, 2, 3] {
        assert_eq!(context(nth)["evaluation_id"], context(nth)["decision_id"]);
    }
    let of = |nth: usize| Reply { json: answer.json["evaluations"][nth].clone(), ..answer.clone() };
    let asked = |nth: usize| question("vendor/ada", "read", resources[nth], "SR-1");
    let swapped = stage.submit(&submission(&asked(0), &of(2))).await;
    assert_eq!(super::problem(&swapped), (400, "invalid_denial_binding"));
    assert_eq!(stage.submit(&submission(&asked(2), &of(2))).await.status, 202);
}

#[tokio::test]
async fn a_question_too_long_to_be_bound_is_denied_all_the_same() {
    let stage = Stage::set().await;
    let mut asked = question("vendor/ada", "read", READ, "SR-1");
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    for (long, requestable) in [(json!("x".repeat(2_000)), true), (json!("x".repeat(20_000)), false), (deep, true)] {
        asked["subject"]["properties"] = json!({ "long": long });
        let reply = stage.house.tooling().post("/access/v1/evaluation", &asked).await;
        assert_eq!((reply.code(), is_requestable(&reply)), ("access_request_required", requestable));
    }
    // Nested deeper than anybody reads, and never read.
    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let text = asked.to_string();
    let (before, after) = (text.split("\"long\":").next().unwrap(), "}");
    let rest = text.rsplit_once("]}").map_or("", |(_, rest)| rest);
    let body = format!("{before}\"long\":{nested}{after}{rest}");
    let reply = stage.house.tooling().send(http::Method::POST, "/access/v1/evaluation", Some(body.into_bytes())).await;
    assert!(!is_requestable(&reply), "{reply:?}");
}
