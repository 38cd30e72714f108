//! Problem details (RFC 9457): every error has a status, a stable code, a sentence, and the field it is about.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::audit::{DecisionId, LogError};
use crate::decision::{Decided, InvalidQuestion, PolicyRef, Undecided};
use crate::identity::TokenRefused;
use crate::model::Refusal;
use crate::workflow::{Denied, WorkflowError};

/// The longest sentence, and the longest name of a field, in characters. Both can quote what the caller sent, which can
/// be as long as a body.
const LONGEST_TEXT: usize = 500;

/// An error as callers see it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Details>);

/// An error (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Details {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// Stable, for programs.
    code: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// Where the answer stands for a decision: never an allow (G4).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decision: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DecisionId>, nullable = false)]
    decision_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<PolicyRef>,
    /// Whose consent is missing to a read (R20).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_consents: Vec<String>,
    /// The present status of what the caller wanted to change, as far as they may know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    present_status: Option<&'static str>,
    #[serde(skip)]
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with this status, code and sentence.
    #[must_use]
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let code = code.into();
        Self(Box::new(Details {
            kind: format!("urn:consentry:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: shortened(detail.into()),
            field: None,
            decision: None,
            decision_id: None,
            policies: Vec::new(),
            missing_consents: Vec::new(),
            present_status: None,
            headers: Vec::new(),
        }))
    }

    /// A malformed part of a request.
    #[must_use]
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail);
        problem.0.field = Some(shortened(field.into()));
        problem
    }

    /// A problem of the AuthZEN Access Request and Approval Profile's own (section 11).
    #[must_use]
    pub fn of_access_request(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(status, code, detail);
        problem.0.kind = format!("urn:openid:authzen:access-request:error:{code}");
        problem
    }

    /// There is nothing at this path.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path")
    }

    /// The same, about this field.
    #[must_use]
    pub fn about(mut self, field: &str) -> Self {
        self.0.field = Some(shortened(field.to_owned()));
        self
    }

    /// There is no such thing, or not for the caller: the same bytes for both (R19).
    #[must_use]
    pub fn not_found(noun: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {noun}"))
    }

    /// Not now; try again in a second.
    #[must_use]
    pub fn unavailable(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// As an answer to a question: not an allow.
    #[must_use]
    pub fn as_decision(mut self) -> Self {
        self.0.decision = Some(false);
        self
    }

    /// With a header.
    #[must_use]
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The stable name for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The decision that it tells of, if it is one.
    #[must_use]
    pub fn decision_id(&self) -> Option<&str> {
        self.0.decision_id.as_deref()
    }

    /// The sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The field, if it is about one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Problem {
    /// Its status, the headers that it has beside the type of its body, and its body.
    #[must_use]
    pub fn rendered(self) -> (StatusCode, Vec<(header::HeaderName, HeaderValue)>, Vec<u8>) {
        // Strings and numbers of ours: they serialise.
        let Self(details) = self;
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let status = StatusCode::from_u16(details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, details.headers, body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, own, body) = self.rendered();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in own {
            headers.insert(name, value);
        }
        response
    }
}

impl From<TokenRefused> for Problem {
    fn from(refused: TokenRefused) -> Self {
        if refused.is_unavailable() {
            return Self::unavailable(refused.code(), refused.to_string());
        }
        Self::new(StatusCode::UNAUTHORIZED, refused.code(), refused.to_string()).with_header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"consentry\", error=\"invalid_token\""),
        )
    }
}

impl From<InvalidQuestion> for Problem {
    fn from(invalid: InvalidQuestion) -> Self {
        Self::invalid(invalid.field, invalid.message)
    }
}

impl From<Undecided> for Problem {
    fn from(undecided: Undecided) -> Self {
        let Undecided::NotFresh(cause) = &undecided;
        Self::unavailable(cause.code(), undecided.to_string()).as_decision()
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        unrecorded(&error).as_decision()
    }
}

