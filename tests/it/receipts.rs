//! Receipts of approvals: signed statements that their own tenant can verify without us, and that records of reads name.

use consentry::receipt::{Approval, open};
use consentry::signing::jwks::read_keys;
use consentry::signing::{SigningKey, TrustedKeys};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{Site, end_of};
use crate::support::{House, Person, config};

/// A folder with a key, and settings that name it.
fn key() -> (TempDir, SigningKey, String) {
    let folder = TempDir::new().unwrap();
    let key = SigningKey::generate().unwrap();
    std::fs::write(folder.path().join("receipts.pem"), key.to_pem()).unwrap();
    let settings = format!("[receipts]\nsigning_key = \"{}/receipts.pem\"\n", folder.path().display());
    (folder, key, settings)
}

async fn published(house: &House) -> TrustedKeys {
    let reply = house.tooling().holding("").get("/.well-known/consentry-receipt-keys").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
    read_keys(&reply.text).unwrap_or_default()
}

/// The receipt of a consent, as it is given out and as it is verified by the published keys.
async fn receipt(house: &House, who: &Person, consent: &str) -> (String, Approval) {
    let reply = who.get(&format!("/v1/consents/{consent}/receipt")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let keys = published(house).await;
    let (receipt, _) = open(reply.text.as_bytes(), &keys).unwrap();
    (reply.text, receipt.approval)
}

#[tokio::test]
async fn an_approval_has_a_receipt_that_its_tenant_can_verify_and_that_never_changes() {
    let (folder, key, settings) = key();
    let mut house = House::start_with(&settings).await;
    let (contoso, fabrikam) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    let scope = json!({ "categories": ["signInLogs", "auditLogs"], "until": "2026-12-01T00:00:00Z" });
    house.clock.advance_millis(1_234);
    assert_eq!(cyd.post(&format!("/v1/consents/{contoso}/approve"), &json!({})).await.status, 200);
    let approved = dee.post(&format!("/v1/consents/{fabrikam}/approve"), &scope).await;
    assert_eq!(published(&house).await.0, [key.public()]);

    let (given, approval) = receipt(&house, &dee, &fabrikam).await;
    let record = house.records().into_iter().rfind(|record| record["action"] == "approveConsent").unwrap();
    let expected = json!({
        "receipt": approved.json["receipt"], "tenant": "fabrikam", "consent": fabrikam, "part": "resource_tenant",
        "access_request": approved.json["access_request"], "support_request_number": "N-SR-1",
        "requested_by": "vendor/ada", "reason": "sign-in fails", "approved_by": "fabrikam/dee",
        "approved_at": "2026-11-22T10:00:01.234Z", "categories": ["signInLogs", "auditLogs"],
        "until": "2026-12-01T00:00:00.000Z", "policy_version": record["policy_version"],
        "decision_id": record["decision_id"],
    });
    assert_eq!(serde_json::to_value(&approval).unwrap(), expected);
    assert!(!given.contains("contoso") && !serde_json::to_string(&approval).unwrap().contains("contoso"));
    let (_, other) = receipt(&house, &cyd, &contoso).await;
    assert_eq!((other.tenant.as_str(), other.categories.len(), &other.until), ("contoso", 6, &None));

    // Whatever comes after, with whatever key: the receipt is what it was.
    for (command, body) in [("narrow", json!({ "categories": ["auditLogs"] })), ("revoke", json!({}))] {
        assert_eq!(dee.post(&format!("/v1/consents/{fabrikam}/{command}"), &body).await.status, 200);
        assert_eq!(receipt(&house, &dee, &fabrikam).await.0, given, "{command}");
    }
    house.close("SR-1").await;
    let former = folder.path().join("former.pem");
    std::fs::write(&former, key.public().to_pem()).unwrap();
    std::fs::write(folder.path().join("receipts.pem"), SigningKey::generate().unwrap().to_pem()).unwrap();
    let settings = format!("{settings}former_keys = [\"{}\"]\n", former.display());
    house.config = config(house.folder.path(), &settings);
    house.restart().await;
    let dee = house.admin("fabrikam", "dee");
    assert_eq!(published(&house).await.0.len(), 2);
    assert_eq!(receipt(&house, &dee, &fabrikam).await.0, given);
}

#[tokio::test]
async fn a_receipt_is_its_own_tenants_alone() {
    let (_folder, _, settings) = key();
    let house = House::start_with(&settings).await;
    let (contoso, fabrikam) = house.asked().await;
    let (cyd, dee) = (house.admin("contoso", "cyd"), house.admin("fabrikam", "dee"));
    // Before the decision there is none; after a rejection neither.
    let none = dee.get(&format!("/v1/consents/{fabrikam}/receipt")).await;
    assert_eq!(
        (none.problem(), none.json["detail"].as_str()),
        ((404, "not_found", ""), Some("there is no such receipt"))
    );
    house.approve(&dee).await;
    assert_eq!(cyd.post(&format!("/v1/consents/{contoso}/reject"), &json!({})).await.status, 200);
    assert_eq!(cyd.get(&format!("/v1/consents/{contoso}/receipt")).await.problem(), (404, "not_found", ""));
    let absent = cyd.get("/v1/consents/co-00000000000040008000000000000000/receipt").await;
    for who in [cyd, house.person("fabrikam", "nobody", &[], &[]), house.engineer("ada"), house.ticketing()] {
        let reply = who.get(&format!("/v1/consents/{fabrikam}/receipt")).await;
        assert_eq!((reply.status, &reply.text), (404, &absent.text), "{}", who.id);
    }
    assert_eq!(dee.get(&format!("/v1/consents/{fabrikam}/receipt")).await.status, 200);
}

#[tokio::test]
async fn the_record_of_a_read_names_the_receipts_beside_the_consents() {
    let (_folder, _, settings) = key();
    let mut house = House::start().await;
    // The first tenant approves while no receipts are made.
    let (_, fabrikam) = house.asked().await;
    let contoso = house.approve(&house.admin("contoso", "cyd")).await;
    house.config = config(house.folder.path(), &settings);
    house.restart().await;
    let dee = house.admin("fabrikam", "dee");
    house.approve(&dee).await;
    let (_, approval) = receipt(&house, &dee, &fabrikam).await;
    for _ in 0..2 {
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    }
    let records = house.records();
    let reads: Vec<&Value> = records.iter().filter(|record| record["read"] == true).collect();
    for (read, cached) in reads.iter().zip([false, true]) {
        assert_eq!(read["cached"], cached);
        assert_eq!(read["consents"], json!([contoso, fabrikam]));
        assert_eq!(read["receipts"], json!([null, approval.receipt]));
    }
    let listed = dee.get("/v1/audit-log/reads").await.json["items"][0].clone();
    assert_eq!(listed["receipts"], json!([null, approval.receipt]));
    // No receipt is made for what was approved without.
    let cyd = house.admin("contoso", "cyd");
    assert_eq!(cyd.get(&format!("/v1/consents/{contoso}/receipt")).await.problem(), (404, "not_found", ""));
}

#[tokio::test]
async fn a_customer_verifies_a_receipt_without_a_sidecar() {
    let (_folder, key, settings) = key();
    let house = House::start_with(&settings).await;
    let (_, fabrikam) = house.asked().await;
    let dee = house.admin("fabrikam", "dee");
    house.approve(&dee).await;
    let (given, approval) = receipt(&house, &dee, &fabrikam).await;
    let site = Site::new("");
    let jwks = house.tooling().holding("").get("/.well-known/consentry-receipt-keys").await.text;
    let other = SigningKey::generate().unwrap().public().to_pem();
    let files = [
        ("receipt.json", given.clone()),
        ("key.pem", key.public().to_pem()),
        ("keys.json", jwks),
        ("other.pem", other),
    ];
    for (name, text) in files {
        std::fs::write(site.file(name), text).unwrap();
    }
    for keys in ["key.pem", "keys.json"] {
        let said = site.command(&["receipt", "verify", "receipt.json", "--key", keys]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let stated: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(stated, serde_json::to_value(&approval).unwrap());
    }
    let refused = |keys: &str, part: &str| {
        let (status, said) = end_of(site.command(&["receipt", "verify", "receipt.json", "--key", keys]));
        assert!(!status.success() && said.contains(part), "{said}");
    };
    refused("other.pem", "signed by no trusted key");
    refused("receipt.json", "holds no Ed25519 key");
    // Somebody else's name in it, or anything else.
    let mut envelope: Value = serde_json::from_str(&given).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    let at = payload.len() / 2;
    let other = if payload.as_bytes()[at] == b'A' { "B" } else { "A" };
    envelope["payload"] = format!("{}{other}{}", &payload[..at], &payload[at + 1..]).into();
    std::fs::write(site.file("receipt.json"), envelope.to_string()).unwrap();
    refused("key.pem", "was changed");
}

#[test]
fn a_key_that_cannot_be_used_fails_the_start() {
    let site = Site::new("[receipts]\nsigning_key = \"receipts.pem\"\n");
    let check = || end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    let (status, said) = check();
    assert!(!status.success() && said.contains("receipts: `receipts.pem` cannot be read"), "{said}");
    std::fs::write(site.file("receipts.pem"), SigningKey::generate().unwrap().public().to_pem()).unwrap();
    let (status, said) = check();
    assert!(!status.success() && said.contains("is not PEM with a `PRIVATE KEY`"), "{said}");
}
