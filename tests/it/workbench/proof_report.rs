//! Proof reports that `serve` demands.

use std::path::Path;

use consentry::policy::{BundleSource, ClaimStatus, ProofReport};

use super::edited::{edited, few_verbs, load, proofs, proved, solver, write};
use crate::support::process::{Site, end_of};

/// Checks the settings of a service that demands a proof for the bundle in `bundle/`.
fn check(site: &Site, more: &str) -> (Option<i32>, String) {
    let settings = crate::support::settings(site.path(), "");
    let policy = format!("policy.directory = \"bundle\"\npolicy.require_proof = true\n{more}\n");
    site.settings(&format!("{policy}{settings}"));
    let (status, said) = end_of(site.command(&["serve", "--config", "consentry.toml", "--check"]));
    (status.code(), said)
}

fn keep(site: &Site, report: &ProofReport) {
    std::fs::write(site.file("proof.json"), serde_json::to_string(report).unwrap()).unwrap();
}

#[test]
fn a_service_that_demands_a_proof_serves_nothing_without_one() {
    let site = Site::new("");
    let put = |source: &BundleSource| write(source, &site.path().join("bundle"));
    let report_file = "policy.proof_report = \"proof.json\"";
    let refused = |more: &str, words: &str| {
        let (code, said) = check(&site, more);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "`{words}` is missing: {said}");
    };
    put(&few_verbs());
    // Written to a directory, the files have other names; their texts are the same, and so is the version.
    let read = load(&BundleSource::read(&site.path().join("bundle")).unwrap());
    let good = proved(&read, &solver(), Some(proofs()));
    assert!(good.passed);

    refused("", "`policy.require_proof`: needs `policy.proof_report`");
    refused(report_file, "proof.json");
    keep(&site, &good);
    let (code, said) = check(&site, report_file);
    assert_eq!(code, Some(0), "{said}");

    // Another bundle than the one that was proved, be it by one letter.
    put(&edited(&[super::edited::Edit::Replace("// R2: read-only.", "// R2: read only.")]));
    refused(report_file, &format!("is about version {}", read.version()));
    put(&few_verbs());

    let changed = |change: &dyn Fn(&mut ProofReport)| {
        let mut report = good.clone();
        change(&mut report);
        keep(&site, &report);
    };
    changed(&|report| report.claims[3].status = ClaimStatus::NotProved);
    refused(report_file, &format!("`{}` is not proved", good.claims[3].id));
    changed(&|report| report.passed = false);
    refused(report_file, "no policy can fail");
    changed(&|report| report.format = "another".to_owned());
    refused(report_file, "its format is `another`");
    // An invariant that was dropped, and one that was weakened.
    changed(&|report| drop(report.claims.remove(3)));
    refused(report_file, &format!("does not prove `{}`", good.claims[3].id));
    changed(&|report| report.claims[3].digest = "0".repeat(16));
    refused(report_file, &format!("does not prove `{}`", good.claims[3].id));
    changed(&|report| drop(report.claims.remove(0)));
    refused(report_file, "no policy can fail");

    // Invariants of one's own: exactly those that the operator accepts.
    let accept = |digest: &str| format!("{report_file}\npolicy.invariants = \"{digest}\"");
    changed(&|report| {
        report.invariants_digest = "00000000000000aa".to_owned();
        report.claims.truncate(5);
    });
    let (code, said) = check(&site, &accept("00000000000000aa"));
    assert_eq!(code, Some(0), "{said}");
    refused(&accept("00000000000000ab"), "accept the invariants 00000000000000ab");
}

#[tokio::test]
async fn a_reload_without_a_proof_keeps_the_bundle_in_force() {
    let site = Site::new("");
    let directory = site.path().join("bundle");
    write(&few_verbs(), &directory);
    let read = load(&BundleSource::read(&directory).unwrap());
    keep(&site, &proved(&read, &solver(), Some(proofs())));
    let settings = crate::support::settings(site.path(), "");
    site.settings(&format!(
        "policy.directory = \"bundle\"\npolicy.require_proof = true\npolicy.proof_report = \"proof.json\"\n{settings}"
    ));
    let mut sidecar = site.start();
    append(&directory.join("policies/0.cedar"), "// changed\n");
    sidecar.signal(rustix::process::Signal::HUP);
    let line = sidecar.wait_for_line("the ones in force stay");
    assert!(line.contains("no proof for this bundle"), "{line}");
    let ready = reqwest::get(format!("{}/readyz", sidecar.url)).await.unwrap().text().await.unwrap();
    assert!(ready.contains(read.version().as_str()) && ready.contains("no proof for this bundle"), "{ready}");
}

fn append(path: &Path, text: &str) {
    let before = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, before + text).unwrap();
}
