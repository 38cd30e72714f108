//! Proofs: the shipped bundle keeps every invariant, and for each there is an edit that breaks it and nothing else.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use consentry::policy::{BundleSource, ClaimStatus, Invariants, NEVER_FAILS, ProofReport, SourceFile};
use consentry::workbench::example::suite;
use consentry::workbench::run::run;
use consentry::workbench::solver::Solver;
use consentry::workbench::suite::Suite;

use super::edited::Edit::{self, Add, Remove, Replace};
use super::edited::{edited, few_verbs, load, proofs, proved, proved_of, solver, write};

/// For each invariant, an edit that breaks it and no other.
const BREAKS: [(&str, &[Edit]); 30] = [
    (
        NEVER_FAILS,
        &[Add("@id(\"x\") @rule(\"R1\") @reason(\"x\") @code(\"x\")\nforbid (principal is User, action == \
               Action::\"viewApprovedAccess\", resource is Consent) when { context.now + 9223372036854775807 < 0 };")],
    ),
    (
        "invariant.reading.read-only",
        &[
            Remove("guardrails.read-only"),
            Add("@id(\"x\") @rule(\"R1\") @reason(\"x\")\npermit (principal is SupportEngineer, action == \
                 Action::\"write\", resource is DiagnosticData);"),
        ],
    ),
    (
        "invariant.reading.open-support-request",
        &[Remove("guardrails.support-request-open"), Replace("  context.supportRequest.open &&\n", "")],
    ),
    (
        "invariant.reading.assigned-engineer",
        &[
            Remove("guardrails.assigned-engineer"),
            Replace(
                "  context.supportRequest has assignee &&\n  context.supportRequest.assignee == principal &&\n",
                "",
            ),
        ],
    ),
    (
        "invariant.reading.cross-tenant-both-consents",
        &[
            Remove("reading.awaiting.support-request-tenant"),
            Replace("  context.accessRequest.consents.supportRequestTenant.status == \"approved\" &&\n", ""),
        ],
    ),
    (
        "invariant.reading.own-tenant-setting-or-consent",
        &[
            Remove("reading.own-tenant.advanced-diagnostics-off"),
            Replace(" &&\n  context.supportRequest.advancedDiagnosticInformation\n", "\n"),
        ],
    ),
    ("invariant.reading.not-expired", &[Remove("reading.expired")]),
    ("invariant.reading.granted-categories", &[Remove("reading.category")]),
    (
        "invariant.reading.one-way",
        &[Replace(
            "  !context.supportRequest.submittedInAdminCenter &&\n  context has accessRequest &&\n",
            "  context has accessRequest &&\n",
        )],
    ),
    (
        "invariant.requests.create-assigned-open",
        &[Remove("requests.create.closed"), Replace("  resource.open &&\n", "")],
    ),
    (
        "invariant.requests.own-work",
        &[Replace(
            "  resource.requestedBy == principal ||\n  (resource has assignee && resource.assignee == principal)\n",
            "  resource.requestedBy == resource.requestedBy\n",
        )],
    ),
    (
        "invariant.consents.own-tenant",
        &[
            Remove("guardrails.own-tenant-consents"),
            Replace(
                "  action == Action::\"viewConsent\",\n  resource is Consent\n) when {\n  principal.tenant == \
                 resource.tenant\n};",
                "  action == Action::\"viewConsent\",\n  resource is Consent\n);",
            ),
        ],
    ),
    (
        "invariant.consents.permission",
        &[
            Remove("guardrails.tenant-administrators-decide"),
            Replace(
                "  principal is User in Permission::\"microsoft.azure.supportTickets/allEntities/allTasks\",\n  action \
                 == Action::\"viewConsent\"",
                "  principal is User,\n  action == Action::\"viewConsent\"",
            ),
        ],
    ),
    ("invariant.consents.separation-of-duties", &[Remove("guardrails.separation-of-duties")]),
    (
        "invariant.consents.resource-tenant-takes-away",
        &[
            Replace(
                "action in [Action::\"takeAccessAway\", Action::\"viewApprovedAccess\"]",
                "action == Action::\"viewApprovedAccess\"",
            ),
            Replace(
                "principal.tenant == resource.tenant && resource.part != \"support_request_tenant\"",
                "principal.tenant == resource.tenant",
            ),
        ],
    ),
    (
        "invariant.consents.can-take-away",
        &[Replace("  action in Action::\"takeAccessAway\",\n", "  action == Action::\"narrowConsent\",\n")],
    ),
    (
        "invariant.consents.can-reject",
        &[Replace("  action in Action::\"decideConsent\",\n", "  action == Action::\"approveConsent\",\n")],
    ),
    ("invariant.services.vendor", &[Remove("guardrails.vendor-services")]),
    (
        "invariant.services.ticketing-role",
        &[Replace(
            "  principal is Service in AppRole::\"SupportRequests.Manage\",\n  action in [",
            "  principal is Service,\n  action in [",
        )],
    ),
    (
        "invariant.services.decisions-role",
        &[Replace("  principal is Service in AppRole::\"Decisions.Evaluate\",\n", "  principal is Service,\n")],
    ),
    (
        "invariant.services.people-about-themselves",
        &[
            Remove("services.evaluate.others"),
            Replace(
                "  principal is User,\n  action == Action::\"evaluate\",\n  resource == Endpoint::\"decisions\"\n) when \
                 {\n  context.aboutSelf\n};",
                "  principal is User,\n  action == Action::\"evaluate\",\n  resource == Endpoint::\"decisions\"\n);",
            ),
        ],
    ),
    ("invariant.engineers.vendor", &[Remove("guardrails.vendor-engineers")]),
    ("invariant.explanations.reviewer", &[Remove("guardrails.reviewers")]),
    (
        "invariant.privacy.no-approved-view",
        &[
            Replace(
                "action in [Action::\"takeAccessAway\", Action::\"viewApprovedAccess\"]",
                "action in Action::\"takeAccessAway\"",
            ),
            Replace("  resource.part != \"support_request_tenant\" &&\n", ""),
        ],
    ),
    (
        "invariant.privacy.approved-view-window",
        &[Replace(" &&\n  (if resource has listedUntil then context.now < resource.listedUntil else true)", "")],
    ),
    (
        "invariant.privacy.other-consent-unreadable",
        &[Add("@id(\"x\") @rule(\"R1\") @reason(\"x\") @code(\"x\")\nforbid (principal is User, action == \
               Action::\"viewConsent\", resource is Consent) when { resource == Consent::\"CO-2\" };")],
    ),
    (
        "invariant.lists.own-tenant-administrator",
        &[Replace("  resource is Tenant\n) when {\n  principal.tenant == resource\n};", "  resource is Tenant\n);")],
    ),
    (
        "invariant.audit.own-tenant",
        &[
            Remove("guardrails.own-tenant-audit-log"),
            Replace("  principal.tenant == resource.tenant &&\n  (principal in Role", "  (principal in Role"),
        ],
    ),
    (
        "invariant.audit.role",
        &[
            Remove("audit.needs-role"),
            Add("@id(\"x\") @rule(\"R21\") @reason(\"x\")\npermit (principal is User, action == \
                 Action::\"readAuditLog\", resource is AuditLog) when { principal.tenant == resource.tenant };"),
        ],
    ),
    (
        "invariant.support-requests.assigned-engineer",
        &[Replace(
            "  resource is SupportRequest\n) when {\n  resource has assignee && resource.assignee == principal\n};",
            "  resource is SupportRequest\n);",
        )],
    ),
];

