//! Random facts and random questions, drawn so that each policy has something to say.

use super::super::*;
use crate::model::{
    AccessFacts, AccessRequest, AppRole, CaseFacts, Category, CategorySet, Consent, ConsentFacts, ConsentStatus, Part,
    PersonId, RoleId, Scope, SubmittedIn, SupportRequest, TenantId, Timestamp,
};

const TENANTS: [&str; 3] = ["contoso", "fabrikam", "vendor"];
const PEOPLE: [&str; 4] = ["vendor/ada", "vendor/bob", "contoso/cyd", "fabrikam/dee"];
const VERBS: [&str; 8] = ["read", "list", "search", "download", "write", "create", "update", "delete"];
const ROLES: [&str; 5] =
    ["Global Administrator", "Reports Reader", "Security Reader", "Security Administrator", "Global Reader"];
const APP_ROLES: [&str; 5] =
    ["SupportEngineer", "Decisions.Evaluate", "Decisions.Explain", "SupportRequests.Manage", "Other"];
const SERVICES: [&str; 3] = ["unix-socket", "insecure-loopback", "vendor/tooling"];
const STATUSES: [ConsentStatus; 6] = [
    ConsentStatus::Pending,
    ConsentStatus::Approved,
    ConsentStatus::Rejected,
    ConsentStatus::Revoked,
    ConsentStatus::Completed,
    ConsentStatus::Canceled,
];

fn one<T: Copy>(rng: &mut fastrand::Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())]
}

fn rarely(rng: &mut fastrand::Rng) -> bool {
    rng.u8(..8) == 0
}

fn tenant(rng: &mut fastrand::Rng) -> TenantId {
    one(rng, &TENANTS).parse().unwrap()
}

fn person(rng: &mut fastrand::Rng) -> PersonId {
    one(rng, &PEOPLE).parse().unwrap()
}

fn status(rng: &mut fastrand::Rng) -> ConsentStatus {
    if rng.bool() { ConsentStatus::Approved } else { one(rng, &STATUSES) }
}

fn scope(rng: &mut fastrand::Rng) -> Scope {
    let some = Category::ALL.into_iter().filter(|_| rng.bool()).collect();
    Scope {
        categories: if rng.u8(..3) == 0 { some } else { CategorySet::ALL },
        until: (rng.u8(..3) == 0).then(|| Timestamp::from_millis(rng.i64(0..20))),
    }
}

fn consent_facts(rng: &mut fastrand::Rng) -> ConsentFacts {
    ConsentFacts { id: "c".parse().unwrap(), status: status(rng), scope: scope(rng), receipt: None }
}

fn access_facts(rng: &mut fastrand::Rng) -> AccessFacts {
    AccessFacts {
        id: "a".parse().unwrap(),
        resource_tenant: tenant(rng),
        created_at: Timestamp::from_millis(1),
        support_request_tenant: (!rarely(rng)).then(|| consent_facts(rng)),
        resource_tenant_consent: consent_facts(rng),
    }
}

