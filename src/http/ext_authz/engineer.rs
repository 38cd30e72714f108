//! Who the engineer is: never what the request says, always what somebody has verified (G7).

use std::sync::atomic::Ordering;

use http::StatusCode;

use super::attributes::{Claim, Seen};
use crate::http::Entrance;
use crate::http::authenticate::no_token;
use crate::http::problem::Problem;
use crate::mapping::{EngineerSource, Headers, PrincipalPattern};
use crate::model::{PersonId, TenantId};
use crate::workflow::Subject;

impl Entrance {
    /// The engineer of a request, by the source that the mapping names.
    ///
    /// # Errors
    /// 401 where a token is missing or not good, 403 where who has proved who they are is no engineer.
    pub(super) async fn engineer(
        &self,
        source: &EngineerSource,
        seen: &Seen<'_>,
        headers: &Headers<'_>,
    ) -> Result<PersonId, Problem> {
        match source {
            EngineerSource::Token => self.engineer_of_token(headers).await,
            EngineerSource::Certificate(pattern) => engineer_of_certificate(pattern, seen.principal()),
            EngineerSource::JwtPayload { namespace, key, tenant_claim, object_claim } => {
                let claim = |name| seen.claim(namespace, key, name);
                self.engineer_of_payload(claim(tenant_claim), claim(object_claim))
            }
        }
    }

    /// The policies say who asks as an engineer, and are asked about a token as they are where the engineer brings it to us.
    async fn engineer_of_token(&self, headers: &Headers<'_>) -> Result<PersonId, Problem> {
        let engineer = self.edge.bearer(headers.one("authorization")?, None).await?;
        let Some(person) = engineer.person() else { return Err(not_an_engineer("the token is a program's")) };
        let serial = self.edge.policies.current().serial();
        // Only a yes is remembered, and only for the bundle that said it.
        if engineer.memo_of_self().load(Ordering::Relaxed) != serial {
            let subject = Subject { kind: "SupportEngineer", id: person.as_str() };
            self.edge.workflow.may_evaluate(&engineer, subject).await?;
            engineer.memo_of_self().store(serial, Ordering::Relaxed);
        }
        Ok(person.clone())
    }

    fn engineer_of_payload(&self, tenant: Claim<'_>, object: Claim<'_>) -> Result<PersonId, Problem> {
        let (Claim::Text(tenant), Claim::Text(object)) = (&tenant, &object) else {
            return Err(match tenant {
                Claim::NoPayload => no_token("a bearer token is needed"),
                Claim::NoText | Claim::Text(_) => not_an_engineer("the token names no person of a tenant"),
            });
        };
        if !self.edge.identity.is_vendors(tenant) {
            return Err(not_an_engineer("the token is of no tenant of the vendor's"));
        }
        let person = TenantId::new(tenant).and_then(|tenant| PersonId::new(&tenant, object));
        person.map_err(|_| not_an_engineer("the token names no person of a tenant"))
    }
}

fn engineer_of_certificate(pattern: &PrincipalPattern, principal: &str) -> Result<PersonId, Problem> {
    if principal.is_empty() {
        let detail = "a client certificate is needed";
        return Err(Problem::new(StatusCode::FORBIDDEN, "certificate_missing", detail));
    }
    pattern.engineer(principal).ok_or_else(|| not_an_engineer("the certificate is not one of an engineer's"))
}

fn not_an_engineer(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not_an_engineer", detail)
}
