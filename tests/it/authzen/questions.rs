//! "May I?": the workflow's questions over the AuthZEN API, about the caller alone (G7, R18, R19).

use serde_json::{Value, json};

use super::{PATH, lasting};
use crate::support::{House, Person, Reply};

async fn may(caller: &Person, subject: (&str, &str), action: &str, resource: (&str, &str)) -> Reply {
    ask(caller, subject, action, resource, &Value::Null).await
}

async fn ask(caller: &Person, subject: (&str, &str), action: &str, resource: (&str, &str), context: &Value) -> Reply {
    let mut question = json!({
        "subject": { "type": subject.0, "id": subject.1 },
        "action": { "name": action },
        "resource": { "type": resource.0, "id": resource.1 },
    });
    if !context.is_null() {
        question["context"] = context.clone();
    }
    caller.post(PATH, &question).await
}

#[tokio::test]
async fn an_administrator_learns_whether_they_may_approve() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    let cyd = house.admin("contoso", "cyd");
    let me = ("User", "contoso/cyd");
    for action in ["approveConsent", "rejectConsent", "viewConsent"] {
        let reply = may(&cyd, me, action, ("Consent", &consent)).await;
        assert!(reply.decision(), "{action}: {reply:?}");
        assert!(!reply.policies().is_empty(), "{reply:?}");
    }
    assert_eq!(may(&cyd, me, "revokeConsent", ("Consent", &consent)).await.code(), "not_resource_tenant");
    house.approve(&cyd).await;
    for action in ["approveConsent", "rejectConsent"] {
        let reply = may(&cyd, me, action, ("Consent", &consent)).await;
        assert_eq!((reply.decision(), reply.code()), (false, "consent_not_pending"), "{reply:?}");
    }
}

#[tokio::test]
async fn asking_changes_nothing() {
    let house = House::start().await;
    let (_, consent) = house.asked().await;
    let dee = house.admin("fabrikam", "dee");
    let path = format!("/v1/consents/{consent}");
    let before = dee.get(&path).await;
    for action in ["approveConsent", "rejectConsent", "narrowConsent", "revokeConsent"] {
        may(&dee, ("User", "fabrikam/dee"), action, ("Consent", &consent)).await;
    }
    let after = dee.get(&path).await;
    assert_eq!((before.text, before.headers.get("etag")), (after.text, after.headers.get("etag")));
}

#[tokio::test]
async fn nothing_is_known_about_others() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    let target = ("Consent", consent.as_str());
    let reply = may(&house.tooling(), ("User", "contoso/cyd"), "approveConsent", target).await;
    assert_eq!((reply.decision(), reply.code()), (false, "roles_not_proved"), "{reply:?}");
    let cyd = house.admin("contoso", "cyd");
    let reply = may(&cyd, ("SupportEngineer", "contoso/cyd"), "approveConsent", target).await;
    assert_eq!(reply.problem(), (403, "not_support_engineer", ""), "whoever asks as an engineer must be one");
    for kind in ["Service", "user", "Nobody"] {
        let reply = may(&cyd, (kind, "contoso/cyd"), "approveConsent", target).await;
        assert_eq!((reply.decision(), reply.code()), (false, "roles_not_proved"), "{kind}");
    }
    let reply = may(&cyd, ("User", "contoso/eve"), "approveConsent", target).await;
    assert_eq!(reply.problem(), (403, "evaluate_not_permitted", ""));
}

#[tokio::test]
async fn roles_come_from_the_token_alone() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    let reader = house.person("contoso", "rae", &["Reports Reader"], &[]);
    let reply = may(&reader, ("User", "contoso/rae"), "approveConsent", ("Consent", &consent)).await;
    assert!(!reply.decision(), "{reply:?}");
    let boast = json!({
        "subject": { "type": "User", "id": "contoso/rae", "properties": { "roles": ["Global Administrator"] } },
        "action": { "name": "approveConsent" },
        "resource": { "type": "Consent", "id": consent, "properties": { "tenant": "contoso", "status": "pending" } },
    });
    assert_eq!(lasting(&reader.post(PATH, &boast).await), lasting(&reply));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_yours_look_the_same() {
    let house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    let cyd = house.admin("contoso", "cyd");
    let me = ("User", "contoso/cyd");
    for action in
        ["approveConsent", "rejectConsent", "revokeConsent", "narrowConsent", "viewConsent", "viewApprovedAccess"]
    {
        let unknown = may(&cyd, me, action, ("Consent", "co-00000000000000000000000000000000")).await;
        let foreign = may(&cyd, me, action, ("Consent", &fabrikams)).await;
        assert_eq!(lasting(&unknown), lasting(&foreign), "{action}");
        assert_eq!((unknown.decision(), unknown.code()), (false, "not_found"));
        assert_ne!(lasting(&may(&cyd, me, action, ("Consent", &contosos)).await), lasting(&foreign), "{action}");
    }
    let bob = house.engineer("bob");
    let view = async |id| {
        lasting(&may(&bob, ("SupportEngineer", "vendor/bob"), "viewSupportRequest", ("SupportRequest", id)).await)
    };
    assert_eq!(view("SR-1").await, view("SR-404").await);
}

