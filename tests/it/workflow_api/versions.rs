//! `ETag` and `If-Match`: an administrator decides on what they have seen (R18, R19).

use serde_json::json;

use super::is;
use crate::support::House;

#[tokio::test]
async fn a_decision_on_an_older_version_is_refused() {
    let house = House::start().await;
    let (_, consent) = house.asked().await;
    let dee = house.admin("fabrikam", "dee");
    let path = format!("/v1/consents/{consent}");
    assert_eq!(dee.get(&path).await.header("etag"), Some("\"1\""));
    let approve = format!("{path}/approve");
    for wrong in ["\"2\"", "\"0\"", "\"7\", \"8\"", "\"4294967295\""] {
        let reply = dee.with("if-match", wrong).post(&approve, &json!({})).await;
        assert_eq!(reply.problem(), (412, "version_changed", ""), "{wrong}");
        is(&reply, 412);
    }
    let malformed =
        ["", "1", "\"\"", "\"x\"", "W/\"1\"", "\"1", "\"1\",", "\"-1\"", "\"+1\"", "\"01\"", "\"4294967296\"", "* *"];
    for malformed in malformed.into_iter().filter(|text| !text.is_empty()) {
        let reply = dee.with("if-match", malformed).post(&approve, &json!({})).await;
        assert_eq!(reply.problem(), (400, "invalid_request", "If-Match"), "{malformed}");
    }
    let reply = dee.with("if-match", "\"9\", \"1\"").post(&approve, &json!({})).await;
    assert_eq!((is(&reply, 200)["status"].clone(), reply.header("etag")), (json!("approved"), Some("\"2\"")));
    assert_eq!(dee.get(&path).await.header("etag"), Some("\"2\""));
    let reply = dee.with("if-match", "\"1\"").post(&format!("{path}/revoke"), &json!({})).await;
    assert_eq!(reply.problem(), (412, "version_changed", ""));
    let reply = dee.with("if-match", "*").post(&format!("{path}/revoke"), &json!({})).await;
    assert_eq!(reply.header("etag"), Some("\"3\""), "{reply:?}");
}

#[tokio::test]
async fn the_ticketing_systems_objects_have_versions_too() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    let ticketing = house.ticketing();
    let path = "/v1/support-requests/SR-1";
    let update = json!({ "summary": "new" });
    assert_eq!(ticketing.with("if-match", "\"2\"").patch(path, &update).await.problem(), (412, "version_changed", ""));
    let updated = ticketing.with("if-match", "\"1\"").patch(path, &update).await;
    assert_eq!(updated.header("etag"), Some("\"2\""), "{updated:?}");
    let unchanged = ticketing.patch(path, &update).await;
    assert_eq!(unchanged.header("etag"), Some("\"2\""), "what is so already is no change");
    let close = format!("{path}/close");
    assert_eq!(ticketing.with("if-match", "\"1\"").post(&close, &json!({})).await.status, 412);
    assert_eq!(ticketing.with("if-match", "\"2\"").post(&close, &json!({})).await.status, 200);
    let name = json!({ "display_name": "Contoso Ltd" });
    let tenant = "/v1/tenants/contoso";
    assert_eq!(ticketing.with("if-match", "\"5\"").put(tenant, &name).await.status, 412);
    assert_eq!(ticketing.with("if-match", "\"1\"").put(tenant, &name).await.header("etag"), Some("\"2\""));
}

#[tokio::test]
async fn a_version_counts_that_consents_own_changes_alone() {
    let house = House::start().await;
    let (contosos, fabrikams) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let seen = async || {
        let reply = cyd.get(&format!("/v1/consents/{contosos}")).await;
        (reply.header("etag").unwrap().to_owned(), reply.text)
    };
    let before = seen().await;
    let act = async |verb: &str, body| is(&dee.post(&format!("/v1/consents/{fabrikams}/{verb}"), &body).await, 200);
    act("approve", json!({ "until": "2027-01-01T00:00:00Z" })).await;
    assert_eq!(seen().await, before);
    act("narrow", json!({ "categories": ["signInLogs"] })).await;
    assert_eq!(seen().await, before);
    act("revoke", json!({})).await;
    assert_eq!(seen().await, before);
    let ticketing = house.ticketing();
    is(&ticketing.put("/v1/support-requests/SR-1/assignee", &json!({ "assignee": "vendor/bob" })).await, 200);
    assert_eq!(seen().await, before, "nor the support request's");
    house.approve(&cyd).await;
    assert_eq!(seen().await.0, "\"2\"");
}
