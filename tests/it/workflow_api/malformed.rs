//! Calls that are not what they must be, field by field.

use http::Method;
use serde_json::{Value, json};

use super::is;
use crate::support::{House, Person};

/// Sends a good body with one member changed; the answer must name the field.
async fn refuses(caller: &Person, method: Method, path: &str, good: &Value, changes: &[(&str, Value, &str)]) {
    for (member, value, field) in changes {
        let mut body = good.clone();
        body[*member] = value.clone();
        let reply = caller.send(method.clone(), path, Some(body.to_string().into_bytes())).await;
        let shown = value.to_string().chars().take(40).collect::<String>();
        assert_eq!(reply.problem(), (400, "invalid_request", *field), "{path} {member} {shown}");
        assert!(reply.text.len() < 1_000, "what was sent is not sent back: {path} {member}");
        is(&reply, 400);
    }
}

/// What no text of a call may be.
fn bad_texts(member: &str, longest: usize) -> Vec<(&str, Value, &str)> {
    let long = "é".repeat(longest + 1);
    let bad = [json!(""), json!("  "), json!("a\u{0}b"), json!("\u{1b}[31m"), json!(long), json!(7), json!(["x"])];
    bad.map(|value| (member, value, member)).to_vec()
}

/// What no id of a call may be.
fn bad_ids(member: &str) -> Vec<(&str, Value, &str)> {
    let long = "x".repeat(10_000);
    let bad = [json!(""), json!("a b"), json!("a\nb"), json!("é"), json!("a/b/c"), json!(long), json!(7), json!({})];
    bad.map(|value| (member, value, member)).to_vec()
}

#[tokio::test]
async fn support_requests_are_checked_field_by_field() {
    let house = House::start().await;
    let ticketing = house.ticketing();
    let good = json!({
        "id": "SR-1", "number": "1", "summary": "x", "tenant": "contoso", "submitted_in": "admin_center",
        "advanced_diagnostic_information": false, "assignee": "vendor/ada",
    });
    let mut changes = [bad_ids("id"), bad_ids("tenant"), bad_ids("assignee")].concat();
    changes.extend([bad_texts("number", 64), bad_texts("summary", 1_000)].concat());
    changes.extend([
        ("id", json!(null), "id"),
        ("tenant", json!("nobody"), "tenant"),
        ("assignee", json!("ada"), "assignee"),
        ("assignee", json!("/ada"), "assignee"),
        // Nobody but the vendor's own people.
        ("assignee", json!("contoso/ada"), "assignee"),
        ("submitted_in", json!("e-mail"), "submitted_in"),
        ("submitted_in", json!(1), "submitted_in"),
        ("advanced_diagnostic_information", json!("yes"), "advanced_diagnostic_information"),
        ("advanced_diagnostic_information", json!(null), "advanced_diagnostic_information"),
        ("surprise", json!(1), "surprise"),
        ("Id", json!("SR-2"), "Id"),
    ]);
    refuses(&ticketing, Method::POST, "/v1/support-requests", &good, &changes).await;
    for member in ["id", "number", "summary", "tenant", "submitted_in"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(member);
        let reply = ticketing.post("/v1/support-requests", &body).await;
        assert_eq!(reply.problem(), (400, "invalid_request", member), "{member}");
    }
    assert_eq!(ticketing.get("/v1/support-requests/SR-1").await.status, 404, "nothing was opened");
    is(&ticketing.post("/v1/support-requests", &good).await, 201);

    let path = "/v1/support-requests/SR-1";
    let mut changes = bad_texts("summary", 1_000);
    changes.push(("advanced_diagnostic_information", json!(1), "advanced_diagnostic_information"));
    changes.push(("assignee", json!("vendor/bob"), "assignee"));
    changes.push(("status", json!("closed"), "status"));
    refuses(&ticketing, Method::PATCH, path, &json!({}), &changes).await;
    let mut changes = bad_ids("assignee");
    changes.push(("summary", json!("x"), "summary"));
    refuses(&ticketing, Method::PUT, &format!("{path}/assignee"), &json!({ "assignee": null }), &changes).await;
    let after = is(&ticketing.get(path).await, 200);
    assert_eq!((&after["summary"], &after["assignee"]), (&json!("x"), &json!("vendor/ada")));
}

#[tokio::test]
async fn access_requests_and_tenants_are_checked_field_by_field() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    let ada = house.engineer("ada");
    let good = json!({ "support_request": "SR-1", "resource_tenant": "fabrikam", "reason": "x" });
    let mut changes = [bad_ids("support_request"), bad_ids("resource_tenant"), bad_texts("reason", 2_000)].concat();
    changes.push(("requested_by", json!("vendor/bob"), "requested_by"));
    refuses(&ada, Method::POST, "/v1/access-requests", &good, &changes).await;
    for member in ["support_request", "resource_tenant", "reason"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(member);
        let reply = ada.post("/v1/access-requests", &body).await;
        assert_eq!(reply.problem(), (400, "invalid_request", member), "{member}");
    }
    assert_eq!(is(&ada.get("/v1/access-requests").await, 200)["items"], json!([]));
    let mut longest = good.clone();
    longest["reason"] = json!("é".repeat(2_000));
    is(&ada.post("/v1/access-requests", &longest).await, 201);

    let ticketing = house.ticketing();
    let mut changes = bad_texts("display_name", 256);
    changes.push(("id", json!("x"), "id"));
    refuses(&ticketing, Method::PUT, "/v1/tenants/northwind", &json!({ "display_name": "x" }), &changes).await;
    for id in ["a%20b", "a%2Fb", "%C3%A9", "a%0Ab", &"x".repeat(129)] {
        let reply = ticketing.put(&format!("/v1/tenants/{id}"), &json!({ "display_name": "x" })).await;
        assert_eq!(reply.problem(), (400, "invalid_request", "id"), "{id}");
    }
}

