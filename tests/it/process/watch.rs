//! The bundle's files, watched: finished changes are taken up, bad and half-finished ones are not (G6).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::case::{Act, Case, People};
use crate::support::process::{Sidecar, Site, pause};

pub(super) const FREEZE: &str = "\n@id(\"test.freeze\")\n@rule(\"R1\")\n@code(\"frozen\")\n@reason(\"nothing is read today\")\n\
                      forbid (principal, action in Action::\"readDiagnosticData\", resource is DiagnosticData);\n";
const CHANGED: &str = "policies reloaded: their files have changed";
const REFUSED: &str = "the policies are not good";

pub(super) async fn ready(sidecar: &Sidecar) -> Value {
    reqwest::get(format!("{}/readyz", sidecar.url)).await.unwrap().json().await.unwrap()
}

/// What stands at `/metrics`, as the program's first word says where.
pub(super) async fn metrics(sidecar: &mut Sidecar) -> String {
    let line: Value = serde_json::from_str(&sidecar.wait_for_line("\"serving\"")).unwrap();
    let reply = reqwest::get(format!("http://{}/metrics", line["metrics"].as_str().unwrap())).await.unwrap();
    assert!(reply.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    reply.text().await.unwrap()
}

/// A bundle in a folder of its own, in which the service writes nothing.
fn elsewhere(site: &Site) -> TempDir {
    let folder = TempDir::new().unwrap();
    site.bundle("shipped");
    copy(&site.file("shipped"), &folder.path().join("bundle"));
    folder
}

pub(super) fn copy(from: &Path, to: &Path) {
    for folder in ["policies", "schemas"] {
        fs::create_dir_all(to.join(folder)).unwrap();
        for entry in fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
        }
    }
}

fn append(path: &Path, text: &str) {
    fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
}

#[tokio::test]
async fn an_edit_is_in_force_without_a_word_and_a_bad_one_is_told_with_its_place() {
    let site =
        Site::new("policy = { directory = \"bundle\", watch_quiet_ms = 50 }\nserver.metrics_listen = \"127.0.0.1:0\"");
    site.bundle("bundle");
    let mut sidecar = site.start();
    let people = People::of(&site, &sidecar);
    let mut case = Case::new("SR-1".to_owned());
    for act in [Act::Open, Act::Ask, Act::ContosoApproves, Act::FabrikamApproves] {
        case.carry_out(&people, act).await.unwrap();
    }
    assert!(people.may_read("SR-1").await.unwrap().decision());
    let shipped = ready(&sidecar).await["policy_version"].clone();
    let good = metrics(&mut sidecar).await;
    assert!(good.contains(&format!("consentry_policy_info{{version={shipped}}} 1")), "{good}");
    assert!(
        good.contains("consentry_policy_last_reload_good 1") || good.contains("consentry_policy_last_reload_good{} 1")
    );

    let reading = site.file("bundle/policies/reading.cedar");
    let text = fs::read_to_string(&reading).unwrap();
    let place = format!("bundle/policies/reading.cedar:{}:", text.lines().count() + 2);
    let seen = sidecar.log.lock().len();
    fs::write(&reading, format!("{text}\npermit (principal, action resource);\n")).unwrap();
    let line = sidecar.wait_for_line_after(seen, REFUSED);
    assert!(line.contains(&place), "{line}");
    let told = ready(&sidecar).await;
    assert!(told["ready"] == true && told["policy_version"] == shipped, "{told}");
    assert!(told["refused_policies"].as_str().unwrap().contains(&place), "{told}");
    let bad = metrics(&mut sidecar).await;
    assert!(bad.contains(&format!("consentry_policy_refused_info{{place=\"{place}")), "{bad}");
    assert!(bad.contains("consentry_policy_reloads_total{outcome=\"refused\"} 1"), "{bad}");
    assert!(people.may_read("SR-1").await.unwrap().decision());

    // As editors save: a file beside it, renamed over it.
    let draft = site.file("bundle/policies/.reading.cedar.swp");
    fs::write(&draft, format!("{text}{FREEZE}")).unwrap();
    let seen = sidecar.log.lock().len();
    fs::rename(&draft, &reading).unwrap();
    sidecar.wait_for_line_after(seen, CHANGED);
    let frozen = people.may_read("SR-1").await.unwrap();
    assert_eq!((frozen.decision(), frozen.code()), (false, "frozen"), "{frozen:?}");
    assert!(ready(&sidecar).await["refused_policies"].is_null());
    let good = metrics(&mut sidecar).await;
    assert!(good.contains("consentry_policy_reloads_total{outcome=\"taken\"} 1"), "{good}");
    assert!(!good.contains("consentry_policy_refused_info{"), "{good}");
    // Numbers about everybody are for nobody who calls.
    let elsewhere = reqwest::get(format!("{}/metrics", sidecar.url)).await.unwrap();
    assert_eq!(elsewhere.status(), 404);
    for name in ["vendor", "ada", "contoso", "fabrikam", "SR-1"] {
        assert!(!good.contains(name), "{name}: {good}");
    }
}

