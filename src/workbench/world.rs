//! The facts of a policy test: a small world of support requests, access requests, people and programs, as its author
//! wrote it down, in the types that the service itself asks its policies with.

use std::collections::BTreeMap;

use super::suite::file::{
    AccessRequestEntry, ConsentEntry, FactsEntry, PersonEntry, ServiceEntry, SupportRequestEntry,
};
use crate::model::{
    AccessFacts, AccessRequest, AccessRequestId, AppRole, CaseFacts, Consent, Part, PersonId, RoleId, Scope,
    SupportRequest, SupportRequestId, TenantId, Timestamp,
};
use crate::policy::RoleCatalogue;

/// A person with what their token proves.
#[derive(Debug, Clone)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// The tenant they are signed in to.
    pub tenant: TenantId,
    /// Their directory roles there.
    pub roles: Vec<RoleId>,
    /// Their app roles.
    pub app_roles: Vec<AppRole>,
    /// Whether the vendor's directory speaks for them.
    pub vendor: bool,
}

/// A program with what its token proves.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its app roles.
    pub app_roles: Vec<AppRole>,
    /// Whether it is the vendor's.
    pub vendor: bool,
}

/// An access request and the support request it belongs to.
pub type Asked<'a> = (&'a AccessRequest, &'a SupportRequest);

/// The facts that one row asks about.
#[derive(Debug)]
pub struct World {
    /// When it is.
    pub now: Timestamp,
    tenants: Vec<TenantId>,
    unregistered_tenants: Vec<TenantId>,
    support_requests: BTreeMap<String, (SupportRequest, CaseFacts)>,
    access_requests: Vec<AccessRequest>,
    people: BTreeMap<String, Person>,
    services: BTreeMap<String, Program>,
}

impl World {
    /// The world that these facts describe; roles are named as the catalogue names them.
    ///
    /// # Errors
    /// What is wrong with them, in one sentence.
    pub fn build(facts: toml::Table, roles: &RoleCatalogue) -> Result<Self, String> {
        let entry: FactsEntry = facts.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let now = entry.time.0;
        let mut world = Self {
            now,
            tenants: entry.tenants,
            unregistered_tenants: entry.unregistered_tenants,
            support_requests: BTreeMap::new(),
            access_requests: Vec::new(),
            people: BTreeMap::new(),
            services: BTreeMap::new(),
        };
        for (id, support_request) in entry.support_requests {
            world.take_support_request(&id, support_request)?;
        }
        for (id, person) in entry.people {
            let person = person_of(&id, person, roles)?;
            world.people.insert(id, person);
        }
        let program = |service: ServiceEntry| Program { app_roles: service.app_roles, vendor: service.vendor };
        world.services = entry.services.into_iter().map(|(name, service)| (name, program(service))).collect();
        Ok(world)
    }

    fn take_support_request(&mut self, id: &str, entry: SupportRequestEntry) -> Result<(), String> {
        let in_it = |error: crate::model::InvalidId| format!("`support_requests.{id}`: {error}");
        let support_request = SupportRequest {
            id: SupportRequestId::new(id).map_err(in_it)?,
            number: id.to_owned(),
            summary: id.to_owned(),
            tenant: entry.tenant,
            submitted_in: entry.submitted_in,
            advanced_diagnostic_information: entry.advanced_diagnostic_information,
            assignee: entry.assignee,
            open: entry.open,
            opened_at: self.now,
            closed_at: (!entry.open).then_some(self.now),
            version: 1,
        };
        let mut asked = Vec::new();
        for (request_id, request) in entry.access_requests {
            let request_id = AccessRequestId::new(&request_id).map_err(in_it)?;
            asked.push(access_request_of(request_id, request, &support_request, self.now)?);
        }
        asked.sort_by_key(|request| request.created_at);
        let facts = asked.iter().fold(CaseFacts::of(&support_request), |facts, request| {
            facts.with_access_request(AccessFacts::of(request))
        });
        self.access_requests.extend(asked);
        self.support_requests.insert(id.to_owned(), (support_request, facts));
        Ok(())
    }

