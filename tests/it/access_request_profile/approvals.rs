//! Approvals brought along: they never make an allow, whatever is done to them, and a denial says what to do next.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use consentry::signing::{SigningKey, jws};
use serde_json::{Value, json};

use super::{REQUESTS, Stage, requestable, submission, with_approval};
use crate::support::{Reply, question};

const KIND: &str = "approval-state+jwt";
const EVALUATION: &str = "/access/v1/evaluation";

fn claims(approval: &Value) -> Value {
    let state = approval["state"].as_str().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(state.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn with(approval: &Value, member: &str, value: Value) -> Value {
    let mut changed = approval.clone();
    if value.is_null() {
        changed.as_object_mut().unwrap().remove(member);
    } else {
        changed[member] = value;
    }
    changed
}

fn sealed(approval: &Value, key: &SigningKey, claims: &Value) -> Value {
    with(approval, "state", jws::seal(key, KIND, claims.to_string().as_bytes()).into())
}

/// What a denial says of the approval: next action, reason, and whether a new request is offered.
#[track_caller]
fn advice(reply: &Reply) -> (&str, &str, bool) {
    assert_eq!((reply.status, reply.decision()), (200, false), "{reply:?}");
    let context = &reply.json["context"];
    assert!(context.get("approval").is_none(), "{reply:?}");
    let text = |member: &str| context[member].as_str().unwrap_or_else(|| panic!("no {member}: {reply:?}"));
    (text("next_action"), text("approval_reason"), context.get("access_request").is_some())
}

/// Approvals that are none: changed, put together, signed by somebody else or for something else.
fn forgeries(approval: &Value, key: &SigningKey) -> Vec<(String, Value)> {
    let told = claims(approval);
    let foreign = SigningKey::generate().unwrap();
    let mut forgeries = vec![
        ("no state".to_owned(), with(approval, "state", json!(null))),
        ("a state that is no text".to_owned(), with(approval, "state", json!({ "a": 1 }))),
        ("nonsense".to_owned(), with(approval, "state", json!("a.b.c"))),
        ("a foreign key".to_owned(), sealed(approval, &foreign, &told)),
        ("a longer life".to_owned(), with(approval, "approved_until", json!("2030-01-01T00:00:00.000Z"))),
        ("another beginning".to_owned(), with(approval, "approved_at", json!("2020-01-01T00:00:00.000Z"))),
        (
            "a binding".to_owned(),
            with(approval, "state", jws::seal(key, "denial-binding+jwt", told.to_string().as_bytes()).into()),
        ),
    ];
    for claim in ["iss", "aud"] {
        let mut other = told.clone();
        other[claim] = json!("https://elsewhere.example");
        forgeries.push((format!("another {claim}"), sealed(approval, key, &other)));
    }
    let state = approval["state"].as_str().unwrap();
    for at in [5, state.len() / 2, state.len() - 2] {
        let mut changed = state.to_owned().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        forgeries.push((format!("byte {at}"), with(approval, "state", String::from_utf8(changed).unwrap().into())));
    }
    forgeries
}

#[tokio::test]
async fn a_forged_approval_never_makes_an_allow_and_is_no_hindrance_where_the_facts_allow() {
    let stage = Stage::set().await;
    let (_, approval) = stage.approved().await;
    let forgeries = forgeries(&approval, &stage.key);
    // Where the facts allow, they allow: what nobody can verify is ignored, and not confirmed.
    for (what, forged) in &forgeries {
        let reply = stage.read_with(forged).await;
        assert!(reply.decision() && reply.json["context"].get("approval").is_none(), "{what}: {reply:?}");
    }
    stage.house.close("SR-1").await;
    stage.house.ticketing().post("/v1/support-requests/SR-1/reopen", &json!({})).await;
    for (what, forged) in &forgeries {
        let reply = stage.read_with(forged).await;
        assert_eq!(reply.code(), "consent_ended");
        assert_eq!(advice(&reply), ("none", "approval_unverifiable", false), "{what}");
    }
    // Its own, which is over: here a new request helps, and is taken.
    let reply = stage.read_with(&approval).await;
    assert_eq!(advice(&reply), ("request", "approval_expired", true));
    let asked = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    assert_eq!(stage.submit(&submission(&asked, &reply)).await.status, 202);
}

#[tokio::test]
async fn an_approval_put_together_of_two_is_refused_even_where_the_facts_allow() {
    let stage = Stage::set().await;
    let (_, approval) = stage.approved().await;
    let mixed = with(&approval, "id", json!("ap-00000000000000000000000000000000"));
    assert_eq!(stage.read_with(&mixed).await.problem(), (400, "invalid_request", "context.approval"));
    let whole = with_approval(question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1"), &mixed);
    let batch = stage.house.tooling().post("/access/v1/evaluations", &json!({ "evaluations": [whole] })).await;
    assert_eq!(batch.json["evaluations"][0]["decision"], false);
    assert_eq!(batch.json["evaluations"][0]["context"]["error"]["field"], "context.approval");
}

#[tokio::test]
async fn an_approval_is_of_its_engineer_its_tenant_and_its_support_request() {
    let stage = Stage::set().await;
    let house = &stage.house;
    house.ticketing().put("/v1/tenants/northwind", &json!({ "display_name": "Northwind" })).await;
    house.open("SR-3", "contoso", "vendor/bob").await;
    let (_, approval) = stage.approved().await;
    let asked = async |who: &str, verb: &str, resource: &str, support_request: &str| {
        let question = with_approval(question(who, verb, resource, support_request), &approval);
        house.tooling().post(EVALUATION, &question).await
    };
    for (who, verb, resource, support_request, expected) in [
        ("vendor/ada", "read", "northwind/signInLogs", "SR-1", ("request", "out_of_scope", true)),
        ("vendor/ada", "read", "contoso/signInLogs", "SR-1", ("none", "out_of_scope", false)),
        ("vendor/ada", "read", "fabrikam/signInLogs", "SR-2", ("request", "out_of_scope", true)),
        ("vendor/ada", "read", "fabrikam/signInLogs", "SR-none", ("none", "out_of_scope", false)),
        ("vendor/bob", "read", "fabrikam/signInLogs", "SR-1", ("none", "approval_unverifiable", false)),
        ("vendor/bob", "read", "fabrikam/signInLogs", "SR-3", ("none", "approval_unverifiable", false)),
        ("vendor/ada", "delete", "fabrikam/signInLogs", "SR-1", ("none", "policy_denied", false)),
    ] {
        let reply = asked(who, verb, resource, support_request).await;
        assert_eq!(advice(&reply), expected, "{who} {verb} {resource} {support_request}");
    }
    // It covers what its consents cover: every category, every verb that reads.
    for (verb, resource) in [("read", "fabrikam/signInLogs"), ("list", "fabrikam/auditLogs/one")] {
        let reply = asked("vendor/ada", verb, resource, "SR-1").await;
        assert_eq!(reply.json["context"]["approval"]["id"], approval["id"], "{reply:?}");
    }
    // Bob reads once the support request is his: by the facts, and not by Ada's approval.
    house.ticketing().put("/v1/support-requests/SR-1/assignee", &json!({ "assignee": "vendor/bob" })).await;
    let bobs = asked("vendor/bob", "read", "fabrikam/signInLogs", "SR-1").await;
    assert!(bobs.decision() && bobs.json["context"].get("approval").is_none(), "{bobs:?}");
    // Ada is told nothing of how it goes on with it (R20), in force or not.
    let before = asked("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").await;
    assert_eq!((before.code(), advice(&before)), ("not_assigned", ("none", "policy_denied", false)));
    stage.decide(&house.admin("fabrikam", "dee"), "revoke", json!({})).await;
    let after = asked("vendor/ada", "read", "fabrikam/signInLogs", "SR-1").await;
    let lasting = |reply: &Reply| {
        let mut context = reply.json["context"].clone();
        context.as_object_mut().unwrap().remove("decision_id");
        context
    };
    assert_eq!(lasting(&before), lasting(&after));
}

#[tokio::test]
async fn an_approval_of_an_earlier_access_request_is_over() {
    let stage = Stage::set().await;
    let (first, approval) = stage.approved().await;
    assert_eq!(stage.ada.post(&format!("/v1/access-requests/{first}/cancel"), &json!({})).await.status, 200);
    let withdrawn = requestable(stage.read_with(&approval).await);
    assert_eq!(advice(&withdrawn), ("request", "approval_expired", true));
    let asked = question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1");
    assert_eq!(stage.submit(&submission(&asked, &withdrawn)).await.status, 202);
    // The next one waits: there is nothing to request, and the old approval is none for it.
    let waiting = stage.read_with(&approval).await;
    assert_eq!((waiting.code(), advice(&waiting)), ("awaiting_consent", ("none", "approval_expired", false)));
    stage.house.approve(&stage.house.admin("contoso", "cyd")).await;
    stage.house.approve(&stage.house.admin("fabrikam", "dee")).await;
    let allowed = stage.read_with(&approval).await;
    assert!(allowed.decision() && allowed.json["context"].get("approval").is_none(), "{allowed:?}");
}

#[tokio::test]
async fn an_approval_lasts_as_long_as_its_consents_and_as_it_was_wanted() {
    for (scopes, wanted, until) in [
        ([json!({}), json!({})], None, "2026-11-23T10:00:00.000Z"),
        (
            [json!({ "until": "2026-11-22T12:00:00Z" }), json!({ "until": "2026-11-22T11:00:00Z" })],
            None,
            "2026-11-22T11:00:00.000Z",
        ),
        (
            [json!({ "until": "2026-11-22T12:00:00Z" }), json!({})],
            Some("2026-11-22T11:30:00Z"),
            "2026-11-22T11:30:00.000Z",
        ),
    ] {
        let stage = Stage::set().await;
        let mut submission = stage.submission().await;
        if let Some(wanted) = wanted {
            submission["requested_access"] = json!({ "requested_until": wanted });
        }
        let task = stage.submit(&submission).await.json["task"]["id"].as_str().unwrap().to_owned();
        for (tenant, scope) in ["contoso", "fabrikam"].into_iter().zip(scopes) {
            stage.decide(&stage.house.admin(tenant, "admin"), "approve", scope).await;
        }
        let approval = stage.task(&task).await["result"]["approval"].clone();
        assert_eq!(approval["approved_until"], until);
        let end: consentry::model::Timestamp = until.parse().unwrap();
        let now: consentry::model::Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        stage.house.clock.advance_millis(end.as_millis() - now.as_millis() + 1);
        // It is not confirmed any more. Whether the read is allowed is the consents' matter.
        let reply = stage.read_with(&approval).await;
        assert!(reply.json["context"].get("approval").is_none(), "{reply:?}");
        if !reply.decision() {
            assert_eq!(advice(&reply), ("request", "approval_expired", true));
            continue;
        }
        let anew = stage.task(&task).await["result"]["approval"].clone();
        assert_eq!(anew["id"], approval["id"]);
        let confirmed = stage.read_with(&anew).await.json["context"].get("approval").is_some();
        assert_eq!(confirmed, wanted.is_none(), "what was wanted for so long is over, and else it is fetched anew");
    }
}

#[tokio::test]
async fn a_narrowed_consent_puts_a_category_out_of_scope() {
    let stage = Stage::set().await;
    let (_, approval) = stage.approved().await;
    stage.decide(&stage.house.admin("fabrikam", "dee"), "narrow", json!({ "categories": ["auditLogs"] })).await;
    let reply = stage.read_with(&approval).await;
    assert_eq!((reply.code(), advice(&reply)), ("category_not_granted", ("none", "out_of_scope", false)));
}

#[tokio::test]
async fn a_malformed_approval_is_told_what_is_wrong() {
    let stage = Stage::set().await;
    let (_, approval) = stage.approved().await;
    for (approval, field) in [
        (json!(7), "context.approval"),
        (json!("x"), "context.approval"),
        (json!(["ap-1", "a", "b", "c"]), "context.approval"),
        (json!({}), "context.approval.id"),
        (json!({ "id": 7 }), "context.approval.id"),
    ] {
        assert_eq!(stage.read_with(&approval).await.problem(), (400, "invalid_request", field), "{approval}");
    }
    // More in it is no harm, and none at all is none.
    assert!(stage.read_with(&with(&approval, "x.example/y", json!(1))).await.json["context"].get("approval").is_some());
    assert!(stage.read_with(&json!(null)).await.decision());
    // A question about the workflow has no use for it.
    let consents = json!({
        "subject": { "type": "User", "id": "contoso/cyd" }, "action": { "name": "listConsents" },
        "resource": { "type": "Tenant", "id": "contoso" }, "context": { "approval": 7 },
    });
    assert!(stage.house.admin("contoso", "cyd").post(EVALUATION, &consents).await.decision());
    assert_eq!(stage.ada.get(&format!("{REQUESTS}/")).await.status, 404);
}
