//! Each command: whom it is asked of, which policy question settles it, which command of the model it becomes.

use super::Workflow;
use super::absent::{ACCESS_REQUEST, CONSENT, SUPPORT_REQUEST};
use super::change::{ATTEMPTS, Answered, Change, Once, Render, Rendered, remember, txn_id};
use super::error::WorkflowError;
use crate::identity::Caller;
use crate::model::{
    AccessRequestId, Case, Command, ConsentId, Denial, Narrowing, NewAccessRequest, NewSupportRequest, PersonId, Scope,
    SupportRequestId, Tenant, TenantId,
};
use crate::policy::{Circumstances, EndpointName, Resource, WorkflowAction};
use crate::store::{CaseRef, Commit, Object, Precondition, Write};

/// How a caller wants a command carried out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Precise<'a> {
    /// Only if the present version is one of these (`If-Match`); none: whatever it is.
    pub if_match: Option<&'a [u32]>,
    /// Once, under this idempotency key.
    pub once: Option<&'a Once>,
}

/// What the ticketing system does to a support request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupportRequestCommand {
    /// Changes what it says.
    Update {
        /// The new summary, if it changes.
        summary: Option<String>,
        /// The customer's new setting, if it changes (R5).
        advanced_diagnostic_information: Option<bool>,
    },
    /// Assigns an engineer or nobody (R3).
    Assign(Option<PersonId>),
    /// Closes it (R4).
    Close,
    /// Opens it again (R15).
    Reopen,
}

/// What an engineer asks for (R10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Under which support request.
    pub support_request: SupportRequestId,
    /// Whose data.
    pub resource_tenant: TenantId,
    /// Why.
    pub reason: String,
    /// After which denial, where it is to be followed as a task.
    pub denial: Option<Denial>,
}

/// What an administrator does with their tenant's consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentCommand {
    /// Approves it within a scope (R9, R11).
    Approve(Scope),
    /// Rejects it (R12).
    Reject,
    /// Takes a part of it away (R9).
    Narrow(Narrowing),
    /// Removes the access (R13).
    Revoke,
}

