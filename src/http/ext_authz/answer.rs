//! Answers to Envoy: what is added to a request that goes on and what is taken away, and what is said to one that does not.

use envoy_types::ext_authz::v3::pb::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue, HeaderValueOption, HttpResponse,
    HttpStatus, OkHttpResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use envoy_types::pb::google::rpc;
use http::{StatusCode, header};
use tonic::Code;

use super::attributes::Seen;
use crate::audit::DecisionId;
use crate::decision::Validity;
use crate::http::problem::Problem;
use crate::model::PersonId;

/// What the headers begin with that this service says things in.
const OURS: &str = "x-consentry-";
/// The decision, as the log names it.
const DECISION_ID: &str = "x-consentry-decision-id";
/// Until when the answer may be used, by the time of day; of a member of a fleet.
const VALID_UNTIL: &str = "x-consentry-valid-until";
/// How far that is ahead, in milliseconds.
const VALID_FOR_MS: &str = "x-consentry-valid-for-ms";
/// The engineer, as they were verified.
const ENGINEER: &str = "x-consentry-engineer";
/// Why a request does not go on, in a word for programs.
const REASON: &str = "x-consentry-reason";

/// The request goes on as one that asked nothing.
pub(super) fn passed(message: &CheckRequest) -> CheckResponse {
    through(message, Vec::new(), Vec::new())
}

/// The request goes on, and says to the API who the engineer is and which decision let it through.
pub(super) fn allowed(
    message: &CheckRequest,
    id: &DecisionId,
    validity: Option<Validity>,
    engineer: &PersonId,
) -> CheckResponse {
    let id = id.to_string();
    let mut for_api = vec![header(DECISION_ID, &id), header(ENGINEER, engineer.as_str())];
    for_api.extend(validity.into_iter().flat_map(deadline));
    let mut response = through(message, for_api, vec![header(DECISION_ID, &id)]);
    response.dynamic_metadata = validity.map(metadata);
    response
}

/// Until when the request may go on, for the API.
fn deadline(Validity { until, for_ms }: Validity) -> [HeaderValueOption; 2] {
    [header(VALID_UNTIL, &until.to_string()), header(VALID_FOR_MS, &for_ms.to_string())]
}

/// The same, for filters behind this one and for logs.
fn metadata(Validity { until, for_ms }: Validity) -> Struct {
    let value = |kind| Value { kind: Some(kind) };
    // A lease is seconds long.
    let for_ms = f64::from(u32::try_from(for_ms).unwrap_or(u32::MAX));
    let fields = [
        ("valid_until".to_owned(), value(Kind::StringValue(until.to_string()))),
        ("valid_for_ms".to_owned(), value(Kind::NumberValue(for_ms))),
    ];
    Struct { fields: fields.into_iter().collect() }
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

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
    use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, attribute_context};

    use super::*;
    use crate::audit::DecisionIds;
    use crate::model::{TenantId, Timestamp};

    #[test]
    fn an_allow_under_a_lease_says_until_when_in_headers_and_in_metadata() {
        let validity = Validity { until: Timestamp::from_millis(1_790_000_000_250), for_ms: 4_250 };
        let told = deadline(validity).map(|option| option.header.map(|header| (header.key, header.value)).unwrap());
        let expected = [(VALID_UNTIL, validity.until.to_string()), (VALID_FOR_MS, "4250".to_owned())];
        assert_eq!(told, expected.map(|(key, value)| (key.to_owned(), value)));
        let fields = metadata(validity).fields;
        assert_eq!(fields["valid_until"].kind, Some(Kind::StringValue(validity.until.to_string())));
        assert_eq!(fields["valid_for_ms"].kind, Some(Kind::NumberValue(4_250.0)));
    }

    #[test]
    fn until_when_goes_with_an_allow_and_never_as_the_client_has_it() {
        let validity = Validity { until: Timestamp::from_millis(1_790_000_000_250), for_ms: 4_250 };
        let told = |option: HeaderValueOption| option.header.map(|header| (header.key, header.value)).unwrap();
        let engineer = PersonId::new(&TenantId::new("vendor").unwrap(), "ada").unwrap();
        let message = CheckRequest {
            attributes: Some(AttributeContext {
                request: Some(attribute_context::Request {
                    http: Some(HttpRequest {
                        headers: [(VALID_UNTIL.to_owned(), "9999-01-01T00:00:00Z".to_owned())].into(),
                        ..HttpRequest::default()
                    }),
                    ..attribute_context::Request::default()
                }),
                ..AttributeContext::default()
            }),
        };
        let given = |validity| {
            let response = allowed(&message, &DecisionIds::new().next(), validity, &engineer);
            let Some(HttpResponse::OkResponse(ok)) = response.http_response else { panic!("it does not go on") };
            let headers: Vec<_> = ok.headers.into_iter().map(told).collect();
            (headers, ok.headers_to_remove, response.dynamic_metadata)
        };
        let (headers, removed, said) = given(Some(validity));
        assert_eq!(headers.get(2..), Some(&deadline(validity).map(told)[..]));
        assert_eq!((removed.len(), said), (0, Some(metadata(validity))), "ours is put in the place of the client's");
        // Without a lease there is no such moment, and the client's word for it does not stay.
        let (headers, removed, said) = given(None);
        assert_eq!((headers.len(), removed, said), (2, vec![VALID_UNTIL.to_owned()], None));
    }
}
