//! The state machine of one case: a support request with its access requests (R3-R17).

use super::{
    AccessRequest, AccessRequestId, Command, Consent, ConsentChange, ConsentId, ConsentStatus, Denial, Event,
    NewAccessRequest, NewSupportRequest, Part, PersonId, Refusal, SupportRequest, Task, TaskStatus, TenantId,
    Timestamp,
};

/// How many access requests one support request may have, ended ones included: a case is read and decided as a whole, and
/// must stay small whatever an engineer does.
const MAX_ACCESS_REQUESTS: usize = 200;

/// A support request and every access request under it: what one command is decided on, and what it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The support request.
    pub support_request: SupportRequest,
    /// Its access requests, oldest first, ended ones included.
    pub access_requests: Vec<AccessRequest>,
}

/// Who wishes something: a person, or a program of the vendor's.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// An administrator or a support engineer.
    Person(PersonId),
    /// The ticketing system, by the name its token gives it.
    Service(String),
}

/// What a command leads to: the case as it is then, and what happened on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The case after the command.
    pub case: Case,
    /// What happened, in order. Empty: the command wished for what was so already.
    pub events: Vec<Event>,
}

impl Outcome {
    /// The access request that was created; a command creates one at most (R10).
    #[must_use]
    pub fn created(&self) -> Option<&AccessRequest> {
        self.events.iter().find_map(|event| match event {
            Event::AccessRequestCreated(id) => self.case.access_request(id),
            Event::SupportRequestOpened
            | Event::SupportRequestUpdated
            | Event::Assigned
            | Event::SupportRequestClosed
            | Event::SupportRequestReopened
            | Event::ConsentChanged { .. } => None,
        })
    }

    /// Whether somebody may read less after this than before, so that the answer must wait until nobody can be allowed
    /// by what was (G1).
    #[must_use]
    pub fn takes_access_away(&self) -> bool {
        self.events.iter().any(|event| match event {
            Event::SupportRequestUpdated | Event::Assigned | Event::SupportRequestClosed => true,
            Event::ConsentChanged { change, .. } => match change {
                ConsentChange::Rejected
                | ConsentChange::Narrowed
                | ConsentChange::Revoked
                | ConsentChange::Completed
                | ConsentChange::Canceled => true,
                ConsentChange::Approved => false,
            },
            // The newest request for a tenant speaks for it, whatever an older one still granted (R10).
            Event::AccessRequestCreated(id) => self.case.access_request(id).is_none_or(|created| {
                let same_tenant = |request: &&AccessRequest| request.resource_tenant == created.resource_tenant;
                self.case.access_requests.iter().filter(same_tenant).count() > 1
            }),
            Event::SupportRequestOpened | Event::SupportRequestReopened => false,
        })
    }
}

/// Decides a command on a case; `None` where there is no such support request yet.
///
/// # Errors
/// A [`Refusal`] when the case, as it is, does not take the command. Nothing is changed then.
pub fn decide(case: Option<&Case>, command: &Command, by: &Actor, at: Timestamp) -> Result<Outcome, Refusal> {
    if let Command::OpenSupportRequest(new) = command {
        return match case {
            Some(_) => Err(Refusal::SupportRequestExists),
            None => Ok(open(new, at)),
        };
    }
    let mut case = case.ok_or(Refusal::UnknownSupportRequest)?.clone();
    let events = match command {
        Command::OpenSupportRequest(_) => return Err(Refusal::SupportRequestExists),
        Command::UpdateSupportRequest { summary, advanced_diagnostic_information } => {
            case.update(summary.as_deref(), *advanced_diagnostic_information)
        }
        Command::Assign(engineer) => case.assign(engineer.as_ref()),
        Command::Close => case.close(at)?,
        Command::Reopen => case.reopen()?,
        Command::CreateAccessRequest(new) => case.create_access_request(new, by, at)?,
        Command::CancelAccessRequest(id) => case.cancel_access_request(id, at)?,
        Command::CancelTask(id) => case.cancel_task(id, at)?,
        Command::ApproveConsent(id, scope) => {
            case.change_consent(id, by, |consent, by| consent.approve(by, *scope, at))?
        }
        Command::RejectConsent(id) => case.change_consent(id, by, |consent, by| consent.reject(by, at))?,
        Command::NarrowConsent(id, to) => case.change_consent(id, by, |consent, by| consent.narrow(by, *to, at))?,
        Command::RevokeConsent(id) => case.change_consent(id, by, |consent, by| consent.revoke(by, at))?,
    };
    case.settle_tasks(&events, at);
    Ok(Outcome { case, events })
}

