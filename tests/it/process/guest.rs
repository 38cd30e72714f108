//! A guest model behind the real program: its flag, its checks, and its files, watched (G6).

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::watch::{copy, metrics, ready};
use crate::support::process::{Sidecar, Site};

const RELOADED: &str = "the guest model is reloaded";
const REFUSED: &str = "the guest model is not good";

/// A site with the records model in `model`.
fn site(more: &str) -> Site {
    let site = Site::new(&format!(
        "guest_model.directory = \"model\"\npolicy.watch_quiet_ms = 50\nserver.metrics_listen = \"127.0.0.1:0\"\n{more}"
    ));
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/records");
    copy(&records, &site.file("model"));
    for file in ["model.toml", "entities.json"] {
        fs::copy(records.join(file), site.file("model").join(file)).unwrap();
    }
    site
}

async fn may_write(site: &Site, sidecar: &Sidecar) -> Value {
    let question = json!({
        "subject": { "type": "user", "id": "bob" }, "action": { "name": "write" },
        "resource": { "type": "record", "id": "record-1" },
    });
    let tooling = site.person(sidecar, "vendor", "tooling", &[], &["Decisions.Evaluate"]);
    tooling.post("/access/v1/evaluation", &question).await.json
}

#[tokio::test]
async fn an_edit_of_entities_or_policies_is_in_force_without_a_word_and_a_bad_one_is_told() {
    let site = site("");
    let mut sidecar = site.start();
    let first = ready(&sidecar).await["policy_version"].clone();
    assert_eq!(may_write(&site, &sidecar).await["decision"], false);
    let entities = site.file("model/entities.json");
    let text = fs::read_to_string(&entities).unwrap();

    let seen = sidecar.log.lock().len();
    fs::write(&entities, text.replace("\"active\"", "7")).unwrap();
    let line = sidecar.wait_for_line_after(seen, REFUSED);
    assert!(line.contains("model/entities.json:4:3: "), "{line}");
    let told = ready(&sidecar).await;
    assert!(told["refused_policies"].as_str().unwrap().contains("entities.json:4:3"), "{told}");
    assert!(metrics(&mut sidecar).await.contains("consentry_policy_reloads_total{outcome=\"refused\"} 1"));
    assert_eq!(may_write(&site, &sidecar).await["context"]["policy_version"], first);

    let seen = sidecar.log.lock().len();
    fs::write(&entities, text.replace("\"active\"", "\"archived\"")).unwrap();
    sidecar.wait_for_line_after(seen, RELOADED);
    assert_eq!(may_write(&site, &sidecar).await["decision"], true);
    let told = ready(&sidecar).await;
    assert!(told["refused_policies"].is_null() && told["policy_version"] != first, "{told}");
    let numbers = metrics(&mut sidecar).await;
    assert!(numbers.contains("consentry_decisions_total{decision=\"allow\"} 1"), "{numbers}");

    // A forbid that goes could be a file that has not arrived yet: somebody has to say so.
    let policies = site.file("model/policies/records.cedar");
    let whole = fs::read_to_string(&policies).unwrap();
    let (before, rest) = whole.split_once("@id(\"records.archived\")").unwrap();
    let after = rest.split_once("@id(").unwrap().1;
    let seen = sidecar.log.lock().len();
    fs::write(&policies, format!("{before}@id({after}")).unwrap();
    let line = sidecar.wait_for_line_after(seen, REFUSED);
    assert!(line.contains("records.archived") && line.contains("SIGHUP"), "{line}");
    let seen = sidecar.log.lock().len();
    sidecar.signal(Signal::HUP);
    sidecar.wait_for_line_after(seen, RELOADED);
}

#[test]
fn what_does_not_go_with_a_guest_model_is_refused_and_so_is_a_bad_one() {
    let check = |site: &Site, model: &str| {
        let output =
            site.command(&["serve", "--config", "consentry.toml", "--check", "--guest-model", model]).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    assert!(check(&site(""), "model").0);
    for (more, key) in [
        ("tenants = [{ id = \"a\", display_name = \"A\" }]", "tenants"),
        ("receipts.signing_key = \"key.pem\"", "receipts.signing_key"),
        ("ext_authz = { listen = \"127.0.0.1:0\", mapping = \"m\" }", "ext_authz"),
        ("access_requests.signing_key = \"key.pem\"", "access_requests.signing_key"),
        ("policy.shadow = { directory = \"b\", report = \"r\" }", "policy.shadow"),
        ("server.public_url = \"https://pdp.example/?a=b\"", "server.public_url"),
        ("server.public_url = \"pdp.example\"", "server.public_url"),
    ] {
        let (good, said) = check(&site(more), "model");
        assert!(!good && said.contains(key), "{key}: {said}");
    }
    let site = site("");
    fs::write(site.file("model/model.toml"), "name = \"records\"\nbelieve = \"all\"\n").unwrap();
    let (good, said) = check(&site, "model");
    assert!(!good && said.contains("model/model.toml:2:1: ") && said.contains("believe"), "{said}");
    let (good, said) = check(&site, "nowhere");
    for file in ["nowhere/model.toml", "nowhere/schemas", "nowhere/policies"] {
        assert!(!good && said.contains(file), "{said}");
    }
}
