//! `Idempotency-Key`: a call that is sent again is carried out once.

use http::Method;
use serde_json::json;

use super::is;
use crate::support::{House, Person, Reply};

/// Asserts that the second answer is the first, given again.
#[track_caller]
fn is_replay(again: &Reply, first: &Reply) {
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for header in ["etag", "location", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
}

fn keyed(person: &Person, key: &str) -> Person {
    person.with("idempotency-key", key)
}

#[tokio::test]
async fn a_retry_is_answered_as_before_and_changes_nothing() {
    let mut house = House::start().await;
    let (_, consent) = house.asked().await;
    let dee = house.admin("fabrikam", "dee");
    let path = format!("/v1/consents/{consent}");
    let approve = format!("{path}/approve");
    let scope = json!({ "until": "2026-12-01T00:00:00Z" });
    let first = keyed(&dee, "k1").post(&approve, &scope).await;
    is(&first, 200);
    is_replay(&keyed(&dee, "k1").post(&approve, &scope).await, &first);
    is(&dee.post(&format!("{path}/revoke"), &json!({})).await, 200);
    let revoked = dee.get(&path).await;
    is_replay(&keyed(&dee, "k1").post(&approve, &scope).await, &first);
    house.restart().await;
    let dee = dee.at(&house.url);
    is_replay(&keyed(&dee, "k1").post(&approve, &scope).await, &first);
    assert_eq!(dee.get(&path).await.text, revoked.text, "a retry of the approval does not bring access back");
    let log = is(&dee.get("/v1/audit-log?activity=Approval%20approved").await, 200);
    assert_eq!(log["items"].as_array().unwrap().len(), 1, "{log}");
}

#[tokio::test]
async fn every_command_can_be_sent_again() {
    let house = House::start().await;
    let (ticketing, ada) = (house.ticketing(), house.engineer("ada"));
    let opening = json!({
        "id": "SR-1", "number": "1", "summary": "x", "tenant": "contoso", "submitted_in": "admin_center",
        "assignee": "vendor/ada",
    });
    let again = async |caller: &Person, method: Method, path: &str, body: &serde_json::Value| {
        let caller = keyed(caller, &format!("key-of-{path}-{method}"));
        let bytes = body.to_string().into_bytes();
        let first = caller.send(method.clone(), path, Some(bytes.clone())).await;
        assert!(first.status < 300, "{path}: {first:?}");
        is_replay(&caller.send(method, path, Some(bytes)).await, &first);
        first.json
    };
    again(&ticketing, Method::PUT, "/v1/tenants/northwind", &json!({ "display_name": "N" })).await;
    again(&ticketing, Method::POST, "/v1/support-requests", &opening).await;
    let path = "/v1/support-requests/SR-1";
    again(&ticketing, Method::PATCH, path, &json!({ "summary": "y" })).await;
    let body = json!({ "support_request": "SR-1", "resource_tenant": "fabrikam", "reason": "x" });
    let created = again(&ada, Method::POST, "/v1/access-requests", &body).await;
    assert_eq!(is(&ada.get("/v1/access-requests").await, 200)["items"].as_array().unwrap().len(), 1);
    let dee = house.admin("fabrikam", "dee");
    let consent = house.pending(&dee).await;
    again(&dee, Method::POST, &format!("/v1/consents/{consent}/approve"), &json!({})).await;
    let narrow = json!({ "categories": ["auditLogs"] });
    again(&dee, Method::POST, &format!("/v1/consents/{consent}/narrow"), &narrow).await;
    again(&dee, Method::POST, &format!("/v1/consents/{consent}/revoke"), &json!({})).await;
    let cyd = house.admin("contoso", "cyd");
    let consent = house.pending(&cyd).await;
    again(&cyd, Method::POST, &format!("/v1/consents/{consent}/reject"), &json!({})).await;
    let second = ada.post("/v1/access-requests", &body).await;
    let id = is(&second, 201)["id"].as_str().unwrap().to_owned();
    assert_ne!(created["id"], id);
    again(&ada, Method::POST, &format!("/v1/access-requests/{id}/cancel"), &json!({})).await;
    again(&ticketing, Method::PUT, &format!("{path}/assignee"), &json!({ "assignee": "vendor/bob" })).await;
    again(&ticketing, Method::POST, &format!("{path}/close"), &json!({})).await;
    again(&ticketing, Method::POST, &format!("{path}/reopen"), &json!({})).await;
}

#[tokio::test]
async fn a_call_that_changed_nothing_is_remembered_too() {
    let house = House::start().await;
    let put = async |key: &str, name: &str| {
        keyed(&house.ticketing(), key).put("/v1/tenants/contoso", &json!({ "display_name": name })).await
    };
    let unchanged = put("k1", "Contoso").await;
    is(&unchanged, 200);
    let renamed = put("k2", "Contoso Group").await;
    assert_ne!((renamed.status, renamed.header("etag")), (200, unchanged.header("etag")));
    // It is no new wish to give the tenant its old name.
    is_replay(&put("k1", "Contoso").await, &unchanged);
    let now = put("k3", "Contoso Group").await;
    assert_eq!((now.header("etag"), &now.text), (renamed.header("etag"), &renamed.text));
}

#[tokio::test]
async fn a_key_belongs_to_one_request_and_one_caller() {
    let house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let path = |consent: &str, verb: &str| format!("/v1/consents/{consent}/{verb}");
    is(&keyed(&dee, "k").post(&path(&fabrikams, "approve"), &json!({})).await, 200);
    for (verb, body) in [("approve", json!({ "until": "2026-12-01T00:00:00Z" })), ("revoke", json!({}))] {
        let reply = keyed(&dee, "k").post(&path(&fabrikams, verb), &body).await;
        assert_eq!(reply.problem(), (422, "idempotency_key_reused", ""), "{verb}");
        is(&reply, 422);
    }
    // Another caller's key of the same name is another key.
    let reply = keyed(&cyd, "k").post(&path(&contosos, "approve"), &json!({})).await;
    assert_eq!((is(&reply, 200)["status"].clone(), reply.header("idempotency-replayed")), (json!("approved"), None));
    let other = house.admin("fabrikam", "eve");
    let reply = keyed(&other, "k").post(&path(&fabrikams, "approve"), &json!({})).await;
    assert_eq!(reply.problem(), (409, "consent_not_pending", ""));
}

#[tokio::test]
async fn a_refusal_is_not_kept() {
    let house = House::start().await;
    let (_, consent) = house.asked().await;
    let dee = keyed(&house.admin("fabrikam", "dee"), "k");
    let revoke = format!("/v1/consents/{consent}/revoke");
    assert_eq!(dee.post(&revoke, &json!({})).await.problem(), (409, "consent_not_approved", ""));
    house.approve(&house.admin("fabrikam", "dee")).await;
    assert_eq!(is(&dee.post(&revoke, &json!({})).await, 200)["status"], "revoked");
}

#[tokio::test]
async fn a_key_is_short_and_printable() {
    let house = House::start().await;
    let (_, consent) = house.asked().await;
    let dee = house.admin("fabrikam", "dee");
    let approve = format!("/v1/consents/{consent}/approve");
    for key in [" ", "a b", "é", &"k".repeat(129)] {
        let reply = keyed(&dee, key).post(&approve, &json!({})).await;
        assert_eq!(reply.problem(), (400, "invalid_request", "Idempotency-Key"), "{key:?}");
    }
    is(&keyed(&dee, &"k".repeat(128)).post(&approve, &json!({})).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_copies_of_one_call_are_one_call() {
    for _ in 0..10 {
        is_carried_out_once(&House::start().await).await;
    }
}

async fn is_carried_out_once(house: &House) {
    let (_, consent) = house.asked().await;
    let dee = keyed(&house.admin("fabrikam", "dee"), "k");
    let approve = format!("/v1/consents/{consent}/approve");
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (dee, approve) = (dee.clone(), approve.clone());
            tokio::spawn(async move { dee.post(&approve, &json!({})).await })
        })
        .collect();
    let mut fresh = 0;
    for call in calls {
        let reply = call.await.unwrap();
        assert_eq!(is(&reply, 200)["status"], "approved");
        fresh += usize::from(reply.header("idempotency-replayed").is_none());
    }
    assert_eq!(fresh, 1);
}
