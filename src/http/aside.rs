//! What an answer to a read says beside the decision to whoever follows the AuthZEN Access Request and Approval Profile: how
//! a denial could be cured, and what the approval that was brought along is worth. It never is the decision.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Entrance;
use super::problem::Problem;
use super::wire::{self, Action, Entity, Evaluation};
use crate::audit::DecisionId;
use crate::decision::{Cure, Decided, ReadQuestion};
use crate::identity::Caller;
use crate::model::{TenantId, Timestamp};
use crate::reference::{Binding, Denied, Presented, Question, References, Standing, Verified};

/// Where the description of what a request has to say is.
pub(super) const SCHEMA: &str = "/access/v1/request-schema";

/// An approval that a question brought along.
#[derive(Debug)]
pub(super) enum Brought {
    /// It was ours.
    Verified(Verified),
    /// Nobody can tell what it is.
    Unverifiable,
}

/// The members of the answer's `context` (the profile's sections 5, 5.1 and 9).
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Aside<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DecisionId>, nullable = false)]
    evaluation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>, nullable = false)]
    evaluated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_request: Option<Requestable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_action: Option<NextAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    approval_reason: Option<ApprovalReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    approval: Option<InForce<'a>>,
}

/// What to do where an approval that was brought along did not help.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum NextAction {
    /// Submit another access request.
    Request,
    None,
}

/// Why an approval that was brought along did not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ApprovalReason {
    /// It, or the access, is over.
    ApprovalExpired,
    /// It is for something else.
    OutOfScope,
    /// It stands, and something else denies.
    PolicyDenied,
    /// It is not ours, was changed, or is another engineer's.
    ApprovalUnverifiable,
}

/// An access request would cure this denial: where it is submitted, and what it has to bring back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessRequestOffer)]
struct Requestable {
    endpoint: String,
    #[schema(value_type = Timestamp)]
    expires_at: String,
    binding_token: String,
    request_schema_url: String,
}

/// The approval that was brought along is the one under which this is allowed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApprovalInForce)]
struct InForce<'a> {
    id: &'a str,
    #[schema(value_type = Timestamp)]
    approved_until: String,
}

impl Entrance {
    /// The approval that a question brings along. Where no references are given out there is none.
    ///
    /// # Errors
    /// 400 when it is malformed, or put together of two.
    pub(super) fn brought(&self, wire: &Evaluation<'_>) -> Result<Option<Brought>, Problem> {
        let Some(approval) = wire.context.as_ref().and_then(|context| context.approval) else { return Ok(None) };
        let Some(references) = &self.edge.references else { return Ok(None) };
        let presented: Presented = wire::parse(approval.get().as_bytes()).map_err(|problem| {
            let field =
                problem.field().filter(|field| *field != "body").map(|field| format!("context.approval.{field}"));
            Problem::invalid(field.unwrap_or_else(|| "context.approval".to_owned()), problem.detail())
        })?;
        let verified = references.verified(&presented);
        let verified = verified.map_err(|error| Problem::invalid("context.approval", error.to_string()))?;
        Ok(Some(verified.map_or(Brought::Unverifiable, Brought::Verified)))
    }

    /// Whether there is anything to say beside a decision.
    pub(super) fn has_aside(&self, decided: &Decided, brought: Option<&Brought>) -> bool {
        self.edge.references.is_some() && (brought.is_some() || decided.answer.cure == Cure::AccessRequest)
    }

    /// What is said beside a decision: members of the answer's context, each with a comma behind it.
    pub(super) async fn aside(
        &self,
        caller: &Caller,
        wire: &Evaluation<'_>,
        question: &ReadQuestion<'_>,
        decided: &Decided,
        brought: Option<Brought>,
    ) -> Result<Option<Box<str>>, Problem> {
        let Some(references) = &self.edge.references else { return Ok(None) };
        if decided.answer.allowed {
            return Ok(in_force(question, decided, brought.as_ref()));
        }
        let advice = match &brought {
            Some(brought) => Some(self.advice(question, decided, brought)?),
            None => None,
        };
        // An approval that is nobody's, or that does not help, is no reason to ask for another one.
        let may_ask = matches!(advice, None | Some(ApprovalReason::ApprovalExpired | ApprovalReason::OutOfScope));
        let binding = if may_ask && decided.answer.cure == Cure::AccessRequest {
            self.binding(references, caller, wire, question, decided).await
        } else {
            None
        };
        let next_action = advice.map(|_| if binding.is_some() { NextAction::Request } else { NextAction::None });
        let access_request = binding.map(|Binding { token, expires_at }| Requestable {
            endpoint: references.endpoint(),
            expires_at: expires_at.to_string(),
            binding_token: token,
            request_schema_url: format!("{}{SCHEMA}", self.edge.public_url),
        });
        let named = access_request.is_some();
        Ok(written(&Aside {
            evaluation_id: named.then(|| decided.id.to_string()),
            evaluated_at: named.then(|| decided.at.to_string()),
            access_request,
            next_action,
            approval_reason: advice,
            approval: None,
        }))
    }

