//! An access request as it is submitted: the question that was denied, the denial, and why access is needed (section 8.1 of
//! the profile).

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::invalid_binding;
use crate::decision::ReadQuestion;
use crate::http::aside::{PERSON, told_name};
use crate::http::body;
use crate::http::openapi::schema;
use crate::http::problem::Problem;
use crate::http::wire::{Action, Entity};
use crate::identity::Caller;
use crate::model::{Callback, Denial, SupportRequestId, TaskStatus, Timestamp};
use crate::outbox::Outbox;
use crate::reference::{Echoed, Question, References};

/// The longest `callback.state`, in characters.
const LONGEST_STATE: usize = 512;

/// The longest justification, and the longest word about a cancellation, in characters.
const LONGEST_TEXT: usize = 2_000;

/// An access request after a denial: the question that was denied, the denial, and why access is needed. Members that are
/// no place for extensions must be known: a misspelt one must not be taken for none.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccessRequestSubmission)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Submission {
    #[schema(value_type = Entity)]
    subject: Map<String, Value>,
    #[serde(default)]
    #[schema(value_type = Action, required)]
    action: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(value_type = Entity, required)]
    resource: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(ignore)]
    items: Option<Value>,
    #[serde(default)]
    #[schema(value_type = SubmittedContext, required)]
    context: Map<String, Value>,
    #[serde(default)]
    #[schema(value_type = EchoedDenial, required)]
    denial: Option<EchoedDenial>,
    #[serde(default)]
    #[schema(value_type = RequestedAccess)]
    requested_access: Map<String, Value>,
    #[serde(default)]
    callback: Option<WishedCallback>,
    #[serde(default)]
    client: Option<Client>,
}

/// The shape of a submission's context: that of the question, and why access is needed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the context is compared as it came; this is its shape")]
struct SubmittedContext {
    #[schema(value_type = SupportRequestId)]
    support_request: String,
    /// The administrators who decide read it.
    #[schema(schema_with = schema::text::<LONGEST_TEXT>)]
    business_justification: String,
}

/// The shape of what is wished of the access.
#[derive(ToSchema)]
#[expect(dead_code, reason = "other members are a place for extensions; this is the one that is known")]
struct RequestedAccess {
    /// Until when access is wanted. The administrators decide until when it is given.
    #[schema(value_type = Option<Timestamp>, nullable = false)]
    requested_until: Option<String>,
}

/// What comes back of the denial: each member as it was told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EchoedDenial {
    #[serde(default)]
    evaluation_id: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Timestamp>)]
    evaluated_at: Option<String>,
    #[serde(default)]
    #[schema(value_type = Timestamp, required)]
    expires_at: Option<String>,
    #[serde(default)]
    reason: Option<Value>,
    #[serde(default)]
    #[schema(value_type = String, required)]
    binding_token: Option<String>,
    #[serde(default)]
    #[schema(ignore)]
    template: Option<String>,
}

/// Where the task's end is told: an address that the operator allows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WishedCallback {
    endpoint: String,
    #[serde(default)]
    #[schema(max_length = 512)]
    state: Option<String>,
    #[serde(default)]
    events: Option<Vec<String>>,
}

/// A place for extensions: what is not known here is no concern of ours.
#[derive(Deserialize, ToSchema)]
struct Client {
    /// Is refused: no token proves here who acts for whom.
    #[serde(default)]
    actor: Option<Value>,
}

/// What is left of a submission once everything in it is known to be good.
pub(super) struct Asked {
    pub(super) support_request: String,
    pub(super) resource_tenant: String,
    pub(super) reason: String,
    pub(super) denial: Denial,
}

