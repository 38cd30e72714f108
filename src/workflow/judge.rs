//! Asking the policies about a caller, and recording every answer before it has any effect (G3).

use std::sync::Arc;

use serde_json::json;

use super::error::{Denied, WorkflowError};
use super::known::KnownPeople;
use crate::audit::{Asked, DecisionId, DecisionIds, DecisionLog, WorkflowRecord};
use crate::clock::Clock;
use crate::decision::{PolicyRef, Reason, Shadow, ShadowAnswer, policies_of, reason_of};
use crate::identity::{Caller, CallerKind};
use crate::model::{AccessRequest, Consent, SupportRequest, Timestamp};
use crate::policy::{Bundle, Circumstances, Policies, Principal, Question, Resource, Verdict, WorkflowAction};

/// Asks and records.
#[derive(Debug)]
pub struct Judge {
    policies: Arc<Policies>,
    clock: Arc<dyn Clock>,
    log: Arc<DecisionLog>,
    ids: Arc<DecisionIds>,
    shadow: Option<Arc<Shadow>>,
    known: KnownPeople,
}

/// What the policies said.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The decision's id, in the log.
    pub id: DecisionId,
    /// Allowed or not.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// By which policies.
    pub policies: Vec<PolicyRef>,
    /// The bundle that was asked.
    pub policy_version: String,
}

impl Judge {
    /// A judge by these policies who records in this log.
    #[must_use]
    pub fn new(policies: Arc<Policies>, clock: Arc<dyn Clock>, log: Arc<DecisionLog>, ids: Arc<DecisionIds>) -> Self {
        Self { policies, clock, log, ids, shadow: None, known: KnownPeople::default() }
    }

    /// The same, with a bundle that is asked beside the one in force.
    #[must_use]
    pub fn beside(self, shadow: Option<Arc<Shadow>>) -> Self {
        Self { shadow, ..self }
    }

    /// Answers "may this caller do that", and returns once the answer is recorded.
    ///
    /// # Errors
    /// [`WorkflowError::Unrecorded`] when the log cannot be written: then nothing may follow from the answer.
    pub async fn judge(
        &self,
        caller: &Caller,
        action: WorkflowAction,
        resource: Resource<'_>,
        circumstances: Circumstances<'_>,
    ) -> Result<Judgement, WorkflowError> {
        let bundle = self.policies.current();
        let judgement = self.ask(&bundle, caller, action, resource, circumstances);
        let (resource_type, resource_id, facts) = describe(&resource, &circumstances);
        self.record(caller, action.as_str(), resource_type, &resource_id, facts, &judgement).await?;
        if let Some(shadow) = &self.shadow {
            let asked = || {
                let subject_type = kind_of(caller, Some(action));
                format!("{subject_type}::\"{caller}\" {} {resource_type}::\"{resource_id}\"", action.as_str())
            };
            let verdict = |bundle: &Bundle| verdict(bundle, caller, action, resource, circumstances);
            shadow.compare(&judgement.id, self.clock.now(), asked, || judgement.told(), verdict);
        }
        Ok(judgement)
    }

    /// The people whose rights are known although they are not calling.
    pub(super) fn known(&self) -> &KnownPeople {
        &self.known
    }

    /// An id for what is no judgement, and is recorded.
    pub(super) fn next_id(&self) -> DecisionId {
        self.ids.next()
    }

    /// The log in which answers are recorded, to be read back.
    #[must_use]
    pub fn log(&self) -> Arc<DecisionLog> {
        Arc::clone(&self.log)
    }

    /// Answers no, for a reason that no policy gives: there is nothing that they could be asked about.
    ///
    /// # Errors
    /// [`WorkflowError::Unrecorded`] when the log cannot be written.
    pub async fn deny(
        &self,
        caller: &Caller,
        action: &str,
        resource_type: &str,
        resource_id: &str,
        code: &str,
        message: String,
    ) -> Result<Judgement, WorkflowError> {
        let judgement = Judgement {
            id: self.ids.next(),
            allowed: false,
            reason: Reason { code: code.to_owned(), message, missing_consents: Vec::new() },
            policies: Vec::new(),
            policy_version: self.policies.current().version().to_string(),
        };
        self.record(caller, action, resource_type, resource_id, json!({}), &judgement).await?;
        Ok(judgement)
    }

