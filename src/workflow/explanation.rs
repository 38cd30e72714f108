//! Why a read was decided as it was, told to whoever may know it (R19, R20, R22).
//!
//! A reviewer of the vendor is told of every read, with all of its facts. The readers of a tenant's audit log are told of
//! the reads that it shows them, on the facts that are theirs to know: the policies are asked anew on those, so that
//! nothing else can have any part in what they are told.

use std::sync::Arc;
use std::time::Instant;

use super::Workflow;
use super::absent::at_one_time;
use super::error::WorkflowError;
use crate::audit::{DecisionId, DecisionLog, LogError};
use crate::decision::{DecisionRecord, Explained, MaybeMasked, ReadQuestion, Reason, explain, reason_of};
use crate::identity::Caller;
use crate::model::{AccessFacts, CaseFacts, SupportRequestId, TenantId, Timestamp};
use crate::policy::{Bundle, Circumstances, EndpointName, Resource, Verdict, WorkflowAction};
use crate::store::CaseRef;

/// How many search the decision log at once.
pub(super) const SEARCHES_AT_ONCE: usize = 2;

/// The facts that an explanation rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactsUsed {
    /// Those that the decision was made on, as they were recorded.
    Recorded,
    /// Those of now: the recorded ones are not where they were looked for.
    Present,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldTo {
    /// Everything, to a reviewer of the vendor.
    Reviewer,
    /// What is theirs to know, to the readers of the tenant's audit log.
    Tenant,
}

/// A read, explained.
#[derive(Debug, Clone)]
pub struct ReadExplanation {
    /// How much is told.
    pub told_to: ToldTo,
    /// What the log says of it.
    pub record: DecisionRecord,
    /// On which facts the policies were asked anew.
    pub facts: FactsUsed,
    /// The bundle that was asked anew: the one in force.
    pub policy_version: String,
    /// What it answers on those facts.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// By which policies, and what each condition of them came to.
    pub policies: Explained,
}

/// A decision as the log has it.
struct Found {
    record: DecisionRecord,
    facts: RecordedFacts,
}

/// The facts of a decision's record, or of its evaluation's.
enum RecordedFacts {
    /// None: there was no such support request.
    Kept(Option<CaseFacts>),
    /// They are not where they were looked for.
    Lost,
}

impl Workflow {
    /// Explains a read by its decision's id. `near` says when it was decided: without it only the newest part of the log
    /// is looked through.
    ///
    /// # Errors
    /// [`WorkflowError::Denied`] without the role; [`WorkflowError::NotFound`] for a decision that is not there, is no
    /// read, or is not the caller's to know of.
    pub async fn explanation(
        &self,
        caller: &Caller,
        id: DecisionId,
        near: Option<Timestamp>,
    ) -> Result<ReadExplanation, WorkflowError> {
        at_one_time(&self.bell, Instant::now(), self.explanation_now(caller, id, near), |_| false).await
    }

    async fn explanation_now(
        &self,
        caller: &Caller,
        id: DecisionId,
        near: Option<Timestamp>,
    ) -> Result<ReadExplanation, WorkflowError> {
        let tenant = match self.told_to(caller).await? {
            ToldTo::Reviewer => None,
            ToldTo::Tenant => Some(self.audit_reader(caller).await?),
        };
        let found = self.found(tenant.clone(), id, near).await?;
        let Some(Found { record, facts }) = found else { return Err(no_such_decision()) };
        let Ok(Some(question)) = record.read_question() else { return Err(no_such_decision()) };
        let (used, case, at) = match (facts, record.time.parse()) {
            (RecordedFacts::Kept(case), Ok(at)) => (FactsUsed::Recorded, case, at),
            (RecordedFacts::Lost, _) | (RecordedFacts::Kept(_), Err(_)) => {
                (FactsUsed::Present, self.present_facts(&question).await?, self.clock.now())
            }
        };
        let case = match &tenant {
            None => case,
            Some(tenant) => told(case, used, &question, tenant)?,
        };
        let bundle = self.judge.bundle();
        let (verdict, policies) = ask(&bundle, &question, case.as_ref(), at);
        Ok(ReadExplanation {
            told_to: if tenant.is_some() { ToldTo::Tenant } else { ToldTo::Reviewer },
            facts: used,
            policy_version: bundle.version().to_string(),
            allowed: verdict.allowed,
            reason: reason_of(&bundle, &verdict),
            policies,
            record,
        })
    }

