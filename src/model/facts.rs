//! Facts: what reading depends on, taken from a case, compact enough to keep for every live case.

use serde::{Deserialize, Serialize};

use super::{
    AccessRequest, AccessRequestId, Consent, ConsentId, ConsentStatus, InvalidId, PersonId, ReceiptId, Scope,
    SubmittedIn, SupportRequest, TenantId, Timestamp,
};

/// What a read under this support request depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseFacts {
    /// The support request tenant.
    pub tenant: TenantId,
    /// R4.
    pub open: bool,
    /// R3.
    pub assignee: Option<PersonId>,
    /// R5 or R7.
    pub submitted_in: SubmittedIn,
    /// R5.
    pub advanced_diagnostic_information: bool,
    /// For each resource tenant, its newest access request: at most one per tenant (R10).
    pub access_requests: Box<[AccessFacts]>,
}

/// What a read under an access request depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessFacts {
    /// The access request.
    pub id: AccessRequestId,
    /// The tenant it covers (R8).
    pub resource_tenant: TenantId,
    /// When it was created: of two for the same tenant the later speaks.
    pub created_at: Timestamp,
    /// The support request tenant's consent, when there are two (R6).
    pub support_request_tenant: Option<ConsentFacts>,
    /// The resource tenant's, or the only one (R7).
    pub resource_tenant_consent: ConsentFacts,
}

/// What a read depends on of one consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentFacts {
    /// The consent (R22 names it).
    pub id: ConsentId,
    /// R6.
    pub status: ConsentStatus,
    /// R9.
    pub scope: Scope,
    /// The receipt of its approval, which records of reads name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptId>,
}

impl ConsentFacts {
    fn of(consent: &Consent) -> Self {
        let Consent { id, status, scope, receipt, .. } = consent;
        Self { id: id.clone(), status: *status, scope: *scope, receipt: receipt.clone() }
    }

    /// Whether the end time has passed (R9).
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.scope.until.is_some_and(|until| until <= now)
    }
}

impl AccessFacts {
    /// The facts of an access request.
    #[must_use]
    pub fn of(request: &AccessRequest) -> Self {
        Self {
            id: request.id.clone(),
            resource_tenant: request.resource_tenant.clone(),
            created_at: request.created_at,
            support_request_tenant: request.support_request_tenant_consent.as_ref().map(ConsentFacts::of),
            resource_tenant_consent: ConsentFacts::of(&request.resource_tenant_consent),
        }
    }

    /// Its consents, the support request tenant's first.
    pub fn consents(&self) -> impl Iterator<Item = &ConsentFacts> {
        self.support_request_tenant.iter().chain(std::iter::once(&self.resource_tenant_consent))
    }

    /// Whether it grants, or can still come to grant, anything (R10).
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.consents().all(|consent| !consent.status.is_final() && !consent.is_expired(now))
    }

    /// The next moment at which one of its consents expires: until then the same facts give the same answer (G2).
    #[must_use]
    pub fn unchanged_until(&self, now: Timestamp) -> Timestamp {
        let ends = self.consents().filter_map(|consent| consent.scope.until).filter(|until| *until > now);
        ends.min().unwrap_or(Timestamp::LATEST)
    }
}

impl CaseFacts {
    /// The facts of a support request that has no access requests yet.
    #[must_use]
    pub fn of(request: &SupportRequest) -> Self {
        Self {
            tenant: request.tenant.clone(),
            open: request.open,
            assignee: request.assignee.clone(),
            submitted_in: request.submitted_in,
            advanced_diagnostic_information: request.advanced_diagnostic_information,
            access_requests: Box::default(),
        }
    }

    /// The access request that speaks for this resource tenant.
    #[must_use]
    pub fn access_request_for(&self, resource_tenant: &str) -> Option<&AccessFacts> {
        self.access_requests.iter().find(|facts| facts.resource_tenant.as_str() == resource_tenant)
    }

    /// The facts as the people of a tenant may know them of a read of its data that was allowed (R18, R19). Of their own
    /// part they know everything. Of the other tenant's they know what the allow tells, that it has approved: its name,
    /// its settings and how far its consent goes are left out, and so is every access request for a third tenant's data.
    ///
    /// # Errors
    /// None: the names that stand for what is left out are names.
    pub fn as_told_to(&self, tenant: &TenantId) -> Result<Self, InvalidId> {
        let own = self.access_requests.iter().filter(|request| request.resource_tenant == *tenant);
        if self.tenant == *tenant {
            return Ok(Self { access_requests: own.cloned().collect(), ..self.clone() });
        }
        let other = ["another-tenant", "the-other-tenant"].into_iter().find(|name| *name != tenant.as_str());
        let approved = ConsentFacts {
            id: ConsentId::new("another-tenants-consent")?,
            status: ConsentStatus::Approved,
            scope: Scope::WHOLE,
            receipt: None,
        };
        let as_told = |request: &AccessFacts| AccessFacts {
            support_request_tenant: request.support_request_tenant.as_ref().map(|_| approved.clone()),
            ..request.clone()
        };
        Ok(Self {
            tenant: TenantId::new(other.unwrap_or_default())?,
            submitted_in: SubmittedIn::AdminCenter,
            advanced_diagnostic_information: false,
            access_requests: own.map(as_told).collect(),
            open: self.open,
            assignee: self.assignee.clone(),
        })
    }