    async fn record(
        &self,
        caller: &Caller,
        action: &str,
        resource_type: &str,
        resource_id: &str,
        facts: serde_json::Value,
        judgement: &Judgement,
    ) -> Result<(), WorkflowError> {
        let mut line = String::new();
        let subject = caller.to_string();
        let policies: Vec<&str> = judgement.policies.iter().map(|policy| policy.id.as_str()).collect();
        let record = WorkflowRecord {
            subject_type: kind_of(caller, WorkflowAction::by_name(action)),
            subject: &subject,
            subject_roles: caller.roles().iter().map(crate::model::RoleId::as_str).collect(),
            subject_app_roles: caller.app_roles().iter().map(crate::model::AppRole::as_str).collect(),
            subject_vendor: caller.vendor(),
            action,
            resource_type,
            resource: resource_id,
            decision: judgement.allowed,
            read: false,
            code: &judgement.reason.code,
            policies: &policies,
            policy_version: &judgement.policy_version,
            facts,
        };
        record.write(
            &judgement.id,
            self.clock.now(),
            Asked { caller: &subject, request_id: None, log_mode: self.log.mode() },
            &mut line,
        );
        let ticket = self.log.append(line.as_bytes(), None)?;
        self.log.settled(ticket).await?;
        Ok(())
    }

    /// As [`Judge::judge`], with a denial as the error.
    ///
    /// # Errors
    /// [`WorkflowError::Denied`], or [`WorkflowError::Unrecorded`].
    pub async fn require(
        &self,
        caller: &Caller,
        action: WorkflowAction,
        resource: Resource<'_>,
        circumstances: Circumstances<'_>,
    ) -> Result<Judgement, WorkflowError> {
        let judgement = self.judge(caller, action, resource, circumstances).await?;
        if judgement.allowed { Ok(judgement) } else { Err(judgement.into_denied()) }
    }

    /// Whether an item belongs in a list that the caller was allowed to open; that allowance is what is recorded.
    #[must_use]
    pub fn sees(&self, caller: &Caller, action: WorkflowAction, resource: Resource<'_>, now: Timestamp) -> bool {
        self.sees_by(&self.policies.current(), caller, action, resource, now)
    }

    /// The bundle now in force, for a list that must be filtered by one bundle alone (G6).
    #[must_use]
    pub fn bundle(&self) -> Arc<Bundle> {
        self.policies.current()
    }

    /// As [`Judge::sees`], by this bundle.
    #[must_use]
    pub fn sees_by(
        &self,
        bundle: &Bundle,
        caller: &Caller,
        action: WorkflowAction,
        resource: Resource<'_>,
        now: Timestamp,
    ) -> bool {
        self.ask(bundle, caller, action, resource, Circumstances::of(action, now)).allowed
    }

    /// What the policies would say to somebody who is not calling. It is no answer to anybody.
    pub(super) fn would_allow(
        bundle: &Bundle,
        person: &Caller,
        action: WorkflowAction,
        resource: Resource<'_>,
        now: Timestamp,
    ) -> bool {
        verdict(bundle, person, action, resource, Circumstances::of(action, now)).allowed
    }

    fn ask(
        &self,
        bundle: &Bundle,
        caller: &Caller,
        action: WorkflowAction,
        resource: Resource<'_>,
        circumstances: Circumstances<'_>,
    ) -> Judgement {
        let verdict = verdict(bundle, caller, action, resource, circumstances);
        let is_shown_a_consent = verdict.allowed && action == WorkflowAction::ViewConsent;
        self.known.came(caller, is_shown_a_consent, self.clock.now());
        Judgement {
            id: self.ids.next(),
            allowed: verdict.allowed,
            reason: reason_of(bundle, &verdict),
            policies: policies_of(bundle, &verdict),
            policy_version: bundle.version().to_string(),
        }
    }
}

impl Judgement {
    /// The denial, as an error.
    #[must_use]
    pub fn into_denied(self) -> WorkflowError {
        let Self { id, reason, policies, .. } = self;
        WorkflowError::Denied(Box::new(Denied { decision_id: id, reason, policies }))
    }

    fn told(&self) -> ShadowAnswer {
        ShadowAnswer {
            allowed: self.allowed,
            code: self.reason.code.clone(),
            because: self.policies.iter().map(|policy| policy.id.clone()).collect(),
            policy_version: self.policy_version.clone(),
        }
    }
}