fn open(new: &NewSupportRequest, at: Timestamp) -> Outcome {
    let support_request = SupportRequest {
        id: new.id.clone(),
        number: new.number.clone(),
        summary: new.summary.clone(),
        tenant: new.tenant.clone(),
        submitted_in: new.submitted_in,
        advanced_diagnostic_information: new.advanced_diagnostic_information,
        assignee: new.assignee.clone(),
        open: true,
        opened_at: at,
        closed_at: None,
        version: 1,
    };
    Outcome { case: Case { support_request, access_requests: Vec::new() }, events: vec![Event::SupportRequestOpened] }
}

impl Case {
    /// The access request with this id.
    #[must_use]
    pub fn access_request(&self, id: &AccessRequestId) -> Option<&AccessRequest> {
        self.access_requests.iter().find(|request| request.id == *id)
    }

    /// The consent with this id, and the access request it is a part of.
    #[must_use]
    pub fn consent(&self, id: &ConsentId) -> Option<(&AccessRequest, &Consent)> {
        self.access_requests.iter().find_map(|request| request.consent(id).map(|consent| (request, consent)))
    }

    /// The newest access request for this resource tenant: the one that speaks for it, live or ended.
    #[must_use]
    pub fn newest_access_request_for(&self, resource_tenant: &TenantId) -> Option<&AccessRequest> {
        self.access_requests.iter().rev().find(|request| request.resource_tenant == *resource_tenant)
    }

    fn update(&mut self, summary: Option<&str>, advanced_diagnostic_information: Option<bool>) -> Vec<Event> {
        let support_request = &mut self.support_request;
        let before = (support_request.summary.clone(), support_request.advanced_diagnostic_information);
        if let Some(summary) = summary {
            summary.clone_into(&mut support_request.summary);
        }
        if let Some(setting) = advanced_diagnostic_information {
            support_request.advanced_diagnostic_information = setting;
        }
        if before == (support_request.summary.clone(), support_request.advanced_diagnostic_information) {
            return Vec::new();
        }
        support_request.version += 1;
        vec![Event::SupportRequestUpdated]
    }

    fn assign(&mut self, engineer: Option<&PersonId>) -> Vec<Event> {
        if self.support_request.assignee.as_ref() == engineer {
            return Vec::new();
        }
        self.support_request.assignee = engineer.cloned();
        self.support_request.version += 1;
        vec![Event::Assigned]
    }

    fn close(&mut self, at: Timestamp) -> Result<Vec<Event>, Refusal> {
        if !self.support_request.open {
            return Err(Refusal::SupportRequestClosed);
        }
        self.support_request.open = false;
        self.support_request.closed_at = Some(at);
        self.support_request.version += 1;
        let mut events = vec![Event::SupportRequestClosed];
        for request in &mut self.access_requests {
            end_consents(request, at, &mut events);
        }
        Ok(events)
    }

    fn reopen(&mut self) -> Result<Vec<Event>, Refusal> {
        if self.support_request.open {
            return Err(Refusal::SupportRequestOpen);
        }
        self.support_request.open = true;
        self.support_request.version += 1;
        Ok(vec![Event::SupportRequestReopened])
    }

    fn create_access_request(
        &mut self,
        new: &NewAccessRequest,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        if !self.support_request.open {
            return Err(Refusal::SupportRequestClosed);
        }
        if self.access_requests.len() >= MAX_ACCESS_REQUESTS {
            return Err(Refusal::TooManyAccessRequests);
        }
        if let Some(denial) = &new.denial {
            self.may_follow(denial, at)?;
        }
        let for_same_tenant = |request: &&mut AccessRequest| request.resource_tenant == new.resource_tenant;
        let mut events = Vec::new();
        for earlier in self.access_requests.iter_mut().filter(for_same_tenant) {
            if earlier.is_live(at) {
                return Err(Refusal::AccessRequestLive(earlier.id.clone()));
            }
            // What is left of an ended request must not wait for a decision that could no longer matter.
            end_pending_consents(earlier, at, &mut events);
        }
        // Strictly later than the ones before, even if the clock stepped back: the newest request speaks for its tenant.
        let latest = self.access_requests.iter().map(|request| request.created_at).max();
        let created_at = latest.map_or(at, |latest| at.max(latest.plus_millis(1)));
        let same_tenant = new.resource_tenant == self.support_request.tenant;
        let resource_part = if same_tenant { Part::Only } else { Part::ResourceTenant };
        self.access_requests.push(AccessRequest {
            id: new.id.clone(),
            support_request: self.support_request.id.clone(),
            resource_tenant: new.resource_tenant.clone(),
            requested_by: by.person()?.clone(),
            reason: new.reason.clone(),
            created_at,
            resource_tenant_consent: Consent::pending(
                new.resource_tenant_consent.clone(),
                new.resource_tenant.clone(),
                resource_part,
            ),
            support_request_tenant_consent: (!same_tenant).then(|| {
                Consent::pending(
                    new.support_request_tenant_consent.clone(),
                    self.support_request.tenant.clone(),
                    Part::SupportRequestTenant,
                )
            }),
            task: new.denial.clone().map(Task::after).map(Box::new),
        });
        events.push(Event::AccessRequestCreated(new.id.clone()));
        Ok(events)
    }