    /// Takes an access request in: in place of its own earlier state, or of an older request for the same tenant.
    #[must_use]
    pub fn with_access_request(&self, facts: AccessFacts) -> Self {
        let speaks_already = |other: &AccessFacts| {
            other.resource_tenant == facts.resource_tenant
                && other.id != facts.id
                && other.created_at > facts.created_at
        };
        if self.access_requests.iter().any(speaks_already) {
            return self.clone();
        }
        let mut access_requests = self.access_requests.to_vec();
        access_requests.retain(|other| other.resource_tenant != facts.resource_tenant);
        access_requests.push(facts);
        let access_requests = access_requests.into();
        Self { access_requests, ..self.clone() }
    }

    /// Takes a new state of the support request in.
    #[must_use]
    pub fn with_support_request(&self, request: &SupportRequest) -> Self {
        Self { access_requests: self.access_requests.clone(), ..Self::of(request) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(id: &str, status: ConsentStatus, until: Option<i64>) -> ConsentFacts {
        let scope = Scope { until: until.map(Timestamp::from_millis), ..Scope::WHOLE };
        ConsentFacts { id: id.parse().unwrap(), status, scope, receipt: None }
    }

    fn case(tenant: &str, advanced: bool, requests: Vec<AccessFacts>) -> CaseFacts {
        CaseFacts {
            tenant: tenant.parse().unwrap(),
            open: true,
            assignee: Some("vendor/ada".parse().unwrap()),
            submitted_in: if advanced { SubmittedIn::AdminCenter } else { SubmittedIn::OtherPortal },
            advanced_diagnostic_information: advanced,
            access_requests: requests.into(),
        }
    }

    fn request(of: &str, other: Option<ConsentFacts>, own: ConsentFacts) -> AccessFacts {
        AccessFacts {
            id: format!("ar-{of}").parse().unwrap(),
            resource_tenant: of.parse().unwrap(),
            created_at: Timestamp::from_millis(0),
            support_request_tenant: other,
            resource_tenant_consent: own,
        }
    }

    // R19
    #[test]
    fn what_a_tenant_is_told_does_not_depend_on_the_other_tenants_part() {
        use ConsentStatus::{Approved, Pending, Revoked};
        let own = || consent("co-own", Approved, Some(77));
        let told = |tenant: &str, advanced, other, third: &[&str]| {
            let mut requests = vec![request("fabrikam", Some(other), own())];
            requests.extend(third.iter().map(|of| request(of, Some(own()), consent("co-third", Revoked, None))));
            case(tenant, advanced, requests).as_told_to(&"fabrikam".parse().unwrap()).unwrap()
        };
        let one = told("contoso", true, consent("co-1", Approved, None), &["northwind"]);
        let two = told("eastwind", false, consent("co-2", Pending, Some(5)), &[]);
        assert_eq!(one, two);
        let text = format!("{one:?}");
        for word in ["contoso", "eastwind", "northwind", "co-1", "co-2", "co-third"] {
            assert!(!text.contains(word), "{text}");
        }
        // Its own part is there, and a name that is not its own.
        assert_eq!(one.access_request_for("fabrikam").unwrap().resource_tenant_consent, own());
        assert_ne!(one.tenant.as_str(), "fabrikam");
        let namesake = case("contoso", true, Vec::new()).as_told_to(&"another-tenant".parse().unwrap()).unwrap();
        assert_ne!(namesake.tenant.as_str(), "another-tenant");
    }

    #[test]
    fn of_its_own_support_request_a_tenant_is_told_everything_but_what_others_consented_to() {
        let own = request("contoso", None, consent("co-own", ConsentStatus::Approved, None));
        let other = request(
            "fabrikam",
            Some(own.resource_tenant_consent.clone()),
            consent("co-2", ConsentStatus::Revoked, None),
        );
        let told = case("contoso", false, vec![other, own.clone()]).as_told_to(&"contoso".parse().unwrap()).unwrap();
        assert_eq!(told, case("contoso", false, vec![own]));
    }

    #[test]
    fn the_next_change_of_the_facts_lies_after_now() {
        let at = Timestamp::from_millis;
        let consent = |until: Option<i64>| ConsentFacts {
            id: "co-1".parse().unwrap(),
            status: ConsentStatus::Approved,
            scope: Scope { until: until.map(at), ..Scope::WHOLE },
            receipt: None,
        };
        let next = |one: Option<i64>, other: Option<i64>| {
            let facts = AccessFacts {
                id: "ar-1".parse().unwrap(),
                resource_tenant: "fabrikam".parse().unwrap(),
                created_at: at(0),
                support_request_tenant: Some(consent(one)),
                resource_tenant_consent: consent(other),
            };
            facts.unchanged_until(at(10))
        };
        assert_eq!(next(Some(12), Some(11)), at(11));
        assert_eq!(next(Some(10), Some(11)), at(11));
        assert_eq!(next(Some(9), None), Timestamp::LATEST);
    }
}