fn case_facts(rng: &mut fastrand::Rng, engineer: &str) -> CaseFacts {
    let assignee =
        if rarely(rng) { None } else { Some(if rarely(rng) { person(rng) } else { engineer.parse().unwrap() }) };
    let facts = CaseFacts {
        tenant: tenant(rng),
        open: !rarely(rng),
        assignee,
        submitted_in: if rng.bool() { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
        advanced_diagnostic_information: rng.bool(),
        access_requests: Box::default(),
    };
    (0..rng.usize(..4)).fold(facts, |facts, _| facts.with_access_request(access_facts(rng)))
}

/// What a question is asked about.
#[derive(Debug)]
pub(super) struct Facts {
    caller: PersonId,
    home: TenantId,
    tenant: TenantId,
    roles: Vec<RoleId>,
    app_roles: Vec<AppRole>,
    vendor: bool,
    case: Option<CaseFacts>,
    stray: AccessFacts,
    support_request: SupportRequest,
    request: AccessRequest,
    consent: Consent,
}

impl Facts {
    pub(super) fn random(rng: &mut fastrand::Rng, bundle: &Bundle) -> Self {
        let caller = person(rng);
        // Often the caller's own.
        let home: TenantId = caller.tenant().parse().unwrap();
        let tenant = if rng.bool() { home.clone() } else { tenant(rng) };
        let mut roles: Vec<RoleId> = Vec::new();
        for _ in 0..rng.usize(..3) {
            roles.push(bundle.roles().by_name(one(rng, &ROLES)).unwrap().clone());
        }
        if rarely(rng) {
            roles.push(RoleId::new("made-up").unwrap());
        }
        let app_roles = (0..rng.usize(..3)).map(|_| one(rng, &APP_ROLES).parse().unwrap()).collect();
        let case = (!rarely(rng)).then(|| case_facts(rng, caller.as_str()));
        let support_request = SupportRequest {
            id: "s".parse().unwrap(),
            number: String::new(),
            summary: String::new(),
            tenant: tenant.clone(),
            submitted_in: if rng.bool() { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
            advanced_diagnostic_information: rng.bool(),
            assignee: (!rarely(rng)).then(|| if rng.bool() { caller.clone() } else { person(rng) }),
            open: !rarely(rng),
            opened_at: Timestamp::from_millis(0),
            closed_at: None,
            version: 1,
        };
        let part = one(rng, &[Part::SupportRequestTenant, Part::ResourceTenant, Part::Only]);
        let mut consent = Consent::pending("c".parse().unwrap(), tenant.clone(), part);
        consent.status = status(rng);
        consent.scope.until = rng.bool().then(|| Timestamp::from_millis(rng.i64(0..5_000_000_000)));
        consent.ended_at = consent.status.is_final().then(|| Timestamp::from_millis(rng.i64(0..5_000_000_000)));
        let request = AccessRequest {
            id: "a".parse().unwrap(),
            support_request: "s".parse().unwrap(),
            resource_tenant: tenant.clone(),
            requested_by: if rng.bool() { caller.clone() } else { person(rng) },
            reason: String::new(),
            created_at: Timestamp::from_millis(0),
            resource_tenant_consent: consent.clone(),
            task: None,
            support_request_tenant_consent: None,
        };
        let (vendor, stray) = (!rarely(rng), access_facts(rng));
        Self { caller, home, tenant, roles, app_roles, vendor, case, stray, support_request, request, consent }
    }

    /// A question about a read, as often as one of all the workflow's together.
    pub(super) fn question(&self, rng: &mut fastrand::Rng, bundle: &Bundle, ask: impl FnOnce(&Question<'_>)) {
        if rng.bool() { self.read(rng, bundle, ask) } else { self.workflow(rng, bundle, ask) }
    }

    fn read(&self, rng: &mut fastrand::Rng, bundle: &Bundle, ask: impl FnOnce(&Question<'_>)) {
        let case = self.case.as_ref();
        // Often a tenant that the case has to do with.
        let known =
            case.map(|case| case.access_requests.first().map_or(&case.tenant, |request| &request.resource_tenant));
        let tenant = if rng.bool() { known.map(TenantId::as_str) } else { None };
        let tenant = tenant.unwrap_or(one(rng, &TENANTS));
        let category = one(rng, &Category::ALL);
        let id = format!("{tenant}/{category}");
        let found = case.and_then(|case| case.access_request_for(tenant));
        // Facts that do not fit together are denied by policy, and not by luck.
        let access_request = if rarely(rng) { Some(&self.stray) } else { found };
        let verb = if rng.u8(..4) == 0 { one(rng, &VERBS) } else { one(rng, &VERBS[..4]) };
        ask(&Question {
            principal: Principal::Engineer(self.caller.as_str()),
            action: bundle.action(verb).unwrap(),
            resource: Resource::DiagnosticData { id: &id, tenant, category },
            circumstances: Circumstances::Read {
                facts: ReadFacts { case, access_request },
                now: Timestamp::from_millis(rng.i64(0..20)),
            },
        });
    }

    fn workflow(&self, rng: &mut fastrand::Rng, bundle: &Bundle, ask: impl FnOnce(&Question<'_>)) {
        let action = one(rng, &WorkflowAction::ALL);
        let circumstances = if action == WorkflowAction::CreateAccessRequest {
            let resource_tenant = if rng.bool() { &self.home } else { &self.tenant };
            Circumstances::Create { resource_tenant, registered: !rarely(rng) }
        } else if [WorkflowAction::Evaluate, WorkflowAction::EvaluateAsEngineer].contains(&action) {
            Circumstances::Evaluate { about_self: rng.bool() }
        } else {
            Circumstances::of(action, Timestamp::from_millis(rng.i64(0..8_000_000_000)))
        };
        ask(&Question {
            principal: self.principal(rng, action),
            action: bundle.workflow_action(action),
            resource: self.resource(rng, action),
            circumstances,
        });
    }

    /// Mostly of a kind that the action is asked by.
    fn principal(&self, rng: &mut fastrand::Rng, action: WorkflowAction) -> Principal<'_> {
        let kind = if rarely(rng) {
            rng.u8(..3)
        } else if action == WorkflowAction::ViewSupportRequest {
            rng.u8(..2)
        } else if action == WorkflowAction::Evaluate {
            rng.u8(1..3)
        } else if [WorkflowAction::ManageSupportRequests, WorkflowAction::RegisterTenant].contains(&action) {
            1
        } else if action.is_engineers() {
            0
        } else {
            2
        };
        match kind {
            0 => Principal::EngineerCaller { person: &self.caller, vendor: self.vendor, app_roles: &self.app_roles },
            1 => Principal::Service { name: one(rng, &SERVICES), vendor: self.vendor, app_roles: &self.app_roles },
            _ => Principal::User { person: &self.caller, tenant: &self.home, roles: &self.roles },
        }
    }

    fn resource(&self, rng: &mut fastrand::Rng, action: WorkflowAction) -> Resource<'_> {
        let consent = Resource::Consent(&self.consent, &self.request, &self.support_request);
        match action {
            _ if rarely(rng) => one(rng, &[consent, Resource::Tenant(&self.tenant), Resource::AuditLog(&self.tenant)]),
            WorkflowAction::CreateAccessRequest | WorkflowAction::ViewSupportRequest => {
                Resource::SupportRequest(&self.support_request)
            }
            WorkflowAction::ViewAccessRequest | WorkflowAction::CancelAccessRequest => {
                Resource::AccessRequest(&self.request, &self.support_request)
            }
            WorkflowAction::ApproveConsent
            | WorkflowAction::RejectConsent
            | WorkflowAction::NarrowConsent
            | WorkflowAction::RevokeConsent
            | WorkflowAction::ViewConsent
            | WorkflowAction::ViewApprovedAccess => consent,
            WorkflowAction::ListConsents => Resource::Tenant(&self.tenant),
            WorkflowAction::ReadAuditLog => Resource::AuditLog(&self.tenant),
            WorkflowAction::Evaluate | WorkflowAction::EvaluateAsEngineer => {
                Resource::Endpoint(EndpointName::Decisions)
            }
            WorkflowAction::ManageSupportRequests | WorkflowAction::RegisterTenant => {
                Resource::Endpoint(EndpointName::Ticketing)
            }
            WorkflowAction::ListOwnRequests => Resource::Endpoint(EndpointName::Requests),
            WorkflowAction::ExplainDecisions => Resource::Endpoint(EndpointName::Explanations),
        }
    }
}
