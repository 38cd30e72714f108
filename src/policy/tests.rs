//! The bundle against Cedar's own `Authorizer`, and against what policy authors get wrong.

use proptest::prelude::*;
use proptest::sample::select;

use super::evaluate::by_authorizer;
use super::*;
use crate::model::{
    AccessFacts, AccessRequest, AppRole, CaseFacts, Category, CategorySet, Consent, ConsentFacts, ConsentStatus, Part,
    PersonId, RoleId, Scope, SubmittedIn, SupportRequest, TenantId, Timestamp,
};

const TENANTS: [&str; 3] = ["contoso", "fabrikam", "vendor"];
const PEOPLE: [&str; 4] = ["vendor/ada", "vendor/bob", "contoso/cyd", "fabrikam/dee"];

fn tenant() -> impl Strategy<Value = TenantId> {
    select(&TENANTS[..]).prop_map(|id| id.parse().unwrap())
}

fn person() -> impl Strategy<Value = PersonId> {
    select(&PEOPLE[..]).prop_map(|id| id.parse().unwrap())
}

fn scope() -> impl Strategy<Value = Scope> {
    (any::<bool>(), proptest::option::of(0_i64..20)).prop_map(|(narrow, until)| Scope {
        categories: if narrow { [Category::SignInLogs].into_iter().collect() } else { CategorySet::ALL },
        until: until.map(Timestamp::from_millis),
    })
}

fn status() -> impl Strategy<Value = ConsentStatus> {
    select(vec![
        ConsentStatus::Pending,
        ConsentStatus::Approved,
        ConsentStatus::Approved,
        ConsentStatus::Approved,
        ConsentStatus::Rejected,
        ConsentStatus::Revoked,
        ConsentStatus::Completed,
        ConsentStatus::Canceled,
    ])
}

fn consent_facts() -> impl Strategy<Value = ConsentFacts> {
    (status(), scope()).prop_map(|(status, scope)| ConsentFacts { id: "c".parse().unwrap(), status, scope })
}

prop_compose! {
    fn access_facts()(
        resource_tenant in tenant(),
        one in proptest::option::of(consent_facts()),
        other in consent_facts(),
    ) -> AccessFacts {
        AccessFacts {
            id: "a".parse().unwrap(),
            resource_tenant,
            created_at: Timestamp::from_millis(1),
            support_request_tenant: one,
            resource_tenant_consent: other,
        }
    }
}

