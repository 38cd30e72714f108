//! The oracle: the same question asked of Cedar's own `Authorizer` over the whole policy set, with request and entities
//! built anew from the facts through Cedar's public API and checked against the schema.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression, Schema,
};

use super::super::*;
use crate::model::{AccessFacts, AppRole, CaseFacts, CategorySet, ConsentFacts, PersonId, SubmittedIn, Timestamp};

const PERMISSION: &str = "microsoft.azure.supportTickets/allEntities/allTasks";

/// An answer in words: allowed, by which policies, and which of them failed how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) allowed: bool,
    pub(super) determining: Vec<String>,
    pub(super) failed: Vec<(String, String)>,
}

type Fields = HashMap<String, RestrictedExpression>;

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).unwrap(), EntityId::new(id))
}

fn reference(kind: &str, id: &str) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid(kind, id))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn fields<const N: usize>(fields: [(&str, RestrictedExpression); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn record(fields: Fields) -> RestrictedExpression {
    RestrictedExpression::new_record(fields).unwrap()
}

fn assign(fields: &mut Fields, assignee: Option<&PersonId>) {
    fields.extend(assignee.map(|person| ("assignee".to_owned(), reference("SupportEngineer", person.as_str()))));
}

/// What Cedar answers; none: the schema knows no such question.
pub(super) fn authorizer(bundle: &Bundle, schema: &Schema, question: &Question<'_>) -> Option<Plain> {
    let mut entities = Vec::new();
    let principal = principal(bundle, &question.principal, &mut entities);
    let resource = resource(&question.resource, &mut entities);
    let action = uid("Action", bundle.name_of(question.action));
    let context = Context::from_pairs(context(&question.circumstances)).unwrap();
    let request = Request::new(principal, action, resource, context, Some(schema)).ok()?;
    let entities = Entities::from_entities(entities, Some(schema)).unwrap();
    let response = Authorizer::new().is_authorized(&request, bundle.policy_set(), &entities);
    let mut determining: Vec<_> = response.diagnostics().reason().map(ToString::to_string).collect();
    determining.sort();
    let mut failed: Vec<_> = response
        .diagnostics()
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| {
            (error.policy_id().to_string(), error.inner().to_string())
        })
        .collect();
    failed.sort();
    Some(Plain { allowed: response.decision() == Decision::Allow, determining, failed })
}

fn principal(bundle: &Bundle, principal: &Principal<'_>, entities: &mut Vec<Entity>) -> EntityUid {
    let vendors = |vendor| fields([("vendor", RestrictedExpression::new_bool(vendor))]);
    let groups = |roles: &[AppRole]| roles.iter().map(|role| uid("AppRole", role.as_str())).collect::<HashSet<_>>();
    let (name, attributes, parents) = match *principal {
        Principal::Engineer(person) => (uid("SupportEngineer", person), Fields::new(), HashSet::new()),
        Principal::EngineerCaller { person, vendor, app_roles } => {
            (uid("SupportEngineer", person.as_str()), vendors(vendor), groups(app_roles))
        }
        Principal::Service { name, vendor, app_roles } => (uid("Service", name), vendors(vendor), groups(app_roles)),
        Principal::User { person, tenant, roles } => {
            let known: HashMap<&str, bool> = bundle.roles().iter().map(|(id, has)| (id.as_str(), has)).collect();
            let held: HashSet<&str> =
                roles.iter().map(crate::model::RoleId::as_str).filter(|id| known.contains_key(id)).collect();
            for role in &held {
                let carries = if known[role] { HashSet::from([uid("Permission", PERMISSION)]) } else { HashSet::new() };
                entities.push(Entity::new(uid("Role", role), HashMap::new(), carries).unwrap());
            }
            let engineer = reference("SupportEngineer", person.as_str());
            let attributes = fields([("tenant", reference("Tenant", tenant.as_str())), ("asEngineer", engineer)]);
            (uid("User", person.as_str()), attributes, held.into_iter().map(|role| uid("Role", role)).collect())
        }
    };
    entities.push(Entity::new(name.clone(), attributes, parents).unwrap());
    name
}

fn resource(resource: &Resource<'_>, entities: &mut Vec<Entity>) -> EntityUid {
    let tenant_of = |tenant: &str| ("tenant", reference("Tenant", tenant));
    let (name, attributes) = match *resource {
        Resource::DiagnosticData { id, tenant, category } => {
            (uid("DiagnosticData", id), fields([tenant_of(tenant), ("category", text(category.as_str()))]))
        }
        Resource::SupportRequest(request) => {
            let center = request.submitted_in == SubmittedIn::AdminCenter;
            let mut attributes = fields([
                tenant_of(request.tenant.as_str()),
                ("open", RestrictedExpression::new_bool(request.open)),
                ("submittedInAdminCenter", RestrictedExpression::new_bool(center)),
            ]);
            assign(&mut attributes, request.assignee.as_ref());
            (uid("SupportRequest", request.id.as_str()), attributes)
        }
        Resource::AccessRequest(request, support_request) => {
            let mut attributes = fields([("requestedBy", reference("SupportEngineer", request.requested_by.as_str()))]);
            assign(&mut attributes, support_request.assignee.as_ref());
            (uid("AccessRequest", request.id.as_str()), attributes)
        }
        Resource::Consent(consent, request, support_request) => {
            let mut attributes = fields([
                tenant_of(consent.tenant.as_str()),
                ("part", text(consent.part.as_str())),
                ("status", text(consent.status.as_str())),
                ("requestedBy", reference("SupportEngineer", request.requested_by.as_str())),
            ]);
            assign(&mut attributes, support_request.assignee.as_ref());
            let until = consent.listed_until().map(|until| RestrictedExpression::new_long(until.as_millis()));
            attributes.extend(until.map(|until| ("listedUntil".to_owned(), until)));
            (uid("Consent", consent.id.as_str()), attributes)
        }
        Resource::AuditLog(tenant) => (uid("AuditLog", tenant.as_str()), fields([tenant_of(tenant.as_str())])),
        Resource::Tenant(tenant) => (uid("Tenant", tenant.as_str()), Fields::new()),
        Resource::Endpoint(endpoint) => (uid("Endpoint", endpoint.as_str()), Fields::new()),
    };
    entities.push(Entity::new(name.clone(), attributes, HashSet::new()).unwrap());
    name
}

fn context(circumstances: &Circumstances<'_>) -> Fields {
    let long = |time: Timestamp| RestrictedExpression::new_long(time.as_millis());
    match *circumstances {
        Circumstances::Nothing => Fields::new(),
        Circumstances::Read { facts, now } => {
            let mut context = fields([("now", long(now))]);
            context.extend(facts.case.map(|facts| ("supportRequest".to_owned(), case(facts))));
            context.extend(facts.access_request.map(|facts| ("accessRequest".to_owned(), access(facts, now))));
            context
        }
        Circumstances::Create { resource_tenant, registered } => fields([
            ("resourceTenant", reference("Tenant", resource_tenant.as_str())),
            ("resourceTenantRegistered", RestrictedExpression::new_bool(registered)),
        ]),
        Circumstances::ViewApproved { now } => fields([("now", long(now))]),
        Circumstances::Evaluate { about_self } => fields([("aboutSelf", RestrictedExpression::new_bool(about_self))]),
    }
}

fn case(facts: &CaseFacts) -> RestrictedExpression {
    let bool = RestrictedExpression::new_bool;
    let mut case = fields([
        ("tenant", reference("Tenant", facts.tenant.as_str())),
        ("open", bool(facts.open)),
        ("submittedInAdminCenter", bool(facts.submitted_in == SubmittedIn::AdminCenter)),
        ("advancedDiagnosticInformation", bool(facts.advanced_diagnostic_information)),
        ("hasAccessRequest", bool(!facts.access_requests.is_empty())),
    ]);
    assign(&mut case, facts.assignee.as_ref());
    record(case)
}

fn access(facts: &AccessFacts, now: Timestamp) -> RestrictedExpression {
    let mut consents = fields([("resourceTenant", consent(&facts.resource_tenant_consent, now))]);
    let other = facts.support_request_tenant.as_ref().map(|other| consent(other, now));
    consents.extend(other.map(|other| ("supportRequestTenant".to_owned(), other)));
    let tenant = reference("Tenant", facts.resource_tenant.as_str());
    record(fields([("resourceTenant", tenant), ("consents", record(consents))]))
}

fn consent(facts: &ConsentFacts, now: Timestamp) -> RestrictedExpression {
    let expired = facts.scope.until.is_some_and(|until| until.as_millis() <= now.as_millis());
    let mut consent =
        fields([("status", text(facts.status.as_str())), ("expired", RestrictedExpression::new_bool(expired))]);
    if facts.scope.categories != CategorySet::ALL {
        let categories = facts.scope.categories.iter().map(|category| text(category.as_str()));
        consent.insert("categories".to_owned(), RestrictedExpression::new_set(categories));
    }
    record(consent)
}
