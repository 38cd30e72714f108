//! Who may call: the right token, the right role, the right tenant, the right listener (R11, R18, G7).

mod listeners;
mod tokens;

use serde_json::{Value, json};

use crate::support::{House, Person, Reply, question};

const EVALUATION: &str = "/access/v1/evaluation";

fn ask_about(engineer: &str) -> Value {
    question(engineer, "read", "fabrikam/signInLogs", "SR-1")
}

#[tokio::test]
async fn without_a_bearer_token_nobody_is_anybody() {
    let house = House::granted().await;
    let token = house.tooling().token();
    for authorization in ["", "Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "Bearer  ", "Token x", &token] {
        let caller = house.tooling().with("authorization", authorization);
        let paths = [EVALUATION, "/access/v1/evaluations", "/v1/support-requests", "/v1/consents/x/approve"];
        for path in paths {
            let reply = caller.post(path, &ask_about("vendor/ada")).await;
            assert_eq!(reply.problem(), (401, "token_missing", ""), "{authorization:?} {path}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"consentry\""));
        }
        assert_eq!(caller.get("/v1/consents?view=pending").await.status, 401);
    }
    let caller = house.tooling().with("authorization", &format!("bEARER {token}"));
    assert!(caller.post(EVALUATION, &ask_about("vendor/ada")).await.decision(), "a scheme has no case");
}

