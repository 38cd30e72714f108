//! What people and systems can ask of a case, and what can come of it.

use serde::{Deserialize, Serialize};

use super::{
    AccessRequestId, CategorySet, Consent, ConsentId, ConsentStatus, Denial, PersonId, Scope, SubmittedIn,
    SupportRequestId, TaskStatus, TenantId, Timestamp,
};

/// A new support request, as the ticketing system announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSupportRequest {
    /// The ticketing system's id.
    pub id: SupportRequestId,
    /// The number people quote.
    pub number: String,
    /// One line on what it is about.
    pub summary: String,
    /// The tenant that opened it.
    pub tenant: TenantId,
    /// Where it was submitted.
    pub submitted_in: SubmittedIn,
    /// The customer's setting (R5).
    pub advanced_diagnostic_information: bool,
    /// The engineer assigned from the start, if any.
    pub assignee: Option<PersonId>,
}

/// A new access request. The ids are made by the caller, so that deciding stays a pure function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccessRequest {
    /// The new access request's id.
    pub id: AccessRequestId,
    /// The id for the resource tenant's (or the only) consent.
    pub resource_tenant_consent: ConsentId,
    /// The id for the support request tenant's consent, used when there are two.
    pub support_request_tenant_consent: ConsentId,
    /// The tenant whose data is asked for.
    pub resource_tenant: TenantId,
    /// Why.
    pub reason: String,
    /// The denial after which it is asked for, where it is followed as a task.
    pub denial: Option<Denial>,
}

/// A wish to change a case. Who may wish what is the policies' business and has been settled before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The ticketing system opens a support request.
    OpenSupportRequest(NewSupportRequest),
    /// The ticketing system changes its summary or the customer's setting (R5).
    UpdateSupportRequest {
        /// The new summary, if it changes.
        summary: Option<String>,
        /// The new setting, if it changes.
        advanced_diagnostic_information: Option<bool>,
    },
    /// The ticketing system assigns an engineer, or nobody (R3).
    Assign(Option<PersonId>),
    /// The ticketing system closes it (R4, R14).
    Close,
    /// The ticketing system opens it again; no access comes back (R15).
    Reopen,
    /// The assigned engineer asks for access (R10).
    CreateAccessRequest(NewAccessRequest),
    /// The engineer withdraws an access request.
    CancelAccessRequest(AccessRequestId),
    /// The engineer withdraws an access request that is still a pending task: what was approved stays.
    CancelTask(AccessRequestId),
    /// An administrator approves their tenant's consent, within this scope (R9, R11).
    ApproveConsent(ConsentId, Scope),
    /// An administrator rejects their tenant's consent (R12).
    RejectConsent(ConsentId),
    /// An administrator of the resource tenant takes a part of an approved consent away (R9, R13).
    NarrowConsent(ConsentId, Narrowing),
    /// An administrator of the resource tenant removes the access (R13).
    RevokeConsent(ConsentId),
}

/// What is to remain of an approved consent; what is not named stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Narrowing {
    /// The categories that remain.
    pub categories: Option<CategorySet>,
    /// The earlier end time.
    pub until: Option<Timestamp>,
}

/// Something that happened to a case. Applying the events of a command to the case it was decided on gives the new case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A support request was opened.
    SupportRequestOpened,
    /// Its summary or setting changed.
    SupportRequestUpdated,
    /// The engineer changed.
    Assigned,
    /// It was closed.
    SupportRequestClosed,
    /// It was opened again.
    SupportRequestReopened,
    /// An access request was created.
    AccessRequestCreated(AccessRequestId),
    /// A consent went from one status to another, or was narrowed.
    ConsentChanged {
        /// The access request.
        access_request: AccessRequestId,
        /// The consent.
        consent: ConsentId,
        /// What became of it.
        change: ConsentChange,
    },
}

/// What became of a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsentChange {
    /// Pending became approved.
    Approved,
    /// Pending became rejected.
    Rejected,
    /// Approved became narrower.
    Narrowed,
    /// Approved became revoked.
    Revoked,
    /// Approved became completed.
    Completed,
    /// Pending became canceled.
    Canceled,
}

/// Why a command changes nothing. None of these is a question of rights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A program cannot wish what only a person can decide.
    #[error("only a person can do this")]
    NotAPerson,
    /// There is a support request with this id.
    #[error("a support request with this id exists already")]
    SupportRequestExists,
    /// There is no support request.
    #[error("there is no such support request")]
    UnknownSupportRequest,
    /// The support request is closed.
    #[error("the support request is closed")]
    SupportRequestClosed,
    /// The support request is open already.
    #[error("the support request is open already")]
    SupportRequestOpen,
    /// There is a live access request for this resource tenant (R10).
    #[error("a live access request for this resource tenant exists already")]
    AccessRequestLive(AccessRequestId),
    /// There are as many access requests in this case as there may be, ended ones included.
    #[error("this support request has had too many access requests: open another one")]
    TooManyAccessRequests,
    /// There is no such access request in this case.
    #[error("there is no such access request")]
    UnknownAccessRequest,
    /// There is no such consent in this case.
    #[error("there is no such consent")]
    UnknownConsent,
    /// The access request has ended.
    #[error("the access request has ended")]
    AccessRequestEnded,
    /// The task has ended: there is nothing left to withdraw.
    #[error("the task is over: it is {}", .0.as_str())]
    TaskOver(TaskStatus),
    /// An access request was created after this denial before.
    #[error("an access request was created after this denial before")]
    DenialUsed,
    /// The denial is too old.
    #[error("the denial has expired: ask for a decision again")]
    DenialExpired,
    /// Only a pending consent can be decided; somebody was first (R15).
    #[error("the consent is no longer pending")]
    NotPending(ConsentStatus),
    /// Only an approved consent can be narrowed or revoked.
    #[error("the consent is not approved")]
    NotApproved(ConsentStatus),
    /// A consent must leave something to be read (R9).
    #[error("the consent would cover no category of diagnostic data")]
    NoCategory,
    /// The end time has passed already (R9).
    #[error("the end time lies in the past")]
    EndTimePassed,
    /// A narrowed consent may only cover less, for less long (R9).
    #[error("the new scope reaches beyond the approved one")]
    Wider,
}

