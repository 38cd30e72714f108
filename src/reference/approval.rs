//! The approval of a task: what the next question brings along, and what that is worth (section 9 of the profile). It is
//! worth an echo or an advice. Whether the read is allowed was decided on the facts, as it is without it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::alike::is_alike;
use super::{BOUND_CONTEXT, References, seconds};
use crate::model::{AccessFacts, AccessRequest, AccessRequestId, ConsentStatus, Task, TaskStatus, Timestamp};
use crate::signing::{jws, sha256};

/// What the signature is for.
const KIND: &str = "approval-state+jwt";

/// The approval of a task, as it is given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TaskApproval)]
pub struct Approval {
    /// Names it.
    pub id: String,
    /// When the last consent was there, RFC 3339.
    #[schema(value_type = Timestamp)]
    pub approved_at: String,
    /// Until when it may be brought along, RFC 3339.
    #[schema(value_type = Timestamp)]
    pub approved_until: String,
    /// What proves it.
    pub state: String,
}

/// An approval as a question brings it along.
#[derive(Debug, Clone, Deserialize)]
pub struct Presented {
    /// Names it.
    pub id: String,
    #[serde(default)]
    approved_at: Option<Value>,
    #[serde(default)]
    approved_until: Option<Value>,
    #[serde(default)]
    state: Option<Value>,
}

/// The approval is not the one that its own state is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`id` is not that of `state`")]
pub struct Mismatch;

/// An approval that was ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Names it.
    pub id: String,
    /// The access request that was approved.
    pub task: AccessRequestId,
    /// Until when it may be brought along.
    pub approved_until: Timestamp,
    engineer: String,
    tenant: String,
    support_request: String,
}

/// What an approval is worth to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is the approval of this, and in force.
    Applies,
    /// Its time is over, or what it stood for is.
    Expired,
    /// It is the approval of something else.
    OutOfScope,
    /// It is nobody's that could be found, or somebody else's.
    Unverifiable,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    approval_id: String,
    task: String,
    evaluation_id: String,
    approved_at: String,
    approved_until: String,
    /// Whose approval it is.
    sub: String,
    action: String,
    resource: String,
    /// What else it covers: every read of this tenant's data that the consents cover.
    resource_tenant: String,
    binding_context_members: Vec<String>,
    support_request: String,
}

impl References {
    /// The approval of a task that was approved, as it is at this time; none for others.
    #[must_use]
    pub fn approval(&self, request: &AccessRequest, now: Timestamp) -> Option<Approval> {
        let Task { denial, ended } = request.task.as_deref()?;
        let ended = ended.filter(|end| end.status == TaskStatus::Approved)?;
        let longest = now.plus_millis(self.approval_lifetime_ms);
        let until = request.approved_until().map_or(longest, |until| until.min(longest));
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            iat: seconds(now),
            exp: seconds(until),
            approval_id: id_of(&request.id),
            task: request.id.to_string(),
            evaluation_id: denial.evaluation.clone(),
            approved_at: ended.at.to_string(),
            approved_until: until.to_string(),
            sub: request.requested_by.to_string(),
            action: denial.action.clone(),
            resource: denial.resource.clone(),
            resource_tenant: request.resource_tenant.to_string(),
            binding_context_members: BOUND_CONTEXT.map(ToOwned::to_owned).to_vec(),
            support_request: request.support_request.to_string(),
        };
        // Strings and numbers of ours: they serialise.
        let payload = serde_json::to_vec(&claims).unwrap_or_default();
        let Claims { approval_id: id, approved_at, approved_until, .. } = claims;
        Some(Approval { id, approved_at, approved_until, state: jws::seal(&self.signing, KIND, &payload) })
    }

    /// The approval that a question brought along, if it was ours and is as it was given.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn verified(&self, presented: &Presented) -> Result<Option<Verified>, Mismatch> {
        let opened = presented.state.as_ref().and_then(Value::as_str).map(|state| jws::open(state, KIND, &self.keys));
        let Some(Ok(payload)) = opened else { return Ok(None) };
        let Ok(claims) = serde_json::from_slice::<Claims>(&payload) else { return Ok(None) };
        if claims.approval_id != presented.id {
            return Err(Mismatch);
        }
        let is_told = |told: &Option<Value>, claim: &str| {
            told.as_ref().is_none_or(|told| is_alike(told, &Value::String(claim.to_owned())))
        };
        let is_as_given = is_told(&presented.approved_at, &claims.approved_at)
            && is_told(&presented.approved_until, &claims.approved_until);
        let is_ours = claims.iss == self.issuer && claims.aud == self.issuer && is_as_given;
        let (Ok(task), Ok(approved_until)) = (AccessRequestId::new(&claims.task), claims.approved_until.parse()) else {
            return Ok(None);
        };
        Ok(is_ours.then_some(Verified {
            id: claims.approval_id,
            task,
            approved_until,
            engineer: claims.sub,
            tenant: claims.resource_tenant,
            support_request: claims.support_request,
        }))
    }
}

impl Verified {
    /// What it is worth to a question of this engineer about this tenant's data under this support request, as far as that
    /// can be said without a look at any facts. None: the facts say.
    #[must_use]
    pub fn plain_standing(
        &self,
        engineer: &str,
        tenant: &str,
        support_request: Option<&str>,
        now: Timestamp,
    ) -> Option<Standing> {
        if self.engineer != engineer {
            return Some(Standing::Unverifiable);
        }
        if self.tenant != tenant || support_request != Some(self.support_request.as_str()) {
            return Some(Standing::OutOfScope);
        }
        (self.approved_until < now).then_some(Standing::Expired)
    }

    /// The same, from the facts: whether the access request that speaks for the tenant is the approved one, and approved.
    #[must_use]
    pub fn standing_on(&self, facts: Option<&AccessFacts>, now: Timestamp) -> Standing {
        let speaks = facts.filter(|facts| facts.id == self.task && facts.is_live(now));
        let approved = |facts: &AccessFacts| facts.consents().all(|consent| consent.status == ConsentStatus::Approved);
        if speaks.is_some_and(approved) { Standing::Applies } else { Standing::Expired }
    }
}

/// The id of a task's approval: as hard to guess as the task's own, and not it.
fn id_of(task: &AccessRequestId) -> String {
    let digest = sha256(format!("the approval of {task}").as_bytes());
    format!("ap-{}", digest.get(..32).unwrap_or(&digest))
}
