//! Where the engineer's identity comes from: one source, and one that is verified (G7).

use crate::model::{PersonId, TenantId};

/// Who has proved who the engineer is. A mapping has one of these: with two, the request could choose the weaker one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineerSource {
    /// This service itself, of the bearer token in the request's `Authorization` header.
    Token,
    /// The proxy, of the certificate by which the client opened its TLS connection.
    Certificate(PrincipalPattern),
    /// The proxy's JWT filter, which leaves the payload of a verified token in its metadata.
    JwtPayload {
        /// The metadata's namespace.
        namespace: String,
        /// The key under which the payload is.
        key: String,
        /// The claim that names the tenant, such as `tid`.
        tenant_claim: String,
        /// The claim that names the person in the tenant, such as `oid`.
        object_claim: String,
    },
}

/// What certificates of engineers are issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalPattern {
    tenant: TenantId,
    before: String,
    after: String,
}

impl PrincipalPattern {
    /// The pattern `spiffe://vendor.example/engineers/{object}`, of people of this tenant.
    ///
    /// # Errors
    /// A sentence when there is not one `{object}` in it, or nothing around it.
    pub(super) fn parse(tenant: TenantId, text: &str) -> Result<Self, String> {
        let Some((before, after)) = text.split_once("{object}") else {
            return Err("must have one `{object}`, where the person's object id stands".to_owned());
        };
        if before.is_empty() && after.is_empty() {
            return Err("must say more than `{object}`: any certificate at all would name an engineer".to_owned());
        }
        if before.contains(['{', '}']) || after.contains(['{', '}']) {
            return Err("has a brace beside the one `{object}`".to_owned());
        }
        Ok(Self { tenant, before: before.to_owned(), after: after.to_owned() })
    }

    /// The tenant whose people these certificates name.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The engineer whom a certificate names; none when it is of another kind.
    #[must_use]
    pub fn engineer(&self, principal: &str) -> Option<PersonId> {
        let object = principal.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        PersonId::new(&self.tenant, object).ok()
    }
}