    /// Whether the tenant is registered (R10).
    #[must_use]
    pub fn is_registered(&self, tenant: &TenantId) -> bool {
        self.tenants.contains(tenant)
    }

    /// Every tenant that the facts name, registered or not.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        let opened = self.support_requests.values().map(|(request, _)| &request.tenant);
        let asked = self.access_requests.iter().map(|request| &request.resource_tenant);
        let people = self.people.values().map(|person| &person.tenant);
        self.tenants.iter().chain(&self.unregistered_tenants).chain(opened).chain(asked).chain(people)
    }

    /// The support request, with the facts that reads under it depend on.
    #[must_use]
    pub fn support_request(&self, id: &str) -> Option<&(SupportRequest, CaseFacts)> {
        self.support_requests.get(id)
    }

    /// The access request.
    #[must_use]
    pub fn access_request(&self, id: &str) -> Option<Asked<'_>> {
        let request = self.access_requests.iter().find(|request| request.id.as_str() == id)?;
        Some((request, &self.support_request(request.support_request.as_str())?.0))
    }

    /// The consent, with what it belongs to.
    #[must_use]
    pub fn consent(&self, id: &str) -> Option<(&Consent, Asked<'_>)> {
        self.access_requests.iter().find_map(|request| {
            let consent = request.consents().find(|consent| consent.id.as_str() == id)?;
            Some((consent, self.access_request(request.id.as_str())?))
        })
    }

    /// The person, if the facts name them.
    #[must_use]
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.get(id)
    }

    /// The program, if the facts name it.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Program> {
        self.services.get(name)
    }
}

fn person_of(id: &str, entry: PersonEntry, roles: &RoleCatalogue) -> Result<Person, String> {
    let person: PersonId = id.parse().map_err(|error| format!("`people.\"{id}\"`: {error}"))?;
    let home = id.split('/').next().unwrap_or_default();
    let home = TenantId::new(home).map_err(|error| format!("`people.\"{id}\"`: {error}"))?;
    let role = |name: &String| {
        let known = roles.by_name(name).or_else(|| roles.iter().map(|(id, _)| id).find(|id| id.as_str() == name));
        known.cloned().ok_or_else(|| format!("`people.\"{id}\".roles`: the role catalogue has no `{name}`"))
    };
    Ok(Person {
        id: person,
        tenant: entry.signed_in_to.unwrap_or(home),
        roles: entry.roles.iter().map(role).collect::<Result<_, _>>()?,
        app_roles: entry.app_roles,
        vendor: entry.vendor,
    })
}

fn access_request_of(
    id: AccessRequestId,
    entry: AccessRequestEntry,
    support_request: &SupportRequest,
    now: Timestamp,
) -> Result<AccessRequest, String> {
    let alone = entry.resource_tenant == support_request.tenant;
    let part = if alone { Part::Only } else { Part::ResourceTenant };
    let other = entry.support_request_tenant_consent;
    if alone && other.is_some() {
        return Err(format!("`{id}` is for the support request's own tenant: it has one consent (R7)"));
    }
    if !alone && other.is_none() {
        return Err(format!("`{id}` is for another tenant: it needs a `support_request_tenant_consent` (R6)"));
    }
    Ok(AccessRequest {
        id,
        support_request: support_request.id.clone(),
        resource_tenant: entry.resource_tenant.clone(),
        requested_by: entry.requested_by,
        reason: "as the test says".to_owned(),
        created_at: entry.created_at.map_or(now, |at| at.0),
        resource_tenant_consent: consent_of(entry.resource_tenant_consent, entry.resource_tenant, part),
        task: None,
        support_request_tenant_consent: other
            .map(|consent| consent_of(consent, support_request.tenant.clone(), Part::SupportRequestTenant)),
    })
}

fn consent_of(entry: ConsentEntry, tenant: TenantId, part: Part) -> Consent {
    let categories = entry.categories.map_or(Scope::WHOLE.categories, Into::into);
    Consent {
        status: entry.status,
        scope: Scope { categories, until: entry.until.map(|until| until.0) },
        ended_at: entry.ended_at.map(|at| at.0),
        ..Consent::pending(entry.id, tenant, part)
    }
}
