//! The whole way, and what a PEP finds before it sets out.

use consentry::signing::jwks::read_keys;
use serde_json::{Value, json};

use super::{REQUESTS, Stage, key, requestable, submission, with_approval};
use crate::support::{House, question};

#[tokio::test]
async fn a_denial_leads_to_an_access_request_and_back_to_an_allowed_read_until_the_access_is_removed() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let (asked, denial) = stage.denied().await;
    let told = denial.json["context"].clone();
    assert_eq!(denial.code(), "access_request_required");
    assert_eq!(told["evaluation_id"], told["decision_id"]);
    assert_eq!(told["evaluated_at"], "2026-11-22T10:00:00.000Z");
    let access_request = told["access_request"].clone();
    assert_eq!(access_request["endpoint"], format!("{}{REQUESTS}", house.url));
    assert_eq!(access_request["expires_at"], "2026-11-22T10:10:00.000Z");
    assert_eq!(told["next_action"], json!(null), "no approval was brought along");

    let submitted = stage.submit(&submission(&asked, &denial)).await;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let task = submitted.json["task"].clone();
    let (id, address) = (task["id"].as_str().unwrap(), format!("{}{REQUESTS}", house.url));
    let expected = json!({
        "task": {
            "id": id, "status": "pending", "status_endpoint": format!("{address}/{id}"),
            "progress": { "total_steps": 2, "awaiting": ["support_request_tenant", "resource_tenant"] },
            "links": { "cancel": format!("{address}/{id}/cancel") },
        },
    });
    assert_eq!(submitted.json, expected);
    assert_eq!(submitted.header("location"), Some(format!("{address}/{id}").as_str()));
    assert_eq!(submitted.header("cache-control"), Some("no-store"));

    // It is an access request as any other: its engineer and both tenants see it where they see the others.
    let seen = stage.ada.get(&format!("/v1/access-requests/{id}")).await;
    assert_eq!((&seen.json["reason"], &seen.json["resource_tenant"]), (&json!("sign-in fails"), &json!("fabrikam")));
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    house.approve(&cyd).await;
    let half = stage.task(id).await;
    assert_eq!(half["task"]["progress"]["awaiting"], json!(["resource_tenant"]));
    assert!(half.get("result").is_none() && !tells_of_people(&half), "{half}");
    house.denies("awaiting_consent", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.clock.advance_millis(60_000);
    house.approve(&dee).await;

    let done = stage.task(id).await;
    let approval = done["result"]["approval"].clone();
    assert_eq!(done["task"], json!({ "id": id, "status": "approved", "status_endpoint": format!("{address}/{id}") }));
    assert_eq!(done["result"]["mode"], "reevaluate");
    assert_eq!(approval["approved_at"], "2026-11-22T10:01:00.000Z");
    assert_eq!(approval["approved_until"], "2026-11-23T10:01:00.000Z", "no consent has an end: it is fetched anew");
    assert!(!approval["id"].as_str().unwrap().contains(id));
    assert!(!tells_of_people(&done), "who decided is not told (R20): {done}");

    let allowed = stage.read_with(&approval).await;
    assert!(allowed.decision(), "{allowed:?}");
    let in_force = json!({ "id": approval["id"], "approved_until": approval["approved_until"] });
    assert_eq!(allowed.json["context"]["approval"], in_force);
    // The whole thread stands in the log: the denial, and the read under the access request that it led to.
    let records = house.records();
    let of = |id: &str| records.iter().find(|record| record["decision_id"] == id).unwrap();
    assert_eq!(of(told["evaluation_id"].as_str().unwrap())["code"], "access_request_required");
    assert_eq!(of(allowed.json["context"]["decision_id"].as_str().unwrap())["access_request"], id);

    stage.decide(&dee, "revoke", json!({})).await;
    let removed = stage.read_with(&approval).await;
    assert_eq!((removed.decision(), removed.code()), (false, "consent_revoked"));
    let told = &removed.json["context"];
    assert_eq!((&told["next_action"], &told["approval_reason"]), (&json!("none"), &json!("approval_expired")));
    assert!(told.get("access_request").is_none(), "the customer has taken it back: nothing to request");
    // What was approved stays so, and is over.
    let over = stage.task(id).await;
    assert_eq!(
        (&over["task"]["status"], &over["result"]["approval"]["approved_until"]),
        (&json!("approved"), &json!("2026-11-22T10:01:00.000Z"))
    );
}

