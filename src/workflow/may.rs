//! "May I?": the workflow's questions, answered without doing anything, so that a page can grey out a button.
//!
//! The policies say whether the person may, then the state machine says whether the case would take it.

use std::time::Instant;

use super::Workflow;
use super::absent::{NOT_FOUND, at_one_time};
use super::change::actor;
use super::error::WorkflowError;
use super::judge::Judgement;
use crate::decision::Reason;
use crate::identity::{Caller, CallerKind};
use crate::model::{
    AccessRequestId, Case, Command, ConsentId, Narrowing, NewAccessRequest, Refusal, Scope, SupportRequestId, TenantId,
    Timestamp, decide,
};
use crate::policy::{Circumstances, EndpointName, Resource, WorkflowAction};
use crate::store::{CaseRef, StoredCase};

/// Whom the question is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// `User`, `SupportEngineer` or `Service`.
    pub kind: &'a str,
    /// `<tenant>/<object id>`.
    pub id: &'a str,
}

/// What it is about.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The kind of resource.
    pub kind: &'a str,
    /// Its id.
    pub id: &'a str,
}

/// A workflow question.
#[derive(Debug, Clone, Copy)]
pub struct MayQuestion<'a> {
    /// Who.
    pub subject: Subject<'a>,
    /// What.
    pub action: WorkflowAction,
    /// About what.
    pub target: Target<'a>,
    /// For whose data an access request would be created (R10).
    pub resource_tenant: Option<&'a str>,
}

impl Workflow {
    /// Whether the caller may use the decision endpoint at all, for themselves or for others. The answer is recorded.
    ///
    /// # Errors
    /// [`WorkflowError::Denied`] when not, [`WorkflowError::Unrecorded`] when the log cannot be written.
    pub async fn may_evaluate(&self, caller: &Caller, subject: Subject<'_>) -> Result<(), WorkflowError> {
        let endpoint = Resource::Endpoint(EndpointName::Decisions);
        let about_self = caller.person().is_some_and(|person| person.as_str() == subject.id);
        let circumstances = Circumstances::Evaluate { about_self };
        // Who asks about an engineer, asks as one: a customer's person must learn nothing about reads (R19).
        let action = match caller.kind() {
            CallerKind::Person(_) if subject.kind == "SupportEngineer" => WorkflowAction::EvaluateAsEngineer,
            CallerKind::Person(_)
            | CallerKind::Service { .. }
            | CallerKind::UnixSocket
            | CallerKind::InsecureLoopback => WorkflowAction::Evaluate,
        };
        self.judge.require(caller, action, endpoint, circumstances).await?;
        Ok(())
    }

    /// Answers a workflow question about the caller. About others nothing is known: only a person's own token proves
    /// their roles (G7), so that such a question is denied. What is done for it `began` before: where there are many, how
    /// warm the machine is for the next one tells what the last one took.
    ///
    /// # Errors
    /// [`WorkflowError::Unrecorded`] and [`WorkflowError::Unavailable`].
    pub async fn may(
        &self,
        caller: &Caller,
        question: &MayQuestion<'_>,
        began: Instant,
    ) -> Result<Judgement, WorkflowError> {
        at_one_time(&self.bell, began, self.may_now(caller, question), |judgement| judgement.reason.code == NOT_FOUND)
            .await
    }

    async fn may_now(&self, caller: &Caller, question: &MayQuestion<'_>) -> Result<Judgement, WorkflowError> {
        if !is_about(caller, question) {
            let message = "a person's roles are proved by their own token alone: ask with it".to_owned();
            return self.no(caller, question, "roles_not_proved", message).await;
        }
        let Some(target) = self.target(question).await? else {
            return self.unknown(caller, question).await;
        };
        match &target {
            Found::Tenant(tenant) => {
                self.judge.judge(caller, question.action, Resource::Tenant(tenant), Circumstances::Nothing).await
            }
            Found::AuditLog(tenant) => {
                self.judge.judge(caller, question.action, Resource::AuditLog(tenant), Circumstances::Nothing).await
            }
            Found::Endpoint(endpoint) => {
                let circumstances = Circumstances::of(question.action, self.clock.now());
                self.judge.judge(caller, question.action, Resource::Endpoint(*endpoint), circumstances).await
            }
            Found::SupportRequest(stored) => self.may_on_support_request(caller, question, stored).await,
            Found::AccessRequest(stored, id) => self.may_on_access_request(caller, question, stored, id).await,
            Found::Consent(stored, id) => self.may_on_consent(caller, question, stored, id).await,
        }
    }

