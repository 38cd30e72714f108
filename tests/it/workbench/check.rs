//! `consentry policy check`: the shipped bundle passes, and each thing that is wrong is found where it stands.

use serde_json::Value;

use super::{bundle, json, policy};

/// A policy with what every policy needs.
fn written(id: &str, rule: &str, policy: &str) -> String {
    let code = if policy.starts_with("forbid") { "@code(\"x\")\n" } else { "" };
    format!("@id(\"{id}\")\n@rule(\"{rule}\")\n{code}@reason(\"as the test says\")\n{policy}\n")
}

/// What is found in a bundle of these policies: severity, lint, line.
fn found(policies: &str) -> (i32, Vec<(String, String, u64)>) {
    let bundle = bundle(&[("one.cedar", policies)]);
    let (code, found) = json(bundle.path(), &["check", ".", "--json"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_policies = found.as_array().unwrap().iter().filter(|one| one["file"] == "./policies/one.cedar");
    let found = of_policies.map(|one| (text(&one["severity"]), text(&one["lint"]), one["line"].as_u64().unwrap()));
    (code, found.collect())
}

const GOOD: &str = "forbid (\n  principal is User,\n  action == Action::\"viewConsent\",\n  resource is Consent\n)\nwhen { resource.status == \"pending\" };";

#[test]
fn the_shipped_bundle_passes_its_own_check() {
    let (code, found) = json(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), &["check", "--json"]);
    let worse: Vec<_> = found.as_array().unwrap().iter().filter(|one| one["severity"] != "note").collect();
    assert_eq!((code, worse), (0, vec![]));
}

#[test]
fn a_good_policy_has_nothing_to_be_said_of() {
    assert_eq!(found(&written("good", "R18", GOOD)), (0, vec![]));
}

#[test]
fn each_thing_that_is_wrong_is_found_where_it_stands() {
    let one = |severity: &str, lint: &str, line: u64| vec![(severity.to_owned(), lint.to_owned(), line)];
    let good = written("good", "R18", GOOD);
    assert_eq!(found(&written("x", "R99", GOOD)), (1, one("error", "unknown-rule", 1)));
    let twice = good.clone() + "\n" + &written("twin", "R18", GOOD);
    assert_eq!(found(&twice), (1, one("warning", "duplicate", 12)));
    let permit = GOOD.replace("forbid", "permit").replace("  principal is User,", "  principal,");
    let wide = good.clone() + "\n" + &written("wide", "R18", &permit);
    assert_eq!(found(&wide), (1, one("warning", "unscoped", 12)));
    assert_eq!(
        found(&written("free", "R18", &GOOD.replace("forbid", "permit"))),
        (0, one("note", "unbounded-permit", 1))
    );
    let sum =
        GOOD.replace("resource.status == \"pending\"", "resource has listedUntil && resource.listedUntil + 1 > 0");
    assert_eq!(found(&written("sum", "R18", &sum)), (1, one("warning", "can-fail", 10)));
    assert_eq!(found(&good.replace("  principal is User", "    principal is User")), (0, one("note", "format", 6)));
    let unknown = GOOD.replace("resource.status", "resource.statu");
    let (code, found_there) = found(&written("typo", "R18", &unknown));
    assert_eq!((code, found_there.first().map(|one| one.1.as_str())), (1, Some("refused")));
}

#[test]
fn a_policy_that_looks_further_than_the_service_reaches_is_found() {
    // An app role has no attributes, and a consent's `requestedBy` is named in the slice, but not in it.
    let deep = GOOD.replace("resource.status == \"pending\"", "resource.requestedBy has vendor");
    let (code, found) = found(&written("deep", "R18", &deep));
    assert_eq!((code, found.first().map(|one| (one.0.as_str(), one.1.as_str()))), (1, Some(("error", "too-far"))));
}

#[test]
fn fix_writes_policies_as_the_formatter_does() {
    let bundle = bundle(&[("one.cedar", &written("good", "R18", &GOOD.replace('\n', " ")))]);
    assert_eq!(json(bundle.path(), &["check", ".", "--json"]).1[0]["lint"], "format");
    assert_eq!(policy(bundle.path(), &["check", ".", "--fix"]).status.code(), Some(0));
    let text = std::fs::read_to_string(bundle.path().join("policies/one.cedar")).unwrap();
    assert_eq!(text, written("good", "R18", GOOD));
    let (_, found) = json(bundle.path(), &["check", ".", "--json"]);
    assert!(found.as_array().unwrap().iter().all(|one| one["lint"] != "format"), "{found:#}");
}
