//! Requests become questions, and answers what Envoy does with them.

use super::gate::{EXAMPLE, Gate, SIGN_IN, Sent};

#[tokio::test]
async fn a_request_that_may_go_on_is_recorded_and_says_who_reads_what() {
    let gate = Gate::granted().await;
    let sent = Sent::get(SIGN_IN).by(&gate.house.engineer("ada")).under("SR-1").with("x-request-id", "req-7");
    let answer = gate.ask(sent).await;
    assert!(answer.is_through(), "{answer:?}");
    let record = gate.house.records().pop().unwrap();
    for (member, value) in [
        ("type", "decision"),
        ("caller", "unix-socket"),
        ("subject", "vendor/ada"),
        ("action", "read"),
        ("resource", "fabrikam/signInLogs/42"),
        ("support_request", "SR-1"),
        ("request_id", "req-7"),
    ] {
        assert_eq!(record[member], value, "{record}");
    }
    assert_eq!(record["decision"], true);
    assert_eq!(answer.header("x-consentry-decision-id"), record["decision_id"]);
    assert_eq!(answer.header("x-consentry-engineer"), "vendor/ada");
    assert_eq!(answer.for_client["x-consentry-decision-id"], record["decision_id"]);
}

#[tokio::test]
async fn the_tenant_sees_each_read_that_went_on() {
    // R22
    let gate = Gate::granted().await;
    let answer = gate.reads("ada", "/v1/tenants/fabrikam/directory/users/7").await;
    assert!(answer.is_through(), "{answer:?}");
    assert!(!gate.reads("bob", SIGN_IN).await.is_through());
    let reader = gate.house.person("fabrikam", "rey", &["Reports Reader"], &[]);
    let reads = reader.get("/v1/audit-log/reads").await.json;
    let read = &reads["items"][0];
    assert_eq!((reads["items"].as_array().unwrap().len(), &read["item"]), (1, &"users/7".into()), "{reads}");
}

#[tokio::test]
async fn a_denial_says_why_in_a_header_and_in_a_body() {
    let gate = Gate::with(EXAMPLE).await;
    gate.house.asked().await;
    let answer = gate.reads("ada", SIGN_IN).await;
    assert_eq!((answer.code, answer.denial()), (7, (403, "awaiting_consent")));
    assert_eq!(answer.body["missing_consents"], serde_json::json!(["support_request_tenant", "resource_tenant"]));
    assert_eq!(answer.body["decision_id"], gate.house.records().pop().unwrap()["decision_id"]);
    assert!(answer.body["policies"][0]["rules"].as_array().is_some(), "{answer:?}");
    gate.house.approve(&gate.house.admin("contoso", "cyd")).await;
    let answer = gate.reads("ada", SIGN_IN).await;
    assert_eq!(answer.body["missing_consents"], serde_json::json!(["resource_tenant"]));
    // R20: who is not assigned is told nothing else.
    let answer = gate.reads("bob", SIGN_IN).await;
    assert_eq!(answer.denial(), (403, "not_assigned"));
    assert_eq!(answer.body.get("missing_consents"), None);
}

#[tokio::test]
async fn every_part_of_a_request_counts() {
    let gate = Gate::granted().await;
    let ada = gate.house.engineer("ada");
    let reason = async |sent: Sent| gate.ask(sent.by(&ada)).await.denial().1.to_owned();
    assert!(gate.ask(Sent::of("HEAD", SIGN_IN).by(&ada).under("SR-1")).await.is_through());
    assert!(gate.ask(Sent::get("/v1/tenants/fabrikam/sign-ins?top=5").by(&ada).under("SR-1")).await.is_through());
    assert_eq!(reason(Sent::of("DELETE", SIGN_IN).under("SR-1")).await, "read_only"); // R2
    assert_eq!(reason(Sent::get(SIGN_IN)).await, "support_request_unknown"); // R4
    assert_eq!(reason(Sent::get(SIGN_IN).under("SR-2")).await, "support_request_unknown");
    assert_eq!(reason(Sent::get(SIGN_IN).under("")).await, "invalid_request");
    let contoso = Sent::get("/v1/tenants/contoso/sign-ins/42").under("SR-1");
    assert_eq!(reason(contoso).await, "advanced_diagnostics_not_allowed"); // R5
    let third = Sent::get("/v1/tenants/tailspin/sign-ins/42").under("SR-1");
    assert_eq!(reason(third).await, "outside_granted_tenant"); // R8
    assert_eq!(reason(Sent::of("PUT", SIGN_IN).under("SR-1")).await, "not_mapped");
    assert_eq!(reason(Sent::get("/v1/tenants").under("SR-1")).await, "not_mapped");
}

#[tokio::test]
async fn a_path_that_passes_needs_nobody_and_no_other_path_does() {
    let gate = Gate::granted().await;
    let before = gate.house.records().len();
    let answer = gate.ask(Sent::get("/healthz").with("x-consentry-engineer", "vendor/eve")).await;
    assert!(answer.is_through() && answer.headers.is_empty(), "{answer:?}");
    assert_eq!(answer.removed, ["x-consentry-engineer"]);
    assert_eq!(gate.house.records().len(), before, "nothing was asked");
    for (method, path) in
        [("POST", "/healthz"), ("GET", "/healthz/x"), ("GET", "/healthz/../v1"), ("GET", "/healthz?x=1")]
    {
        assert!(!gate.ask(Sent::of(method, path)).await.is_through(), "{method} {path}");
    }
}

#[tokio::test]
async fn an_access_that_ends_lets_no_further_request_through() {
    let gate = Gate::granted().await;
    assert!(gate.reads("ada", SIGN_IN).await.is_through());
    assert!(gate.reads("ada", SIGN_IN).await.is_through(), "a remembered answer");
    let dee = gate.house.admin("fabrikam", "dee");
    let id = dee.get("/v1/consents?view=approved").await.json["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(dee.post(&format!("/v1/consents/{id}/revoke"), &serde_json::json!({})).await.status, 200);
    let answer = gate.reads("ada", SIGN_IN).await;
    assert_eq!(answer.denial(), (403, "consent_revoked")); // R13
    gate.house.close("SR-1").await;
    assert_eq!(gate.reads("ada", SIGN_IN).await.denial(), (403, "support_request_closed")); // R4
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_go_on() {
    let gate = Gate::granted().await;
    assert!(gate.reads("ada", SIGN_IN).await.is_through());
    gate.house.app().edge().log.close().unwrap();
    let answer = gate.reads("ada", SIGN_IN).await;
    assert_eq!((answer.code, answer.denial()), (14, (503, "log_closed")));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn what_became_of_requests_is_counted() {
    let gate = Gate::with_more(EXAMPLE, "server.metrics_listen = \"127.0.0.1:0\"").await;
    gate.house.grant().await;
    assert!(gate.reads("ada", SIGN_IN).await.is_through());
    assert!(gate.ask(Sent::get("/healthz")).await.is_through());
    assert!(!gate.reads("bob", SIGN_IN).await.is_through());
    assert!(!gate.ask(Sent::get("/else")).await.is_through());
    let url = format!("http://{}", gate.house.app().metrics_address().unwrap());
    let metrics = gate.house.tooling().at(&url).get("/metrics").await.text;
    for (outcome, count) in [("allowed", 1), ("passed", 1), ("denied", 2), ("failed", 0)] {
        let line = format!("consentry_ext_authz_checks_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}
