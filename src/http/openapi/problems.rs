//! The problems that operations answer with, by status: each code, and when it comes.

use http::StatusCode;
use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{AllOfBuilder, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, Response, ResponseBuilder};

/// A code, and when it comes.
pub(super) type Code = (&'static str, &'static str);

/// A status with the codes of its problems: one of the document's responses.
#[derive(Debug)]
pub(super) struct Problems {
    pub(super) name: &'static str,
    pub(super) status: StatusCode,
    codes: &'static [&'static [Code]],
    /// The codes are those of the policies that ship; an operator's own can add to them.
    by_policy: bool,
}

const fn of(name: &'static str, status: StatusCode, codes: &'static [&'static [Code]]) -> Problems {
    Problems { name, status, codes, by_policy: false }
}

const INVALID: &[Code] = &[("invalid_request", "something is missing, malformed or unknown: `field` names it")];
const NO_ROOM: &[Code] = &[("no_room", "too many large bodies at once")];
const STORE: &[Code] = &[("store_unavailable", "the store cannot be used, and nothing was changed")];
const KEYS: &[Code] = &[("token_keys_unavailable", "nobody can tell whether the token is good")];
const CONTENT_TYPE: &[Code] = &[("content_type", "the body is not said to be JSON")];
const UNRECORDED: &[Code] = &[
    ("log_unavailable", "the decision log cannot be used, and what is not recorded is not answered"),
    ("log_full", "the same: its disk is full"),
    ("log_closed", "the same: the service is stopping"),
    ("log_record_not_a_line", "the same: the record is no line"),
    ("log_record_too_long", "the same: the record is too long"),
];
const LOG_UNREAD: &[Code] = &[
    ("log_index_building", "the service has just started on a long log"),
    ("log_unreadable", "the decision log cannot be read back"),
];

const POLICIES: &[Code] = &[
    ("not_vendor", "a program that is not of a vendor tenant"),
    ("not_support_engineer", "a list of one's own work, without the app role"),
    ("not_tenant_administrator", "a list of consents, without such a role"),
    ("not_audit_reader", "an audit log, without such a role"),
    ("not_reviewer", "an explanation, without such a role"),
    ("not_assigned", "access under a support request that is somebody else's"),
    ("not_resource_tenant", "the support request tenant narrows or revokes"),
    ("separation_of_duties", "who asked, or is assigned now, approves"),
    ("tenant_unknown", "access to a tenant that is not registered"),
    ("advanced_diagnostics_setting_decides", "access to the support request's own tenant, where the setting decides"),
    ("support_request_closed", "access under a closed support request"),
    ("other_tenant", "something of another tenant"),
    ("not_a_person", "a program decides what people decide"),
    ("not_permitted", "no policy permits it"),
];
const BUSY: Code = ("busy", "others change the same objects: try again");
const DUPLICATE: Code = ("duplicate_request", "the same idempotency key came with another path or body");
const NO_PATH: Code =
    ("no_such_path", "the service has nothing there: it takes no access requests after denials, or is another model's");

pub(super) const INVALID_REQUEST: Problems = of("InvalidRequest", StatusCode::BAD_REQUEST, &[INVALID]);
pub(super) const INVALID_QUESTION: Problems = of("InvalidQuestion", StatusCode::BAD_REQUEST, &[INVALID, CONTENT_TYPE]);
pub(super) const INVALID_SCOPE: Problems = of(
    "InvalidScope",
    StatusCode::BAD_REQUEST,
    &[
        INVALID,
        &[
            ("no_category", "the scope would cover no category"),
            ("end_time_passed", "the scope would have ended already"),
        ],
    ],
);
pub(super) const INVALID_SUBMISSION: Problems = of(
    "InvalidSubmission",
    StatusCode::BAD_REQUEST,
    &[
        INVALID,
        &[("invalid_denial_binding", "the denial is missing, not ours, of another question, or was used before")],
    ],
);
pub(super) const UNAUTHORIZED: Problems = of(
    "Unauthorized",
    StatusCode::UNAUTHORIZED,
    &[&[
        ("token_missing", "there is no bearer token"),
        ("token_malformed", "it is no JSON Web Token"),
        ("token_issuer_unknown", "its issuer is not one of the settings"),
        ("token_algorithm_not_allowed", "its algorithm is not one of its issuer's"),
        ("token_key_unknown", "its issuer has no such key"),
        ("token_signature_wrong", "it was not signed with that key"),
        ("token_audience_wrong", "it was made for somebody else"),
        ("token_expired", "its time is over"),
        ("token_not_yet_valid", "its time has not come"),
        ("token_tenant_mismatch", "its tenant and its issuer differ"),
        ("token_claim_missing", "it does not say who calls"),
        ("token_too_long", "it is longer than tokens are"),
        ("token_unsupported", "it asks for something that is not supported"),
    ]],
);
pub(super) const MAY_NOT_ASK: Problems = Problems {
    name: "MayNotAsk",
    status: StatusCode::FORBIDDEN,
    codes: &[&[
        ("evaluate_not_permitted", "a person asks about somebody else"),
        ("not_vendor", "a program that is not of a vendor tenant"),
        ("not_permitted", "no policy permits it, such as for a program without `Decisions.Evaluate`"),
    ]],
    by_policy: true,
};
pub(super) const DENIED: Problems =
    Problems { name: "Denied", status: StatusCode::FORBIDDEN, codes: &[POLICIES], by_policy: true };
pub(super) const MAY_NOT_REQUEST: Problems = Problems {
    name: "MayNotRequest",
    status: StatusCode::FORBIDDEN,
    codes: &[
        &[
            ("not_the_subject", "the denial is about another engineer, or a program asks"),
            ("actor_not_verified", "`client.actor`: no token proves here who acts for whom"),
        ],
        POLICIES,
    ],
    by_policy: true,
};
pub(super) const NOT_FOUND: Problems = of(
    "NotFound",
    StatusCode::NOT_FOUND,
    &[&[("not_found", "there is no such thing, or the caller may not know of it: the same bytes")]],
);
pub(super) const NOT_SERVED: Problems = of("NotServed", StatusCode::NOT_FOUND, &[&[NO_PATH]]);
pub(super) const UNKNOWN_CASE: Problems = of(
    "UnknownCase",
    StatusCode::NOT_FOUND,
    &[&[("not_found", "there is no such support request, or the caller may not know of it: the same bytes"), NO_PATH]],
);
pub(super) const UNKNOWN_TASK: Problems = of(
    "UnknownTask",
    StatusCode::NOT_FOUND,
    &[&[("unknown_task", "there is no such task, or the caller may not know of it: the same bytes"), NO_PATH]],
);
pub(super) const SUBMISSION_EXPIRED: Problems = of(
    "DenialExpired",
    StatusCode::GONE,
    &[&[("expired_denial", "the denial was too long ago: ask for a decision again")]],
);
pub(super) const TOO_SLOW: Problems =
    of("BodyTooSlow", StatusCode::REQUEST_TIMEOUT, &[&[("body_too_slow", "the body took too long to arrive")]]);
pub(super) const TOO_LARGE: Problems = of(
    "BodyTooLarge",
    StatusCode::PAYLOAD_TOO_LARGE,
    &[&[("body_too_large", "the body is over `server.max_body_bytes`")]],
);
pub(super) const WRONG_CONTENT_TYPE: Problems =
    of("WrongContentType", StatusCode::UNSUPPORTED_MEDIA_TYPE, &[CONTENT_TYPE]);
pub(super) const MISDIRECTED: Problems = of(
    "NotAnAuthority",
    StatusCode::MISDIRECTED_REQUEST,
    &[&[("not_an_authority", "a member of a fleet that only decides reads: ask an authority")]],
);
pub(super) const OUTDATED: Problems = of(
    "VersionChanged",
    StatusCode::PRECONDITION_FAILED,
    &[&[("version_changed", "`If-Match` names another version than the present one")]],
);
pub(super) const KEY_REUSED: Problems = of(
    "IdempotencyKeyReused",
    StatusCode::UNPROCESSABLE_ENTITY,
    &[&[("idempotency_key_reused", "the same key came with another path or body")]],
);
pub(super) const CONFLICT: Problems = of(
    "Conflict",
    StatusCode::CONFLICT,
    &[&[
        BUSY,
        ("support_request_exists", "the id is taken"),
        ("support_request_closed", "it is closed already, or closed to this"),
        ("support_request_open", "it is open already"),
        ("access_request_live", "there is a live one for this resource tenant"),
        ("too_many_access_requests", "there have been 200 under this support request"),
        ("access_request_ended", "there is nothing left to cancel"),
        ("consent_not_pending", "somebody has decided before"),
        ("consent_not_approved", "it is not approved, or no longer"),
        ("scope_wider", "a narrowing reaches beyond what was approved"),
    ]],
);
pub(super) const SUBMISSION_CONFLICT: Problems = of(
    "SubmissionConflict",
    StatusCode::CONFLICT,
    &[&[
        BUSY,
        DUPLICATE,
        ("access_request_live", "there is a live one for this resource tenant"),
        ("too_many_access_requests", "there have been 200 under this support request"),
        ("support_request_closed", "the support request is closed"),
    ]],
);
pub(super) const TASK_CONFLICT: Problems = of(
    "TaskConflict",
    StatusCode::CONFLICT,
    &[&[BUSY, DUPLICATE, ("invalid_task_state", "there is nothing left to withdraw")]],
);
pub(super) const UNDECIDED: Problems = of(
    "Undecided",
    StatusCode::SERVICE_UNAVAILABLE,
    &[
        &[
            ("bootstrapping", "the facts are still being loaded"),
            ("replica_behind", "the facts may be out of date"),
            ("lease_expired", "a member of a fleet: the store has not confirmed the facts in time"),
            ("fenced", "a member of a fleet: it was struck off for its silence, and registers anew"),
            ("store_regressed", "a member of a fleet: the store has gone back to an earlier state, or is another one"),
            ("facts_changing", "facts or policies changed each time while the answer was being recorded"),
        ],
        NO_ROOM,
        UNRECORDED,
        STORE,
        KEYS,
    ],
);
pub(super) const UNREAD: Problems =
    of("Unread", StatusCode::SERVICE_UNAVAILABLE, &[STORE, UNRECORDED, LOG_UNREAD, KEYS]);
pub(super) const UNWRITTEN: Problems = of(
    "Unwritten",
    StatusCode::SERVICE_UNAVAILABLE,
    &[
        &[("unconfirmed", "it may have been changed, and may not be in force: send it again with its idempotency key")],
        STORE,
        UNRECORDED,
        NO_ROOM,
        KEYS,
    ],
);

/// Every one of them.
pub(super) const ALL: [&Problems; 25] = [
    &MISDIRECTED,
    &INVALID_SUBMISSION,
    &MAY_NOT_REQUEST,
    &NOT_SERVED,
    &UNKNOWN_CASE,
    &UNKNOWN_TASK,
    &SUBMISSION_EXPIRED,
    &SUBMISSION_CONFLICT,
    &TASK_CONFLICT,
    &INVALID_REQUEST,
    &INVALID_QUESTION,
    &INVALID_SCOPE,
    &UNAUTHORIZED,
    &MAY_NOT_ASK,
    &DENIED,
    &NOT_FOUND,
    &TOO_SLOW,
    &TOO_LARGE,
    &WRONG_CONTENT_TYPE,
    &OUTDATED,
    &KEY_REUSED,
    &CONFLICT,
    &UNDECIDED,
    &UNREAD,
    &UNWRITTEN,
];

impl Problems {
    /// As one of the document's responses (RFC 9457).
    pub(super) fn response(&self) -> Response {
        let codes: Vec<&Code> = self.codes.iter().copied().flatten().collect();
        let lines: Vec<String> = codes.iter().map(|(code, when)| format!("- `{code}`: {when}")).collect();
        let also = if self.by_policy { "\n\nPolicies of an operator's own can add codes." } else { "" };
        let names = codes.iter().map(|(code, _)| *code);
        let code = ObjectBuilder::new().schema_type(Type::String);
        let code = if self.by_policy { code.examples(names) } else { code.enum_values(Some(names)) };
        let status = ObjectBuilder::new().schema_type(Type::Integer);
        let own = ObjectBuilder::new()
            .property("status", status.enum_values(Some([self.status.as_u16()])))
            .property("code", code);
        let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(own);
        let example = codes.first().map(|(code, when)| {
            json!({
                "type": kind_of(code),
                "title": self.status.canonical_reason(),
                "status": self.status.as_u16(),
                "code": code,
                "detail": when,
            })
        });
        let content = ContentBuilder::new().schema(Some(schema)).example(example).build();
        let response = ResponseBuilder::new()
            .description(format!("{}{also}", lines.join("\n")))
            .content("application/problem+json", content)
            .header_ref("X-Request-ID", Ref::new("#/components/headers/RequestId"));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                response.header("Retry-After", always("Seconds to wait before asking again.", Type::Integer))
            }
            StatusCode::UNAUTHORIZED => {
                response.header("WWW-Authenticate", always("What is wanted (RFC 6750).", Type::String))
            }
            _ => response,
        }
        .build()
    }
}

/// The URN by which a problem is known: its own, or the access request profile's (section 11).
fn kind_of(code: &str) -> String {
    match code {
        "unknown_task" | "expired_denial" => format!("urn:openid:authzen:access-request:error:{code}"),
        code => format!("urn:consentry:problem:{code}"),
    }
}

/// A header that is always there.
pub(super) fn always(says: &str, kind: Type) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(says))
        .extensions(Some(Extensions::from_iter([("required", true)])))
        .build()
}