impl Submission {
    /// What is asked for. Only the engineer whom the denial is about asks (R10), and only for what was denied.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn asked(
        self,
        caller: &Caller,
        references: &References,
        outbox: &Outbox,
        now: Timestamp,
    ) -> Result<Asked, Problem> {
        if self.items.is_some() {
            let detail = "bundles are not taken: one access request covers all categories of its tenant's data";
            return Err(Problem::invalid("items", detail));
        }
        let missing = |field: &'static str| Problem::invalid(field, format!("missing field `{field}`"));
        let question = Question {
            subject: self.subject,
            action: self.action.ok_or_else(|| missing("action"))?,
            resource: self.resource.ok_or_else(|| missing("resource"))?,
            context: self.context,
        };
        let about = text_of(&question.subject, "subject", "id")?;
        if caller.person().is_none_or(|person| person.as_str() != about) {
            let detail = "only the support engineer whom the denial is about asks for access, with their own token";
            return Err(Problem::new(StatusCode::FORBIDDEN, "not_the_subject", detail).about("subject.id"));
        }
        if self.client.is_some_and(|client| client.actor.is_some()) {
            let detail = "no token here proves that somebody acts for somebody else: ask with the engineer's own token";
            return Err(Problem::new(StatusCode::FORBIDDEN, "actor_not_verified", detail).about("client.actor"));
        }
        let echoed = self.denial.ok_or_else(|| invalid_binding("denial", "missing field `denial`"))?.read()?;
        let bound =
            references.bound(&echoed, &question).map_err(|error| invalid_binding("denial", &error.to_string()))?;
        // What a person was told about somebody else is nobody's to use.
        if bound.told.starts_with(PERSON) && bound.told != told_name(caller) {
            return Err(invalid_binding("denial", "somebody else was told of this denial"));
        }
        let action = text_of(&question.action, "action", "name")?;
        let resource = text_of(&question.resource, "resource", "id")?;
        let support_request = question.context.get("support_request").and_then(Value::as_str);
        let read = ReadQuestion::parse(&about, &action, &resource, support_request)?;
        let reason = question.context.get("business_justification");
        let reason = reason.ok_or_else(|| missing("context.business_justification"))?.as_str();
        let reason = reason.ok_or_else(|| Problem::invalid("context.business_justification", "must be a text"))?;
        Ok(Asked {
            reason: body::text("context.business_justification", reason, LONGEST_TEXT)?,
            support_request: support_request.unwrap_or_default().to_owned(),
            resource_tenant: read.tenant.to_owned(),
            denial: Denial {
                evaluation: bound.evaluation,
                expires_at: bound.expires_at,
                told: bound.told,
                wanted_until: wanted_until(&self.requested_access, now)?,
                callback: self.callback.map(|callback| callback.allowed(outbox)).transpose()?,
                action,
                resource,
            },
        })
    }
}

impl EchoedDenial {
    fn read(self) -> Result<Echoed, Problem> {
        let time = |field: &str, text: Option<String>| {
            let time = text.map(|text| text.parse::<Timestamp>()).transpose();
            time.map_err(|error| invalid_binding(field, &error.to_string()))
        };
        // None is given out: whoever has one has another denial.
        if self.template.is_some() {
            return Err(invalid_binding("denial.template", "the denial had no template"));
        }
        let expires_at = time("denial.expires_at", self.expires_at)?;
        if expires_at.is_none() {
            return Err(invalid_binding("denial.expires_at", "missing field `denial.expires_at`"));
        }
        Ok(Echoed {
            binding_token: self.binding_token,
            expires_at,
            evaluation_id: self.evaluation_id,
            evaluated_at: time("denial.evaluated_at", self.evaluated_at)?,
            reason: self.reason,
        })
    }
}

impl WishedCallback {
    /// The callback, where the operator has named its endpoint.
    fn allowed(self, outbox: &Outbox) -> Result<Callback, Problem> {
        let endpoint = outbox.callback(&self.endpoint).ok_or_else(|| {
            Problem::invalid("callback.endpoint", "is not one that the operator allows: leave it out, and look")
        })?;
        if self.state.as_ref().is_some_and(|state| state.chars().count() > LONGEST_STATE) {
            let detail = format!("is longer than {LONGEST_STATE} characters");
            return Err(Problem::invalid("callback.state", detail));
        }
        let known = |name: &String| TaskStatus::ENDS.into_iter().find(|end| end.as_str() == name);
        // Names that we do not know are ends that no task of ours has.
        let events = self.events.map_or(TaskStatus::ENDS.to_vec(), |names| names.iter().filter_map(known).collect());
        Ok(Callback { endpoint: endpoint.to_owned(), state: self.state, events })
    }
}

/// Until when access is wanted: a wish that bounds what is given out, not what an approver may give.
fn wanted_until(requested: &Map<String, Value>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    const FIELD: &str = "requested_access.requested_until";
    let Some(until) = requested.get("requested_until") else { return Ok(None) };
    let until = until.as_str().ok_or_else(|| Problem::invalid(FIELD, "must be a text"))?;
    let until: Timestamp = until.parse().map_err(|error| Problem::invalid(FIELD, format!("{error}")))?;
    if until <= now { Err(Problem::invalid(FIELD, "lies in the past")) } else { Ok(Some(until)) }
}

fn text_of(object: &Map<String, Value>, name: &str, member: &str) -> Result<String, Problem> {
    let text = object.get(member).and_then(Value::as_str).map(ToOwned::to_owned);
    text.ok_or_else(|| Problem::invalid(format!("{name}.{member}"), "is missing, or no text"))
}

/// How a PEP says why it cancels. It is not kept: who cancelled and when stands in the audit log.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Cancellation {
    #[serde(default)]
    #[schema(schema_with = schema::optional_text::<LONGEST_TEXT>)]
    reason: Option<String>,
    #[serde(default)]
    #[schema(schema_with = schema::optional_text::<LONGEST_TEXT>)]
    comment: Option<String>,
}

impl Cancellation {
    pub(super) fn check(&self) -> Result<(), Problem> {
        for (field, text) in [("reason", &self.reason), ("comment", &self.comment)] {
            if let Some(text) = text {
                body::text(field, text, LONGEST_TEXT)?;
            }
        }
        Ok(())
    }
}
