//! Differences: known edits, and what is said of them.

use std::process::Command;

use consentry::policy::{Bundle, Invariants};
use consentry::workbench::diff::{Change, Diff, Difference, Settings, diff};
use consentry::workbench::suite::Suite;
use serde_json::json;

use super::edited::Edit::{Add, Remove, Replace};
use super::edited::{edited, few_verbs, load, solver, write};

fn compared(old: &Bundle, new: &Bundle) -> Diff {
    let (solver, invariants, suites) = (solver(), Invariants::shipped().unwrap(), Suite::shipped().unwrap());
    let settings =
        Settings { solver: &solver, workers: 2, invariants: &invariants, suites: &suites, progress: &|_, _| {} };
    diff(old, new, &settings).unwrap()
}

/// The kinds of question that are not answered as before.
fn changes(found: &Diff) -> Vec<(&str, Change)> {
    let changed = found.kinds.iter().filter(|kind| kind.change != Change::Equal);
    changed.map(|kind| (kind.environment.as_str(), kind.change)).collect()
}

fn all_real(differences: &[Difference]) -> bool {
    !differences.is_empty() && differences.iter().all(|one| one.confirmed && one.realistic)
}

#[test]
fn an_edit_that_only_looks_different_is_proved_equal() {
    let old = load(&few_verbs());
    let new = load(&edited(&[
        // Layout, and the same said otherwise in one permit: for this the solver is needed.
        Replace(" when {\n", " when // so\n{\n"),
        Replace(
            "  resource.requestedBy == principal ||\n  (resource has assignee && resource.assignee == principal)\n",
            "  !(resource.requestedBy != principal &&\n  !(resource has assignee && principal == resource.assignee))\n",
        ),
    ]));
    let found = compared(&old, &new);
    assert_eq!(changes(&found), []);
    assert!(found.tests.is_empty() && !found.allows_more() && !found.allows_less());
    assert_ne!(found.old, found.new);
}

#[test]
fn an_edit_that_allows_more_is_shown_with_who_and_what_and_the_tests_that_it_changes() {
    let old = load(&few_verbs());
    let new =
        load(&edited(&[Remove("guardrails.support-request-open"), Replace("  context.supportRequest.open &&\n", "")]));
    let found = compared(&old, &new);
    assert_eq!(changes(&found), [("SupportEngineer read DiagnosticData", Change::More)]);
    assert!(found.allows_more() && !found.allows_less());
    let kind = found.kinds.iter().find(|kind| kind.change == Change::More).unwrap();
    assert!(kind.newly_denied.is_empty() && all_real(&kind.newly_allowed), "{kind:#?}");
    // Each of the three ways to be allowed is an example of its own.
    let mut through: Vec<_> = kind.newly_allowed.iter().map(|one| one.through.as_str()).collect();
    through.sort_unstable();
    let ways =
        ["reading.cross-tenant.both-consents", "reading.own-tenant.advanced-diagnostics", "reading.own-tenant.consent"];
    assert_eq!(through, ways);
    for one in &kind.newly_allowed {
        assert!(one.told.iter().any(|line| line == "fact     context.supportRequest.open = false"), "{one:#?}");
        assert!(one.old.contains("guardrails.support-request-open") && one.new.contains(&one.through), "{one:#?}");
    }
    let test = found.tests.iter().find(|test| test.name.contains("not once the support request is closed")).unwrap();
    assert_eq!((&*test.old, &*test.new, &*test.expects), ("deny (support_request_closed)", "allow", "deny"));

    // The way back is the same, the other way round.
    let back = compared(&new, &old);
    assert_eq!(changes(&back), [("SupportEngineer read DiagnosticData", Change::Less)]);
    let kind = back.kinds.iter().find(|kind| kind.change == Change::Less).unwrap();
    assert!(kind.newly_allowed.is_empty() && all_real(&kind.newly_denied), "{kind:#?}");
}

