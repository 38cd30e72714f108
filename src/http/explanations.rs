//! `/v1/decisions/{id}/explanation`: why a read was decided as it was.

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Entrance;
use super::problem::Problem;
use super::router::{Path, Query, reply};
use crate::audit::DecisionId;
use crate::decision::{Explained, ExplainedPolicy, Reason};
use crate::model::Timestamp;
use crate::workflow::{FactsUsed, ReadExplanation, ToldTo};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[param(value_type = Option<Timestamp>)]
    time: Option<String>,
}

/// `GET /v1/decisions/{id}/explanation`
pub(super) async fn explain(
    State(entrance): State<Entrance>,
    Path(id): Path,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = entrance.caller(request.headers()).await?;
    let id: DecisionId =
        id.parse().map_err(|error: crate::audit::NoDecisionId| Problem::invalid("id", error.to_string()))?;
    let near = asked.time.as_deref().map(str::parse::<Timestamp>).transpose();
    let near = near.map_err(|error| Problem::invalid("time", error.to_string()))?;
    let explanation = entrance.edge.workflow.explanation(&caller, id, near).await?;
    Ok(reply(200, None, &ExplanationView::of(explanation)))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct ExplanationView {
    #[schema(value_type = DecisionId)]
    decision_id: String,
    #[schema(value_type = Timestamp)]
    time: String,
    question: QuestionView,
    /// What the log says was answered; a tenant is told of allowed reads alone, and what else was weighed is not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recorded: Option<RecordedView>,
    /// `all`, or `own_part`: the other tenant's is taken as approved without limits, and not told.
    facts_told: &'static str,
    /// `recorded`, or `present` where the recorded ones are lost.
    facts: &'static str,
    policy_version: String,
    decision: bool,
    reason: Reason,
    #[serde(flatten)]
    policies: Explained,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReadQuestion)]
struct QuestionView {
    support_engineer: String,
    action: String,
    resource: String,
    #[schema(required)]
    support_request: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecordedDecision)]
struct RecordedView {
    decision: bool,
    code: String,
    policies: Vec<String>,
    policy_version: String,
    cached: bool,
}

impl ExplanationView {
    fn of(explanation: ReadExplanation) -> Self {
        let ReadExplanation { told_to, record, facts, policy_version, allowed, reason, mut policies } = explanation;
        for policy in policies.determining.iter_mut().chain(&mut policies.nearest_permits) {
            without_folders(policy);
        }
        let recorded = RecordedView {
            decision: record.decision,
            code: record.code,
            policies: record.policies,
            policy_version: record.policy_version,
            cached: record.cached,
        };
        let (recorded, facts_told) = match told_to {
            ToldTo::Reviewer => (Some(recorded), "all"),
            ToldTo::Tenant => (None, "own_part"),
        };
        Self {
            decision_id: record.decision_id,
            time: record.time,
            question: QuestionView {
                support_engineer: record.subject,
                action: record.action,
                resource: record.resource,
                support_request: record.support_request,
            },
            recorded,
            facts_told,
            facts: match facts {
                FactsUsed::Recorded => "recorded",
                FactsUsed::Present => "present",
            },
            policy_version,
            decision: allowed,
            reason,
            policies,
        }
    }
}

/// Where the bundle lies on the operator's disk is nobody's business.
fn without_folders(policy: &mut ExplainedPolicy) {
    if let Some((_, name)) = policy.file.rsplit_once('/') {
        policy.file = name.to_owned();
    }
}