/// What a caller wishes of a case.
pub(super) enum Wish<'a> {
    /// To open it.
    Open(&'a NewSupportRequest),
    /// To change its support request.
    Change(&'a SupportRequestCommand),
    /// To create an access request under a support request.
    Create(&'a SupportRequestId, &'a NewAccessRequest),
    /// To withdraw an access request.
    Cancel(&'a AccessRequestId),
    /// To withdraw an access request while it is a pending task.
    CancelTask(&'a AccessRequestId),
    /// To decide on a consent.
    Decide(&'a ConsentId, ConsentCommand),
}

/// A wish that the policies allow.
pub(super) struct Judged {
    /// The command that it becomes.
    pub(super) command: Command,
    /// The present version of what it changes; 0 for what does not exist yet.
    pub(super) version: u32,
    /// By which decision of which policies, where a receipt may have to say so.
    pub(super) decided: Option<Decided>,
}

/// The decision that lets a command happen.
pub(super) struct Decided {
    pub(super) policy_version: String,
    pub(super) decision_id: String,
}

impl Workflow {
    /// Makes a tenant known, or renames it (R10). `render` is told whether it is new.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn register_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        display_name: &str,
        precise: Precise<'_>,
        render: &(dyn Fn(&Tenant, bool) -> Rendered + Send + Sync),
    ) -> Result<Answered, WorkflowError> {
        let endpoint = Resource::Endpoint(EndpointName::Ticketing);
        self.judge.require(caller, WorkflowAction::RegisterTenant, endpoint, Circumstances::Nothing).await?;
        for _ in 0..ATTEMPTS {
            if let Some(once) = precise.once
                && let Some(answered) = self.remembered(once).await?
            {
                return Ok(answered);
            }
            let before = self.store.tenant(id.clone()).await?;
            check_version(precise.if_match, before.as_ref().map_or(0, |before| before.value.version))?;
            let unchanged = before.as_ref().filter(|before| before.value.display_name == display_name);
            let version = before.as_ref().map_or(0, |before| before.value.version) + u32::from(unchanged.is_none());
            let tenant = Tenant { id: id.clone(), display_name: display_name.to_owned(), version };
            let rendered = render(&tenant, before.is_none());
            let object = Object::Tenant(tenant);
            let at = self.clock.now();
            // Also where nothing changes: the answer is remembered, and what it tells of may be another call's change that
            // is not yet in force.
            let mut commit = Commit {
                txn_id: txn_id(),
                at,
                preconditions: vec![Precondition {
                    key: object.key(),
                    revision: before.as_ref().map(|before| before.revision),
                }],
                writes: if unchanged.is_some() { Vec::new() } else { vec![Write(object)] },
                activities: Vec::new(),
                announcements: Vec::new(),
                takes_away: unchanged.is_some(),
            };
            if let Some(once) = precise.once {
                remember(once, &rendered, at, &mut commit);
            }
            if self.committed(commit).await? {
                return Ok(Answered { rendered, replayed: false });
            }
        }
        Err(WorkflowError::Busy)
    }

    /// Opens a support request. Its tenant must be registered.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn open_support_request(
        &self,
        caller: &Caller,
        new: NewSupportRequest,
        precise: Precise<'_>,
        render: Render<'_>,
    ) -> Result<Answered, WorkflowError> {
        let case = CaseRef::SupportRequest(new.id.clone());
        self.change(Change { case, caller, wish: Wish::Open(&new), if_match: None, once: precise.once, render }).await
    }

    /// Changes a support request.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn change_support_request(
        &self,
        caller: &Caller,
        id: &SupportRequestId,
        command: SupportRequestCommand,
        precise: Precise<'_>,
        render: Render<'_>,
    ) -> Result<Answered, WorkflowError> {
        let wish = Wish::Change(&command);
        let case = CaseRef::SupportRequest(id.clone());
        self.change(Change { case, caller, wish, if_match: precise.if_match, once: precise.once, render }).await
    }

    /// Asks for access (R10).
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn create_access_request(
        &self,
        caller: &Caller,
        new: &NewRequest,
        once: Option<&Once>,
        render: Render<'_>,
    ) -> Result<Answered, WorkflowError> {
        let created = NewAccessRequest {
            id: new_id("ar", AccessRequestId::new)?,
            resource_tenant_consent: new_id("co", ConsentId::new)?,
            support_request_tenant_consent: new_id("co", ConsentId::new)?,
            resource_tenant: new.resource_tenant.clone(),
            reason: new.reason.clone(),
            denial: new.denial.clone(),
        };
        let case = CaseRef::SupportRequest(new.support_request.clone());
        self.change(Change {
            case,
            caller,
            wish: Wish::Create(&new.support_request, &created),
            if_match: None,
            once,
            render,
        })
        .await
    }

    /// Withdraws an access request.
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn cancel_access_request(
        &self,
        caller: &Caller,
        id: &AccessRequestId,
        once: Option<&Once>,
        render: Render<'_>,
    ) -> Result<Answered, WorkflowError> {
        let case = CaseRef::AccessRequest(id.clone());
        self.change(Change { case, caller, wish: Wish::Cancel(id), if_match: None, once, render }).await
    }

    /// Withdraws an access request that is still a pending task.
    ///
    /// # Errors
    /// [`WorkflowError`]; [`Refusal::TaskOver`](crate::model::Refusal::TaskOver) when it is over.
    pub async fn cancel_task(
        &self,
        caller: &Caller,
        id: &AccessRequestId,
        once: Option<&Once>,
        render: Render<'_>,
    ) -> Result<Answered, WorkflowError> {
        let case = CaseRef::AccessRequest(id.clone());
        self.change(Change { case, caller, wish: Wish::CancelTask(id), if_match: None, once, render }).await
    }

    /// Decides on a consent, or takes away what it gave (R9, R11-R13).
    ///
    /// # Errors
    /// [`WorkflowError`].
    pub async fn decide_consent(
        &self,
        caller: &Caller,
        id: &ConsentId,
        command: ConsentCommand,
        precise: Precise<'_>,
        render: Render<'_>,
    ) -> Result<Answered, WorkflowError> {
        let wish = Wish::Decide(id, command);
        let case = CaseRef::Consent(id.clone());
        self.change(Change { case, caller, wish, if_match: precise.if_match, once: precise.once, render }).await
    }

    /// Asks the policies about a wish that is the caller's to have whatever it is about, before anything is looked at: how
    /// long a refusal takes must not tell whether there is such a support request.
    pub(super) async fn admitted(&self, caller: &Caller, wish: &Wish<'_>) -> Result<(), WorkflowError> {
        match wish {
            Wish::Open(_) | Wish::Change(_) => {
                let endpoint = Resource::Endpoint(EndpointName::Ticketing);
                let action = WorkflowAction::ManageSupportRequests;
                self.judge.require(caller, action, endpoint, Circumstances::Nothing).await.map(drop)
            }
            Wish::Create(..) | Wish::Cancel(_) | Wish::CancelTask(_) | Wish::Decide(..) => Ok(()),
        }
    }

    /// Asks the policies about a wish on the case as it is now, and gives the command that it becomes.
    pub(super) async fn judged(
        &self,
        caller: &Caller,
        wish: &Wish<'_>,
        case: Option<&Case>,
    ) -> Result<Judged, WorkflowError> {
        match *wish {
            Wish::Open(new) => self.judged_opening(new).await,
            Wish::Change(command) => judged_ticketing(case, command),
            Wish::Create(under, new) => self.judged_creation(caller, case, under, new).await,
            Wish::Cancel(id) => self.judged_cancellation(caller, case, id, Command::CancelAccessRequest).await,
            Wish::CancelTask(id) => self.judged_cancellation(caller, case, id, Command::CancelTask).await,
            Wish::Decide(id, command) => self.judged_decision(caller, case, id, command).await,
        }
    }

    async fn judged_opening(&self, new: &NewSupportRequest) -> Result<Judged, WorkflowError> {
        if self.store.tenant(new.tenant.clone()).await?.is_none() {
            let message = format!("`{}` is not registered: register the tenant first", new.tenant);
            return Err(WorkflowError::Invalid { field: "tenant", message });
        }
        Ok(Judged { command: Command::OpenSupportRequest(new.clone()), version: 0, decided: None })
    }

    async fn judged_creation(
        &self,
        caller: &Caller,
        case: Option<&Case>,
        under: &SupportRequestId,
        new: &NewAccessRequest,
    ) -> Result<Judged, WorkflowError> {
        let Some(case) = case else {
            return Err(self.absent(caller, &SUPPORT_REQUEST, under.as_str()).await);
        };
        let resource = Resource::SupportRequest(&case.support_request);
        // An engineer who may not know of the support request learns nothing about it.
        self.visible(caller, &SUPPORT_REQUEST, resource).await?;
        let registered = self.store.tenant(new.resource_tenant.clone()).await?.is_some();
        let circumstances = Circumstances::Create { resource_tenant: &new.resource_tenant, registered };
        self.judge.require(caller, WorkflowAction::CreateAccessRequest, resource, circumstances).await?;
        Ok(Judged { command: Command::CreateAccessRequest(new.clone()), version: 0, decided: None })
    }

    async fn judged_cancellation(
        &self,
        caller: &Caller,
        case: Option<&Case>,
        id: &AccessRequestId,
        command: impl FnOnce(AccessRequestId) -> Command,
    ) -> Result<Judged, WorkflowError> {
        let Some((case, request)) = case.and_then(|case| Some((case, case.access_request(id)?))) else {
            return Err(self.absent(caller, &ACCESS_REQUEST, id.as_str()).await);
        };
        let resource = Resource::AccessRequest(request, &case.support_request);
        self.visible(caller, &ACCESS_REQUEST, resource).await?;
        self.judge.require(caller, WorkflowAction::CancelAccessRequest, resource, Circumstances::Nothing).await?;
        Ok(Judged { command: command(id.clone()), version: 0, decided: None })
    }

    async fn judged_decision(
        &self,
        caller: &Caller,
        case: Option<&Case>,
        id: &ConsentId,
        command: ConsentCommand,
    ) -> Result<Judged, WorkflowError> {
        let Some((case, (request, consent))) = case.and_then(|case| Some((case, case.consent(id)?))) else {
            return Err(self.absent(caller, &CONSENT, id.as_str()).await);
        };
        let (action, command) = match command {
            ConsentCommand::Approve(scope) => {
                (WorkflowAction::ApproveConsent, Command::ApproveConsent(id.clone(), scope))
            }
            ConsentCommand::Reject => (WorkflowAction::RejectConsent, Command::RejectConsent(id.clone())),
            ConsentCommand::Narrow(to) => (WorkflowAction::NarrowConsent, Command::NarrowConsent(id.clone(), to)),
            ConsentCommand::Revoke => (WorkflowAction::RevokeConsent, Command::RevokeConsent(id.clone())),
        };
        let resource = Resource::Consent(consent, request, &case.support_request);
        self.visible(caller, &CONSENT, resource).await?;
        let judgement = self.judge.require(caller, action, resource, Circumstances::Nothing).await?;
        let decided = Decided { policy_version: judgement.policy_version, decision_id: judgement.id.to_string() };
        Ok(Judged { command, version: consent.version, decided: Some(decided) })
    }
}

fn judged_ticketing(case: Option<&Case>, command: &SupportRequestCommand) -> Result<Judged, WorkflowError> {
    let case = case.ok_or(WorkflowError::NotFound("support request"))?;
    let command = match command.clone() {
        SupportRequestCommand::Update { summary, advanced_diagnostic_information } => {
            Command::UpdateSupportRequest { summary, advanced_diagnostic_information }
        }
        SupportRequestCommand::Assign(engineer) => Command::Assign(engineer),
        SupportRequestCommand::Close => Command::Close,
        SupportRequestCommand::Reopen => Command::Reopen,
    };
    Ok(Judged { command, version: case.support_request.version, decided: None })
}

/// Whether the caller knows the present version.
pub(super) fn check_version(if_match: Option<&[u32]>, present: u32) -> Result<(), WorkflowError> {
    match if_match {
        Some(versions) if !versions.contains(&present) => Err(WorkflowError::Outdated { present }),
        Some(_) | None => Ok(()),
    }
}

/// A random id: nothing about order, time or other ids can be read off it (R19).
pub(super) fn new_id<I>(
    prefix: &'static str,
    make: impl Fn(&str) -> Result<I, crate::model::InvalidId>,
) -> Result<I, WorkflowError> {
    let text = format!("{prefix}-{}", uuid::Uuid::new_v4().simple());
    make(&text).map_err(|error| WorkflowError::invalid("id", &error))
}
