//! Questions put to a bundle itself: who, what, about what and on which facts, in every combination that a policy could
//! tell apart. Facts that contradict each other are among them: a policy must not rely on another room's care.

#![expect(clippy::wildcard_enum_match_arm, reason = "the actions that are not named have nothing of their own")]

use consentry::model::{
    AccessFacts, AccessRequest, AppRole, CaseFacts, Category, CategorySet, Consent, ConsentFacts, ConsentStatus, Part,
    PersonId, RoleId, Scope, SubmittedIn, SupportRequest, TenantId, Timestamp,
};
use consentry::policy::{
    Bundle, Circumstances, EndpointName, PolicyInfo, Principal, Question, ReadFacts, Resource, Verdict, WorkflowAction,
};

use super::shipped::Kind;

/// The time at which everything is asked, in milliseconds.
pub const NOW: i64 = 10_000_000_000;

/// A question.
#[derive(Debug, Clone)]
pub enum Asked {
    Read(Box<Read>),
    Workflow(Box<Workflow>),
}

/// Ada does this with contoso's or fabrikam's sign-in logs. What is `case` and what `access` is for the test to combine.
#[derive(Debug, Clone)]
pub struct Read {
    pub verb: &'static str,
    pub of: &'static str,
    pub case: Option<CaseFacts>,
    pub access: Option<AccessFacts>,
}

/// Somebody does this with that.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub action: WorkflowAction,
    pub who: Who,
    pub what: What,
    /// Whether the tenant is registered, or the question about the caller.
    pub flag: bool,
}

#[derive(Debug, Clone)]
pub enum Who {
    /// With a directory role, by name.
    User {
        person: PersonId,
        role: Option<&'static str>,
    },
    Engineer {
        person: PersonId,
        vendor: bool,
        app_role: Option<&'static str>,
    },
    Service {
        name: &'static str,
        vendor: bool,
        app_role: Option<&'static str>,
    },
}

#[derive(Debug, Clone)]
pub enum What {
    SupportRequest(SupportRequest),
    AccessRequest(AccessRequest, SupportRequest),
    Consent(AccessRequest, SupportRequest),
    AuditLog(TenantId),
    Tenant(TenantId),
    Endpoint(EndpointName),
}

impl Asked {
    /// What the bundle answers.
    pub fn of(&self, bundle: &Bundle) -> Verdict {
        match self {
            Self::Read(read) => read.of(bundle),
            Self::Workflow(asked) => asked.of(bundle),
        }
    }

    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        let (principal, action, resource) = match self {
            Self::Read(read) => ("SupportEngineer", read.verb, "DiagnosticData"),
            Self::Workflow(asked) => {
                let Workflow { action, who, what, .. } = asked.as_ref();
                let who = match who {
                    Who::User { .. } => "User",
                    Who::Engineer { .. } => "SupportEngineer",
                    Who::Service { .. } => "Service",
                };
                let what = match what {
                    What::SupportRequest(_) => "SupportRequest",
                    What::AccessRequest(..) => "AccessRequest",
                    What::Consent(..) => "Consent",
                    What::AuditLog(_) => "AuditLog",
                    What::Tenant(_) => "Tenant",
                    What::Endpoint(_) => "Endpoint",
                };
                (who, action.as_str(), what)
            }
        };
        (principal.to_owned(), action.to_owned(), resource.to_owned())
    }

    /// Whether two bundles answer differently: another decision, or by policies that say something else.
    pub fn tells_apart(&self, one: &Bundle, other: &Bundle) -> bool {
        let answer = |bundle: &Bundle| {
            let verdict = self.of(bundle);
            let told = |policy: &PolicyInfo| {
                (policy.id.clone(), policy.effect, policy.code.clone(), policy.missing.clone(), policy.alone)
            };
            let by: Vec<_> = verdict.determining(bundle).map(told).collect();
            (verdict.allowed, by, verdict.failed)
        };
        answer(one) != answer(other)
    }
}

impl Read {
    fn of(&self, bundle: &Bundle) -> Verdict {
        let id = format!("{}/signInLogs", self.of);
        bundle.evaluate(&Question {
            principal: Principal::Engineer("vendor/ada"),
            action: bundle.action(self.verb).unwrap(),
            resource: Resource::DiagnosticData { id: &id, tenant: self.of, category: Category::SignInLogs },
            circumstances: Circumstances::Read {
                facts: ReadFacts { case: self.case.as_ref(), access_request: self.access.as_ref() },
                now: Timestamp::from_millis(NOW),
            },
        })
    }
}