    /// The answer to a question of which no policy can speak: there is no such action (R1).
    ///
    /// # Errors
    /// [`WorkflowError::Unrecorded`].
    pub async fn no_such_question(
        &self,
        caller: &Caller,
        action: &str,
        target: Target<'_>,
    ) -> Result<Judgement, WorkflowError> {
        let message = "no policy speaks of this action on this kind of resource".to_owned();
        self.judge.deny(caller, action, target.kind, target.id, "not_permitted", message).await
    }

    async fn may_on_support_request(
        &self,
        caller: &Caller,
        question: &MayQuestion<'_>,
        stored: &StoredCase,
    ) -> Result<Judgement, WorkflowError> {
        let resource = Resource::SupportRequest(&stored.case.support_request);
        let view = WorkflowAction::ViewSupportRequest;
        if !self.judge.sees(caller, view, resource, self.clock.now()) {
            return self.unknown(caller, question).await;
        }
        if question.action != WorkflowAction::CreateAccessRequest {
            return self.judge.judge(caller, question.action, resource, Circumstances::Nothing).await;
        }
        let Some(Ok(tenant)) = question.resource_tenant.map(TenantId::new) else {
            let message = "`context.resource_tenant` must name the tenant whose data is asked for".to_owned();
            return self.no(caller, question, "resource_tenant_missing", message).await;
        };
        let registered = self.store.tenant(tenant.clone()).await?.is_some();
        let circumstances = Circumstances::Create { resource_tenant: &tenant, registered };
        let judgement = self.judge.judge(caller, question.action, resource, circumstances).await?;
        let Ok(new) = placeholder(&tenant) else { return Ok(judgement) };
        Ok(self.if_the_case_takes_it(caller, judgement, &stored.case, &Command::CreateAccessRequest(new)))
    }

    async fn may_on_access_request(
        &self,
        caller: &Caller,
        question: &MayQuestion<'_>,
        stored: &StoredCase,
        id: &AccessRequestId,
    ) -> Result<Judgement, WorkflowError> {
        let Some(request) = stored.case.access_request(id) else { return self.unknown(caller, question).await };
        let resource = Resource::AccessRequest(request, &stored.case.support_request);
        if !self.judge.sees(caller, WorkflowAction::ViewAccessRequest, resource, self.clock.now()) {
            return self.unknown(caller, question).await;
        }
        let judgement = self.judge.judge(caller, question.action, resource, Circumstances::Nothing).await?;
        if question.action != WorkflowAction::CancelAccessRequest {
            return Ok(judgement);
        }
        Ok(self.if_the_case_takes_it(caller, judgement, &stored.case, &Command::CancelAccessRequest(id.clone())))
    }

    async fn may_on_consent(
        &self,
        caller: &Caller,
        question: &MayQuestion<'_>,
        stored: &StoredCase,
        id: &ConsentId,
    ) -> Result<Judgement, WorkflowError> {
        let Some((request, consent)) = stored.case.consent(id) else { return self.unknown(caller, question).await };
        let resource = Resource::Consent(consent, request, &stored.case.support_request);
        let now = self.clock.now();
        if !self.judge.sees(caller, WorkflowAction::ViewConsent, resource, now) {
            return self.unknown(caller, question).await;
        }
        let circumstances = Circumstances::of(question.action, now);
        let judgement = self.judge.judge(caller, question.action, resource, circumstances).await?;
        if !judgement.allowed {
            return Ok(judgement);
        }
        Ok(unless_refused(judgement, case_takes(&stored.case, caller, question.action, id, now)))
    }

    /// What is allowed may still be refused by the case as it is now: the button stays grey then, too.
    fn if_the_case_takes_it(&self, caller: &Caller, judgement: Judgement, case: &Case, command: &Command) -> Judgement {
        if !judgement.allowed {
            return judgement;
        }
        unless_refused(judgement, decide(Some(case), command, &actor(caller), self.clock.now()).map(drop))
    }

