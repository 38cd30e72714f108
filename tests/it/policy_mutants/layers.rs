//! What the rules say of every question, told without Cedar, and in layers that keep them without each other: what the
//! permits alone permit, without a forbid beside them; what the forbids alone deny, and of these the guardrails, whatever
//! is permitted.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the actions that are not named are those of which nothing more is asked"
)]

use consentry::model::{Category, ConsentFacts, ConsentStatus, Part, PersonId, SubmittedIn};
use consentry::policy::{Bundle, EndpointName, WorkflowAction};

use super::questions::{Asked, NOW, Read, What, Who, Workflow, roles_of};
use super::shipped::Layer;

/// The first question that a layer answers otherwise than the rules do.
pub fn differs<'a>(layer: Layer, bundle: &Bundle, questions: impl IntoIterator<Item = &'a Asked>) -> Option<&'a Asked> {
    questions.into_iter().find(|asked| {
        let allowed = match (layer, asked) {
            (Layer::All, Asked::Read(read)) => may_read(read) && !is_forbidden_read(read),
            (Layer::All, Asked::Workflow(asked)) => may(asked) && !is_forbidden(asked),
            (Layer::PermitsAlone, Asked::Read(read)) => may_read(read),
            (Layer::PermitsAlone, Asked::Workflow(asked)) => may(asked),
            (Layer::ForbidsAlone, Asked::Read(read)) => !is_forbidden_read(read),
            (Layer::ForbidsAlone, Asked::Workflow(asked)) => !is_forbidden(asked),
            (Layer::GuardrailsAlone, Asked::Read(read)) => !is_guarded_read(read),
            (Layer::GuardrailsAlone, Asked::Workflow(asked)) => !is_guarded(asked),
        };
        asked.of(bundle).allowed != allowed
    })
}

/// R1-R8. End times and categories (R9) are kept by forbids alone.
fn may_read(read: &Read) -> bool {
    let Some(case) = read.case.as_ref().filter(|_| !writes(read.verb)) else { return false };
    let assigned = case.assignee.as_ref().is_some_and(|person| person.as_str() == "vendor/ada");
    let of_case = case.tenant.as_str() == read.of;
    let granted =
        read.access.as_ref().filter(|access| access.resource_tenant.as_str() == read.of).is_some_and(|access| {
            let approved = access.resource_tenant_consent.status == ConsentStatus::Approved;
            let other = access.support_request_tenant.as_ref();
            approved && (of_case || other.is_some_and(|consent| consent.status == ConsentStatus::Approved))
        });
    let in_admin_center = case.submitted_in == SubmittedIn::AdminCenter;
    case.open && assigned && if of_case && in_admin_center { case.advanced_diagnostic_information } else { granted }
}

/// R1-R4, R6, R8: what no consent and no setting can open.
fn is_guarded_read(read: &Read) -> bool {
    let Some(case) = &read.case else { return true };
    let assigned = case.assignee.as_ref().is_some_and(|person| person.as_str() == "vendor/ada");
    let asked_for = read.access.as_ref().is_some_and(|access| access.resource_tenant.as_str() == read.of);
    writes(read.verb) || !case.open || !assigned || (case.tenant.as_str() != read.of && !asked_for)
}

/// And R5, R6, R7, R9: what the tenants have not given, or have taken away.
fn is_forbidden_read(read: &Read) -> bool {
    let of_case = read.case.as_ref().filter(|case| case.tenant.as_str() == read.of);
    let not_given = of_case.is_some_and(|case| match case.submitted_in {
        SubmittedIn::AdminCenter => !case.advanced_diagnostic_information,
        SubmittedIn::OtherPortal => read.access.is_none(),
    });
    let counts = |consent: &ConsentFacts| {
        let in_time = consent.scope.until.is_none_or(|until| until.as_millis() > NOW);
        consent.status == ConsentStatus::Approved && in_time && consent.scope.categories.contains(Category::SignInLogs)
    };
    let not_granted = read.access.as_ref().is_some_and(|access| !access.consents().all(counts));
    let reads = !writes(read.verb);
    is_guarded_read(read) || (reads && (not_given || not_granted))
}

fn writes(verb: &str) -> bool {
    ["write", "create", "update", "delete"].contains(&verb)
}