impl From<WorkflowError> for Problem {
    fn from(error: WorkflowError) -> Self {
        match error {
            WorkflowError::NotFound(noun) => Self::not_found(noun),
            WorkflowError::Denied(denied) => Self::denied(*denied),
            WorkflowError::Refused(refusal) => Self::refused(&refusal),
            WorkflowError::Outdated { present } => {
                let detail = format!("it has changed since: its ETag is now \"{present}\"");
                Self::new(StatusCode::PRECONDITION_FAILED, "version_changed", detail)
            }
            WorkflowError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this idempotency key was used for another request",
            ),
            WorkflowError::Invalid { field, message } => Self::invalid(field, message),
            WorkflowError::Busy => {
                Self::new(StatusCode::CONFLICT, "busy", "others are changing this at the same moment: try again")
            }
            WorkflowError::Unrecorded(error) => unrecorded(&error),
            WorkflowError::LogUnreadable(error) => {
                Self::unavailable(error.code(), "the decision log cannot be read now: ask again in a few seconds")
            }
            WorkflowError::Unavailable(cause) => {
                tracing::error!(cause, "the store is unavailable");
                Self::unavailable("store_unavailable", "the store cannot be used now; nothing was changed")
            }
            WorkflowError::Elsewhere => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                "not_an_authority",
                "this process only decides reads: ask an authority of the fleet",
            ),
            WorkflowError::Unconfirmed => Self::unavailable(
                "unconfirmed",
                "the change may not be in force yet: send the same request again, with its idempotency key",
            ),
        }
    }
}

/// A decision that is not in the log is not answered (G3). The cause is the operator's business: it is traced where it
/// happened, and readiness shows it.
fn unrecorded(error: &LogError) -> Problem {
    Problem::unavailable(error.code(), "the decision could not be recorded, so it is not answered")
}

impl Problem {
    /// A read that the policies deny, as whoever wanted to read is told of it.
    pub(super) fn refused_read(decided: &Decided) -> Self {
        let answer = &decided.answer;
        let mut problem = Self::new(StatusCode::FORBIDDEN, &*answer.reason.code, &*answer.reason.message);
        problem.0.decision_id = Some(decided.id.to_string());
        problem.0.policies.clone_from(&answer.policies);
        problem.0.missing_consents.clone_from(&answer.reason.missing_consents);
        problem
    }

    fn denied(denied: Denied) -> Self {
        let Denied { decision_id, reason, policies } = denied;
        let mut problem = Self::new(StatusCode::FORBIDDEN, reason.code, reason.message);
        problem.0.decision_id = Some(decision_id.to_string());
        problem.0.policies = policies;
        problem
    }

    fn refused(refusal: &Refusal) -> Self {
        let (status, field, present_status) = match refusal {
            Refusal::UnknownSupportRequest | Refusal::UnknownAccessRequest | Refusal::UnknownConsent => {
                (StatusCode::NOT_FOUND, None, None)
            }
            Refusal::TaskOver(present) => (StatusCode::CONFLICT, None, Some(present.as_str())),
            Refusal::DenialExpired => (StatusCode::GONE, None, None),
            Refusal::NotAPerson => (StatusCode::FORBIDDEN, None, None),
            Refusal::NoCategory => (StatusCode::BAD_REQUEST, Some("categories"), None),
            Refusal::EndTimePassed => (StatusCode::BAD_REQUEST, Some("until"), None),
            Refusal::NotPending(present) | Refusal::NotApproved(present) => {
                (StatusCode::CONFLICT, None, Some(present.as_str()))
            }
            Refusal::SupportRequestClosed => (StatusCode::CONFLICT, None, Some("closed")),
            Refusal::SupportRequestOpen => (StatusCode::CONFLICT, None, Some("open")),
            Refusal::SupportRequestExists
            | Refusal::AccessRequestLive(_)
            | Refusal::TooManyAccessRequests
            | Refusal::AccessRequestEnded
            | Refusal::DenialUsed
            | Refusal::Wider => (StatusCode::CONFLICT, None, None),
        };
        let mut problem = Self::new(status, refusal.code(), refusal.to_string());
        problem.0.field = field.map(ToOwned::to_owned);
        problem.0.present_status = present_status;
        problem
    }
}
