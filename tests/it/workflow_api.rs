//! The workflow API, call by call: what each answers, and what it says when it does not (R10-R16).

mod export;
mod in_force;
mod malformed;
mod once;
mod pages;
mod races;
mod versions;

use serde_json::{Value, json};

use crate::support::{House, Reply};

/// Asserts a status, and what every answer of the workflow has.
#[track_caller]
fn is(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
    let kind = if status < 400 { "application/json" } else { "application/problem+json" };
    assert_eq!(reply.header("content-type"), Some(kind), "{reply:?}");
    reply.json.clone()
}

#[tokio::test]
async fn the_ticketing_system_tells_of_tenants_and_support_requests() {
    let house = House::start().await;
    let ticketing = house.ticketing();
    let name = json!({ "display_name": "Northwind" });
    let tenant = json!({ "id": "northwind", "display_name": "Northwind" });
    assert_eq!(is(&ticketing.put("/v1/tenants/northwind", &name).await, 201), tenant);
    assert_eq!(is(&ticketing.put("/v1/tenants/northwind", &name).await, 200), tenant);
    let renamed = ticketing.put("/v1/tenants/northwind", &json!({ "display_name": "North" })).await;
    assert_eq!((is(&renamed, 200)["display_name"].clone(), renamed.header("etag")), (json!("North"), Some("\"2\"")));

    let opened = house.open("SR-1", "northwind", "vendor/ada").await;
    assert_eq!(opened.header("location"), Some("/v1/support-requests/SR-1"));
    let expected = json!({
        "id": "SR-1", "number": "N-SR-1", "summary": "summary of SR-1", "tenant": "northwind",
        "submitted_in": "admin_center", "advanced_diagnostic_information": false, "assignee": "vendor/ada",
        "status": "open", "opened_at": "2026-11-22T10:00:00.000Z", "closed_at": null,
    });
    assert_eq!(is(&opened, 201), expected);
    let path = "/v1/support-requests/SR-1";
    let update = json!({ "summary": "new", "advanced_diagnostic_information": true });
    let updated = is(&ticketing.patch(path, &update).await, 200);
    assert_eq!((&updated["summary"], &updated["advanced_diagnostic_information"]), (&json!("new"), &json!(true)));
    house.allows("vendor/ada", "northwind/signInLogs", "SR-1").await;
    let nobody = ticketing.put(&format!("{path}/assignee"), &json!({ "assignee": null })).await;
    assert_eq!(is(&nobody, 200)["assignee"], Value::Null);
    house.denies("not_assigned", "vendor/ada", "northwind/signInLogs", "SR-1").await;
    let closed = is(&ticketing.post(&format!("{path}/close"), &json!({})).await, 200);
    assert_eq!((&closed["status"], &closed["closed_at"]), (&json!("closed"), &json!("2026-11-22T10:00:00.000Z")));
    let reopened = is(&ticketing.post(&format!("{path}/reopen"), &json!({})).await, 200);
    assert_eq!(reopened["status"], "open");
    assert_eq!(is(&ticketing.get(path).await, 200), reopened);
}

#[tokio::test]
async fn an_engineer_asks_sees_and_withdraws() {
    let house = House::start().await;
    let ada = house.engineer("ada");
    house.open("SR-1", "contoso", "vendor/ada").await;
    let body = json!({ "support_request": "SR-1", "resource_tenant": "fabrikam", "reason": "sign-in fails" });
    let created = ada.post("/v1/access-requests", &body).await;
    let view = is(&created, 201);
    let id = view["id"].as_str().unwrap();
    let path = format!("/v1/access-requests/{id}");
    assert_eq!(created.header("location"), Some(path.as_str()));
    assert_eq!((&view["status"], &view["requested_by"]), (&json!("pending"), &json!("vendor/ada")));
    let mut missing: Vec<_> = view["missing_consents"].as_array().unwrap().clone();
    missing.sort_by_key(ToString::to_string);
    assert_eq!(json!(missing), json!(["resource_tenant", "support_request_tenant"]));
    assert_eq!(is(&ada.get(&path).await, 200), view);
    assert_eq!(is(&ada.get("/v1/access-requests").await, 200)["items"], json!([view]));
    assert_eq!(is(&ada.get("/v1/access-requests?support_request=SR-1").await, 200)["items"], json!([view]));
    assert_eq!(is(&ada.get("/v1/support-requests").await, 200)["items"][0]["id"], "SR-1");

    let again = ada.post("/v1/access-requests", &body).await;
    assert_eq!(again.problem(), (409, "access_request_live", ""));
    let canceled = ada.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(is(&canceled, 200)["status"], "ended");
    let again = ada.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!(again.problem(), (409, "access_request_ended", ""));
    is(&ada.post("/v1/access-requests", &body).await, 201);
}