/// Whether a text names one of the people of this story. Whole words: within an id, three digits can be "dee".
fn tells_of_people(told: &Value) -> bool {
    match told {
        Value::String(text) => text.split(|c: char| !c.is_alphanumeric()).any(|word| ["cyd", "dee"].contains(&word)),
        Value::Array(list) => list.iter().any(tells_of_people),
        Value::Object(members) => members.values().any(tells_of_people),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[tokio::test]
async fn a_tenant_that_asked_in_another_portal_consents_alone() {
    let stage = Stage::set().await;
    let house = &stage.house;
    let portal = json!({ "assignee": "vendor/ada", "submitted_in": "other_portal" });
    house.open_with("SR-7", "contoso", portal).await;
    let asked = question("vendor/ada", "read", "contoso/auditLogs", "SR-7");
    let denial = requestable(house.tooling().post("/access/v1/evaluation", &asked).await);
    let submitted = stage.submit(&submission(&asked, &denial)).await;
    assert_eq!(submitted.json["task"]["progress"], json!({ "total_steps": 1, "awaiting": ["resource_tenant"] }));
    house.approve(&house.admin("contoso", "cyd")).await;
    let done = stage.task(submitted.json["task"]["id"].as_str().unwrap()).await;
    let again = with_approval(asked, &done["result"]["approval"]);
    let allowed = house.tooling().post("/access/v1/evaluation", &again).await;
    assert!(allowed.decision() && allowed.json["context"]["approval"].is_object(), "{allowed:?}");
}

#[tokio::test]
async fn an_engineer_follows_the_way_with_nothing_but_the_own_token() {
    let stage = Stage::set().await;
    let asked = question("vendor/ada", "list", "fabrikam/auditLogs/2026", "SR-1");
    let denial = requestable(stage.ada.post("/access/v1/evaluation", &asked).await);
    let submitted = stage.submit(&submission(&asked, &denial)).await;
    assert_eq!(submitted.status, 202, "{submitted:?}");
}

#[tokio::test]
async fn metadata_keys_and_schema_say_what_is_served() {
    let stage = Stage::set().await;
    let anybody = stage.house.tooling().holding("");
    let metadata = anybody.get("/.well-known/authzen-configuration").await.json;
    assert_eq!(metadata["access_request_endpoint"], format!("{}{REQUESTS}", stage.house.url));
    assert_eq!(metadata["capabilities"], json!(["urn:openid:authzen:capability:access-request"]));
    let keys = metadata["jwks_uri"].as_str().unwrap().strip_prefix(&stage.house.url).unwrap();
    let keys = anybody.get(keys).await;
    assert_eq!(keys.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(read_keys(&keys.text).unwrap().0, [stage.key.public()]);
    assert_eq!(keys.json["keys"][0]["use"], "sig");
    let (_, denial) = stage.denied().await;
    let schema = denial.json["context"]["access_request"]["request_schema_url"].as_str().unwrap();
    let schema = anybody.get(schema.strip_prefix(&stage.house.url).unwrap()).await;
    assert_eq!(schema.header("content-type"), Some("application/schema+json"));
    let required = &schema.json["properties"]["context"]["required"];
    assert_eq!(*required, json!(["business_justification"]));
}

#[tokio::test]
async fn without_a_key_nothing_of_it_is_there() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    let asked = with_approval(question("vendor/ada", "read", "fabrikam/signInLogs", "SR-1"), &json!(7));
    let denial = house.tooling().post("/access/v1/evaluation", &asked).await;
    assert_eq!(denial.code(), "access_request_required");
    for member in ["access_request", "evaluation_id", "next_action"] {
        assert!(denial.json["context"].get(member).is_none(), "{denial:?}");
    }
    let metadata = house.tooling().get("/.well-known/authzen-configuration").await.json;
    for member in ["access_request_endpoint", "jwks_uri", "capabilities"] {
        assert!(metadata.get(member).is_none(), "{metadata}");
    }
    let ada = house.engineer("ada");
    for path in ["/access/v1/jwks", "/access/v1/request-schema", "/access/v1/requests/ar-1"] {
        assert_eq!(ada.get(path).await.problem(), (404, "no_such_path", ""), "{path}");
    }
    for path in [REQUESTS, "/access/v1/requests/ar-1/cancel"] {
        assert_eq!(ada.post(path, &json!({})).await.problem(), (404, "no_such_path", ""), "{path}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    use crate::support::process::{Site, end_of};
    let (_folder, _, settings) = key();
    for (more, part) in [
        ("denial_lifetime_ms = 999\n", "access_requests.denial_lifetime_ms"),
        ("denial_lifetime_ms = 86400001\n", "access_requests.denial_lifetime_ms"),
        ("approval_lifetime_ms = 999\n", "access_requests.approval_lifetime_ms"),
        ("former_keys = [\"none.pem\"]\n", "access requests: `none.pem` cannot be read"),
        ("endpoint = \"x\"\n", "endpoint"),
    ] {
        let site = Site::new(&format!("{settings}{more}"));
        let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
        assert!(!status.success() && said.contains(part), "{more}: {said}");
    }
    let site = Site::new("[access_requests]\nsigning_key = \"none.pem\"\n");
    let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    assert!(!status.success() && said.contains("access requests: `none.pem` cannot be read"), "{said}");
}

#[test]
fn in_production_addresses_are_https() {
    use consentry::config::AccessRequestSettings;
    let settings = AccessRequestSettings { signing_key: Some("key.pem".into()), ..AccessRequestSettings::default() };
    for (production, url, good) in [
        (true, None, false),
        (true, Some("http://consentry.example"), false),
        (true, Some("https://consentry.example"), true),
        (false, None, true),
    ] {
        assert_eq!(settings.validate(production, url).is_ok(), good, "{production} {url:?}");
    }
    assert!(AccessRequestSettings::default().validate(true, None).is_ok(), "nothing is served");
}