#[tokio::test]
async fn decisions_on_consents_are_checked_field_by_field() {
    let house = House::start().await;
    let (_, consent) = house.asked().await;
    let dee = house.admin("fabrikam", "dee");
    let path = |verb: &str| format!("/v1/consents/{consent}/{verb}");
    let changes = [
        ("categories", json!("signInLogs"), "categories"),
        ("categories", json!({}), "categories"),
        ("categories", json!(["signInLogs", 7]), "categories[1]"),
        ("categories", json!(["signInLogs", "passwords"]), "categories[1]"),
        ("categories", json!(["SignInLogs"]), "categories[0]"),
        ("categories", json!([""]), "categories[0]"),
        ("categories", json!([null]), "categories[0]"),
        ("until", json!(1_795_341_600), "until"),
        ("until", json!(""), "until"),
        ("until", json!("tomorrow"), "until"),
        ("until", json!("2026-13-01T00:00:00Z"), "until"),
        ("until", json!("2026-12-01T00:00:00"), "until"),
        ("until", json!("1969-12-31T23:59:59Z"), "until"),
        ("until", json!("99999-01-01T00:00:00Z"), "until"),
        ("until", json!("-009999-01-01T00:00:00Z"), "until"),
        ("until", json!("2".repeat(10_000)), "until"),
        ("untill", json!("2026-12-01T00:00:00Z"), "untill"),
    ];
    for verb in ["approve", "narrow"] {
        refuses(&dee, Method::POST, &path(verb), &json!({}), &changes).await;
    }
    for (scope, code, field) in [
        (json!({ "categories": [] }), "no_category", "categories"),
        (json!({ "until": "2026-11-22T10:00:00Z" }), "end_time_passed", "until"),
        (json!({ "until": "1970-01-01T00:00:00Z" }), "end_time_passed", "until"),
    ] {
        assert_eq!(dee.post(&path("approve"), &scope).await.problem(), (400, code, field), "{scope}");
    }
    for verb in ["reject", "revoke"] {
        for (member, value) in [("categories", json!(["signInLogs"])), ("until", json!("2026-12-01T00:00:00Z"))] {
            let reply = dee.post(&path(verb), &json!({ member: value })).await;
            assert_eq!(reply.problem(), (400, "invalid_request", member), "{verb}");
        }
    }
    assert_eq!(dee.post(&path("narrow"), &json!({})).await.problem(), (400, "invalid_request", "body"));
    assert_eq!(dee.post(&path("approve"), &json!([["signInLogs"], null])).await.problem().0, 400);
    assert_eq!(house.pending(&dee).await, consent, "it still waits");
    let far = json!({ "until": "9999-12-30T22:00:00.000Z", "categories": ["signInLogs", "signInLogs"] });
    assert_eq!(is(&dee.post(&path("approve"), &far).await, 200)["scope"]["categories"], json!(["signInLogs"]));
    for scope in [json!({ "categories": [] }), json!({ "until": "2026-11-22T09:59:59.999Z" })] {
        assert_eq!(dee.post(&path("narrow"), &scope).await.status, 400, "{scope}");
    }
}

#[tokio::test]
async fn a_body_says_what_it_is() {
    let house = House::start().await;
    let (_, consent) = house.asked().await;
    let calls = [
        (house.ticketing(), Method::POST, "/v1/support-requests".to_owned()),
        (house.ticketing(), Method::PATCH, "/v1/support-requests/SR-1".to_owned()),
        (house.ticketing(), Method::PUT, "/v1/support-requests/SR-1/assignee".to_owned()),
        (house.ticketing(), Method::PUT, "/v1/tenants/northwind".to_owned()),
        (house.engineer("ada"), Method::POST, "/v1/access-requests".to_owned()),
        (house.admin("fabrikam", "dee"), Method::POST, format!("/v1/consents/{consent}/approve")),
    ];
    for (caller, method, path) in calls {
        for kind in ["", "text/plain", "application/x-www-form-urlencoded", "text/json"] {
            let caller = caller.with("content-type", kind);
            let reply = caller.send(method.clone(), &path, Some(b"{}".to_vec())).await;
            assert_eq!(reply.problem(), (415, "content_type", ""), "{path} {kind}");
            is(&reply, 415);
        }
        let large = caller.send(method.clone(), &path, Some(vec![b' '; 1024 * 1024 + 1])).await;
        assert_eq!(large.problem(), (413, "body_too_large", ""), "{path}");
        is(&large, 413);
    }
    let dee = house.admin("fabrikam", "dee");
    let bare = dee.send(Method::POST, &format!("/v1/consents/{consent}/approve"), None).await;
    assert_eq!(is(&bare, 200)["status"], "approved", "no body is an empty one");
}
