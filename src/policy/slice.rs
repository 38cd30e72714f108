//! Entity slices: the handful of entities and the context that one question needs, built from typed facts.
//!
//! Facts enter as values that need no evaluation; nothing a caller says becomes one (G7).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{
    Context, Eid, Entity, EntityType, EntityUID, EntityUIDEntry, Literal, Name, PartialValue, Request, Value,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use smol_str::SmolStr;

use super::place::LoadError;
use super::question::{Circumstances, Principal, Question, ReadFacts, Resource};
use super::roles::RoleCatalogue;
use crate::model::{AccessFacts, AppRole, CaseFacts, CategorySet, ConsentFacts, PersonId, SubmittedIn, Timestamp};

/// The schema's words, parsed once, and the parts of slices that questions share.
#[derive(Debug)]
pub(super) struct Words {
    support_engineer: EntityType,
    user: EntityType,
    service: EntityType,
    app_role: EntityType,
    tenant: EntityType,
    diagnostic_data: EntityType,
    support_request: EntityType,
    access_request: EntityType,
    consent: EntityType,
    audit_log: EntityType,
    endpoint: EntityType,
    /// Each role of the catalogue, with the permissions it carries.
    roles: HashMap<String, SharedRole>,
}

#[derive(Debug)]
struct SharedRole {
    entity: Arc<Entity>,
    permissions: Vec<EntityUID>,
}

/// One question in Cedar's terms.
pub(super) struct Slice {
    pub(super) request: Request,
    pub(super) entities: Entities,
}

impl Words {
    pub(super) fn new(roles: &RoleCatalogue) -> Result<Self, LoadError> {
        let word = |name: &str| -> Result<EntityType, LoadError> {
            let name: Name = name.parse().map_err(|_| LoadError::of(format!("`{name}` is not a type name")))?;
            Ok(EntityType::from(name))
        };
        let role_type = word("Role")?;
        let permission = uid(&word("Permission")?, &roles.permission);
        let shared = |id: &crate::model::RoleId, has_permission: bool| {
            let permissions = if has_permission { vec![permission.clone()] } else { Vec::new() };
            let parents: HashSet<EntityUID> = permissions.iter().cloned().collect();
            let entity = Arc::new(entity(uid(&role_type, id.as_str()), [], HashSet::new(), parents));
            (id.as_str().to_owned(), SharedRole { entity, permissions })
        };
        Ok(Self {
            support_engineer: word("SupportEngineer")?,
            user: word("User")?,
            service: word("Service")?,
            roles: roles.iter().map(|(id, has_permission)| shared(id, has_permission)).collect(),
            app_role: word("AppRole")?,
            tenant: word("Tenant")?,
            diagnostic_data: word("DiagnosticData")?,
            support_request: word("SupportRequest")?,
            access_request: word("AccessRequest")?,
            consent: word("Consent")?,
            audit_log: word("AuditLog")?,
            endpoint: word("Endpoint")?,
        })
    }

    /// Builds the slice of a question. `reads_clock`: a policy that may apply reads the time.
    pub(super) fn slice(&self, question: &Question<'_>, action: &Arc<Entity>, reads_clock: bool) -> Option<Slice> {
        let mut entities = Vec::with_capacity(4);
        let principal = self.principal(&question.principal, &mut entities);
        let resource = self.resource(&question.resource, &mut entities);
        entities.push(Arc::clone(action));
        let context = Context::Value(Arc::new(self.context(&question.circumstances, reads_clock)));
        let known = |uid: EntityUID| EntityUIDEntry::known(uid, None);
        let request =
            Request::new_unchecked(known(principal), known(action.uid().clone()), known(resource), Some(context));
        let entities = Entities::new()
            .add_entities(
                entities,
                None::<&NoEntitiesSchema>,
                // Every entity here carries all its ancestors.
                TCComputation::AssumeAlreadyComputed,
                Extensions::all_available(),
            )
            .ok()?;
        Some(Slice { request, entities })
    }

