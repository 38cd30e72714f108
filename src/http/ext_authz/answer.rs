//! Answers to Envoy: what is added to a request that goes on and what is taken away, and what is said to one that does not.

use envoy_types::ext_authz::v3::pb::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue, HeaderValueOption, HttpResponse,
    HttpStatus, OkHttpResponse,
};
use envoy_types::pb::google::rpc;
use http::{StatusCode, header};
use tonic::Code;

use super::attributes::Seen;
use crate::decision::Decided;
use crate::http::problem::Problem;
use crate::model::PersonId;

/// What the headers begin with that this service says things in.
const OURS: &str = "x-consentry-";
/// The decision, as the log names it.
const DECISION_ID: &str = "x-consentry-decision-id";
/// The engineer, as they were verified.
const ENGINEER: &str = "x-consentry-engineer";
/// Why a request does not go on, in a word for programs.
const REASON: &str = "x-consentry-reason";

/// The request goes on as one that asked nothing.
pub(super) fn passed(message: &CheckRequest) -> CheckResponse {
    through(message, Vec::new(), Vec::new())
}

/// The request goes on, and says to the API who the engineer is and which decision let it through.
pub(super) fn allowed(message: &CheckRequest, decided: &Decided, engineer: &PersonId) -> CheckResponse {
    let id = decided.id.to_string();
    let for_api = vec![header(DECISION_ID, &id), header(ENGINEER, engineer.as_str())];
    through(message, for_api, vec![header(DECISION_ID, &id)])
}

fn through(
    message: &CheckRequest,
    headers: Vec<HeaderValueOption>,
    for_client: Vec<HeaderValueOption>,
) -> CheckResponse {
    let ok = OkHttpResponse {
        headers_to_remove: forged(message, &headers),
        headers,
        response_headers_to_add: for_client,
        ..OkHttpResponse::default()
    };
    response(Code::Ok, HttpResponse::OkResponse(ok))
}

/// The request does not go on.
pub(super) fn denied(problem: Problem) -> CheckResponse {
    let reason = header(REASON, problem.code());
    let decision_id = problem.decision_id().map(|id| header(DECISION_ID, id));
    let (status, own, body) = problem.rendered();
    let mut headers = vec![
        reason,
        header(header::CONTENT_TYPE.as_str(), "application/problem+json"),
        header(header::CACHE_CONTROL.as_str(), "no-store"),
    ];
    headers.extend(decision_id);
    let told = own.iter().filter(|(name, _)| *name == header::WWW_AUTHENTICATE || *name == header::RETRY_AFTER);
    headers.extend(told.filter_map(|(name, value)| Some(header(name.as_str(), value.to_str().ok()?))));
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(status.as_u16()) }),
        headers,
        body: String::from_utf8(body).unwrap_or_default(),
    };
    response(code(status), HttpResponse::DeniedResponse(denied))
}

/// What the client has sent of our headers, and what servers that read `_` for `-` would take for them.
fn forged(message: &CheckRequest, set: &[HeaderValueOption]) -> Vec<String> {
    let sent = Seen::of(message).map(|seen| seen.headers()).unwrap_or_default();
    let is_ours = |name: &str| {
        let begin = name.get(..OURS.len()).unwrap_or_default();
        begin.replace('_', "-").eq_ignore_ascii_case(OURS)
    };
    let is_set = |name: &str| set.iter().flat_map(|option| &option.header).any(|header| header.key == name);
    let forged = sent.iter().map(|(name, _)| *name).filter(|name| is_ours(name) && !is_set(name));
    forged.map(ToOwned::to_owned).collect()
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), raw_value: Vec::new() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

fn response(code: Code, http_response: HttpResponse) -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status { code: code.into(), message: String::new(), details: Vec::new() }),
        http_response: Some(http_response),
        dynamic_metadata: None,
    }
}

/// The status of the check itself. Envoy takes everything but `Ok` for a denial.
fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        status if status.is_server_error() => Code::Unavailable,
        _ => Code::InvalidArgument,
    }
}