#[tokio::test]
async fn a_folder_of_which_a_part_is_missing_is_not_taken_before_somebody_says_so() {
    let site = Site::new("");
    let folder = elsewhere(&site);
    let bundle = folder.path().join("bundle");
    let policy = format!("policy = {{ directory = \"{}\", watch_quiet_ms = 50 }}", bundle.display());
    site.settings(&crate::support::settings(site.path(), &policy));
    let mut sidecar = site.start();
    let shipped = ready(&sidecar).await["policy_version"].clone();
    // A copy that has not got so far: what is there is a good bundle, and allows more.
    let guardrails = bundle.join("policies/guardrails.cedar");
    let text = fs::read_to_string(&guardrails).unwrap();
    let seen = sidecar.log.lock().len();
    fs::remove_file(&guardrails).unwrap();
    let line = sidecar.wait_for_line_after(seen, "would be gone: is the bundle whole?");
    assert!(line.contains("guardrails."), "{line}");
    assert_eq!(ready(&sidecar).await["policy_version"], shipped);
    // The rest arrives.
    fs::write(&guardrails, &text).unwrap();
    while !ready(&sidecar).await["refused_policies"].is_null() {
        pause();
    }
    // The same, meant so.
    let seen = sidecar.log.lock().len();
    fs::remove_file(&guardrails).unwrap();
    sidecar.wait_for_line_after(seen, "is the bundle whole?");
    sidecar.signal(rustix::process::Signal::HUP);
    sidecar.wait_for_line_after(seen, "policies reloaded");
    let without = ready(&sidecar).await["policy_version"].clone();
    assert_ne!(without, shipped);
    let seen = sidecar.log.lock().len();
    fs::write(&guardrails, &text).unwrap();
    sidecar.wait_for_line_after(seen, CHANGED);

    // Gone altogether, and back.
    let seen = sidecar.log.lock().len();
    fs::rename(&bundle, folder.path().join("away")).unwrap();
    sidecar.wait_for_line_after(seen, REFUSED);
    assert_eq!(ready(&sidecar).await["policy_version"], shipped);
    fs::rename(folder.path().join("away"), &bundle).unwrap();
    while !ready(&sidecar).await["refused_policies"].is_null() {
        pause();
    }
    let seen = sidecar.log.lock().len();
    append(&bundle.join("policies/reading.cedar"), FREEZE);
    sidecar.wait_for_line_after(seen, CHANGED);
}

#[tokio::test]
async fn a_link_that_is_swapped_is_a_change_at_one_moment() {
    // As Kubernetes mounts a ConfigMap, and as people deploy releases.
    for kubernetes in [true, false] {
        let site = Site::new("");
        let folder = elsewhere(&site);
        let root = folder.path();
        copy(&root.join("bundle"), &root.join("..one"));
        copy(&root.join("bundle"), &root.join("..two"));
        fs::remove_dir_all(root.join("bundle")).unwrap();
        append(&root.join("..two/policies/reading.cedar"), FREEZE);
        let (link, directory) = if kubernetes { ("..data", ".") } else { ("current", "current") };
        symlink("..one", root.join(link)).unwrap();
        if kubernetes {
            symlink("..data/policies", root.join("policies")).unwrap();
            symlink("..data/schemas", root.join("schemas")).unwrap();
        }
        let policy = format!("policy = {{ directory = \"{}\", watch_quiet_ms = 50 }}", root.join(directory).display());
        site.settings(&crate::support::settings(site.path(), &policy));
        let mut sidecar = site.start();
        let versions = [ready(&sidecar).await["policy_version"].clone()];
        for (number, release) in ["..two", "..one"].into_iter().enumerate() {
            let seen = sidecar.log.lock().len();
            symlink(release, root.join("..tmp")).unwrap();
            fs::rename(root.join("..tmp"), root.join(link)).unwrap();
            if number == 0 {
                sidecar.wait_for_line_after(seen, CHANGED);
                assert_ne!(ready(&sidecar).await["policy_version"], versions[0]);
            } else {
                // Back again takes a forbid away.
                sidecar.wait_for_line_after(seen, "`test.freeze` would be gone");
            }
        }
    }
}