impl Workflow {
    fn of(&self, bundle: &Bundle) -> Verdict {
        let roles: Vec<RoleId>;
        let app_roles: Vec<AppRole>;
        let tenant: TenantId;
        let principal = match &self.who {
            Who::User { person, role } => {
                roles = role.iter().map(|name| bundle.roles().by_name(name).unwrap().clone()).collect();
                tenant = person.tenant().parse().unwrap();
                Principal::User { person, tenant: &tenant, roles: &roles }
            }
            Who::Engineer { person, vendor, app_role } => {
                app_roles = roles_of(*app_role).map(|role| role.parse().unwrap()).collect();
                Principal::EngineerCaller { person, vendor: *vendor, app_roles: &app_roles }
            }
            Who::Service { name, vendor, app_role } => {
                app_roles = roles_of(*app_role).map(|role| role.parse().unwrap()).collect();
                Principal::Service { name, vendor: *vendor, app_roles: &app_roles }
            }
        };
        let resource = match &self.what {
            What::SupportRequest(request) => Resource::SupportRequest(request),
            What::AccessRequest(request, case) => Resource::AccessRequest(request, case),
            What::Consent(request, case) => Resource::Consent(&request.resource_tenant_consent, request, case),
            What::AuditLog(tenant) => Resource::AuditLog(tenant),
            What::Tenant(tenant) => Resource::Tenant(tenant),
            What::Endpoint(endpoint) => Resource::Endpoint(*endpoint),
        };
        let fabrikam: TenantId = "fabrikam".parse().unwrap();
        let circumstances = match self.action {
            WorkflowAction::CreateAccessRequest => {
                Circumstances::Create { resource_tenant: &fabrikam, registered: self.flag }
            }
            WorkflowAction::Evaluate | WorkflowAction::EvaluateAsEngineer => {
                Circumstances::Evaluate { about_self: self.flag }
            }
            action => Circumstances::of(action, Timestamp::from_millis(NOW)),
        };
        let action = bundle.workflow_action(self.action);
        bundle.evaluate(&Question { principal, action, resource, circumstances })
    }
}

/// Every question.
pub fn all() -> Vec<Asked> {
    let reads = reads().into_iter().map(|read| Asked::Read(Box::new(read)));
    reads.chain(workflow().into_iter().map(|asked| Asked::Workflow(Box::new(asked)))).collect()
}

/// Every read: all states of the support request beside the plain states of its access request, and all states of the
/// access request under a support request that stands in no way.
fn reads() -> Vec<Read> {
    let mut found = Vec::new();
    let plain: Vec<_> = consents()
        .into_iter()
        .filter(|(status, scope)| {
            *scope == Scope::WHOLE
                && matches!(status, ConsentStatus::Pending | ConsentStatus::Approved | ConsentStatus::Completed)
        })
        .collect();
    for of in ["contoso", "fabrikam"] {
        for verb in ["read", "list", "search", "download", "write", "create", "update", "delete"] {
            found.push(Read { verb, of, case: None, access: None });
            found.push(Read { verb, of, case: Some(case("vendor/ada", true, true, true)), access: None });
        }
        for case in cases() {
            for access in accesses(of, &plain) {
                for verb in ["read", "write"] {
                    found.push(read(verb, of, case.clone(), access.clone()));
                }
            }
        }
        for admin_center in [true, false] {
            for access in accesses(of, &consents()) {
                for verb in ["read", "write"] {
                    found.push(read(verb, of, case("vendor/ada", true, admin_center, true), access.clone()));
                }
            }
        }
    }
    found
}

fn read(verb: &'static str, of: &'static str, mut case: CaseFacts, access: Option<AccessFacts>) -> Read {
    if let Some(access) = access.clone() {
        case = case.with_access_request(access);
    }
    Read { verb, of, case: Some(case), access }
}

