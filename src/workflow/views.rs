//! What callers see: their own, and nothing that another tenant's doings could change (R16, R18-R23).

use super::Workflow;
use super::error::WorkflowError;
use crate::identity::Caller;
use crate::model::{
    AccessRequest, AccessRequestId, Consent, ConsentId, PersonId, SupportRequest, SupportRequestId, TenantId,
};
use crate::policy::{Circumstances, EndpointName, Resource, WorkflowAction};
use crate::store::{ActivityFilter, CaseRef, ListPosition, ListedConsent, NumberedActivity};

/// How many items are looked at, at most, to fill a page or to count.
const LOOKED_AT: usize = 1_000;

/// The two lists of an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentView {
    /// What waits for a decision (R11, R23).
    Pending,
    /// What no longer does, while in force and for 30 days after (R16).
    Approved,
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, P = ListPosition> {
    /// The items.
    pub items: Vec<T>,
    /// Where the rest begins; none: this is the end.
    pub next: Option<P>,
}

/// A tenant's own consent, with what the tenant may know (R18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenConsent {
    /// The consent.
    pub consent: Consent,
    /// The access request it is a part of. Of its other consent nothing may be shown (R19).
    pub access_request: AccessRequest,
    /// The support request.
    pub support_request: SupportRequest,
}

/// A list of consents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentList {
    /// The page.
    pub page: Page<SeenConsent>,
    /// How many consents wait for a decision, counted to at most 1,000 (R23).
    pub pending: usize,
}