fn verdict(
    bundle: &Bundle,
    caller: &Caller,
    action: WorkflowAction,
    resource: Resource<'_>,
    circumstances: Circumstances<'_>,
) -> Verdict {
    let name = caller.to_string();
    let principal = principal(caller, &name, action);
    let action = bundle.workflow_action(action);
    bundle.evaluate(&Question { principal, action, resource, circumstances })
}

/// A caller as the policies see them: a person acts as an engineer or as a user of their tenant, by what they do.
fn principal<'a>(caller: &'a Caller, name: &'a str, action: WorkflowAction) -> Principal<'a> {
    match caller.kind() {
        CallerKind::Person(person) if action.is_engineers() => {
            Principal::EngineerCaller { person, vendor: caller.vendor(), app_roles: caller.app_roles() }
        }
        CallerKind::Person(person) => match caller.tenant() {
            Some(tenant) => Principal::User { person, tenant, roles: caller.roles() },
            // A person without a tenant cannot be built; if one were, nothing would be permitted.
            None => Principal::Service { name, vendor: false, app_roles: &[] },
        },
        CallerKind::Service { .. } => {
            Principal::Service { name, vendor: caller.vendor(), app_roles: caller.app_roles() }
        }
        // Whoever opened a local listener runs this sidecar: the vendor.
        CallerKind::UnixSocket | CallerKind::InsecureLoopback => {
            Principal::Service { name, vendor: true, app_roles: &[] }
        }
    }
}

fn kind_of(caller: &Caller, action: Option<WorkflowAction>) -> &'static str {
    match caller.kind() {
        CallerKind::Person(_) if action.is_some_and(WorkflowAction::is_engineers) => "SupportEngineer",
        CallerKind::Person(_) => "User",
        CallerKind::Service { .. } | CallerKind::UnixSocket | CallerKind::InsecureLoopback => "Service",
    }
}

/// A resource as the log names it, with the facts that the policies were asked about.
fn describe(resource: &Resource<'_>, circumstances: &Circumstances<'_>) -> (&'static str, String, serde_json::Value) {
    let case = |request: &SupportRequest| {
        json!({
            "tenant": request.tenant, "open": request.open, "assignee": request.assignee,
            "submitted_in": request.submitted_in,
        })
    };
    let asked = |request: &AccessRequest| json!({ "requested_by": request.requested_by });
    let part = |consent: &Consent| {
        json!({
            "tenant": consent.tenant, "part": consent.part, "status": consent.status,
            "listed_until": consent.listed_until(),
        })
    };
    let circumstances = match circumstances {
        Circumstances::Nothing | Circumstances::Read { .. } => serde_json::Value::Null,
        Circumstances::Create { resource_tenant, registered } => {
            json!({ "resource_tenant": resource_tenant, "registered": registered })
        }
        Circumstances::ViewApproved { now } => json!({ "now": now }),
        Circumstances::Evaluate { about_self } => json!({ "about_self": about_self }),
    };
    let (kind, id, facts) = match resource {
        Resource::DiagnosticData { id, .. } => ("DiagnosticData", (*id).to_owned(), json!({})),
        Resource::SupportRequest(request) => {
            ("SupportRequest", request.id.to_string(), json!({ "support_request": case(request) }))
        }
        Resource::AccessRequest(request, support_request) => (
            "AccessRequest",
            request.id.to_string(),
            json!({ "access_request": asked(request), "support_request": case(support_request) }),
        ),
        Resource::Consent(consent, request, support_request) => (
            "Consent",
            consent.id.to_string(),
            json!({
                "consent": part(consent), "access_request": asked(request), "support_request": case(support_request),
            }),
        ),
        Resource::AuditLog(tenant) => ("AuditLog", tenant.to_string(), json!({})),
        Resource::Tenant(tenant) => ("Tenant", tenant.to_string(), json!({})),
        Resource::Endpoint(endpoint) => ("Endpoint", endpoint.as_str().to_owned(), json!({})),
    };
    let mut facts = facts;
    if !circumstances.is_null()
        && let Some(fields) = facts.as_object_mut()
    {
        fields.insert("circumstances".to_owned(), circumstances);
    }
    (kind, id, facts)
}