#[test]
fn an_edit_that_allows_some_and_denies_some_is_both() {
    let old = load(&few_verbs());
    let new = load(&edited(&[Replace(
        "  resource is SupportRequest\n) when {\n  resource has assignee && resource.assignee == principal\n};",
        "  resource is SupportRequest\n) unless {\n  resource has assignee && resource.assignee == principal\n};",
    )]));
    let found = compared(&old, &new);
    assert_eq!(changes(&found), [("SupportEngineer viewSupportRequest SupportRequest", Change::Both)]);
    let kind = found.kinds.iter().find(|kind| kind.change == Change::Both).unwrap();
    assert!(all_real(&kind.newly_allowed) && all_real(&kind.newly_denied), "{kind:#?}");
    assert!(found.allows_more() && found.allows_less());
}

#[test]
fn schemas_that_differ_are_compared_as_far_as_they_can_be() {
    let old = load(&few_verbs());
    let with = |change: &dyn Fn(&str) -> String, edits: &[super::edited::Edit]| {
        let mut source = edited(edits);
        source.schema.text = change(&source.schema.text);
        load(&source)
    };
    // A verb that only the new one has: in the readers' group, reading it is new.
    let verb = with(&|text| text.replace("action \"read\" in", "action \"read\", \"export\" in"), &[]);
    let found = compared(&old, &verb);
    assert!(found.schemas_differ);
    assert_eq!(changes(&found), [("SupportEngineer export DiagnosticData", Change::More)]);
    let kind = found.kinds.iter().find(|kind| kind.only_in.is_some()).unwrap();
    assert_eq!(kind.only_in, Some("new"));
    assert!(all_real(&kind.newly_allowed) && kind.newly_allowed[0].old.contains("no such question"), "{kind:#?}");
    assert_eq!(changes(&compared(&verb, &old)), [("SupportEngineer export DiagnosticData", Change::Less)]);
    // A fact that only the new one has, and that a new policy reads.
    let fact = with(
        &|text| text.replace("\"hasAccessRequest\": Bool,", "\"hasAccessRequest\": Bool,\n  \"onHold\"?: Bool,"),
        &[Add("@id(\"x\") @rule(\"R4\") @reason(\"x\") @code(\"x\")\nforbid (principal, action, resource is \
               DiagnosticData) when { context has supportRequest && context.supportRequest has onHold && \
               context.supportRequest.onHold };")],
    );
    assert_eq!(changes(&compared(&old, &fact)), [("SupportEngineer read DiagnosticData", Change::Less)]);
    // Words that mean something else: nothing can be said.
    let words = with(
        &|text| text.replace("\"now\": Long,\n  \"supportRequest\"", "\"now\": String,\n  \"supportRequest\""),
        &[Add("@id(\"x\") @rule(\"R4\") @reason(\"x\") @code(\"x\")\nforbid (principal, action == Action::\"read\", \
               resource is DiagnosticData) when { context.now == \"midnight\" };")],
    );
    let clock = load(&edited(&[Add(
        "@id(\"y\") @rule(\"R4\") @reason(\"x\") @code(\"x\")\nforbid (principal, action == Action::\"read\", resource is \
         DiagnosticData) when { context.now < 5 };",
    )]));
    assert_eq!(changes(&compared(&clock, &words)), [("SupportEngineer read DiagnosticData", Change::Unknown)]);
    // A verb that changes its group: policies for the group mean something else.
    let writes = |verbs: &str| format!("action {verbs} in [\"writeDiagnosticData\"]");
    let before = with(&|text| text.replace(&writes("\"write\""), &writes("\"write\", \"tidy\"")), &[]);
    let reads = "action \"tidy\" in [\"readDiagnosticData\"] appliesTo { principal: [SupportEngineer], resource: \
                 [DiagnosticData], context: ReadContext };";
    let group = with(&|text| format!("{text}\n{reads}\n"), &[]);
    assert_eq!(changes(&compared(&before, &group)), [("SupportEngineer tidy DiagnosticData", Change::Unknown)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_logged_decision_that_an_edit_changes_is_told_and_counts_for_how_the_command_ends() {
    let house = super::log::lived_in().await;
    let (folder, path) = (house.folder.path(), |name: &str| house.folder.path().join(name).display().to_string());
    let (old, new, renamed) = (path("old"), path("new"), path("renamed"));
    write(&few_verbs(), old.as_ref());
    let narrower = "@id(\"reading.no-sign-in-logs\") @rule(\"R1\") @code(\"no_sign_in_logs\") @reason(\"not these\")\n\
                    forbid (principal, action, resource is DiagnosticData) when { resource.category == \"signInLogs\" };";
    write(&edited(&[Remove("reading.category"), Add(narrower)]), new.as_ref());
    write(&edited(&[Replace("category_not_granted", "category_not_given")]), renamed.as_ref());

    let (code, found) = super::json(folder, &["diff", &old, &new, "--log", "decisions", "--json"]);
    let log = &found["log"];
    assert_eq!((code, &log["newly_allowed"], &log["newly_denied"]), (0, &json!(1), &json!(2)), "{log:#}");
    let records = house.records();
    let decisions: Vec<_> = records.iter().filter(|record| record["type"] == "decision").collect();
    assert_eq!(log["decisions"], decisions.len());
    // Each one, as the log and a replay of the new bundle have it; and no other is left out.
    let changed = log["changed"].as_array().unwrap();
    for one in changed {
        let record = decisions.iter().find(|record| record["decision_id"] == one["decision_id"]).unwrap();
        let was = if record["decision"] == true {
            "allow".to_owned()
        } else {
            format!("deny ({})", record["code"].as_str().unwrap())
        };
        assert_eq!((&one["old"], &one["time"]), (&json!(was), &record["time"]), "{one:#}");
        assert!(one["asked"].as_str().unwrap().contains(record["resource"].as_str().unwrap()), "{one:#}");
    }
    let (_, replayed) = super::json(folder, &["replay", "--bundle", &new, "--log", "decisions", "--json"]);
    // Neither of the two knows the verb of one record, which they so deny alike.
    let differences = replayed["differences"].as_array().unwrap().iter().filter(|one| one["codes"][0] != "read_only");
    let differences: u64 = differences.map(|one| one["decisions"].as_u64().unwrap()).sum();
    assert_eq!((changed.len() as u64, &log["unasked"]), (differences, &replayed["unasked"]), "{replayed:#}");
    let newly_allowed = changed.iter().find(|one| one["new"] == "allow").unwrap();
    assert_eq!(newly_allowed["old"], "deny (category_not_granted)");

    let ends = |arguments: &[&str]| super::policy(folder, &[&["diff"], arguments].concat());
    let told = ends(&[&old, &new, "--log", "decisions"]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains(newly_allowed["decision_id"].as_str().unwrap()), "{told}");
    assert!(told.contains("1 would now be allowed, 2 would now be denied"), "{told}");
    // Another reason alone: no question is answered otherwise, but one decision of the log tells programs another word.
    assert_eq!(ends(&[&old, &renamed, "--fail-on", "any"]).status.code(), Some(0));
    let with_log = [&*old, &renamed, "--log", "decisions", "--fail-on"];
    assert_eq!(ends(&[&with_log[..], &["any"]].concat()).status.code(), Some(1));
    assert_eq!(ends(&[&with_log[..], &["more-permissive"]].concat()).status.code(), Some(0));
    assert_eq!(ends(&[&old, &renamed, "--log", "nowhere.jsonl"]).status.code(), Some(2));
}

#[test]
fn the_command_ends_as_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (old, new) = (path("old"), path("new"));
    write(&few_verbs(), old.as_ref());
    write(&edited(&[Remove("guardrails.vendor-services")]), new.as_ref());
    let ends = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_consentry")).args(["policy", "diff"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = ends(&[&old, &new]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("allows more") && said.contains("Service evaluate Endpoint"), "{said}");
    assert_eq!(ends(&[&old, &new, "--fail-on", "less-permissive"]).0, Some(0));
    let (code, json) = ends(&[&old, &new, "--fail-on", "more-permissive", "--json"]);
    assert_eq!(code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["kinds"].as_array().unwrap().iter().any(|kind| kind["change"] == "more"));
    assert_eq!(ends(&[&old, &old, "--fail-on", "any"]).0, Some(0));
    let (code, said) = ends(&[&old]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = ends(&[&old, &new, "--solver", "/nowhere/cvc5"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("apt-get install cvc5"), "{said}");
}
