//! Members of records that are masked before they are written: nobody reads them in the log, and what was equal stays equal.

use std::process::Command;

use consentry::trail::open_lines;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{KEY, audit};
use crate::support::House;
use crate::support::process::{Site, end_of};

/// Thirty-two bytes.
const MASK_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
const ITEM: &str = "alice@fabrikam.example/2026";

fn key(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mask.key");
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[tokio::test]
async fn what_is_masked_is_not_in_the_log_and_what_was_equal_stays_equal() {
    let (_folder, key) = key(MASK_KEY);
    let settings = format!(
        "decision_log.mask = [\"/item\", \"/caller\", \"/facts/assignee\", \"/facts/access_requests\"]\n\
         decision_log.mask_key = \"{key}\""
    );
    let mut house = House::start_with(&settings).await;
    house.grant().await;
    for item in [ITEM, ITEM, "bob"] {
        house.allows("vendor/ada", &format!("fabrikam/signInLogs/{item}"), "SR-1").await;
    }
    let reads = house.admin("fabrikam", "dee").get("/v1/audit-log/reads").await.json;
    let verbs = json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" },
        "resource": { "type": "DiagnosticData", "id": format!("fabrikam/signInLogs/{ITEM}") },
        "context": { "support_request": "SR-1" },
    });
    let found = house.tooling().post("/access/v1/search/action", &verbs).await;
    assert_eq!(found.status, 200, "{found:?}");
    house.stop().await;
    let folder = house.folder.path();

    let mut text = String::new();
    std::io::Read::read_to_string(&mut open_lines(&folder.join("decisions")).unwrap(), &mut text).unwrap();
    assert!(!text.contains("alice") && !text.contains("\"caller\":\"vendor"), "a masked value is in the log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (code, masked) = audit(folder, &["masked", "--mask-key", &key, ITEM]);
    let masked = masked.trim();
    assert_eq!(code, 0);
    let items: Vec<&Value> = lines.iter().map(|line| &line["item"]).filter(|item| item.is_string()).collect();
    assert_eq!(items.len(), 3);
    assert!(items[0] == masked && items[1] == masked && items[2] != masked, "{items:?}");
    let about: Vec<&Value> = lines.iter().map(|line| &line["resource"]).collect();
    let resource = format!("fabrikam/signInLogs/{masked}");
    assert_eq!(about.iter().filter(|about| **about == resource.as_str()).count(), 3, "{about:?}");
    let assignees = lines.iter().filter_map(|line| line["facts"]["assignee"].as_str());
    assert!(assignees.clone().count() > 0 && assignees.clone().all(|who| who.starts_with("masked:")));

    // The customer still sees each use of its consent (R22).
    let newest = &reads["items"][0];
    assert_eq!(
        (newest["support_engineer"].as_str(), newest["data_category"].as_str()),
        (Some("vendor/ada"), Some("signInLogs"))
    );
    assert_eq!(newest["consents"].as_array().unwrap().len(), 2, "{newest:#}");
    assert!(newest["item"].as_str().unwrap().starts_with("masked:"), "{newest:#}");
    // The tree is over what was written.
    assert_eq!(audit(folder, &["verify", "decisions", "--key", KEY]).0, 0);
}

#[tokio::test]
async fn a_log_with_masked_items_can_be_replayed() {
    let (_folder, key) = key(MASK_KEY);
    let settings = format!("decision_log.mask = [\"/item\", \"/caller\"]\ndecision_log.mask_key = \"{key}\"");
    let mut house = House::start_with(&settings).await;
    house.grant().await;
    house.allows("vendor/ada", &format!("fabrikam/signInLogs/{ITEM}"), "SR-1").await;
    house.stop().await;
    let folder = house.folder.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let replay =
        command.args(["policy", "replay", "--log", "decisions", "--json"]).current_dir(folder).output().unwrap();
    let told: Value = serde_json::from_slice(&replay.stdout).unwrap_or_else(|error| panic!("{error}: {replay:?}"));
    assert!(replay.status.success(), "{told:#}");
    assert_eq!((&told["same"], &told["unasked"]), (&told["decisions"], &json!({})), "{told:#}");
}