#[tokio::test]
async fn the_decision_endpoint_wants_the_vendors_own_tooling() {
    let house = House::granted().await;
    let program = |tenant: &str, app_roles: &[&str]| Person::new(&house, tenant, "program", &[], app_roles, true);
    let callers = [
        (program("vendor", &["Decisions.Evaluate"]), 200, "permitted"),
        (program("vendor", &[]), 403, "not_permitted"),
        (program("vendor", &["SupportRequests.Manage"]), 403, "not_permitted"),
        (program("vendor", &["decisions.evaluate"]), 403, "not_permitted"),
        (program("contoso", &["Decisions.Evaluate"]), 403, "not_vendor"),
        (program("fabrikam", &[]), 403, "not_vendor"),
    ];
    for (caller, status, code) in callers {
        for path in [EVALUATION, "/access/v1/evaluations"] {
            let reply = caller.post(path, &ask_about("vendor/ada")).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_person_asks_about_themselves_alone() {
    let house = House::granted().await;
    let ada = house.engineer("ada");
    assert!(ada.post(EVALUATION, &ask_about("vendor/ada")).await.decision());
    let boss = house.person("vendor", "boss", &["Global Administrator"], &["Decisions.Evaluate", "SupportEngineer"]);
    for (caller, subject) in [(&ada, "vendor/bob"), (&boss, "vendor/ada"), (&ada, "vendor/ADA"), (&ada, "contoso/ada")]
    {
        let reply = caller.post(EVALUATION, &ask_about(subject)).await;
        assert_eq!(reply.problem(), (403, "evaluate_not_permitted", ""), "{subject}");
        assert!(reply.json["decision_id"].is_string(), "{reply:?}");
        assert_eq!(reply.json["policies"][0]["id"], "services.evaluate.engineer-about-others");
    }
    assert!(ada.post(EVALUATION, &ask_about("vendor/ada")).await.decision());
}

#[tokio::test]
async fn a_permission_that_was_remembered_is_the_tokens_own() {
    let house = House::granted().await;
    let tooling = house.tooling();
    let held = tooling.holding(&tooling.token());
    for _ in 0..3 {
        assert!(held.post(EVALUATION, &ask_about("vendor/ada")).await.decision());
    }
    let asked = house.records().iter().filter(|record| record["action"] == "evaluate").count();
    assert_eq!(asked, 1, "the policies are asked once per token");
    let other = house.service("tooling", &[]);
    assert_eq!(other.post(EVALUATION, &ask_about("vendor/ada")).await.status, 403);
}

#[tokio::test]
async fn the_ticketing_endpoints_want_the_ticketing_system() {
    let house = House::granted().await;
    let calls = async |caller: &Person| -> [Reply; 6] {
        let opening = json!({
            "id": "SR-7", "number": "7", "summary": "x", "tenant": "contoso", "submitted_in": "admin_center",
        });
        [
            caller.put("/v1/tenants/northwind", &json!({ "display_name": "Northwind" })).await,
            caller.post("/v1/support-requests", &opening).await,
            caller.patch("/v1/support-requests/SR-1", &json!({ "summary": "y" })).await,
            caller.put("/v1/support-requests/SR-1/assignee", &json!({ "assignee": "vendor/bob" })).await,
            caller.post("/v1/support-requests/SR-1/close", &json!({})).await,
            caller.post("/v1/support-requests/SR-1/reopen", &json!({})).await,
        ]
    };
    let strangers = [
        (house.tooling(), "not_permitted"),
        (house.service("other", &[]), "not_permitted"),
        (Person::new(&house, "contoso", "program", &[], &["SupportRequests.Manage"], true), "not_vendor"),
        (house.person("vendor", "boss", &["Global Administrator"], &["SupportRequests.Manage"]), "not_permitted"),
        (house.admin("contoso", "cyd"), "not_permitted"),
        (house.engineer("ada"), "not_permitted"),
    ];
    for (caller, code) in &strangers {
        for reply in calls(caller).await {
            assert_eq!(reply.problem(), (403, *code, ""), "{}: {reply:?}", caller.id);
        }
        let reply = caller.patch("/v1/support-requests/SR-404", &json!({ "summary": "y" })).await;
        assert_eq!(reply.status, 403, "strangers do not learn what there is: {reply:?}");
    }
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    for (reply, status) in calls(&house.ticketing()).await.iter().zip([201, 201, 200, 200, 200, 200]) {
        assert_eq!(reply.status, status, "{reply:?}");
    }
}

#[tokio::test]
async fn the_right_role_in_the_wrong_tenant_is_no_role() {
    let house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    for tenant in ["northwind", "vendor"] {
        let stranger = house.admin(tenant, "cyd");
        let list = stranger.get("/v1/consents?view=pending").await;
        assert_eq!((list.status, &list.json["items"], &list.json["pending_count"]), (200, &json!([]), &json!(0)));
        for consent in [&contosos, &fabrikams] {
            for action in ["approve", "reject", "revoke"] {
                let reply = stranger.post(&format!("/v1/consents/{consent}/{action}"), &json!({})).await;
                assert_eq!(reply.problem(), (404, "not_found", ""));
            }
            assert_eq!(stranger.get(&format!("/v1/consents/{consent}")).await.status, 404);
        }
    }
    // Roles that do not carry the permission, unknown ones, and app roles do not help at home either.
    for roles in [&["Reports Reader"][..], &[], &["62e90394-69f5-4237-9190-012177145e1"], &["Global-Administrator"]] {
        let weak = house.person("contoso", "wes", roles, &["SupportEngineer", "Decisions.Evaluate"]);
        let reply = weak.post(&format!("/v1/consents/{contosos}/approve"), &json!({})).await;
        assert_eq!(reply.problem(), (404, "not_found", ""), "{roles:?}");
        let list = weak.get("/v1/consents?view=pending").await;
        assert_eq!(list.problem(), (403, "not_tenant_administrator", ""), "{roles:?}");
    }
    let program = Person::new(&house, "contoso", "program", &["Global Administrator"], &[], true);
    assert_eq!(program.post(&format!("/v1/consents/{contosos}/approve"), &json!({})).await.status, 404);
    house.approve(&house.admin("contoso", "cyd")).await;
}

#[tokio::test]
async fn engineers_endpoints_want_the_vendors_engineers() {
    let house = House::granted().await;
    let strangers = [
        house.person("vendor", "ada", &["Global Administrator"], &[]),
        house.person("contoso", "ada", &[], &["SupportEngineer"]),
        house.service("ada", &["SupportEngineer"]),
    ];
    let body = json!({ "support_request": "SR-1", "resource_tenant": "fabrikam", "reason": "x" });
    for stranger in strangers {
        assert_eq!(stranger.get("/v1/access-requests").await.status, 403, "{}", stranger.id);
        assert_eq!(stranger.get("/v1/support-requests").await.status, 403, "{}", stranger.id);
        assert_eq!(stranger.get("/v1/support-requests/SR-1").await.problem(), (404, "not_found", ""));
        assert_eq!(stranger.post("/v1/access-requests", &body).await.problem(), (404, "not_found", ""));
    }
}