    /// Why the approval did not help.
    fn advice(
        &self,
        question: &ReadQuestion<'_>,
        decided: &Decided,
        brought: &Brought,
    ) -> Result<ApprovalReason, Problem> {
        let Brought::Verified(verified) = brought else { return Ok(ApprovalReason::ApprovalUnverifiable) };
        let standing =
            verified.plain_standing(question.engineer, question.tenant, question.support_request, decided.at);
        let standing = match standing {
            Some(standing) => standing,
            // Who is told nothing of the support request is not told whether access to it goes on (R20).
            None if decided.answer.cure == Cure::Untold => return Ok(ApprovalReason::PolicyDenied),
            None => {
                let facts = self.edge.decisions.facts(question)?;
                let speaks = facts.as_ref().and_then(|facts| facts.facts.access_request_for(question.tenant));
                verified.standing_on(speaks, decided.at)
            }
        };
        Ok(match standing {
            Standing::Expired => ApprovalReason::ApprovalExpired,
            Standing::OutOfScope => ApprovalReason::OutOfScope,
            Standing::Unverifiable => ApprovalReason::ApprovalUnverifiable,
            Standing::Applies if decided.answer.reason.code == "category_not_granted" => ApprovalReason::OutOfScope,
            Standing::Applies => ApprovalReason::PolicyDenied,
        })
    }

    /// The binding of a denial; none where nobody could approve what would cure it (R10).
    async fn binding(
        &self,
        references: &References,
        caller: &Caller,
        wire: &Evaluation<'_>,
        question: &ReadQuestion<'_>,
        decided: &Decided,
    ) -> Option<Binding> {
        let registered = match TenantId::new(question.tenant) {
            // A store that cannot be read takes no access request either.
            Ok(tenant) => self.edge.workflow.is_registered(&tenant).await.unwrap_or(false),
            Err(_) => false,
        };
        let asked = as_asked(wire).filter(|_| registered)?;
        let id = decided.id.to_string();
        let told = told_name(caller);
        let denied = Denied { evaluation: &id, at: decided.at, told: &told, reason: &decided.answer.reason.code };
        references.bind(asked, denied)
    }
}

/// What the name of a person begins with: a program may bear the same one.
pub(super) const PERSON: &str = "person ";

/// The name by which a binding knows whoever was told of a denial.
pub(super) fn told_name(caller: &Caller) -> String {
    let kind = if caller.person().is_some() { PERSON } else { "program " };
    format!("{kind}{}", caller.name())
}

/// The approval under which a read is allowed, where that is the one that was brought along.
fn in_force(question: &ReadQuestion<'_>, decided: &Decided, brought: Option<&Brought>) -> Option<Box<str>> {
    let Some(Brought::Verified(verified)) = brought else { return None };
    let standing = verified.plain_standing(question.engineer, question.tenant, question.support_request, decided.at);
    let is_in_force = standing.is_none() && decided.answer.access_request.as_ref() == Some(&verified.task);
    let approved_until = verified.approved_until.to_string();
    let approval = is_in_force.then_some(InForce { id: &verified.id, approved_until })?;
    written(&Aside { approval: Some(approval), ..Aside::default() })
}

/// The members with a comma behind each.
fn written(aside: &Aside<'_>) -> Option<Box<str>> {
    let object = serde_json::to_string(aside).ok()?;
    let members = object.strip_prefix('{')?.strip_suffix('}')?;
    (!members.is_empty()).then(|| format!("{members},").into())
}

/// The question as it was asked, with what nobody here believes; none when that is nested too deep to be repeated.
fn as_asked(wire: &Evaluation<'_>) -> Option<Question> {
    let context = wire.context.as_ref().and_then(|context| context.support_request.as_deref());
    Some(Question {
        subject: entity(&wire.subject)?,
        action: action(&wire.action)?,
        resource: entity(&wire.resource)?,
        context: context.map(|id| ("support_request".to_owned(), Value::from(id))).into_iter().collect(),
    })
}

fn entity(entity: &Entity<'_>) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    members.insert("type".to_owned(), entity.kind.as_ref().into());
    members.insert("id".to_owned(), entity.id.as_ref().into());
    with_properties(members, entity.properties.map(|properties| properties.0.get()))
}

fn action(action: &Action<'_>) -> Option<Map<String, Value>> {
    let mut members = Map::new();
    members.insert("name".to_owned(), action.name.as_ref().into());
    with_properties(members, action.properties.map(|properties| properties.0.get()))
}

fn with_properties(mut members: Map<String, Value>, properties: Option<&str>) -> Option<Map<String, Value>> {
    if let Some(properties) = properties {
        members.insert("properties".to_owned(), serde_json::from_str(properties).ok()?);
    }
    Some(members)
}
