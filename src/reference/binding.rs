//! The binding of a denial: what an access request has to bring back, so that it is about what was denied, to whom, and
//! lately (sections 5, 8.1 and 15.1.4 of the profile).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::alike::{is_alike, is_same};
use super::{BOUND_CONTEXT, Question, References, seconds};
use crate::model::Timestamp;
use crate::signing::jws;

/// What the signature is for.
const KIND: &str = "denial-binding+jwt";

/// The longest binding, in bytes before it is signed: what it repeats of a question can be as long as a body.
const LONGEST: usize = 8 * 1024;

/// A denial that an access request would cure.
#[derive(Debug, Clone, Copy)]
pub struct Denied<'a> {
    /// The decision's id.
    pub evaluation: &'a str,
    /// When it was made.
    pub at: Timestamp,
    /// Whom it is told.
    pub told: &'a str,
    /// Its reason's code.
    pub reason: &'a str,
}

/// What a denial carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The signed binding.
    pub token: String,
    /// Until when an access request is taken.
    pub expires_at: Timestamp,
}

/// What comes back of a denial.
#[derive(Debug, Clone, Default)]
pub struct Echoed {
    /// The binding.
    pub binding_token: Option<String>,
    /// Its expiry. Required.
    pub expires_at: Option<Timestamp>,
    /// The decision's id.
    pub evaluation_id: Option<String>,
    /// When it was made.
    pub evaluated_at: Option<Timestamp>,
    /// The reason: its code, or the object in which it was told.
    pub reason: Option<Value>,
}

/// A denial that was ours, about this very question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The decision's id.
    pub evaluation: String,
    /// Until when an access request is taken.
    pub expires_at: Timestamp,
    /// Whom it was told.
    pub told: String,
}

/// Why a binding is not one of this denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotBound(&'static str);

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    evaluation_id: String,
    evaluated_at: String,
    denial_expires_at: String,
    reason: String,
    /// Who was told of the denial.
    client_id: String,
    binding_context_members: Vec<String>,
    #[serde(flatten)]
    question: Question,
}

impl References {
    /// The binding of a denial; none when the question is too long to be repeated in it.
    #[must_use]
    pub fn bind(&self, question: Question, denied: Denied<'_>) -> Option<Binding> {
        // Whole seconds, so that all the ways of writing it are the same moment.
        let expires_s = seconds(denied.at.plus_millis(self.denial_lifetime_ms));
        let expires_at = Timestamp::from_millis(expires_s.saturating_mul(1_000));
        let bound = |(name, _): &(String, Value)| BOUND_CONTEXT.contains(&name.as_str());
        let context: Map<String, Value> = question.context.into_iter().filter(bound).collect();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.endpoint(),
            iat: seconds(denied.at),
            exp: expires_s,
            jti: denied.evaluation.to_owned(),
            evaluation_id: denied.evaluation.to_owned(),
            evaluated_at: denied.at.to_string(),
            denial_expires_at: expires_at.to_string(),
            reason: denied.reason.to_owned(),
            client_id: denied.told.to_owned(),
            binding_context_members: BOUND_CONTEXT.map(ToOwned::to_owned).to_vec(),
            question: Question { context, ..question },
        };
        let payload = serde_json::to_vec(&claims).ok().filter(|payload| payload.len() <= LONGEST)?;
        Some(Binding { token: jws::seal(&self.signing, KIND, &payload), expires_at })
    }

    /// The denial that is meant, if it was ours and about this question. Whether it is still fresh is left to whoever
    /// knows the time at which the access request is created.
    ///
    /// # Errors
    /// [`NotBound`].
    pub fn bound(&self, echoed: &Echoed, question: &Question) -> Result<Bound, NotBound> {
        let token = echoed.binding_token.as_deref().ok_or(NotBound("`denial.binding_token` is missing"))?;
        let payload =
            jws::open(token, KIND, &self.keys).map_err(|_| NotBound("the binding is not one of this service"))?;
        let claims: Claims =
            serde_json::from_slice(&payload).map_err(|_| NotBound("the binding says something else"))?;
        if claims.iss != self.issuer || claims.aud != self.endpoint() {
            return Err(NotBound("the binding is for another service"));
        }
        let expires_at: Timestamp =
            claims.denial_expires_at.parse().map_err(|_| NotBound("the binding says something else"))?;
        if !echoed.is_of(&claims, expires_at) {
            return Err(NotBound("the denial is not the one of the binding"));
        }
        if !is_same(&claims.question, question, &claims.binding_context_members) {
            return Err(NotBound("another question was denied"));
        }
        Ok(Bound { evaluation: claims.evaluation_id, expires_at, told: claims.client_id })
    }
}

impl Echoed {
    /// Whether everything that comes back is as it was given.
    fn is_of(&self, claims: &Claims, expires_at: Timestamp) -> bool {
        let evaluated_at = claims.evaluated_at.parse().ok();
        let is_reason = |told: &Value| {
            let code = told.as_object().and_then(|reason| reason.get("code")).unwrap_or(told);
            is_alike(code, &Value::String(claims.reason.clone()))
        };
        self.expires_at == Some(expires_at)
            && self.evaluation_id.as_ref().is_none_or(|id| *id == claims.evaluation_id)
            && self.evaluated_at.is_none_or(|at| Some(at) == evaluated_at)
            && self.reason.as_ref().is_none_or(is_reason)
    }
}