#[tokio::test]
async fn what_rests_on_masked_facts_is_not_compared_and_that_is_said() {
    let (_folder, key) = key(MASK_KEY);
    // The last two are digests that could pass for an id.
    for mask in ["/facts/assignee", "/facts/open", "/facts/tenant", "/facts/access_requests/0/resource_tenant"] {
        let settings = format!("decision_log.mask = [\"{mask}\"]\ndecision_log.mask_key = \"{key}\"");
        let mut house = House::start_with(&settings).await;
        house.grant().await;
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
        house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
        house.stop().await;
        let folder = house.folder.path();
        let ask = |arguments: &[&str]| -> (bool, Value) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
            let ended = command.args(arguments).args(["--log", "decisions", "--json"]).current_dir(folder).output();
            let ended = ended.unwrap();
            let told =
                serde_json::from_slice(&ended.stdout).unwrap_or_else(|error| panic!("{mask}: {error}: {ended:?}"));
            (ended.status.success(), told)
        };
        let why = "its facts are masked";
        let (good, replay) = ask(&["policy", "replay"]);
        assert!(good && replay["differences"] == json!([]), "{mask}: {replay:#}");
        // One was evaluated, the other one remembered.
        assert!(replay["unasked"][why].as_u64() >= Some(2), "{mask}: {replay:#}");
        let count = |member: &str| replay[member].as_u64().unwrap();
        assert_eq!(count("same") + replay["unasked"][why].as_u64().unwrap(), count("decisions"), "{mask}: {replay:#}");
        let (good, again) = ask(&["review", "reassess"]);
        assert!(good && again["would_be_denied"] == json!([]) && again["unasked"][why] == 2, "{mask}: {again:#}");

        let could = ["review", "could-read", "--tenant", "fabrikam", "--category", "signInLogs", "--at"];
        let (good, could) = ask(&[&could[..], &["2026-11-22T10:30:00Z"]].concat());
        assert!(!good && could["could"] == json!([]) && could["could_not"] == json!([]), "{mask}: {could:#}");
        assert_eq!((&could["masked"], &could["support_requests"]), (&json!(["SR-1"]), &json!(0)), "{mask}");
        let (good, unused) = ask(&["review", "unused"]);
        assert!(!good && unused["masked_facts"].as_u64() > Some(0), "{mask}: {unused:#}");
        // The reads themselves rest on no facts.
        let (good, reads) = ask(&["review", "reads"]);
        assert!(good && reads["reads"].as_array().map(Vec::len) == Some(2), "{mask}: {reads:#}");
        assert!(reads["masked_facts"].as_u64() > Some(0), "{mask}: {reads:#}");
    }
}

#[test]
fn what_cannot_be_masked_is_refused_at_the_start() {
    let (_folder, short) = key("c2hvcnQ=");
    let (_other, good) = key(MASK_KEY);
    for (mask, key, says) in [
        ("/subject", good.as_str(), "decision_log.mask"),
        ("/subject_roles/0", good.as_str(), "the tenant's own one, needs it"),
        ("/revision", good.as_str(), "the tenant's own one, needs it"),
        ("/consents/0", good.as_str(), "the tenant's own one, needs it"),
        ("/resource", good.as_str(), "`/item` masks the item there too"),
        ("item", good.as_str(), "`item` is not a JSON pointer"),
        ("/item", short.as_str(), "has 5 bytes"),
        ("/item", "missing.key", "cannot be read"),
        ("/item", "", "decision_log.mask_key"),
    ] {
        let key = if key.is_empty() { String::new() } else { format!("decision_log.mask_key = \"{key}\"") };
        let site = Site::new(&format!("decision_log.mask = [\"{mask}\"]\n{key}"));
        let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
        assert!(!status.success() && said.contains(says), "{mask}: {said}");
    }
}