impl Workflow {
    /// A list of the caller's tenant's consents.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn consents(
        &self,
        caller: &Caller,
        view: ConsentView,
        before: Option<ListPosition>,
        limit: usize,
    ) -> Result<ConsentList, WorkflowError> {
        let tenant = own_tenant(caller)?;
        let list = WorkflowAction::ListConsents;
        self.judge.require(caller, list, Resource::Tenant(&tenant), Circumstances::Nothing).await?;
        let pending = self.pending_consents(caller, &tenant).await?;
        let page = match view {
            ConsentView::Pending => page_of(pending.clone(), before.as_ref(), limit),
            ConsentView::Approved => self.approved_consents(caller, &tenant, before, limit).await?,
        };
        Ok(ConsentList { page, pending: pending.len() })
    }

    async fn pending_consents(&self, caller: &Caller, tenant: &TenantId) -> Result<Vec<SeenConsent>, WorkflowError> {
        let listed = self.store.consents_of(tenant.clone(), true, None, LOOKED_AT).await?;
        Ok(self.seen(caller, WorkflowAction::ViewConsent, listed))
    }

    async fn approved_consents(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        mut before: Option<ListPosition>,
        limit: usize,
    ) -> Result<Page<SeenConsent>, WorkflowError> {
        let mut items: Vec<SeenConsent> = Vec::new();
        let mut looked_at = 0;
        loop {
            let listed = self.store.consents_of(tenant.clone(), false, before.clone(), limit.max(50)).await?;
            let was_last = listed.len() < limit.max(50);
            looked_at += listed.len();
            before = listed.last().map(position_of_listed);
            items.extend(self.seen(caller, WorkflowAction::ViewApprovedAccess, listed));
            if items.len() > limit || was_last {
                let next = (items.len() > limit).then(|| items.get(limit.saturating_sub(1)).map(position_of)).flatten();
                items.truncate(limit);
                return Ok(Page { items, next });
            }
            if looked_at >= LOOKED_AT {
                return Ok(Page { items, next: before });
            }
        }
    }

    fn seen(&self, caller: &Caller, action: WorkflowAction, listed: Vec<ListedConsent>) -> Vec<SeenConsent> {
        let now = self.clock.now();
        let seen = listed.into_iter().filter_map(|listed| {
            let consent = listed.access_request.consent(&listed.consent)?.clone();
            Some(SeenConsent {
                consent,
                access_request: listed.access_request,
                support_request: listed.support_request,
            })
        });
        seen.filter(|seen| {
            let resource = Resource::Consent(&seen.consent, &seen.access_request, &seen.support_request);
            self.judge.sees(caller, action, resource, now)
        })
        .collect()
    }

    /// One consent of the caller's tenant.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn consent(&self, caller: &Caller, id: &ConsentId) -> Result<SeenConsent, WorkflowError> {
        const NOUN: &str = "consent";
        let stored = self.store.case(CaseRef::Consent(id.clone())).await?.ok_or(WorkflowError::NotFound(NOUN))?;
        let (request, consent) = stored.case.consent(id).ok_or(WorkflowError::NotFound(NOUN))?;
        let resource = Resource::Consent(consent, request, &stored.case.support_request);
        self.visible(caller, WorkflowAction::ViewConsent, resource, NOUN).await?;
        Ok(SeenConsent {
            consent: consent.clone(),
            access_request: request.clone(),
            support_request: stored.case.support_request.clone(),
        })
    }

    /// One support request, for its engineer or the ticketing system.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn support_request(
        &self,
        caller: &Caller,
        id: &SupportRequestId,
    ) -> Result<SupportRequest, WorkflowError> {
        const NOUN: &str = "support request";
        let case = CaseRef::SupportRequest(id.clone());
        let stored = self.store.case(case).await?.ok_or(WorkflowError::NotFound(NOUN))?;
        let resource = Resource::SupportRequest(&stored.case.support_request);
        self.visible(caller, WorkflowAction::ViewSupportRequest, resource, NOUN).await?;
        Ok(stored.case.support_request)
    }

    /// The support requests assigned to the caller.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn own_support_requests(
        &self,
        caller: &Caller,
        before: Option<ListPosition>,
        limit: usize,
    ) -> Result<Page<SupportRequest>, WorkflowError> {
        let person = self.engineer(caller).await?;
        let mut items = self.store.support_requests_of(person, before, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let position = |request: &SupportRequest| ListPosition { at: request.opened_at, id: request.id.to_string() };
        let next = items.last().filter(|_| more).map(position);
        items.retain(|request| {
            let resource = Resource::SupportRequest(request);
            self.judge.sees(caller, WorkflowAction::ViewSupportRequest, resource, self.clock.now())
        });
        Ok(Page { items, next })
    }

    /// One access request, for its engineer (R20).
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn access_request(&self, caller: &Caller, id: &AccessRequestId) -> Result<AccessRequest, WorkflowError> {
        const NOUN: &str = "access request";
        let stored = self.store.case(CaseRef::AccessRequest(id.clone())).await?.ok_or(WorkflowError::NotFound(NOUN))?;
        let request = stored.case.access_request(id).ok_or(WorkflowError::NotFound(NOUN))?;
        let resource = Resource::AccessRequest(request, &stored.case.support_request);
        self.visible(caller, WorkflowAction::ViewAccessRequest, resource, NOUN).await?;
        Ok(request.clone())
    }

    /// The access requests the caller created.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn own_access_requests(
        &self,
        caller: &Caller,
        before: Option<ListPosition>,
        limit: usize,
    ) -> Result<Page<AccessRequest>, WorkflowError> {
        let person = self.engineer(caller).await?;
        let mut items = self.store.access_requests_by(person, before, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let position = |request: &AccessRequest| ListPosition { at: request.created_at, id: request.id.to_string() };
        let next = items.last().filter(|_| more).map(position);
        Ok(Page { items, next })
    }

    /// The access requests under one support request, for its engineer.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn access_requests_under(
        &self,
        caller: &Caller,
        id: &SupportRequestId,
    ) -> Result<Vec<AccessRequest>, WorkflowError> {
        const NOUN: &str = "support request";
        let case = CaseRef::SupportRequest(id.clone());
        let stored = self.store.case(case).await?.ok_or(WorkflowError::NotFound(NOUN))?;
        let resource = Resource::SupportRequest(&stored.case.support_request);
        self.visible(caller, WorkflowAction::ViewSupportRequest, resource, NOUN).await?;
        Ok(stored.case.access_requests.into_iter().rev().collect())
    }

    /// The audit log of the caller's tenant (R21).
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn audit_log(
        &self,
        caller: &Caller,
        filter: ActivityFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<NumberedActivity, u64>, WorkflowError> {
        let tenant = self.audit_reader(caller).await?;
        let mut items = self.store.activities_of(tenant, filter, before, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|item| item.number);
        Ok(Page { items, next })
    }

    /// The tenant whose audit log the caller may read (R21, R22).
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn audit_reader(&self, caller: &Caller) -> Result<TenantId, WorkflowError> {
        let tenant = own_tenant(caller)?;
        let resource = Resource::AuditLog(&tenant);
        self.judge.require(caller, WorkflowAction::ReadAuditLog, resource, Circumstances::Nothing).await?;
        Ok(tenant)
    }

    async fn engineer(&self, caller: &Caller) -> Result<PersonId, WorkflowError> {
        let resource = Resource::Endpoint(EndpointName::Requests);
        self.judge.require(caller, WorkflowAction::ListOwnRequests, resource, Circumstances::Nothing).await?;
        caller.person().cloned().ok_or(WorkflowError::NotFound("person"))
    }
}

fn own_tenant(caller: &Caller) -> Result<TenantId, WorkflowError> {
    caller.tenant().cloned().ok_or(WorkflowError::NotFound("tenant"))
}

fn page_of(items: Vec<SeenConsent>, before: Option<&ListPosition>, limit: usize) -> Page<SeenConsent> {
    let is_later = |seen: &SeenConsent| {
        before.is_none_or(|before| {
            (seen.access_request.created_at, seen.consent.id.as_str()) < (before.at, before.id.as_str())
        })
    };
    let mut rest: Vec<_> = items.into_iter().filter(is_later).collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| more).map(position_of);
    Page { items: rest, next }
}

fn position_of(seen: &SeenConsent) -> ListPosition {
    ListPosition { at: seen.access_request.created_at, id: seen.consent.id.to_string() }
}

fn position_of_listed(listed: &ListedConsent) -> ListPosition {
    ListPosition { at: listed.access_request.created_at, id: listed.consent.to_string() }
}
