//! "Who may?": the people who may decide on a consent, as far as their rights are known (AuthZEN 1.0, section 8.4).
//!
//! Whoever may see a consent may ask. Each answer is what an evaluation with that person's own token would say now.

use std::time::Instant;

use serde::Serialize;

use super::Workflow;
use super::absent::{CONSENT, at_one_time};
use super::error::WorkflowError;
use super::judge::Judge;
use super::may::case_takes;
use crate::audit::{Asked, DecisionId, push_json, write_head};
use crate::identity::Caller;
use crate::model::{ConsentId, Timestamp};
use crate::policy::{Resource, WorkflowAction};
use crate::store::CaseRef;

/// What was searched, for the record.
#[derive(Serialize)]
struct Tail<'a> {
    action: &'a str,
    resource_type: &'a str,
    resource: &'a str,
    asked: usize,
    found: &'a [String],
    policy_version: &'a str,
}

impl Workflow {
    /// The people who may do this with this consent, in the order of their names: of the consent's tenant, known by a token
    /// of their own that is good now (`proved` says of a caller whether its issuer's keys still prove it), allowed by the
    /// policies, and taken by the case as it is. What was found is recorded before it is told. What is done for it `began`
    /// before, see [`Workflow::may`].
    ///
    /// # Errors
    /// [`WorkflowError::NotFound`] when there is no such consent, and when it is not for the caller to know of (R19);
    /// [`WorkflowError::Unrecorded`] and [`WorkflowError::Unavailable`].
    pub async fn who_may(
        &self,
        caller: &Caller,
        action: &str,
        consent: &str,
        proved: &(dyn Fn(&Caller) -> bool + Send + Sync),
        began: Instant,
    ) -> Result<Vec<String>, WorkflowError> {
        at_one_time(&self.bell, began, self.who_may_now(caller, action, consent, proved), |_| false).await
    }

    async fn who_may_now(
        &self,
        caller: &Caller,
        action: &str,
        consent: &str,
        proved: &(dyn Fn(&Caller) -> bool + Send + Sync),
    ) -> Result<Vec<String>, WorkflowError> {
        let stored = match ConsentId::new(consent) {
            Ok(id) => self.store.case(CaseRef::Consent(id.clone())).await?.map(|stored| (id, stored)),
            Err(_) => None,
        };
        let Some((id, stored)) = stored else { return Err(self.absent(caller, &CONSENT, consent).await) };
        let Some((request, part)) = stored.case.consent(&id) else {
            return Err(self.absent(caller, &CONSENT, consent).await);
        };
        let resource = Resource::Consent(part, request, &stored.case.support_request);
        self.visible(caller, &CONSENT, resource).await?;
        let (now, bundle) = (self.clock.now(), self.judge.bundle());
        let (mut found, mut asked) = (Vec::new(), 0);
        if let Some(action) = WorkflowAction::by_name(action).filter(|action| is_about_consents(*action)) {
            for person in self.judge.known().of(&part.tenant, now).iter().filter(|person| proved(person)) {
                asked += 1;
                let may = Judge::would_allow(&bundle, person, action, resource, now);
                if may && case_takes(&stored.case, person, action, &id, now).is_ok() {
                    found.push(person.to_string());
                }
            }
        }
        let tail = Tail {
            action,
            resource_type: "Consent",
            resource: consent,
            asked,
            found: &found,
            policy_version: bundle.version().as_str(),
        };
        self.record_search(caller, &self.judge.next_id(), now, &tail).await?;
        Ok(found)
    }

    async fn record_search(
        &self,
        caller: &Caller,
        id: &DecisionId,
        at: Timestamp,
        tail: &Tail<'_>,
    ) -> Result<(), WorkflowError> {
        let log = self.judge.log();
        let mut line = String::new();
        write_head(
            &mut line,
            "workflow_search",
            id,
            at,
            Asked { caller: caller.name(), request_id: None, log_mode: log.mode() },
        );
        line.push(',');
        let mut fields = String::new();
        push_json(&mut fields, tail);
        line.push_str(fields.strip_prefix('{').unwrap_or("}"));
        log.settled(log.append(line.as_bytes(), None)?).await?;
        Ok(())
    }
}

/// Whether a tenant's people do this with a consent.
const fn is_about_consents(action: WorkflowAction) -> bool {
    match action {
        WorkflowAction::ApproveConsent
        | WorkflowAction::RejectConsent
        | WorkflowAction::NarrowConsent
        | WorkflowAction::RevokeConsent
        | WorkflowAction::ViewConsent
        | WorkflowAction::ViewApprovedAccess => true,
        WorkflowAction::CreateAccessRequest
        | WorkflowAction::ViewAccessRequest
        | WorkflowAction::CancelAccessRequest
        | WorkflowAction::ViewSupportRequest
        | WorkflowAction::ListConsents
        | WorkflowAction::ReadAuditLog
        | WorkflowAction::Evaluate
        | WorkflowAction::EvaluateAsEngineer
        | WorkflowAction::ManageSupportRequests
        | WorkflowAction::RegisterTenant
        | WorkflowAction::ListOwnRequests
        | WorkflowAction::ExplainDecisions => false,
    }
}