    fn principal(&self, principal: &Principal<'_>, entities: &mut Vec<Arc<Entity>>) -> EntityUID {
        match *principal {
            Principal::Engineer(person) => uid(&self.support_engineer, person),
            Principal::EngineerCaller { person, vendor, app_roles } => {
                let uid = uid(&self.support_engineer, person.as_str());
                let attributes = [("vendor", Value::from(vendor))];
                entities.push(Arc::new(entity(uid.clone(), attributes, HashSet::new(), self.app_roles(app_roles))));
                uid
            }
            Principal::User { person, tenant, roles } => {
                let uid_of_user = uid(&self.user, person.as_str());
                let attributes = [
                    ("tenant", self.tenant_value(tenant.as_str())),
                    ("asEngineer", uid_value(uid(&self.support_engineer, person.as_str()))),
                ];
                let mut permissions = HashSet::new();
                let mut parents = HashSet::new();
                for role in roles {
                    // A role that the catalogue does not know says nothing.
                    if let Some(shared) = self.roles.get(role.as_str()) {
                        parents.insert(shared.entity.uid().clone());
                        permissions.extend(shared.permissions.iter().cloned());
                        entities.push(Arc::clone(&shared.entity));
                    }
                }
                entities.push(Arc::new(entity(uid_of_user.clone(), attributes, permissions, parents)));
                uid_of_user
            }
            Principal::Service { name, vendor, app_roles } => {
                let uid = uid(&self.service, name);
                let attributes = [("vendor", Value::from(vendor))];
                entities.push(Arc::new(entity(uid.clone(), attributes, HashSet::new(), self.app_roles(app_roles))));
                uid
            }
        }
    }

    fn app_roles(&self, app_roles: &[AppRole]) -> HashSet<EntityUID> {
        app_roles.iter().map(|role| uid(&self.app_role, role.as_str())).collect()
    }

    fn resource(&self, resource: &Resource<'_>, entities: &mut Vec<Arc<Entity>>) -> EntityUID {
        let mut with = |uid: EntityUID, attributes: Vec<(&'static str, Value)>| {
            entities.push(Arc::new(entity(uid.clone(), attributes, HashSet::new(), HashSet::new())));
            uid
        };
        match *resource {
            Resource::DiagnosticData { id, tenant, category } => with(
                uid(&self.diagnostic_data, id),
                vec![("tenant", self.tenant_value(tenant)), ("category", text(category.as_str()))],
            ),
            Resource::SupportRequest(request) => {
                let mut attributes = vec![
                    ("tenant", self.tenant_value(request.tenant.as_str())),
                    ("open", Value::from(request.open)),
                    ("submittedInAdminCenter", Value::from(request.submitted_in == SubmittedIn::AdminCenter)),
                ];
                attributes.extend(self.assignee(request.assignee.as_ref()));
                with(uid(&self.support_request, request.id.as_str()), attributes)
            }
            Resource::AccessRequest(request, support_request) => {
                let mut attributes = vec![("requestedBy", self.engineer_value(&request.requested_by))];
                attributes.extend(self.assignee(support_request.assignee.as_ref()));
                with(uid(&self.access_request, request.id.as_str()), attributes)
            }
            Resource::Consent(consent, request, support_request) => {
                let mut attributes = vec![
                    ("tenant", self.tenant_value(consent.tenant.as_str())),
                    ("part", text(consent.part.as_str())),
                    ("status", text(consent.status.as_str())),
                    ("requestedBy", self.engineer_value(&request.requested_by)),
                ];
                attributes.extend(self.assignee(support_request.assignee.as_ref()));
                attributes.extend(consent.listed_until().map(|until| ("listedUntil", long(until))));
                with(uid(&self.consent, consent.id.as_str()), attributes)
            }
            Resource::AuditLog(tenant) => {
                with(uid(&self.audit_log, tenant.as_str()), vec![("tenant", self.tenant_value(tenant.as_str()))])
            }
            Resource::Tenant(tenant) => uid(&self.tenant, tenant.as_str()),
            Resource::Endpoint(endpoint) => uid(&self.endpoint, endpoint.as_str()),
        }
    }

    fn context(&self, circumstances: &Circumstances<'_>, reads_clock: bool) -> BTreeMap<SmolStr, Value> {
        match *circumstances {
            Circumstances::Nothing => BTreeMap::new(),
            Circumstances::Read { facts, now } => self.read_context(facts, now, reads_clock),
            Circumstances::Create { resource_tenant, registered } => record([
                ("resourceTenant", self.tenant_value(resource_tenant.as_str())),
                ("resourceTenantRegistered", Value::from(registered)),
            ]),
            Circumstances::ViewApproved { now } => record([("now", long(now))]),
            Circumstances::Evaluate { about_self } => record([("aboutSelf", Value::from(about_self))]),
        }
    }

