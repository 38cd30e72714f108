//! `consentry audit`: a reviewer with the public key finds out whether a log is as it was written, and which record is not.

mod masked;
mod published;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use consentry::app::App;
use serde_json::Value;

use crate::support::House;
use crate::support::process::Site;

const SEGMENT: &str = "decisions/00000000000000000000.jsonl";
const KEY: &str = "decisions/development-signing-key.pub.pem";

/// How the command ended, and what it printed.
fn audit(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    let output = command.arg("audit").args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), said)
}

fn json(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let (code, said) = audit(folder, arguments);
    (code, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
}

/// A house that has closed its log, with the id of an allowed read in it.
async fn closed() -> (House, String) {
    let mut house = House::granted().await;
    let read = house.may_read("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    let id = read.json["context"]["decision_id"].as_str().unwrap().to_owned();
    house.stop().await;
    (house, id)
}

#[tokio::test]
async fn a_log_of_the_service_is_good_and_a_changed_record_is_named() {
    let (house, id) = closed().await;
    let folder = house.folder.path();
    let (code, said) = audit(folder, &["verify", "decisions", "--key", KEY]);
    assert!(code == 0 && said.starts_with("good: decisions (consentry/"), "{said}");
    assert!(said.contains("all of it was signed at"), "{said}");

    let path = folder.join(SEGMENT);
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line.contains(&format!("\"decision_id\":\"{id}\""))).unwrap();
    let forged = text.lines().nth(line).unwrap().replace("vendor/ada", "vendor/bob");
    std::fs::write(&path, text.replace(text.lines().nth(line).unwrap(), &forged)).unwrap();
    let (code, found) = json(folder, &["verify", "decisions", "--key", KEY, "--json"]);
    let finding = &found["logs"][0]["findings"][0];
    assert_eq!((code, &found["good"], &finding["kind"]), (1, &false.into(), &"changed".into()), "{found:#}");
    assert_eq!((finding["first"].as_u64(), finding["last"].as_u64()), (Some(line as u64), Some(line as u64)));

    // The service does not go on with such a log.
    let before: Vec<&str> = text.lines().take(line).collect();
    std::fs::write(&path, before.join("\n") + "\n").unwrap();
    let (code, said) = audit(folder, &["verify", "decisions", "--key", KEY]);
    assert!(code == 1 && said.contains("truncated"), "{said}");
    let refused = App::start(&house.config, Arc::new(house.clock.clone())).await.unwrap_err().to_string();
    assert!(refused.contains("is not as it was signed") && refused.contains(&format!("{line} to ")), "{refused}");
}

#[tokio::test]
async fn a_proof_stands_alone() {
    let (house, id) = closed().await;
    let folder = house.folder.path();
    let (code, said) = audit(folder, &["prove", "decisions", &id, "--out", "proof.json"]);
    assert!(code == 0 && said.starts_with("proved: record "), "{said}");
    // With nothing else at hand.
    let elsewhere = tempfile::tempdir().unwrap();
    for (from, to) in [("proof.json", "proof.json"), (KEY, "key.pem")] {
        std::fs::copy(folder.join(from), elsewhere.path().join(to)).unwrap();
    }
    let check = |more: &[&str]| {
        let arguments = [&["check-proof", "proof.json", "--key", "key.pem"], more].concat();
        audit(elsewhere.path(), &arguments)
    };
    let (code, said) = check(&[]);
    assert!(code == 0 && said.starts_with("good: record ") && said.contains(&id), "{said}");
    let (code, record) = check(&["--record"]);
    assert_eq!((code, serde_json::from_str::<Value>(&record).unwrap()["decision_id"].as_str()), (0, Some(&*id)));
    let proof = std::fs::read_to_string(elsewhere.path().join("proof.json")).unwrap();
    std::fs::write(elsewhere.path().join("proof.json"), proof.replace("vendor/ada", "vendor/bob")).unwrap();
    assert_eq!(check(&[]).0, 1);
    std::fs::write(elsewhere.path().join("proof.json"), "{}").unwrap();
    assert_eq!(check(&[]).0, 2, "it is no proof at all");
    let (code, said) = audit(folder, &["prove", "decisions", &id.replace(|_| true, "0")]);
    assert!(code == 1 && said.contains("no such record"), "{said}");
    let (code, first) = json(folder, &["prove", "decisions", "0"]);
    assert!(code == 0 && first["record"].as_str().unwrap().contains("\"type\":\"segment\""), "{first}");
}

#[tokio::test]
async fn a_head_that_was_kept_finds_a_log_that_was_cut_off_or_begun_anew() {
    let (mut house, _) = closed().await;
    let folder = house.folder.path().to_owned();
    let (code, head) = audit(&folder, &["heads", "decisions", "--newest"]);
    assert_eq!(code, 0);
    std::fs::write(folder.join("head"), &head).unwrap();
    let log = |name: &str| {
        let to = folder.join(name);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(folder.join("decisions")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    };
    log("before");
    house.restart().await;
    house.allows("vendor/ada", "fabrikam/signInLogs", "SR-1").await;
    house.stop().await;
    assert_eq!(audit(&folder, &["verify", "decisions", "--key", KEY, "--head", "head"]).0, 0);
    let (_, later) = audit(&folder, &["heads", "decisions", "--newest"]);
    std::fs::write(folder.join("later"), &later).unwrap();
    let (code, said) = audit(&folder, &["consistency", "decisions", "head", "later", "--key", KEY]);
    assert!(code == 0 && said.starts_with("good: the first "), "{said}");
    let (code, _) = audit(&folder, &["consistency", "decisions", "later", "head", "--key", KEY]);
    assert_eq!(code, 1);

    // The log as it was before, with its own heads: by itself it is good, and to whoever has the later head it is not.
    assert_eq!(audit(&folder, &["verify", "before", "--key", KEY]).0, 0);
    let (code, said) = audit(&folder, &["verify", "before", "--key", KEY, "--head", "later"]);
    assert!(code == 1 && said.contains("truncated"), "{said}");
    // Nothing at all, and a folder that is none.
    std::fs::remove_dir_all(folder.join("before")).unwrap();
    assert_eq!(audit(&folder, &["verify", "before", "--key", KEY]).0, 2);
    assert_eq!(audit(&folder, &["verify", "decisions", "--key", "missing.pem"]).0, 2);
}

#[tokio::test]
async fn the_logs_of_two_sidecars_verify_together() {
    let ((one, _), (other, _)) = (closed().await, closed().await);
    let there = |house: &House, name: &str| house.folder.path().join(name).display().to_string();
    let key = one.folder.path().join("other.pem");
    std::fs::copy(other.folder.path().join(KEY), &key).unwrap();
    let logs = [there(&one, "decisions"), there(&other, "decisions")];
    let arguments = ["verify", &logs[0], &logs[1], "--key", KEY, "--key", "other.pem", "--json"];
    let (code, found) = json(one.folder.path(), &arguments);
    assert_eq!((code, found["logs"].as_array().unwrap().len()), (0, 2), "{found:#}");
    assert_ne!(found["logs"][0]["log"], found["logs"][1]["log"]);

    // A head of a log that is not here: somebody took the whole of it away.
    let (_, head) = audit(other.folder.path(), &["heads", "decisions", "--newest"]);
    std::fs::write(one.folder.path().join("head"), head).unwrap();
    let (code, said) =
        audit(one.folder.path(), &["verify", &logs[0], "--key", KEY, "--key", "other.pem", "--head", "head"]);
    assert!(code == 1 && said.contains("missing: a head was published of"), "{said}");
    // Segments of the two cannot be mixed.
    std::fs::copy(other.folder.path().join(SEGMENT), one.folder.path().join(SEGMENT)).unwrap();
    let (code, said) = audit(one.folder.path(), &["verify", "decisions", "--key", KEY]);
    assert!(code == 1 && said.contains("mixed") && said.contains("of another log"), "{said}");
}

#[test]
fn production_asks_for_a_key_of_its_own() {
    let site = Site::new("");
    let text = "mode = \"production\"\nstore.path = \"store.db\"\ndecision_log.path = \"decisions\"\n";
    site.settings(text);
    let (status, said) =
        crate::support::process::end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    assert!(!status.success() && said.contains("decision_log.signing_key"), "{said}");
}