prop_compose! {
    fn case_facts()(
        tenant in tenant(),
        open in proptest::bool::weighted(0.8),
        assignee in proptest::option::of(person()),
        admin_center in any::<bool>(),
        advanced in any::<bool>(),
        requests in proptest::collection::vec(access_facts(), 0..3),
    ) -> CaseFacts {
        let facts = CaseFacts {
            tenant,
            open,
            assignee,
            submitted_in: if admin_center { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
            advanced_diagnostic_information: advanced,
            access_requests: Box::default(),
        };
        requests.into_iter().fold(facts, |facts, request| facts.with_access_request(request))
    }
}

fn bundle() -> Bundle {
    Bundle::load(&BundleSource::shipped()).unwrap()
}

fn assert_same(bundle: &Bundle, question: &Question<'_>) {
    let verdict = bundle.evaluate(question);
    let (allowed, determining, errors) = by_authorizer(bundle, question);
    let mut ours: Vec<_> = verdict.determining(bundle).map(|policy| policy.id.clone()).collect();
    ours.sort();
    assert_eq!((verdict.allowed, ours, verdict.failed.len()), (allowed, determining, errors), "{question:?}");
}

#[test]
fn the_shipped_bundle_is_good() {
    let bundle = bundle();
    assert!(bundle.policies().len() > 30);
    assert!(bundle.is_read(bundle.action("read").unwrap()));
    assert!(!bundle.is_read(bundle.action("delete").unwrap()));
    assert!(bundle.action("shred").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn reads_are_answered_as_the_authorizer_answers_over_the_whole_set(
        facts in proptest::option::of(case_facts()),
        engineer in select(&PEOPLE[..]),
        verb in select(vec!["read", "list", "search", "download", "write", "create", "update", "delete"]),
        of in select(&TENANTS[..]),
        category in select(&Category::ALL[..]),
        now in 0_i64..20,
    ) {
        thread_local!(static BUNDLE: Bundle = bundle());
        BUNDLE.with(|bundle| {
            let id = format!("{of}/{category}");
            let question = Question {
                principal: Principal::Engineer(engineer),
                action: bundle.action(verb).unwrap(),
                resource: Resource::DiagnosticData { id: &id, tenant: of, category },
                circumstances: Circumstances::Read {
                    facts: ReadFacts {
                        case: facts.as_ref(),
                        access_request: facts.as_ref().and_then(|facts| facts.access_request_for(of)),
                    },
                    now: Timestamp::from_millis(now),
                },
            };
            assert_same(bundle, &question);
        });
    }

    #[test]
    fn workflow_questions_are_answered_as_the_authorizer_answers_over_the_whole_set(
        caller in person(),
        role in select(vec![None, Some("Global Administrator"), Some("Reports Reader"), Some("Global Reader")]),
        app_role in select(vec![None, Some("SupportEngineer"), Some("Decisions.Evaluate"), Some("SupportRequests.Manage")]),
        vendor in any::<bool>(),
        tenant in tenant(),
        asked_by in person(),
        assignee in proptest::option::of(person()),
        open in any::<bool>(),
        status in status(),
        part in select(vec![Part::SupportRequestTenant, Part::ResourceTenant, Part::Only]),
        until in proptest::option::of(0_i64..5_000_000_000),
        action in select(&WorkflowAction::ALL[..]),
        flag in any::<bool>(),
    ) {
        thread_local!(static BUNDLE: Bundle = bundle());
        BUNDLE.with(|bundle| {
            let roles: Vec<RoleId> = role.iter().map(|name| bundle.roles().by_name(name).unwrap().clone()).collect();
            let app_roles: Vec<AppRole> = app_role.iter().map(|role| role.parse().unwrap()).collect();
            let home: TenantId = caller.tenant().parse().unwrap();
            let support_request = SupportRequest {
                id: "s".parse().unwrap(), number: String::new(), summary: String::new(), tenant: tenant.clone(),
                submitted_in: if flag { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
                advanced_diagnostic_information: false, assignee, open, opened_at: Timestamp::from_millis(0),
                closed_at: None, version: 1,
            };
            let mut consent = Consent::pending("c".parse().unwrap(), tenant.clone(), part);
            consent.status = status;
            consent.scope.until = until.map(Timestamp::from_millis);
            let request = AccessRequest {
                id: "a".parse().unwrap(), support_request: "s".parse().unwrap(), resource_tenant: tenant.clone(),
                requested_by: asked_by, reason: String::new(), created_at: Timestamp::from_millis(0),
                resource_tenant_consent: consent.clone(), support_request_tenant_consent: None,
            };
            let user = Principal::User { person: &caller, tenant: &home, roles: &roles };
            let engineer = Principal::EngineerCaller { person: &caller, vendor, app_roles: &app_roles };
            let service = Principal::Service { name: if flag { "unix-socket" } else { "vendor/x" }, vendor, app_roles: &app_roles };
            let now = Timestamp::from_millis(3_000_000_000);
            let about_consent = Resource::Consent(&consent, &request, &support_request);
            let nothing = Circumstances::Nothing;
            let (principal, resource, circumstances) = match action {
                WorkflowAction::CreateAccessRequest => (engineer, Resource::SupportRequest(&support_request),
                    Circumstances::Create { resource_tenant: &home, registered: flag }),
                WorkflowAction::ViewAccessRequest | WorkflowAction::CancelAccessRequest =>
                    (engineer, Resource::AccessRequest(&request, &support_request), nothing),
                WorkflowAction::ViewSupportRequest =>
                    (if flag { engineer } else { service }, Resource::SupportRequest(&support_request), nothing),
                WorkflowAction::ApproveConsent | WorkflowAction::RejectConsent | WorkflowAction::NarrowConsent
                | WorkflowAction::RevokeConsent | WorkflowAction::ViewConsent => (user, about_consent, nothing),
                WorkflowAction::ViewApprovedAccess => (user, about_consent, Circumstances::ViewApproved { now }),
                WorkflowAction::ListConsents => (user, Resource::Tenant(&tenant), nothing),
                WorkflowAction::ReadAuditLog => (user, Resource::AuditLog(&tenant), nothing),
                WorkflowAction::Evaluate => (if flag { user } else { service },
                    Resource::Endpoint(EndpointName::Decisions), Circumstances::Evaluate { about_self: flag }),
                WorkflowAction::EvaluateAsEngineer => (
                    engineer,
                    Resource::Endpoint(EndpointName::Decisions),
                    Circumstances::Evaluate { about_self: flag },
                ),
                WorkflowAction::ManageSupportRequests | WorkflowAction::RegisterTenant =>
                    (service, Resource::Endpoint(EndpointName::Ticketing), nothing),
                WorkflowAction::ListOwnRequests => (engineer, Resource::Endpoint(EndpointName::Requests), nothing),
            };
            let action = bundle.workflow_action(action);
            assert_same(bundle, &Question { principal, action, resource, circumstances });
        });
    }
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
    assert!(by_authorizer(&bundle, &question).0, "Cedar itself allows: the trap is real");
    assert!(!verdict.allowed);
    assert_eq!(verdict.failed[0].0, "x");
}