#[tokio::test]
async fn administrators_decide_narrow_and_remove() {
    let house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let pending = is(&dee.get("/v1/consents?view=pending").await, 200);
    assert_eq!((&pending["pending_count"], &pending["items"][0]["id"]), (&json!(1), &json!(fabrikams)));
    let consent = is(&dee.get(&format!("/v1/consents/{fabrikams}")).await, 200);
    assert_eq!(consent["support_request"], json!({ "number": "N-SR-1", "summary": "summary of SR-1" }));
    assert_eq!((&consent["reason"], &consent["requested_by"]), (&json!("sign-in fails"), &json!("vendor/ada")));

    let rejected = is(&cyd.post(&format!("/v1/consents/{contosos}/reject"), &json!({})).await, 200);
    assert_eq!(rejected["status"], "rejected");
    assert!(rejected["advice"].as_str().unwrap().contains("longer"), "{rejected}");
    let scope = json!({ "categories": ["signInLogs", "auditLogs"], "until": "2026-12-01T00:00:00Z" });
    let approved = is(&dee.post(&format!("/v1/consents/{fabrikams}/approve"), &scope).await, 200);
    let expected = json!({ "categories": ["signInLogs", "auditLogs"], "until": "2026-12-01T00:00:00.000Z" });
    assert_eq!(
        (&approved["status"], &approved["in_force"], &approved["scope"]),
        (&json!("approved"), &json!(true), &expected)
    );
    assert_eq!((&approved["decided_by"], approved.get("advice")), (&json!("fabrikam/dee"), None));
    let narrow = format!("/v1/consents/{fabrikams}/narrow");
    let narrowed = is(&dee.post(&narrow, &json!({ "categories": ["auditLogs"] })).await, 200);
    assert_eq!(narrowed["scope"], json!({ "categories": ["auditLogs"], "until": "2026-12-01T00:00:00.000Z" }));
    for wider in [json!({ "categories": ["auditLogs", "signInLogs"] }), json!({ "until": "2026-12-02T00:00:00Z" })] {
        assert_eq!(dee.post(&narrow, &wider).await.problem(), (409, "scope_wider", ""));
    }
    let listed = is(&dee.get("/v1/consents?view=approved").await, 200);
    assert_eq!(listed["items"], json!([narrowed]));
    let revoked = is(&dee.post(&format!("/v1/consents/{fabrikams}/revoke"), &json!({})).await, 200);
    assert_eq!((&revoked["status"], &revoked["in_force"]), (&json!("revoked"), &json!(false)));

    let log = is(&dee.get("/v1/audit-log").await, 200);
    let activities: Vec<_> = log["items"].as_array().unwrap().iter().map(|item| item["activity"].clone()).collect();
    let expected = ["Approval removed", "Approval narrowed", "Approval approved", "Request created"];
    assert_eq!(activities[..3], expected.map(Value::from)[..3], "{log}");
    assert_eq!(log["items"][0]["actor"], json!({ "type": "person", "id": "fabrikam/dee" }));
    is(&dee.get("/v1/audit-log/reads").await, 200);
}

#[tokio::test]
async fn what_is_decided_stays_decided() {
    let house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let refused = async |who: &crate::support::Person, consent: &str, action: &str, code: &str, status: &str| {
        let body = if action == "narrow" { json!({ "categories": ["auditLogs"] }) } else { json!({}) };
        let reply = who.post(&format!("/v1/consents/{consent}/{action}"), &body).await;
        assert_eq!(reply.problem(), (409, code, ""), "{action}");
        assert_eq!(reply.json["present_status"], status, "{reply:?}");
    };
    for action in ["revoke", "narrow"] {
        refused(&dee, &fabrikams, action, "consent_not_approved", "pending").await;
    }
    is(&cyd.post(&format!("/v1/consents/{contosos}/reject"), &json!({})).await, 200);
    house.approve(&dee).await;
    for action in ["approve", "reject"] {
        refused(&cyd, &contosos, action, "consent_not_pending", "rejected").await;
        refused(&dee, &fabrikams, action, "consent_not_pending", "approved").await;
    }
    house.close("SR-1").await;
    for action in ["approve", "reject"] {
        refused(&dee, &fabrikams, action, "consent_not_pending", "completed").await;
    }
    refused(&dee, &fabrikams, "revoke", "consent_not_approved", "completed").await;
    let ticketing = house.ticketing();
    let closed = ticketing.post("/v1/support-requests/SR-1/close", &json!({})).await;
    assert_eq!(
        (closed.problem(), &closed.json["present_status"]),
        ((409, "support_request_closed", ""), &json!("closed"))
    );
    is(&ticketing.post("/v1/support-requests/SR-1/reopen", &json!({})).await, 200);
    let open = ticketing.post("/v1/support-requests/SR-1/reopen", &json!({})).await;
    assert_eq!((open.problem(), &open.json["present_status"]), ((409, "support_request_open", ""), &json!("open")));
    let body =
        json!({ "id": "SR-1", "number": "1", "summary": "x", "tenant": "contoso", "submitted_in": "admin_center" });
    assert_eq!(ticketing.post("/v1/support-requests", &body).await.problem(), (409, "support_request_exists", ""));
}

