//! The workflow calls: what the ticketing system, engineers and administrators do with a program of their own.

use http::{Method, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::CallError;
use super::shapes::{
    AccessRequest, AuditLogEntry, Consent, ConsentPage, Page, ReadEntry, ScopeWanted, SupportRequest, Tenant, Versioned,
};
use super::transport::{Answer, Call, Client};
use crate::model::{AccessRequestId, ConsentId, PersonId, SubmittedIn, SupportRequestId, TenantId};

/// How a change is to be carried out: once, whatever happens on the way, and if wanted on one version alone.
///
/// Its key is the same in every attempt of a call. Who sends the same change again after an error gives the same `Change`
/// again, and what was carried out before is not carried out twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    key: String,
    version: Option<u32>,
}

impl Default for Change {
    fn default() -> Self {
        Self::under(Uuid::new_v4().to_string())
    }
}

impl Change {
    /// A change under this idempotency key: 1 to 128 printable ASCII characters without spaces.
    #[must_use]
    pub fn under(key: impl Into<String>) -> Self {
        Self { key: key.into(), version: None }
    }

    /// Only if this is the present version; the service refuses with `version_changed` otherwise.
    #[must_use]
    pub const fn of_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }
}

/// A support request to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewSupportRequest {
    /// The ticketing system's id.
    pub id: SupportRequestId,
    /// The number that people quote, at most 64 characters.
    pub number: String,
    /// One line on what it is about, at most 1,000 characters; administrators see it.
    pub summary: String,
    /// Who opens it.
    pub tenant: TenantId,
    /// Where.
    pub submitted_in: SubmittedIn,
    /// The customer's answer (R5).
    pub advanced_diagnostic_information: bool,
    /// The engineer.
    pub assignee: Option<PersonId>,
}

/// Which consents of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Those that wait for a decision.
    Pending,
    /// Those that no longer wait, as resource tenant, for 30 days after they ended (R16).
    Approved,
}

impl Client {
    /// Makes a tenant known, or changes its name.
    ///
    /// # Errors
    /// [`CallError`]; so do all that follow.
    pub async fn register_tenant(
        &self,
        tenant: &TenantId,
        display_name: &str,
        change: &Change,
    ) -> Result<Versioned<Tenant>, CallError> {
        let body = json!({ "display_name": display_name });
        versioned(&self.change(Method::PUT, &format!("/v1/tenants/{tenant}"), Some(body), change).await?)
    }