    async fn target(&self, question: &MayQuestion<'_>) -> Result<Option<Found>, WorkflowError> {
        let id = question.target.id;
        let case = |case: CaseRef| self.store.case(case);
        Ok(match question.target.kind {
            "Tenant" => TenantId::new(id).ok().map(Found::Tenant),
            "AuditLog" => TenantId::new(id).ok().map(Found::AuditLog),
            "Endpoint" => EndpointName::by_name(id).map(Found::Endpoint),
            "SupportRequest" => match SupportRequestId::new(id) {
                Ok(id) => case(CaseRef::SupportRequest(id)).await?.map(Found::SupportRequest),
                Err(_) => None,
            },
            "AccessRequest" => match AccessRequestId::new(id) {
                Ok(id) => case(CaseRef::AccessRequest(id.clone())).await?.map(|case| Found::AccessRequest(case, id)),
                Err(_) => None,
            },
            "Consent" => match ConsentId::new(id) {
                Ok(id) => case(CaseRef::Consent(id.clone())).await?.map(|case| Found::Consent(case, id)),
                Err(_) => None,
            },
            _ => None,
        })
    }

    /// The answer about what there is not, and about what the caller may not know of: one and the same (R19).
    async fn unknown(&self, caller: &Caller, question: &MayQuestion<'_>) -> Result<Judgement, WorkflowError> {
        self.no(caller, question, NOT_FOUND, "there is no such resource, or not for you".to_owned()).await
    }

    async fn no(
        &self,
        caller: &Caller,
        question: &MayQuestion<'_>,
        code: &str,
        message: String,
    ) -> Result<Judgement, WorkflowError> {
        self.judge.deny(caller, question.action.as_str(), question.target.kind, question.target.id, code, message).await
    }
}

/// The judgement, or the case's refusal in its place.
fn unless_refused(judgement: Judgement, taken: Result<(), Refusal>) -> Judgement {
    let Err(refusal) = taken else { return judgement };
    let reason = Reason { code: refusal.code().to_owned(), message: refusal.to_string(), missing_consents: Vec::new() };
    Judgement { allowed: false, reason, policies: Vec::new(), ..judgement }
}

/// Whether the case, as it is, would take this of this caller. Looking is always taken.
///
/// # Errors
/// The refusal.
pub(super) fn case_takes(
    case: &Case,
    caller: &Caller,
    action: WorkflowAction,
    id: &ConsentId,
    now: Timestamp,
) -> Result<(), Refusal> {
    let command = match action {
        WorkflowAction::ApproveConsent => Command::ApproveConsent(id.clone(), Scope::WHOLE),
        WorkflowAction::RejectConsent => Command::RejectConsent(id.clone()),
        WorkflowAction::NarrowConsent => Command::NarrowConsent(id.clone(), Narrowing::default()),
        WorkflowAction::RevokeConsent => Command::RevokeConsent(id.clone()),
        WorkflowAction::CreateAccessRequest
        | WorkflowAction::ViewAccessRequest
        | WorkflowAction::CancelAccessRequest
        | WorkflowAction::ViewSupportRequest
        | WorkflowAction::ViewConsent
        | WorkflowAction::ViewApprovedAccess
        | WorkflowAction::ListConsents
        | WorkflowAction::ReadAuditLog
        | WorkflowAction::Evaluate
        | WorkflowAction::EvaluateAsEngineer
        | WorkflowAction::ManageSupportRequests
        | WorkflowAction::RegisterTenant
        | WorkflowAction::ListOwnRequests
        | WorkflowAction::ExplainDecisions => return Ok(()),
    };
    decide(Some(case), &command, &actor(caller), now).map(drop)
}

/// The resource of a question, as found.
enum Found {
    Tenant(TenantId),
    AuditLog(TenantId),
    Endpoint(EndpointName),
    SupportRequest(StoredCase),
    AccessRequest(StoredCase, AccessRequestId),
    Consent(StoredCase, ConsentId),
}

/// Whether the question's subject is the caller, in the role in which the action is done.
fn is_about(caller: &Caller, question: &MayQuestion<'_>) -> bool {
    let kind = match caller.kind() {
        CallerKind::Person(_) if question.action.is_engineers() => "SupportEngineer",
        CallerKind::Person(_) => "User",
        CallerKind::Service { .. } | CallerKind::UnixSocket | CallerKind::InsecureLoopback => "Service",
    };
    question.subject.kind == kind && question.subject.id == caller.to_string()
}

/// An access request that is only thought of.
fn placeholder(tenant: &TenantId) -> Result<NewAccessRequest, crate::model::InvalidId> {
    Ok(NewAccessRequest {
        id: AccessRequestId::new("thought-of")?,
        resource_tenant_consent: ConsentId::new("thought-of-1")?,
        support_request_tenant_consent: ConsentId::new("thought-of-2")?,
        resource_tenant: tenant.clone(),
        reason: String::new(),
        denial: None,
    })
}
