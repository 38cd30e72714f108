//! The bundle against Cedar's own `Authorizer`, and against what policy authors get wrong.

mod exact;
mod plain;
mod random;

use super::*;
use crate::model::{AccessRequest, Category, Consent, ConsentStatus, Part, SubmittedIn, SupportRequest, Timestamp};

fn bundle() -> Bundle {
    Bundle::load(&BundleSource::shipped()).unwrap()
}

#[test]
fn the_shipped_bundle_is_good() {
    let bundle = bundle();
    assert!(bundle.policies().len() > 30);
    assert!(bundle.is_read(bundle.action("read").unwrap()));
    assert!(!bundle.is_read(bundle.action("delete").unwrap()));
    assert!(bundle.action("shred").is_none());
}

fn with_policy(text: &str) -> Result<Bundle, LoadError> {
    let mut source = BundleSource::shipped();
    source.policies.push(SourceFile { name: "extra.cedar".to_owned(), text: text.to_owned() });
    Bundle::load(&source)
}

fn problem_of(text: &str) -> String {
    with_policy(text).unwrap_err().to_string()
}

#[test]
fn a_bad_policy_is_refused_with_its_place() {
    let head = "@id(\"x\")\n@rule(\"R1\")\n@reason(\"x\")\n";
    assert!(problem_of("permit (principal, action, resource").starts_with("extra.cedar:1:"));
    let unknown = problem_of(&format!("{head}permit (principal, action == Action::\"reed\", resource);"));
    assert!(unknown.starts_with("extra.cedar:4:") && unknown.contains("reed"), "{unknown}");
    let mistyped = problem_of(&format!(
        "{head}permit (principal is SupportEngineer, action == Action::\"read\", resource is DiagnosticData)\nwhen {{ \
         resource.category == 7 }};"
    ));
    assert!(mistyped.starts_with("extra.cedar:5:"), "{mistyped}");
    assert!(problem_of("@rule(\"R1\")\npermit (principal, action, resource);").contains("no `@id`"));
    assert!(problem_of("@id(\"x\") @rule(\"R1\")\npermit (principal, action, resource);").contains("no `@reason`"));
    assert!(problem_of(&format!("{head}forbid (principal, action, resource);")).contains("no `@code`"));
    let twice = problem_of(
        "@id(\"audit.read\") @rule(\"R1\") @reason(\"x\")\npermit (principal is User, action == \
         Action::\"readAuditLog\", resource);",
    );
    assert!(twice.contains("taken by the policy at policies/audit.cedar:3:1"), "{twice}");
    assert!(problem_of("permit (principal == ?principal, action, resource);").contains("template"));
    // A guardrail that can never hold would guard nothing.
    let never = problem_of(
        "@id(\"x\") @rule(\"R2\") @reason(\"x\") @code(\"x\")\nforbid (principal is User, action == Action::\"read\", \
         resource is DiagnosticData);",
    );
    assert!(never.starts_with("extra.cedar:"), "{never}");
}

#[test]
fn a_policy_that_reads_the_clock_makes_its_kind_of_question_uncacheable() {
    let read_policy = |condition: &str| {
        format!(
            "@id(\"x\") @rule(\"R1\") @reason(\"x\") @code(\"x\")\nforbid (principal is SupportEngineer, action == \
             Action::\"read\", resource is DiagnosticData) when {{ {condition} }};"
        )
    };
    let cacheable = |bundle: &Bundle, verb: &str| {
        bundle.is_cacheable(&Question {
            principal: Principal::Engineer("vendor/ada"),
            action: bundle.action(verb).unwrap(),
            resource: Resource::DiagnosticData { id: "t/signInLogs", tenant: "t", category: Category::SignInLogs },
            circumstances: Circumstances::Nothing,
        })
    };
    assert!(cacheable(&bundle(), "read"));
    assert!(cacheable(&with_policy(&read_policy("resource.category == \"auditLogs\"")).unwrap(), "read"));
    let clock = with_policy(&read_policy("context.now > 1000")).unwrap();
    assert!(!cacheable(&clock, "read") && cacheable(&clock, "list"));
    // Taken as a whole, the context holds the time as well.
    let whole = with_policy(&read_policy("[context].contains(context)")).unwrap();
    assert!(!cacheable(&whole, "read") && cacheable(&whole, "list"));
}

#[test]
fn a_policy_that_fails_denies_even_where_another_permits() {
    // Overflow: Cedar would skip this forbid and allow. Strict validation cannot see it.
    let bundle = with_policy(
        "@id(\"x\") @rule(\"R1\") @reason(\"x\") @code(\"x\")\nforbid (principal is User, action == \
         Action::\"viewApprovedAccess\", resource is Consent) when { context.now + 9223372036854775807 < 0 };",
    )
    .unwrap();
    let consent = Consent::pending("c".parse().unwrap(), "contoso".parse().unwrap(), Part::Only);
    let consent = Consent { status: ConsentStatus::Approved, ..consent };
    let request = AccessRequest {
        id: "a".parse().unwrap(),
        support_request: "s".parse().unwrap(),
        resource_tenant: "contoso".parse().unwrap(),
        requested_by: "vendor/ada".parse().unwrap(),
        reason: String::new(),
        created_at: Timestamp::from_millis(0),
        resource_tenant_consent: consent.clone(),
        task: None,
        support_request_tenant_consent: None,
    };
    let support_request = SupportRequest {
        id: "s".parse().unwrap(),
        number: String::new(),
        summary: String::new(),
        tenant: "contoso".parse().unwrap(),
        submitted_in: SubmittedIn::OtherPortal,
        advanced_diagnostic_information: false,
        assignee: None,
        open: true,
        opened_at: Timestamp::from_millis(0),
        closed_at: None,
        version: 1,
    };
    let roles = [bundle.roles().by_name("Global Administrator").unwrap().clone()];
    let (person, tenant) = ("contoso/cyd".parse().unwrap(), "contoso".parse().unwrap());
    let question = Question {
        principal: Principal::User { person: &person, tenant: &tenant, roles: &roles },
        action: bundle.workflow_action(WorkflowAction::ViewApprovedAccess),
        resource: Resource::Consent(&consent, &request, &support_request),
        circumstances: Circumstances::ViewApproved { now: Timestamp::from_millis(5) },
    };
    let verdict = bundle.evaluate(&question);
    let schema = cedar_policy::Schema::from_cedarschema_str(&BundleSource::shipped().schema.text).unwrap().0;
    let plain = plain::authorizer(&bundle, &schema, &question).unwrap();
    assert!(plain.allowed, "Cedar itself allows: the trap is real");
    assert!(!verdict.allowed);
    assert_eq!(verdict.failed[0].0, "x");
}

#[test]
fn a_version_names_the_texts_and_a_serial_the_bundle() {
    let (one, same) = (bundle(), bundle());
    assert_eq!(one.version(), same.version());
    assert_ne!(one.serial(), same.serial());
    let mut versions = std::collections::HashSet::from([one.version().to_string()]);
    for number in 0..500 {
        let mut source = BundleSource::shipped();
        source.roles.text.push_str(&" ".repeat(number + 1));
        assert!(
            versions.insert(super::bundle::version_of(&source).to_string()),
            "{number} spaces more, the same version"
        );
    }
    assert!(versions.iter().all(|version| version.len() == 16), "{versions:?}");
}