    /// Opens a support request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn open_support_request(
        &self,
        new: &NewSupportRequest,
        change: &Change,
    ) -> Result<Versioned<SupportRequest>, CallError> {
        versioned(&self.change(Method::POST, "/v1/support-requests", Some(body_of(new)?), change).await?)
    }

    /// A support request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn support_request(&self, id: &SupportRequestId) -> Result<Versioned<SupportRequest>, CallError> {
        versioned(&self.send(&Call::get(&format!("/v1/support-requests/{id}"))).await?)
    }

    /// A page of those that are assigned to the caller.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn support_requests(&self, cursor: Option<&str>) -> Result<Page<SupportRequest>, CallError> {
        self.page("/v1/support-requests", "", cursor).await
    }

    /// Assigns a support request to somebody, or to nobody. Takes access from the one before, at once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn assign(
        &self,
        id: &SupportRequestId,
        assignee: Option<&PersonId>,
        change: &Change,
    ) -> Result<Versioned<SupportRequest>, CallError> {
        let body = json!({ "assignee": assignee.map(PersonId::as_str) });
        versioned(&self.change(Method::PUT, &format!("/v1/support-requests/{id}/assignee"), Some(body), change).await?)
    }

    /// Closes a support request, which ends every consent under it at once (R14).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn close(&self, id: &SupportRequestId, change: &Change) -> Result<Versioned<SupportRequest>, CallError> {
        versioned(&self.change(Method::POST, &format!("/v1/support-requests/{id}/close"), None, change).await?)
    }

    /// Opens it again, which brings no access back (R15).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn reopen(&self, id: &SupportRequestId, change: &Change) -> Result<Versioned<SupportRequest>, CallError> {
        versioned(&self.change(Method::POST, &format!("/v1/support-requests/{id}/reopen"), None, change).await?)
    }

    /// Asks for access to a tenant's data.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create_access_request(
        &self,
        support_request: &SupportRequestId,
        resource_tenant: &TenantId,
        reason: &str,
        change: &Change,
    ) -> Result<AccessRequest, CallError> {
        let body = json!({
            "support_request": support_request.as_str(), "resource_tenant": resource_tenant.as_str(), "reason": reason,
        });
        self.change(Method::POST, "/v1/access-requests", Some(body), change).await?.json()
    }

    /// An access request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn access_request(&self, id: &AccessRequestId) -> Result<AccessRequest, CallError> {
        self.send(&Call::get(&format!("/v1/access-requests/{id}"))).await?.json()
    }

    /// A page of those that the caller created.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn access_requests(&self, cursor: Option<&str>) -> Result<Page<AccessRequest>, CallError> {
        self.page("/v1/access-requests", "", cursor).await
    }

    /// All under a support request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn access_requests_under(&self, id: &SupportRequestId) -> Result<Vec<AccessRequest>, CallError> {
        // An identifier's characters stand in a query as they are.
        let page: Page<_> = self.page("/v1/access-requests", &format!("support_request={id}"), None).await?;
        Ok(page.items)
    }

    /// Takes an access request back.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn cancel(&self, id: &AccessRequestId, change: &Change) -> Result<AccessRequest, CallError> {
        self.change(Method::POST, &format!("/v1/access-requests/{id}/cancel"), None, change).await?.json()
    }

    /// A page of the consents of the caller's tenant.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn consents(&self, view: View, cursor: Option<&str>) -> Result<ConsentPage, CallError> {
        let view = match view {
            View::Pending => "view=pending",
            View::Approved => "view=approved",
        };
        self.page("/v1/consents", view, cursor).await
    }

    /// A consent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn consent(&self, id: &ConsentId) -> Result<Versioned<Consent>, CallError> {
        versioned(&self.send(&Call::get(&format!("/v1/consents/{id}"))).await?)
    }

    /// The receipt of a consent's approval: a signed envelope, as it was sent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn receipt(&self, id: &ConsentId) -> Result<Vec<u8>, CallError> {
        Ok(self.send(&Call::get(&format!("/v1/consents/{id}/receipt"))).await?.body)
    }

    /// Approves a consent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn approve(
        &self,
        id: &ConsentId,
        scope: &ScopeWanted,
        change: &Change,
    ) -> Result<Versioned<Consent>, CallError> {
        self.decide(id, "approve", Some(body_of(scope)?), change).await
    }

    /// Rejects a consent.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn reject(&self, id: &ConsentId, change: &Change) -> Result<Versioned<Consent>, CallError> {
        self.decide(id, "reject", None, change).await
    }

    /// Takes a part of an approval away.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn narrow(
        &self,
        id: &ConsentId,
        to: &ScopeWanted,
        change: &Change,
    ) -> Result<Versioned<Consent>, CallError> {
        self.decide(id, "narrow", Some(body_of(to)?), change).await
    }

    /// Removes access, at once (R13).
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn revoke(&self, id: &ConsentId, change: &Change) -> Result<Versioned<Consent>, CallError> {
        self.decide(id, "revoke", None, change).await
    }

    /// A page of the tenant's audit log.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn audit_log(&self, cursor: Option<&str>) -> Result<Page<AuditLogEntry>, CallError> {
        self.page("/v1/audit-log", "", cursor).await
    }

    /// A page of the allowed reads of the tenant's data. It may be empty and have a cursor: go on until there is none.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn reads(&self, cursor: Option<&str>) -> Result<Page<ReadEntry>, CallError> {
        self.page("/v1/audit-log/reads", "", cursor).await
    }

    async fn decide(
        &self,
        id: &ConsentId,
        what: &str,
        body: Option<Value>,
        change: &Change,
    ) -> Result<Versioned<Consent>, CallError> {
        versioned(&self.change(Method::POST, &format!("/v1/consents/{id}/{what}"), body, change).await?)
    }

    async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        change: &Change,
    ) -> Result<Answer, CallError> {
        let body = body.map(|body| body.to_string());
        self.send(&Call { method, path, body, key: Some(change.key.clone()), if_match: change.version }).await
    }

    async fn page<T: DeserializeOwned>(&self, path: &str, query: &str, cursor: Option<&str>) -> Result<T, CallError> {
        // A cursor is of characters that stand in a query as they are; what is none is refused there.
        let cursor = cursor.map(|cursor| {
            let cursor: String =
                cursor.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
            format!("cursor={cursor}")
        });
        let query: Vec<&str> =
            [Some(query).filter(|query| !query.is_empty()), cursor.as_deref()].into_iter().flatten().collect();
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
        self.send(&Call::get(&path)).await?.json()
    }
}

fn body_of<T: Serialize>(value: &T) -> Result<Value, CallError> {
    serde_json::to_value(value).map_err(|error| CallError::NoAnswer(error.to_string()))
}

fn versioned<T: DeserializeOwned>(answer: &Answer) -> Result<Versioned<T>, CallError> {
    let no_version = || CallError::NotAnAnswer("it has no version".to_owned());
    let tag = answer.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).ok_or_else(no_version)?;
    let version = tag.trim_matches('"').parse().map_err(|_| no_version())?;
    Ok(Versioned { value: answer.json()?, version })
}
