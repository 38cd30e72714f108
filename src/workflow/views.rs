//! What callers see: their own, and nothing that another tenant's doings could change (R16, R18-R23).

use std::time::Instant;

use super::Workflow;
use super::absent::{ACCESS_REQUEST, CONSENT, SUPPORT_REQUEST, at_one_time};
use super::error::WorkflowError;
use crate::identity::Caller;
use crate::model::{
    AccessRequest, AccessRequestId, Case, Consent, ConsentId, PersonId, SupportRequest, SupportRequestId, TenantId,
};
use crate::policy::{Bundle, Circumstances, EndpointName, Resource, WorkflowAction};
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
        let bundle = self.judge.bundle();
        let (action, is_pending) = match view {
            ConsentView::Pending => (WorkflowAction::ViewConsent, true),
            ConsentView::Approved => (WorkflowAction::ViewApprovedAccess, false),
        };
        let all = self.store.consents_of(tenant.clone(), true, None, LOOKED_AT).await?;
        let pending = self.seen(&bundle, caller, WorkflowAction::ViewConsent, all).len();
        let (mut items, mut before, mut looked_at) = (Vec::new(), before, 0);
        let step = limit.max(50);
        let page = loop {
            let listed = self.store.consents_of(tenant.clone(), is_pending, before, step).await?;
            let is_last = listed.len() < step;
            looked_at += listed.len();
            before = listed.last().map(position_of_listed);
            items.extend(self.seen(&bundle, caller, action, listed));
            if items.len() > limit || is_last {
                let more = items.len() > limit;
                items.truncate(limit);
                let next = items.last().filter(|_| more).map(position_of);
                break Page { items, next };
            }
            if looked_at >= LOOKED_AT {
                break Page { items, next: before };
            }
        };
        Ok(ConsentList { page, pending })
    }

    fn seen(
        &self,
        bundle: &Bundle,
        caller: &Caller,
        action: WorkflowAction,
        listed: Vec<ListedConsent>,
    ) -> Vec<SeenConsent> {
        let now = self.clock.now();
        let seen = listed.into_iter().filter_map(|listed| {
            let consent = listed.access_request.consent(&listed.consent)?.clone();
            let ListedConsent { access_request, support_request, .. } = listed;
            Some(SeenConsent { consent, access_request, support_request })
        });
        seen.filter(|seen| {
            let resource = Resource::Consent(&seen.consent, &seen.access_request, &seen.support_request);
            self.judge.sees_by(bundle, caller, action, resource, now)
        })
        .collect()
    }

    /// One consent of the caller's tenant.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn consent(&self, caller: &Caller, id: &ConsentId) -> Result<SeenConsent, WorkflowError> {
        at_one_time(&self.bell, Instant::now(), self.consent_now(caller, id), |_| false).await
    }

    async fn consent_now(&self, caller: &Caller, id: &ConsentId) -> Result<SeenConsent, WorkflowError> {
        let stored = self.store.case(CaseRef::Consent(id.clone())).await?;
        let Some((stored, (request, consent))) =
            stored.as_ref().and_then(|stored| Some((stored, stored.case.consent(id)?)))
        else {
            return Err(self.absent(caller, &CONSENT, id.as_str()).await);
        };
        let resource = Resource::Consent(consent, request, &stored.case.support_request);
        self.visible(caller, &CONSENT, resource).await?;
        Ok(SeenConsent {
            consent: consent.clone(),
            access_request: request.clone(),
            support_request: stored.case.support_request.clone(),
        })
    }

    /// Whether a tenant is registered: only then can anybody approve access to its data (R10).
    ///
    /// # Errors
    /// [`WorkflowError::Unavailable`].
    pub async fn is_registered(&self, tenant: &TenantId) -> Result<bool, WorkflowError> {
        Ok(self.store.tenant(tenant.clone()).await?.is_some())
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
        Ok(at_one_time(&self.bell, Instant::now(), self.own_case(caller, id), |_| false).await?.support_request)
    }

    /// The case of a support request that the caller may know of.
    async fn own_case(&self, caller: &Caller, id: &SupportRequestId) -> Result<Case, WorkflowError> {
        let Some(stored) = self.store.case(CaseRef::SupportRequest(id.clone())).await? else {
            return Err(self.absent(caller, &SUPPORT_REQUEST, id.as_str()).await);
        };
        let resource = Resource::SupportRequest(&stored.case.support_request);
        self.visible(caller, &SUPPORT_REQUEST, resource).await?;
        Ok(stored.case)
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
        at_one_time(&self.bell, Instant::now(), self.access_request_now(caller, id), |_| false).await
    }

    async fn access_request_now(&self, caller: &Caller, id: &AccessRequestId) -> Result<AccessRequest, WorkflowError> {
        let stored = self.store.case(CaseRef::AccessRequest(id.clone())).await?;
        let Some((stored, request)) =
            stored.as_ref().and_then(|stored| Some((stored, stored.case.access_request(id)?)))
        else {
            return Err(self.absent(caller, &ACCESS_REQUEST, id.as_str()).await);
        };
        let resource = Resource::AccessRequest(request, &stored.case.support_request);
        self.visible(caller, &ACCESS_REQUEST, resource).await?;
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
        let Case { support_request, access_requests } =
            at_one_time(&self.bell, Instant::now(), self.own_case(caller, id), |_| false).await?;
        let (bundle, now) = (self.judge.bundle(), self.clock.now());
        let seen = access_requests.iter().rev().filter(|request| {
            let resource = Resource::AccessRequest(request, &support_request);
            self.judge.sees_by(&bundle, caller, WorkflowAction::ViewAccessRequest, resource, now)
        });
        Ok(seen.cloned().collect())
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
        self.activities_of(tenant, filter, before, limit).await
    }

    /// The audit log of a tenant, for whoever has been found to be one of its readers ([`Workflow::audit_reader`]).
    ///
    /// # Errors
    /// [`WorkflowError::Unavailable`].
    pub async fn activities_of(
        &self,
        tenant: TenantId,
        filter: ActivityFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<NumberedActivity, u64>, WorkflowError> {
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

fn position_of(seen: &SeenConsent) -> ListPosition {
    ListPosition { at: seen.access_request.created_at, id: seen.consent.id.to_string() }
}

fn position_of_listed(listed: &ListedConsent) -> ListPosition {
    ListPosition { at: listed.access_request.created_at, id: listed.consent.to_string() }
}
