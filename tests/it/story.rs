//! The main job, end to end, as the documents tell it (R6, R8, R13).

use serde_json::json;

use crate::support::House;

#[tokio::test]
async fn two_tenants_approve_the_engineer_reads_and_removal_ends_it() {
    let house = House::start().await;
    let (ada, cyd, dee) = (house.engineer("ada"), house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    house.open("SR-1", "contoso", "vendor/ada").await;
    house.denies("access_request_required", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;

    house.ask(&ada, "SR-1", "fabrikam").await;
    house.denies("awaiting_consent", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.approve(&cyd).await;
    house.denies("awaiting_consent", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    let consent = house.approve(&dee).await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;

    house.denies("advanced_diagnostics_not_allowed", "vendor/ada", "contoso/signInLogs", "SR-1").await;
    house.denies("outside_granted_tenant", "vendor/ada", "northwind/signInLogs", "SR-1").await;
    assert_eq!(house.may("vendor/ada", "delete", "fabrikam/signInLogs", "SR-1").await.code(), "read_only");

    let removed = dee.post(&format!("/v1/consents/{consent}/revoke"), &json!({})).await;
    assert_eq!((removed.status, removed.json["status"].as_str()), (200, Some("revoked")), "{removed:?}");
    house.denies("consent_revoked", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
}
