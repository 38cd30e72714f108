//! `policy explain` and `policy replay`: decisions of a real log, explained and asked again.

use std::path::Path;

use serde_json::json;

use super::json;
use crate::support::House;
use crate::support::process::copy_bundle;

/// A house with a log of reads and of workflow decisions, allowed and denied, evaluated and remembered.
pub async fn lived_in() -> House {
    let house = House::granted().await;
    for _ in 0..2 {
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
        house.denies("outside_granted_tenant", "vendor/ada", "northwind/signInLogs", "SR-1").await;
        house.denies("not_assigned", "vendor/bob", "fabrikam/signInLogs", "SR-1").await;
        house.denies("support_request_unknown", "vendor/ada", "fabrikam/signInLogs", "SR-404").await;
    }
    let denied = house.may("vendor/ada", "delete", "fabrikam/signInLogs", "SR-1").await;
    assert_eq!(denied.code(), "read_only");
    let dee = house.admin("fabrikam", "dee");
    let approved = dee.get("/v1/consents?view=approved").await.json["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        dee.post(&format!("/v1/consents/{approved}/narrow"), &json!({ "categories": ["signInLogs"] })).await.status,
        200
    );
    house.denies("category_not_granted", "vendor/ada", "fabrikam/auditLogs", "SR-1").await;
    assert_eq!(house.person("fabrikam", "eve", &[], &[]).get("/v1/consents?view=pending").await.status, 403);
    assert_eq!(house.person("fabrikam", "eve", &["Security Reader"], &[]).get("/v1/audit-log").await.status, 200);
    // Another tenant's consent: there is no such thing to this administrator.
    assert_eq!(house.admin("contoso", "cyd").get(&format!("/v1/consents/{approved}")).await.status, 404);
    assert_eq!(dee.post(&format!("/v1/consents/{approved}/revoke"), &json!({})).await.status, 200);
    house.denies("consent_revoked", "vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house
}

/// A copy of the shipped bundle, in which this text stands at the end of `policies/reading.cedar`.
fn bundle_with(folder: &Path, text: &str) -> String {
    copy_bundle(folder);
    let file = folder.join("policies/reading.cedar");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{before}\n{text}\n")).unwrap();
    folder.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_that_decided_answers_a_replay_as_the_log_says() {
    let house = lived_in().await;
    let decisions = house.records().iter().filter(|record| record["type"] == "decision").count();
    let (code, found) = json(house.folder.path(), &["replay", "--log", "decisions", "--json"]);
    assert_eq!((code, &found["differences"]), (0, &json!([])), "{found:#}");
    let unasked: u64 = found["unasked"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(found["decisions"], decisions);
    assert_eq!(found["same"].as_u64().unwrap() + unasked, decisions as u64);
    // What was said of things that are not there, and nothing else, cannot be asked again.
    let nothing_known = house.records().iter().filter(|record| record["code"] == "not_found").count();
    assert_eq!(unasked, nothing_known as u64, "{found:#}");
    assert!(decisions > 20, "the log is too small to say anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_counts_what_an_edit_would_take_and_give() {
    let house = lived_in().await;
    let bundles = tempfile::tempdir().unwrap();
    let narrower = bundle_with(
        &bundles.path().join("narrower"),
        "@id(\"reading.no-sign-in-logs\") @rule(\"R1\") @code(\"no_sign_in_logs\") @reason(\"not these\")\n\
         forbid (principal, action, resource is DiagnosticData) when { resource.category == \"signInLogs\" };",
    );
    let (code, found) = json(house.folder.path(), &["replay", "--bundle", &narrower, "--log", "decisions", "--json"]);
    let taken = &found["differences"].as_array().unwrap().iter().find(|one| one["logged"] == "allow").unwrap();
    assert_eq!((code, &taken["answer"], &taken["decisions"]), (1, &json!("deny"), &json!(2)), "{found:#}");
    assert_eq!(taken["codes"], json!(["permitted", "no_sign_in_logs"]));
    assert_eq!(taken["examples"][0]["answer"]["because"], json!(["reading.no-sign-in-logs"]));

    // A permit alone gives nothing while forbids stand in the way: what they say is what is answered.
    let wider = bundle_with(
        &bundles.path().join("wider"),
        "@id(\"reading.everything\") @rule(\"R1\") @reason(\"everything\")\n\
         permit (principal is SupportEngineer, action, resource is DiagnosticData);",
    );
    let (code, found) = json(house.folder.path(), &["replay", "--bundle", &wider, "--log", "decisions", "--json"]);
    assert_eq!((code, &found["differences"]), (0, &json!([])), "{found:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_explained_by_its_id() {
    let house = lived_in().await;
    let mut explained = 0;
    for record in house.records().iter().filter(|record| record["type"] == "decision" && record["code"] != "not_found")
    {
        let id = record["decision_id"].as_str().unwrap();
        let (code, found) = json(house.folder.path(), &["explain", "--log", "decisions", "--decision", id, "--json"]);
        assert_eq!((code, &found["answer"]["reason"]["code"]), (0, &record["code"]), "{record:#} {found:#}");
        let determining: Vec<_> = found["determining"].as_array().unwrap().iter().map(|policy| &policy["id"]).collect();
        let told = record["policies"].as_array().unwrap();
        assert!(told.iter().all(|policy| determining.contains(&policy)), "{record:#} {found:#}");
        assert!(found["determining"].as_array().unwrap().iter().all(|policy| policy["holds"] == true), "{found:#}");
        explained += 1;
    }
    assert!(explained > 20, "the log is too small to say anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_of_a_denial_names_the_unmet_condition_of_the_nearest_permit() {
    let house = House::start().await;
    house.open("SR-1", "contoso", "vendor/ada").await;
    house.ask(&house.engineer("ada"), "SR-1", "fabrikam").await;
    house.approve(&house.admin("contoso", "cyd")).await;
    let denied = house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    let id = denied.json["context"]["decision_id"].as_str().unwrap();
    let (_, found) = json(house.folder.path(), &["explain", "--log", "decisions", "--decision", id, "--json"]);
    let nearest = &found["nearest_permits"][0];
    assert_eq!(nearest["id"], "reading.cross-tenant.both-consents");
    let conditions = nearest["conditions"].as_array().unwrap();
    let unmet = nearest["unmet"].as_array().unwrap();
    let unmet: Vec<_> =
        (0..).zip(conditions).filter(|(at, _)| unmet.contains(&json!(at))).map(|(_, one)| one).collect();
    assert_eq!(unmet.len(), 1, "{nearest:#}");
    assert_eq!(unmet[0]["text"], "context.accessRequest.consents.resourceTenant.status == \"approved\"");
    assert_eq!(unmet[0]["facts"], json!([["context.accessRequest.consents.resourceTenant.status", "\"pending\""]]));
    let (code, _) = {
        let output = super::policy(house.folder.path(), &["explain", "--log", "decisions", "--decision", "none"]);
        (output.status.code().unwrap(), output)
    };
    assert_eq!(code, 2, "a decision that is not there");
}