    /// As what the caller asks: the vendor's people and programs as reviewers, whom the policies must permit it.
    async fn told_to(&self, caller: &Caller) -> Result<ToldTo, WorkflowError> {
        if !caller.vendor() {
            return Ok(ToldTo::Tenant);
        }
        let endpoint = Resource::Endpoint(EndpointName::Explanations);
        self.judge.require(caller, WorkflowAction::ExplainDecisions, endpoint, Circumstances::Nothing).await?;
        Ok(ToldTo::Reviewer)
    }

    async fn found(
        &self,
        tenant: Option<TenantId>,
        id: DecisionId,
        near: Option<Timestamp>,
    ) -> Result<Option<Found>, WorkflowError> {
        let place = Arc::clone(&self.searches).acquire_owned().await;
        let log = self.judge.log();
        // Reading the log back touches the disk. The place is kept until that is over, also where nobody waits for it.
        let found = tokio::task::spawn_blocking(move || {
            let _place = place;
            find(&log, tenant.as_ref(), id, near)
        });
        match found.await {
            Ok(found) => found.map_err(WorkflowError::LogUnreadable),
            Err(error) => Err(WorkflowError::Unavailable(error.to_string())),
        }
    }

    async fn present_facts(&self, question: &ReadQuestion<'_>) -> Result<Option<CaseFacts>, WorkflowError> {
        let Some(Ok(id)) = question.support_request.map(SupportRequestId::new) else { return Ok(None) };
        let stored = self.store.case(CaseRef::SupportRequest(id)).await?;
        Ok(stored.map(|stored| {
            let facts = CaseFacts::of(&stored.case.support_request);
            let requests = stored.case.access_requests.iter();
            requests.fold(facts, |facts, request| facts.with_access_request(AccessFacts::of(request)))
        }))
    }
}

fn no_such_decision() -> WorkflowError {
    WorkflowError::NotFound("decision")
}

/// Finds a decision in the log. A tenant's people find the allowed reads of its data alone, and what others did has no
/// part in where these are looked for.
fn find(
    log: &DecisionLog,
    tenant: Option<&TenantId>,
    id: DecisionId,
    near: Option<Timestamp>,
) -> Result<Option<Found>, LogError> {
    let near = match tenant {
        None => near,
        Some(tenant) => match log.find_read(tenant, &id, near)? {
            Some(read) => read.time.parse().ok(),
            None => return Ok(None),
        },
    };
    let record_of = |id: &DecisionId, near| -> Result<Option<DecisionRecord>, LogError> {
        Ok(log.find(id, near)?.and_then(|line| serde_json::from_str(&line).ok()))
    };
    let Some(record) = record_of(&id, near)? else { return Ok(None) };
    let evaluated = match (record.cached, record.evaluation.as_deref().map(str::parse::<DecisionId>)) {
        (true, Some(Ok(evaluation))) => {
            let near = record.evaluated_at.as_deref().and_then(|at| at.parse().ok());
            record_of(&evaluation, near)?
        }
        (true, Some(Err(_)) | None) => None,
        (false, _) => Some(record.clone()),
    };
    let facts = match evaluated.map(|evaluated| evaluated.facts) {
        Some(None) => RecordedFacts::Kept(None),
        Some(Some(MaybeMasked::Plain(facts))) => {
            serde_json::from_value(facts).map_or(RecordedFacts::Lost, |facts| RecordedFacts::Kept(Some(facts)))
        }
        Some(Some(MaybeMasked::Masked)) | None => RecordedFacts::Lost,
    };
    Ok(Some(Found { record, facts }))
}

/// The facts of an allowed read as a tenant may know them.
fn told(
    case: Option<CaseFacts>,
    used: FactsUsed,
    question: &ReadQuestion<'_>,
    tenant: &TenantId,
) -> Result<Option<CaseFacts>, WorkflowError> {
    let Some(case) = case else { return Ok(None) };
    let mut case = case.as_told_to(tenant).map_err(|_| no_such_decision())?;
    if used == FactsUsed::Present {
        // Who is assigned by now is the vendor's business; that this engineer was, the allow tells.
        case.assignee = question.engineer.parse().ok();
    }
    Ok(Some(case))
}

fn ask(bundle: &Bundle, question: &ReadQuestion<'_>, case: Option<&CaseFacts>, at: Timestamp) -> (Verdict, Explained) {
    // A verb that the schema does not know: no policy can speak of it (R1).
    let Some(asked) = question.to_policies(bundle, case, at) else {
        return (Verdict::default(), Explained { determining: Vec::new(), nearest_permits: Vec::new() });
    };
    let verdict = bundle.evaluate(&asked);
    let policies = explain(bundle, &verdict, &bundle.trace(&asked));
    (verdict, policies)
}