#[tokio::test]
async fn what_one_may_not_do_is_said_with_its_reason() {
    let house = House::granted().await;
    let cyd = house.admin("contoso", "cyd");
    let mine = is(&cyd.get("/v1/consents?view=pending").await, 200);
    assert_eq!(mine["pending_count"], 0);
    let log = is(&cyd.get("/v1/audit-log").await, 200);
    let consent = log["items"][0]["consent"].as_str().unwrap().to_owned();
    for (action, body) in [("revoke", json!({})), ("narrow", json!({ "categories": ["auditLogs"] }))] {
        let reply = cyd.post(&format!("/v1/consents/{consent}/{action}"), &body).await;
        assert_eq!(reply.problem(), (403, "not_resource_tenant", ""));
        assert!(reply.json["decision_id"].is_string() && reply.json["policies"].is_array(), "{reply:?}");
    }
    let ada = house.engineer("ada");
    let ask = |tenant: &str| json!({ "support_request": "SR-1", "resource_tenant": tenant, "reason": "x" });
    assert_eq!(ada.post("/v1/access-requests", &ask("nobody")).await.problem(), (403, "tenant_unknown", ""));
    let own = ada.post("/v1/access-requests", &ask("contoso")).await;
    assert_eq!(own.problem(), (403, "advanced_diagnostics_setting_decides", ""));
    house.close("SR-1").await;
    assert_eq!(ada.post("/v1/access-requests", &ask("fabrikam")).await.problem(), (403, "support_request_closed", ""));
    let weak = house.person("contoso", "rae", &["User Administrator"], &[]);
    assert_eq!(weak.get("/v1/audit-log").await.problem(), (403, "not_audit_reader", ""));
    assert_eq!(weak.get("/v1/audit-log/reads").await.problem(), (403, "not_audit_reader", ""));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let house = House::granted().await;
    let (ada, bob, cyd) = (house.engineer("ada"), house.engineer("bob"), house.admin("contoso", "cyd"));
    let request = is(&ada.get("/v1/access-requests").await, 200)["items"][0]["id"].as_str().unwrap().to_owned();
    let ask = |id: &str| json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "x" });
    let ticketing = house.ticketing();
    let replies = [
        cyd.get("/v1/consents/none").await,
        cyd.post("/v1/consents/none/approve", &json!({})).await,
        ada.get("/v1/access-requests/none").await,
        bob.get(&format!("/v1/access-requests/{request}")).await,
        bob.post(&format!("/v1/access-requests/{request}/cancel"), &json!({})).await,
        bob.get("/v1/support-requests/SR-1").await,
        bob.get("/v1/access-requests?support_request=SR-1").await,
        ada.post("/v1/access-requests", &ask("SR-404")).await,
        bob.post("/v1/access-requests", &ask("SR-1")).await,
        ticketing.get("/v1/support-requests/SR-404").await,
        ticketing.patch("/v1/support-requests/SR-404", &json!({ "summary": "x" })).await,
        ticketing.post("/v1/support-requests/SR-404/close", &json!({})).await,
    ];
    for reply in &replies {
        is(reply, 404);
        assert_eq!(reply.problem(), (404, "not_found", ""));
    }
    assert_eq!(replies[2].text, replies[3].text, "unknown and not yours");
    assert_eq!(replies[7].text, replies[8].text, "unknown and not yours");
    assert_eq!(cyd.get("/v1/nothing").await.problem(), (404, "no_such_path", ""));
    assert_eq!(cyd.get("/v1/consents/none/approve").await.problem(), (405, "method_not_allowed", ""));
}