#[tokio::test]
async fn an_engineer_learns_whether_they_may_ask_for_access() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    let ada = house.engineer("ada");
    let create = async |context: Value| {
        ask(&ada, ("SupportEngineer", "vendor/ada"), "createAccessRequest", ("SupportRequest", "SR-1"), &context).await
    };
    let fabrikam = json!({ "resource_tenant": "fabrikam" });
    assert!(create(fabrikam.clone()).await.decision());
    for (context, code) in [
        (json!(null), "resource_tenant_missing"),
        (json!({ "resource_tenant": "a b" }), "resource_tenant_missing"),
        (json!({ "resource_tenant": "nobody" }), "tenant_unknown"),
        (json!({ "resource_tenant": "contoso" }), "advanced_diagnostics_setting_decides"),
    ] {
        let reply = create(context.clone()).await;
        assert_eq!((reply.decision(), reply.code()), (false, code), "{context}: {reply:?}");
    }
    house.ask(&ada, "SR-1", "fabrikam").await;
    assert_eq!(create(fabrikam.clone()).await.code(), "access_request_live");
    house.close("SR-1").await;
    assert_eq!(create(fabrikam).await.code(), "support_request_closed");
}

#[tokio::test]
async fn a_page_learns_which_of_the_services_own_lists_it_may_open() {
    let house = House::start().await;
    let ada = house.engineer("ada");
    let lists = ("Endpoint", "requests");
    let reply = may(&ada, ("SupportEngineer", "vendor/ada"), "listOwnRequests", lists).await;
    assert_eq!((reply.decision(), reply.policies()), (true, vec!["visibility.own-requests.engineer"]), "{reply:?}");
    let reply = may(&ada, ("SupportEngineer", "vendor/ada"), "listOwnRequests", ("Endpoint", "nowhere")).await;
    assert_eq!((reply.decision(), reply.code()), (false, "not_found"));
    let roy = house.person("vendor", "roy", &[], &[]);
    let reply = may(&roy, ("SupportEngineer", "vendor/roy"), "listOwnRequests", lists).await;
    assert_eq!(reply.problem(), (403, "not_support_engineer", ""));
}

#[tokio::test]
async fn every_pair_of_action_and_resource_has_an_answer() {
    let house = House::start().await;
    let (consent, _) = house.asked().await;
    let access_request = house.engineer("ada").get("/v1/access-requests").await.json["items"][0]["id"].clone();
    let actions = [
        "createAccessRequest",
        "viewAccessRequest",
        "cancelAccessRequest",
        "viewSupportRequest",
        "approveConsent",
        "rejectConsent",
        "narrowConsent",
        "revokeConsent",
        "viewConsent",
        "viewApprovedAccess",
        "listConsents",
        "readAuditLog",
        "evaluate",
        "manageSupportRequests",
        "registerTenant",
        "listOwnRequests",
        "read",
        "fly",
    ];
    let targets = [
        ("Consent", consent.as_str()),
        ("AccessRequest", access_request.as_str().unwrap()),
        ("SupportRequest", "SR-1"),
        ("Tenant", "contoso"),
        ("AuditLog", "contoso"),
        ("Endpoint", "decisions"),
        ("DiagnosticData", "contoso/signInLogs"),
    ];
    let callers = [
        (house.admin("contoso", "cyd"), "User", "contoso/cyd"),
        (house.engineer("ada"), "SupportEngineer", "vendor/ada"),
        (house.engineer("ada"), "User", "vendor/ada"),
        (house.tooling(), "Service", "vendor/tooling"),
    ];
    for (caller, kind, id) in &callers {
        let items: Vec<Value> = actions
            .iter()
            .flat_map(|action| targets.map(|target| (action, target)))
            .map(|(action, target)| json!({ "action": { "name": action }, "resource": { "type": target.0, "id": target.1 } }))
            .collect();
        let body = json!({
            "subject": { "type": kind, "id": id },
            "context": { "resource_tenant": "fabrikam", "support_request": "SR-1" },
            "evaluations": items,
        });
        let reply = caller.post("/access/v1/evaluations", &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let answers = reply.json["evaluations"].as_array().unwrap();
        assert_eq!(answers.len(), items.len());
        for (item, answer) in items.iter().zip(answers) {
            assert_eq!(answer["context"]["error"], Value::Null, "{item}: {answer}");
            assert_ne!(answer["context"]["reason"]["code"], "policy_failed", "{item}: {answer}");
        }
        let allowed = answers.iter().filter(|answer| answer["decision"] == true).count();
        let expected = match (*kind, *id) {
            // Their consent: approve, reject, view. Their tenant's lists and log. Asking.
            ("User", "contoso/cyd") => 6,
            // Their request: view and cancel. Their support request: view.
            ("SupportEngineer", _) => 3,
            // Asking.
            _ => 1,
        };
        assert_eq!(allowed, expected, "{kind} {id}: {reply:?}");
    }
}
