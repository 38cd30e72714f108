//! `policy check --solve`: what only a solver can tell of a policy.

use serde_json::Value;

use super::edited::Edit::{Add, Replace};
use super::edited::{Edit, edited, few_verbs, proofs, write};
use super::{json, policy};

/// What the solver finds in the shipped bundle with these edits: lint, policy, line and column; and its words.
fn found(edits: &[Edit]) -> Vec<(String, String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    write(&if edits.is_empty() { few_verbs() } else { edited(edits) }, &bundle);
    let cache = proofs().display().to_string();
    let (code, found) = json(folder.path(), &["check", "bundle", "--solve", "--cache", &cache, "--json"]);
    let lints = ["never-matches", "always-matches", "shadowed", "redundant", "not-settled", "not-solved"];
    let found: Vec<&Value> =
        found.as_array().unwrap().iter().filter(|one| lints.contains(&one["lint"].as_str().unwrap())).collect();
    assert_eq!(code, i32::from(!found.is_empty()), "{found:#?}");
    let place = |one: &Value| {
        let file = one["file"].as_str().unwrap();
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        let line = usize::try_from(one["line"].as_u64().unwrap()).unwrap();
        assert_eq!((&one["severity"], &one["column"]), (&Value::from("warning"), &Value::from(1)), "{one:#}");
        let line = text.lines().nth(line - 1).unwrap();
        line.split('"').nth(1).unwrap_or_else(|| panic!("no policy begins at `{line}`")).to_owned()
    };
    let told = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    found.into_iter().map(|one| (told(one, "lint"), place(one), told(one, "message"))).collect()
}

fn one(edits: &[Edit]) -> (String, String, String) {
    let found = found(edits);
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    one.clone()
}

#[test]
fn of_the_shipped_policies_none_is_idle() {
    assert_eq!(found(&[]), []);
}

#[test]
fn a_policy_that_can_never_match_is_found() {
    let (lint, policy, _) = one(&[Replace(
        "resource.part != \"support_request_tenant\" &&\n  resource.status != \"pending\" &&",
        "resource.part != \"support_request_tenant\" &&\n  resource.part == \"support_request_tenant\" &&\n  resource.status != \"pending\" &&",
    )]);
    assert_eq!((&*lint, &*policy), ("never-matches", "visibility.approved-access"));
}

#[test]
fn a_policy_whose_conditions_ask_nothing_is_found() {
    let (lint, policy, _) = one(&[Replace(
        "  resource == Endpoint::\"decisions\"\n) when {\n  context.aboutSelf\n};",
        "  resource is Endpoint\n) when {\n  context.aboutSelf || !context.aboutSelf\n};",
    )]);
    assert_eq!((&*lint, &*policy), ("always-matches", "services.evaluate.about-oneself"));
}

#[test]
fn a_permit_that_forbids_leave_nothing_of_is_found() {
    let (lint, policy, message) = one(&[Add(
        "@id(\"x.outsiders\") @rule(\"R1\") @reason(\"x\")\npermit (principal is Service, action == Action::\"evaluate\", \
         resource is Endpoint) when { !principal.vendor && resource == Endpoint::\"requests\" };",
    )]);
    assert_eq!((&*lint, &*policy), ("shadowed", "x.outsiders"), "{message}");
}

#[test]
fn a_policy_that_others_make_redundant_is_found_with_those_that_do() {
    let (lint, policy, message) = one(&[Add(
        "@id(\"x.known\") @rule(\"R1\") @reason(\"x\")\npermit (principal is User in \
         Permission::\"microsoft.azure.supportTickets/allEntities/allTasks\", action == Action::\"viewConsent\", resource is \
         Consent) when { resource.tenant == principal.tenant && resource.status == \"pending\" };",
    )]);
    assert_eq!((&*lint, &*policy), ("redundant", "x.known"));
    assert!(message.contains("`visibility.consent.tenant-administrator` permit"), "{message}");
    let (lint, policy, message) = one(&[Add(
        "@id(\"x.closed\") @rule(\"R4\") @code(\"x\") @reason(\"x\")\nforbid (principal, action == Action::\"read\", resource is \
         DiagnosticData) when { context has supportRequest && (if context.supportRequest.open then resource.tenant != \
         context.supportRequest.tenant && !(context has accessRequest) else resource.category == \"signInLogs\") };",
    )]);
    // None of them alone: a closed one is one policy's business, an open one's other tenant that of two more.
    assert_eq!((&*lint, &*policy), ("redundant", "x.closed"));
    assert!(message.contains("others together forbid"), "{message}");
}

#[test]
fn what_was_found_out_is_kept_and_without_a_solver_it_is_said_that_nobody_looked() {
    let folder = tempfile::tempdir().unwrap();
    write(&few_verbs(), &folder.path().join("bundle"));
    let check = |more: &[&str]| json(folder.path(), &[&["check", "bundle", "--json", "--solve"], more].concat());
    let (_, first) = check(&["--cache", "kept"]);
    let kept = || std::fs::read_dir(folder.path().join("kept")).unwrap().count();
    let before = kept();
    assert!(before > 100, "{before} answers are kept");
    assert_eq!((check(&["--cache", "kept"]).1, kept()), (first, before));
    // An answer that was kept is believed: the cache is asked before the solver.
    for entry in std::fs::read_dir(folder.path().join("kept")).unwrap() {
        std::fs::write(entry.unwrap().path(), "proved: as the test says\n").unwrap();
    }
    assert!(check(&["--cache", "kept"]).1.as_array().unwrap().iter().any(|one| one["lint"] == "never-matches"));

    let (code, without) = check(&["--no-cache", "--solver", "/nowhere/cvc5"]);
    let note = without.as_array().unwrap().iter().find(|one| one["lint"] == "not-solved").unwrap();
    assert_eq!((code, &note["severity"], &note["file"]), (0, &Value::from("note"), &Value::Null));
    assert!(note["message"].as_str().unwrap().contains("apt-get install cvc5"), "{note:#}");
    let text = policy(folder.path(), &["check", "bundle", "--solve", "--no-cache", "--solver", "/nowhere/cvc5"]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("policy::not-solved"));
}