    fn cancel_access_request(&mut self, id: &AccessRequestId, at: Timestamp) -> Result<Vec<Event>, Refusal> {
        let request =
            self.access_requests.iter_mut().find(|request| request.id == *id).ok_or(Refusal::UnknownAccessRequest)?;
        let mut events = Vec::new();
        end_consents(request, at, &mut events);
        if events.is_empty() { Err(Refusal::AccessRequestEnded) } else { Ok(events) }
    }

    /// Withdraws what is asked for, and not what was given.
    fn cancel_task(&mut self, id: &AccessRequestId, at: Timestamp) -> Result<Vec<Event>, Refusal> {
        let task = self.access_request(id).and_then(|request| request.task_status(at));
        match task.ok_or(Refusal::UnknownAccessRequest)? {
            TaskStatus::Pending => self.cancel_access_request(id, at),
            over @ (TaskStatus::Approved | TaskStatus::Denied | TaskStatus::Expired | TaskStatus::Cancelled) => {
                Err(Refusal::TaskOver(over))
            }
        }
    }

    /// A denial leads to one access request, and soon or not at all.
    fn may_follow(&self, denial: &Denial, at: Timestamp) -> Result<(), Refusal> {
        let mut tasks = self.access_requests.iter().filter_map(|request| request.task.as_deref());
        if tasks.any(|task| task.denial.evaluation == denial.evaluation) {
            return Err(Refusal::DenialUsed);
        }
        if denial.expires_at < at { Err(Refusal::DenialExpired) } else { Ok(()) }
    }

    /// What happened to a consent may be the end of its access request's task.
    fn settle_tasks(&mut self, events: &[Event], at: Timestamp) {
        let touched = |id: &AccessRequestId| {
            events.iter().any(|event| match event {
                Event::ConsentChanged { access_request, .. } => access_request == id,
                Event::SupportRequestOpened
                | Event::SupportRequestUpdated
                | Event::Assigned
                | Event::SupportRequestClosed
                | Event::SupportRequestReopened
                | Event::AccessRequestCreated(_) => false,
            })
        };
        for request in self.access_requests.iter_mut().filter(|request| touched(&request.id)) {
            request.settle_task(at);
        }
    }

    fn change_consent(
        &mut self,
        id: &ConsentId,
        by: &Actor,
        change: impl FnOnce(&mut Consent, &PersonId) -> Result<ConsentChange, Refusal>,
    ) -> Result<Vec<Event>, Refusal> {
        let by = by.person()?;
        for request in &mut self.access_requests {
            let access_request = request.id.clone();
            if let Some(consent) = request.consents_mut().find(|consent| consent.id == *id) {
                let change = change(consent, by)?;
                return Ok(vec![Event::ConsentChanged { access_request, consent: id.clone(), change }]);
            }
        }
        Err(Refusal::UnknownConsent)
    }
}

impl Actor {
    /// The person, where the command is one that only a person can wish.
    fn person(&self) -> Result<&PersonId, Refusal> {
        match self {
            Self::Person(person) => Ok(person),
            Self::Service(_) => Err(Refusal::NotAPerson),
        }
    }
}

/// Ends the consents of a request: the approved ones complete, the pending ones are canceled (R14).
fn end_consents(request: &mut AccessRequest, at: Timestamp, events: &mut Vec<Event>) {
    end_consents_where(request, |_| true, at, events);
}

fn end_pending_consents(request: &mut AccessRequest, at: Timestamp, events: &mut Vec<Event>) {
    end_consents_where(request, |status| status == ConsentStatus::Pending, at, events);
}

fn end_consents_where(
    request: &mut AccessRequest,
    wanted: impl Fn(ConsentStatus) -> bool,
    at: Timestamp,
    events: &mut Vec<Event>,
) {
    let access_request = request.id.clone();
    for consent in request.consents_mut().filter(|consent| wanted(consent.status)) {
        if let Some(change) = consent.end(at) {
            let (access_request, consent) = (access_request.clone(), consent.id.clone());
            events.push(Event::ConsentChanged { access_request, consent, change });
        }
    }
}