impl Refusal {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAPerson => "not_a_person",
            Self::SupportRequestExists => "support_request_exists",
            Self::UnknownSupportRequest => "support_request_unknown",
            Self::SupportRequestClosed => "support_request_closed",
            Self::SupportRequestOpen => "support_request_open",
            Self::AccessRequestLive(_) => "access_request_live",
            Self::TooManyAccessRequests => "too_many_access_requests",
            Self::UnknownAccessRequest => "access_request_unknown",
            Self::UnknownConsent => "consent_unknown",
            Self::AccessRequestEnded => "access_request_ended",
            Self::TaskOver(_) => "invalid_task_state",
            Self::DenialUsed => "denial_used",
            Self::DenialExpired => "expired_denial",
            Self::NotPending(_) => "consent_not_pending",
            Self::NotApproved(_) => "consent_not_approved",
            Self::NoCategory => "no_category",
            Self::EndTimePassed => "end_time_passed",
            Self::Wider => "scope_wider",
        }
    }

    /// Whether it tells that somebody has ended or narrowed what the command is about, so that whoever hears it may take
    /// that access for gone.
    #[must_use]
    pub const fn tells_of_an_end(&self) -> bool {
        match self {
            Self::SupportRequestClosed
            | Self::AccessRequestEnded
            | Self::TaskOver(_)
            | Self::NotPending(_)
            | Self::NotApproved(_)
            | Self::Wider => true,
            Self::NotAPerson
            | Self::SupportRequestExists
            | Self::UnknownSupportRequest
            | Self::SupportRequestOpen
            | Self::AccessRequestLive(_)
            | Self::TooManyAccessRequests
            | Self::UnknownAccessRequest
            | Self::UnknownConsent
            | Self::DenialUsed
            | Self::DenialExpired
            | Self::NoCategory
            | Self::EndTimePassed => false,
        }
    }
}

impl Consent {
    pub(super) fn approve(&mut self, by: &PersonId, scope: Scope, at: Timestamp) -> Result<ConsentChange, Refusal> {
        if self.status != ConsentStatus::Pending {
            return Err(Refusal::NotPending(self.status));
        }
        check_scope(scope, at)?;
        self.status = ConsentStatus::Approved;
        self.scope = scope;
        self.decided(by, at);
        Ok(ConsentChange::Approved)
    }

    pub(super) fn reject(&mut self, by: &PersonId, at: Timestamp) -> Result<ConsentChange, Refusal> {
        if self.status != ConsentStatus::Pending {
            return Err(Refusal::NotPending(self.status));
        }
        self.status = ConsentStatus::Rejected;
        self.decided(by, at);
        self.ended_at = Some(at);
        Ok(ConsentChange::Rejected)
    }

    pub(super) fn narrow(&mut self, by: &PersonId, to: Narrowing, at: Timestamp) -> Result<ConsentChange, Refusal> {
        if self.status != ConsentStatus::Approved {
            return Err(Refusal::NotApproved(self.status));
        }
        let scope =
            Scope { categories: to.categories.unwrap_or(self.scope.categories), until: to.until.or(self.scope.until) };
        check_scope(scope, at)?;
        if !scope.is_within(self.scope) {
            return Err(Refusal::Wider);
        }
        self.scope = scope;
        self.decided(by, at);
        Ok(ConsentChange::Narrowed)
    }

    pub(super) fn revoke(&mut self, by: &PersonId, at: Timestamp) -> Result<ConsentChange, Refusal> {
        if self.status != ConsentStatus::Approved {
            return Err(Refusal::NotApproved(self.status));
        }
        self.status = ConsentStatus::Revoked;
        self.decided(by, at);
        self.ended_at = Some(at);
        Ok(ConsentChange::Revoked)
    }

    /// Ends this consent: approved becomes completed, pending canceled (R14). Final ones stay as they are (R15).
    pub(super) fn end(&mut self, at: Timestamp) -> Option<ConsentChange> {
        let (status, change) = match self.status {
            ConsentStatus::Approved => (ConsentStatus::Completed, ConsentChange::Completed),
            ConsentStatus::Pending => (ConsentStatus::Canceled, ConsentChange::Canceled),
            ConsentStatus::Rejected | ConsentStatus::Revoked | ConsentStatus::Completed | ConsentStatus::Canceled => {
                return None;
            }
        };
        self.status = status;
        self.ended_at = Some(at);
        self.version += 1;
        Some(change)
    }

    fn decided(&mut self, by: &PersonId, at: Timestamp) {
        self.decided_by = Some(by.clone());
        self.decided_at = Some(at);
        self.version += 1;
    }
}

fn check_scope(scope: Scope, at: Timestamp) -> Result<(), Refusal> {
    if scope.categories.is_empty() {
        return Err(Refusal::NoCategory);
    }
    if scope.until.is_some_and(|until| until <= at) {
        return Err(Refusal::EndTimePassed);
    }
    Ok(())
}