fn violated(report: &ProofReport) -> Vec<&str> {
    let not = |status| status != ClaimStatus::Proved;
    report.claims.iter().filter(|claim| not(claim.status)).map(|claim| claim.id.as_str()).collect()
}

#[test]
fn each_invariant_is_broken_by_an_edit_that_breaks_no_other_and_a_counterexample_is_confirmed() {
    let solver = solver();
    let good = load(&few_verbs());
    let report = proved(&good, &solver, Some(proofs()));
    assert!(report.passed, "{:?}", violated(&report));
    let claims: Vec<_> = report.claims.iter().map(|claim| claim.id.as_str()).collect();
    assert_eq!(claims, BREAKS.map(|(claim, _)| claim), "an invariant without an edit that breaks it");

    let mut wrong = String::new();
    for (claim, edits) in BREAKS {
        let bad = load(&edited(edits));
        let report = proved(&bad, &solver, Some(proofs()));
        if violated(&report) != [claim] {
            writeln!(wrong, "{claim}: the edit breaks {:?}", violated(&report)).unwrap();
            continue;
        }
        assert!(!report.passed);
        let found = report.claims.iter().find(|known| known.id == claim).unwrap();
        assert_eq!(found.status, ClaimStatus::Violated);
        if claim == "invariant.privacy.other-consent-unreadable" {
            assert!(found.why[0].contains("`x` names Consent::\"CO-2\""), "{:?}", found.why);
            continue;
        }
        assert!(!found.counterexamples.is_empty(), "{found:?}");
        for example in &found.counterexamples {
            if !example.confirmed || (claim != NEVER_FAILS && !example.realistic) {
                writeln!(wrong, "{claim}: not confirmed, or not real: {example:#?}").unwrap();
            }
        }
        // As policy tests they fail while the bundle is so, and hold once it is put right.
        let rows: Vec<_> = found.counterexamples.iter().filter_map(|example| example.row.as_deref()).collect();
        assert_eq!(rows.is_empty(), claim == "invariant.reading.one-way", "{claim}");
        let suite = [Suite::parse("rows.toml", &suite("counterexamples", rows)).unwrap()];
        if run(&bad, &suite).failed().count() != suite[0].rows.len() || run(&good, &suite).failed().next().is_some() {
            writeln!(wrong, "{claim}: the rows tell nothing: {:#?}", run(&good, &suite).rows).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A solver that says its version and nothing else.
fn dead_solver(folder: &std::path::Path, version: &str) -> Solver {
    let program = folder.join("dead");
    std::fs::write(&program, format!("#!/bin/sh\ntest \"$1\" = --version && echo \"{version}\"\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Solver::find(&program).unwrap()
}

#[test]
fn what_did_not_change_is_not_proved_again_and_a_solver_that_dies_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path().join("proofs"));
    let invariants = only("invariant.audit.");
    let (solver, bundle) = (solver(), load(&few_verbs()));
    let dead = dead_solver(folder.path(), solver.version());
    // Nothing is known yet: a dead solver proves nothing, and leaves nothing that counts as a proof.
    let report = proved_of(&bundle, &invariants, &dead, cache.clone());
    assert!(!report.passed);
    assert!(report.claims.iter().all(|claim| claim.status == ClaimStatus::NotProved && !claim.why.is_empty()));
    let first = proved_of(&bundle, &invariants, &solver, cache.clone());
    assert!(first.passed);
    let second = proved_of(&bundle, &invariants, &dead, cache.clone());
    assert!(second.passed, "{:?}", violated(&second));
    assert!(second.claims.iter().all(|claim| claim.cached == claim.queries));
    // Layout means nothing; another condition, another schema and another solver do.
    let laid_out = load(&edited(&[Replace(" when {\n", " when // so\n{\n")]));
    assert!(proved_of(&laid_out, &invariants, &dead, cache.clone()).passed);
    let changed = load(&edited(&[Remove("audit.needs-role")]));
    assert!(!proved_of(&changed, &invariants, &dead, cache.clone()).passed);
    assert!(proved_of(&changed, &invariants, &solver, cache.clone()).passed);
    let mut schema = few_verbs();
    schema.schema.text.push_str("\nentity Extra;\n");
    assert!(!proved_of(&load(&schema), &invariants, &dead, cache.clone()).passed);
    let other = dead_solver(folder.path(), "cvc5 9.9");
    assert!(!proved_of(&bundle, &invariants, &other, cache).passed);
}

/// The shipped invariants whose ids begin so.
fn only(start: &str) -> Invariants {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/invariants");
    let text = std::fs::read_to_string(folder.join("visibility.cedar")).unwrap();
    let kept: Vec<_> = text.split_inclusive(";\n").filter(|part| part.contains(&format!("@id(\"{start}"))).collect();
    assert!(!kept.is_empty());
    stated(&kept.concat())
}

fn stated(text: &str) -> Invariants {
    let file = SourceFile { name: "policies/invariants/x.cedar".to_owned(), text: text.to_owned() };
    Invariants::parse(&[file]).unwrap()
}

#[test]
fn an_invariant_that_says_nothing_is_not_proved_and_an_assumption_is_told() {
    let (solver, bundle) = (solver(), load(&few_verbs()));
    let report = |text: &str| proved_of(&bundle, &stated(text), &solver, Some(proofs()));
    // No question joins these two types.
    let nothing =
        "@id(\"i\") @rule(\"R1\") @says(\"x\")\nforbid (principal is User, action, resource is DiagnosticData);";
    let settings =
        consentry::workbench::prove::Settings { solver: &solver, workers: 1, cache: None, progress: &|_, _| {} };
    let refused = consentry::workbench::prove::prove(&bundle, &stated(nothing), &settings);
    assert!(refused.unwrap_err().contains("invariants/x.cedar:1:1"));
    let unknown = "@id(\"i\") @rule(\"R1\") @says(\"x\") @form(\"disjoint\") @of(\"no.such one.more\")\npermit (principal \
                   is User, action == Action::\"viewConsent\", resource);";
    let report_of_unknown = report(unknown);
    assert_eq!(report_of_unknown.claims[1].status, ClaimStatus::NotProved);
    assert!(report_of_unknown.claims[1].why[0].contains("`no.such` in `@of` is no policy"));

    // Nobody in contoso approves: false, but true of a world in which nobody is in contoso.
    let claim = |assuming: &str| {
        format!(
            "@id(\"i\") @rule(\"R1\") @says(\"nobody in contoso approves\") {assuming}\nforbid (principal is User, action \
             == Action::\"approveConsent\", resource is Consent) when {{ principal.tenant == Tenant::\"contoso\" }};\n\
             @id(\"a\") @rule(\"R1\") @says(\"nobody is in contoso\") @form(\"assumption\")\nforbid (principal is User, \
             action, resource is Consent) when {{ resource.tenant == Tenant::\"contoso\" }};"
        )
    };
    assert_eq!(report(&claim("")).claims[1].status, ClaimStatus::Violated);
    let assuming = report(&claim("@assuming(\"a\")"));
    assert_eq!(assuming.claims[1].status, ClaimStatus::Proved);
    assert_eq!(assuming.claims[1].assuming, ["a: nobody is in contoso"]);
}

#[test]
fn the_command_says_how_to_get_a_solver_and_ends_with_1_for_a_violation() {
    let consentry = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_consentry")).args(["policy", "prove"]).args(arguments).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = consentry(&["--no-cache", "--solver", "/nowhere/cvc5"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("there is no solver `/nowhere/cvc5`") && said.contains("apt-get install cvc5"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let (directory, rows, report) = ("bundle", "rows.toml", "proof.md").map_paths(folder.path());
    write(&edited(&[Remove("guardrails.separation-of-duties")]), directory.as_ref());
    let invariants = std::path::Path::new(&directory).join("policies/invariants");
    std::fs::create_dir_all(&invariants).unwrap();
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/invariants/requests.cedar");
    std::fs::copy(shipped, invariants.join("requests.cedar")).unwrap();
    let cache = proofs().display().to_string();
    let arguments = [&*directory, "--cache", &cache, "--write-rows", &rows, "--report", &report];
    let (code, said) = consentry(&arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("VIOLATED    R17") && said.contains("requests.decide.tenant-administrator"), "{said}");
    assert!(std::fs::read_to_string(&report).unwrap().contains("| `invariant.consents.separation-of-duties` | R17 |"));
    let test = |bundle: &[&str]| {
        let test = Command::new(env!("CARGO_BIN_EXE_consentry"))
            .args(["policy", "test", "--tests", &rows])
            .args(bundle)
            .output();
        test.unwrap().status.code()
    };
    assert_eq!((test(&[&directory]), test(&[])), (Some(1), Some(0)));
}

trait MapPaths {
    fn map_paths(self, folder: &std::path::Path) -> (String, String, String);
}

impl MapPaths for (&str, &str, &str) {
    fn map_paths(self, folder: &std::path::Path) -> (String, String, String) {
        let path = |name: &str| folder.join(name).display().to_string();
        (path(self.0), path(self.1), path(self.2))
    }
}

#[test]
fn the_shipped_invariants_are_no_part_of_what_is_served() {
    let source = BundleSource::shipped();
    assert!(source.policies.iter().all(|file| !file.name.contains("invariants")));
    let read = BundleSource::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!(load(&read).version(), load(&source).version());
}