    fn read_context(&self, facts: ReadFacts<'_>, now: Timestamp, reads_clock: bool) -> BTreeMap<SmolStr, Value> {
        let mut context = BTreeMap::new();
        if reads_clock {
            context.insert(SmolStr::new_static("now"), long(now));
        }
        if let Some(case) = facts.case {
            context.insert(SmolStr::new_static("supportRequest"), self.case_value(case));
        }
        if let Some(access_request) = facts.access_request {
            context.insert(SmolStr::new_static("accessRequest"), self.access_value(access_request, now));
        }
        context
    }

    fn case_value(&self, case: &CaseFacts) -> Value {
        let mut fields = record([
            ("tenant", self.tenant_value(case.tenant.as_str())),
            ("open", Value::from(case.open)),
            ("submittedInAdminCenter", Value::from(case.submitted_in == SubmittedIn::AdminCenter)),
            ("advancedDiagnosticInformation", Value::from(case.advanced_diagnostic_information)),
            ("hasAccessRequest", Value::from(!case.access_requests.is_empty())),
        ]);
        fields.extend(self.assignee(case.assignee.as_ref()).map(|(name, value)| (SmolStr::new_static(name), value)));
        Value::record_arc(Arc::new(fields), None)
    }

    fn access_value(&self, access_request: &AccessFacts, now: Timestamp) -> Value {
        let mut consents = record([("resourceTenant", consent_value(&access_request.resource_tenant_consent, now))]);
        if let Some(consent) = &access_request.support_request_tenant {
            consents.insert(SmolStr::new_static("supportRequestTenant"), consent_value(consent, now));
        }
        let fields = record([
            ("resourceTenant", self.tenant_value(access_request.resource_tenant.as_str())),
            ("consents", Value::record_arc(Arc::new(consents), None)),
        ]);
        Value::record_arc(Arc::new(fields), None)
    }

    fn assignee(&self, assignee: Option<&PersonId>) -> Option<(&'static str, Value)> {
        assignee.map(|person| ("assignee", self.engineer_value(person)))
    }

    fn engineer_value(&self, person: &PersonId) -> Value {
        uid_value(uid(&self.support_engineer, person.as_str()))
    }

    fn tenant_value(&self, tenant: &str) -> Value {
        uid_value(uid(&self.tenant, tenant))
    }
}

fn consent_value(consent: &ConsentFacts, now: Timestamp) -> Value {
    let mut fields =
        record([("status", text(consent.status.as_str())), ("expired", Value::from(consent.is_expired(now)))]);
    if consent.scope.categories != CategorySet::ALL {
        let categories = consent.scope.categories.iter().map(|category| Literal::from(category.as_str()));
        fields.insert(SmolStr::new_static("categories"), Value::set_of_lits(categories, None));
    }
    Value::record_arc(Arc::new(fields), None)
}

fn record<const N: usize>(fields: [(&'static str, Value); N]) -> BTreeMap<SmolStr, Value> {
    fields.into_iter().map(|(name, value)| (SmolStr::new_static(name), value)).collect()
}

pub(super) fn uid(kind: &EntityType, id: &str) -> EntityUID {
    EntityUID::from_components(kind.clone(), Eid::new(SmolStr::new(id)), None)
}

fn uid_value(uid: EntityUID) -> Value {
    Value::new(Literal::EntityUID(Arc::new(uid)), None)
}

fn text(word: &'static str) -> Value {
    Value::new(Literal::String(SmolStr::new_static(word)), None)
}

fn long(time: Timestamp) -> Value {
    Value::from(time.as_millis())
}

fn entity(
    uid: EntityUID,
    attributes: impl IntoIterator<Item = (&'static str, Value)>,
    indirect_ancestors: HashSet<EntityUID>,
    parents: HashSet<EntityUID>,
) -> Entity {
    let attributes =
        attributes.into_iter().map(|(name, value)| (SmolStr::new_static(name), PartialValue::Value(value)));
    Entity::new_with_attr_partial_value(uid, attributes, indirect_ancestors, parents, [])
}