fn case(assignee: &str, open: bool, admin_center: bool, advanced: bool) -> CaseFacts {
    CaseFacts {
        tenant: "contoso".parse().unwrap(),
        open,
        assignee: assignee.parse().ok(),
        submitted_in: if admin_center { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
        advanced_diagnostic_information: advanced,
        access_requests: Box::default(),
    }
}

/// Every state of contoso's support request, with and without an access request for a third tenant.
fn cases() -> Vec<CaseFacts> {
    let mut found = Vec::new();
    for assignee in ["nobody", "vendor/ada", "vendor/bob"] {
        for bits in 0..16 {
            let bit = |place: u8| bits & (1 << place) != 0;
            let mut case = case(assignee, bit(0), bit(1), bit(2));
            if bit(3) {
                case = case.with_access_request(access("northwind", None, (ConsentStatus::Approved, Scope::WHOLE)));
            }
            found.push(case);
        }
    }
    found
}

/// No access request, or one for this tenant or another one, with consents in every combination of these states.
fn accesses(of: &str, states: &[(ConsentStatus, Scope)]) -> Vec<Option<AccessFacts>> {
    let mut found = vec![None];
    for tenant in [of, "tailspin"] {
        for own in states {
            found.push(Some(access(tenant, None, *own)));
            found.extend(states.iter().map(|other| Some(access(tenant, Some(*other), *own))));
        }
    }
    found
}

/// Every state of a consent: each status, with the whole scope, without the category that is read, and expired.
fn consents() -> Vec<(ConsentStatus, Scope)> {
    let other: CategorySet = [Category::AuditLogs].into_iter().collect();
    let own: CategorySet = [Category::SignInLogs].into_iter().collect();
    let until = |end: i64| Some(Timestamp::from_millis(NOW + end));
    let scopes = [
        Scope::WHOLE,
        Scope { categories: own, until: until(1) },
        Scope { categories: other, until: None },
        Scope { categories: CategorySet::ALL, until: until(0) },
    ];
    statuses().into_iter().flat_map(|status| scopes.map(|scope| (status, scope))).collect()
}

fn statuses() -> [ConsentStatus; 6] {
    use ConsentStatus::{Approved, Canceled, Completed, Pending, Rejected, Revoked};
    [Pending, Approved, Rejected, Revoked, Completed, Canceled]
}

fn access(of: &str, other: Option<(ConsentStatus, Scope)>, own: (ConsentStatus, Scope)) -> AccessFacts {
    let consent = |(status, scope): (ConsentStatus, Scope)| ConsentFacts {
        id: "co-1".parse().unwrap(),
        status,
        scope,
        receipt: None,
    };
    AccessFacts {
        id: format!("ar-{of}").parse().unwrap(),
        resource_tenant: of.parse().unwrap(),
        created_at: Timestamp::from_millis(1),
        support_request_tenant: other.map(consent),
        resource_tenant_consent: consent(own),
    }
}

/// Every question of the workflow that the service could come to ask.
fn workflow() -> Vec<Workflow> {
    let mut found = Vec::new();
    for action in WorkflowAction::ALL {
        for who in askers(action) {
            for what in targets(action) {
                let flags: &[bool] = match action {
                    WorkflowAction::CreateAccessRequest
                    | WorkflowAction::Evaluate
                    | WorkflowAction::EvaluateAsEngineer => &[true, false],
                    _ => &[true],
                };
                let asked = |flag: &bool| Workflow { action, who: who.clone(), what: what.clone(), flag: *flag };
                found.extend(flags.iter().map(asked));
            }
        }
    }
    found
}

/// The app roles of an asker, of whom a few have two.
pub fn roles_of(app_role: Option<&'static str>) -> impl Iterator<Item = &'static str> {
    app_role.into_iter().flat_map(|roles| roles.split(' '))
}

fn askers(action: WorkflowAction) -> Vec<Who> {
    let (engineers, users, services) = match action {
        WorkflowAction::ViewSupportRequest => (true, false, true),
        WorkflowAction::Evaluate => (false, true, true),
        WorkflowAction::ManageSupportRequests | WorkflowAction::RegisterTenant => (false, false, true),
        action => (action.is_engineers(), !action.is_engineers(), false),
    };
    let mut found = Vec::new();
    for vendor in [true, false] {
        for app_role in [
            None,
            Some("SupportEngineer"),
            Some("Decisions.Evaluate"),
            Some("Decisions.Explain"),
            Some("Decisions.Explain SupportEngineer"),
            Some("SupportRequests.Manage"),
        ] {
            if engineers {
                found.push(Who::Engineer { person: "vendor/eva".parse().unwrap(), vendor, app_role });
            }
            for name in ["vendor/tool", "unix-socket", "insecure-loopback"].into_iter().filter(|_| services) {
                found.push(Who::Service { name, vendor, app_role });
            }
        }
    }
    for person in ["contoso/cyd", "vendor/eva"].into_iter().filter(|_| users) {
        for role in [
            None,
            Some("Global Administrator"),
            Some("Service Support Administrator"),
            Some("Reports Reader"),
            Some("Security Reader"),
            Some("Security Administrator"),
            Some("Directory Readers"),
        ] {
            found.push(Who::User { person: person.parse().unwrap(), role });
        }
    }
    found
}

fn targets(action: WorkflowAction) -> Vec<What> {
    let tenants = ["contoso", "vendor"].map(|tenant| tenant.parse::<TenantId>().unwrap());
    match action {
        WorkflowAction::CreateAccessRequest | WorkflowAction::ViewSupportRequest => {
            support_requests().into_iter().map(What::SupportRequest).collect()
        }
        WorkflowAction::ViewAccessRequest | WorkflowAction::CancelAccessRequest => asked_by()
            .flat_map(|by| {
                support_requests().into_iter().map(move |case| What::AccessRequest(request(by, &case), case))
            })
            .collect(),
        WorkflowAction::ApproveConsent
        | WorkflowAction::RejectConsent
        | WorkflowAction::NarrowConsent
        | WorkflowAction::RevokeConsent
        | WorkflowAction::ViewConsent
        | WorkflowAction::ViewApprovedAccess => consent_targets(),
        WorkflowAction::ReadAuditLog => tenants.map(What::AuditLog).into(),
        WorkflowAction::ListConsents => tenants.map(What::Tenant).into(),
        WorkflowAction::Evaluate
        | WorkflowAction::EvaluateAsEngineer
        | WorkflowAction::ManageSupportRequests
        | WorkflowAction::RegisterTenant
        | WorkflowAction::ListOwnRequests
        | WorkflowAction::ExplainDecisions => EndpointName::ALL.map(What::Endpoint).into(),
    }
}

fn asked_by() -> impl Iterator<Item = &'static str> {
    ["vendor/eva", "vendor/bob"].into_iter()
}

fn support_requests() -> Vec<SupportRequest> {
    let mut found = Vec::new();
    for assignee in ["nobody", "vendor/eva", "vendor/bob"] {
        for tenant in ["contoso", "fabrikam"] {
            for (open, admin_center) in [(true, true), (true, false), (false, true), (false, false)] {
                found.push(support_request(assignee, tenant, open, admin_center));
            }
        }
    }
    found
}

fn support_request(assignee: &str, tenant: &str, open: bool, admin_center: bool) -> SupportRequest {
    SupportRequest {
        id: "SR-1".parse().unwrap(),
        number: String::new(),
        summary: String::new(),
        tenant: tenant.parse().unwrap(),
        submitted_in: if admin_center { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
        advanced_diagnostic_information: false,
        assignee: assignee.parse().ok(),
        open,
        opened_at: Timestamp::from_millis(0),
        closed_at: None,
        version: 1,
    }
}

fn request(by: &str, case: &SupportRequest) -> AccessRequest {
    AccessRequest {
        id: "ar-1".parse().unwrap(),
        support_request: case.id.clone(),
        resource_tenant: "fabrikam".parse().unwrap(),
        requested_by: by.parse().unwrap(),
        reason: String::new(),
        created_at: Timestamp::from_millis(0),
        resource_tenant_consent: Consent::pending(
            "co-1".parse().unwrap(),
            "fabrikam".parse().unwrap(),
            Part::ResourceTenant,
        ),
        task: None,
        support_request_tenant_consent: None,
    }
}

/// Consents of two tenants: every part, every status, asked for by one of two and assigned to nobody or one of two;
/// listed for ever, until a moment from now, until now.
fn consent_targets() -> Vec<What> {
    let mut found = Vec::new();
    let listed = consentry::model::LISTED_AFTER_END_MS;
    for by in asked_by() {
        for assignee in ["nobody", "vendor/eva", "vendor/bob"] {
            let case = support_request(assignee, "contoso", true, true);
            for tenant in ["contoso", "vendor"] {
                for part in [Part::SupportRequestTenant, Part::ResourceTenant, Part::Only] {
                    for status in [ConsentStatus::Pending, ConsentStatus::Approved, ConsentStatus::Rejected] {
                        for until in [None, Some(NOW - listed + 1), Some(NOW - listed)] {
                            let mut request = request(by, &case);
                            let consent = &mut request.resource_tenant_consent;
                            (consent.tenant, consent.part, consent.status) = (tenant.parse().unwrap(), part, status);
                            consent.scope.until = until.map(Timestamp::from_millis);
                            found.push(What::Consent(request, case.clone()));
                        }
                    }
                }
            }
        }
    }
    found
}