/// R10-R13, R16, R18, R20, R21, and who uses which part of the service.
fn may(asked: &Workflow) -> bool {
    match (&asked.who, &asked.what) {
        (Who::User { person, role }, what) => {
            let home = person.tenant();
            let administers = is_administrator(*role);
            match what {
                What::Consent(request, _) => {
                    let consent = &request.resource_tenant_consent;
                    let in_force = consent.part != Part::SupportRequestTenant;
                    let own = administers && consent.tenant.as_str() == home;
                    let listed = consent.listed_until().is_none_or(|until| until.as_millis() > NOW);
                    own && match asked.action {
                        WorkflowAction::NarrowConsent | WorkflowAction::RevokeConsent => in_force,
                        WorkflowAction::ViewApprovedAccess => {
                            in_force && consent.status != ConsentStatus::Pending && listed
                        }
                        _ => true,
                    }
                }
                What::Tenant(tenant) => administers && tenant.as_str() == home,
                What::AuditLog(tenant) => reads_logs(*role) && tenant.as_str() == home,
                What::Endpoint(EndpointName::Decisions) => asked.action == WorkflowAction::Evaluate && asked.flag,
                What::SupportRequest(_) | What::AccessRequest(..) | What::Endpoint(_) => false,
            }
        }
        (Who::Engineer { person, app_role, .. }, what) => {
            let holds = |role| roles_of(*app_role).any(|held| held == role);
            let is_me = |other: &PersonId| other == person;
            match what {
                What::SupportRequest(case) => {
                    let may_ask = asked.action != WorkflowAction::CreateAccessRequest || case.open;
                    case.assignee.as_ref().is_some_and(is_me) && may_ask
                }
                What::AccessRequest(request, case) => {
                    is_me(&request.requested_by) || case.assignee.as_ref().is_some_and(is_me)
                }
                What::Endpoint(endpoint) if asked.action == WorkflowAction::ExplainDecisions => {
                    holds("Decisions.Explain") && *endpoint == EndpointName::Explanations
                }
                What::Endpoint(endpoint) => {
                    holds("SupportEngineer")
                        && match asked.action {
                            WorkflowAction::ListOwnRequests => *endpoint == EndpointName::Requests,
                            _ => *endpoint == EndpointName::Decisions && asked.flag,
                        }
                }
                What::Consent(..) | What::AuditLog(_) | What::Tenant(_) => false,
            }
        }
        (Who::Service { name, app_role, .. }, what) => match (asked.action, what) {
            (WorkflowAction::Evaluate, What::Endpoint(EndpointName::Decisions)) => {
                !name.contains('/') || *app_role == Some("Decisions.Evaluate")
            }
            (WorkflowAction::ManageSupportRequests | WorkflowAction::RegisterTenant, What::Endpoint(endpoint)) => {
                *endpoint == EndpointName::Ticketing && *app_role == Some("SupportRequests.Manage")
            }
            (WorkflowAction::ViewSupportRequest, _) => *app_role == Some("SupportRequests.Manage"),
            _ => false,
        },
    }
}

/// R11, R13, R17, R19, R21, and that only the vendor's directory speaks for the vendor's people and programs.
fn is_guarded(asked: &Workflow) -> bool {
    match (&asked.who, &asked.what) {
        (Who::User { person, role }, What::Consent(request, case)) => {
            let consent = &request.resource_tenant_consent;
            let gains = request.requested_by == *person || case.assignee.as_ref() == Some(person);
            let taken_away_elsewhere = consent.part == Part::SupportRequestTenant;
            let by_action = match asked.action {
                WorkflowAction::ApproveConsent => gains,
                WorkflowAction::NarrowConsent | WorkflowAction::RevokeConsent | WorkflowAction::ViewApprovedAccess => {
                    taken_away_elsewhere
                }
                _ => false,
            };
            consent.tenant.as_str() != person.tenant() || !is_administrator(*role) || by_action
        }
        (Who::User { person, .. }, What::AuditLog(tenant)) => tenant.as_str() != person.tenant(),
        (Who::User { .. }, _) => false,
        (Who::Engineer { vendor, app_role, .. }, _) => {
            let holds = |role| roles_of(*app_role).any(|held| held == role);
            let is_engineer = holds("SupportEngineer");
            let is_their_part = match asked.action {
                WorkflowAction::ExplainDecisions => holds("Decisions.Explain") && !is_engineer,
                _ => is_engineer,
            };
            !vendor || !is_their_part
        }
        (Who::Service { vendor, .. }, _) => !vendor,
    }
}

/// And R5, R10, R11, R18, R20, R21: what is refused with a word that helps.
fn is_forbidden(asked: &Workflow) -> bool {
    let refused = match (&asked.who, &asked.what) {
        (Who::User { role, .. }, What::AuditLog(_)) => !reads_logs(*role),
        (Who::User { role, .. }, What::Tenant(_)) => !is_administrator(*role),
        (Who::User { .. }, What::Endpoint(EndpointName::Decisions)) => !asked.flag,
        (Who::Engineer { .. }, What::Endpoint(EndpointName::Decisions)) => {
            asked.action == WorkflowAction::EvaluateAsEngineer && !asked.flag
        }
        (Who::Engineer { person, .. }, What::SupportRequest(case)) => {
            let setting_decides = case.tenant.as_str() == "fabrikam" && case.submitted_in == SubmittedIn::AdminCenter;
            asked.action == WorkflowAction::CreateAccessRequest
                && (case.assignee.as_ref() != Some(person) || !case.open || !asked.flag || setting_decides)
        }
        _ => false,
    };
    refused || is_guarded(asked)
}

fn is_administrator(role: Option<&str>) -> bool {
    matches!(role, Some("Global Administrator" | "Service Support Administrator" | "Security Administrator"))
}

fn reads_logs(role: Option<&str>) -> bool {
    matches!(role, Some("Reports Reader" | "Security Reader" | "Security Administrator" | "Global Administrator"))
}
