//! Messages of Envoy's external authorization (v3): whatever they say, they are answered, and nothing goes on but what
//! passes and the reads that this world allows to an engineer who was verified.

use std::sync::Arc;

use axum::body::Body;
use consentry::http::{Via, check_router};
use consentry::mapping::Mapping;
use envoy_types::ext_authz::v3::pb::{CheckRequest, CheckResponse, HeaderValueOption, HttpResponse};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::google::protobuf::value::Kind;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Version};
use http_body_util::BodyExt as _;
use prost::Message as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::front::{Front, first_line, with_front};

const ROUTES: &str = include_str!("../../../../deploy/envoy/mapping.toml");
/// The longest denial, and the most that is said of a request that goes on, but for the names that were sent.
const LONGEST: usize = 8 * 1024;
/// Who an engineer is, by each source.
const PRINCIPAL: &str = "spiffe://vendor.example/engineers/ada";
const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// The first line is the source of the engineer's identity, and who the proxy is where it comes over TCP: `token`,
/// `certificate tooling`. The rest is the message, once as it is and once with `Bearer {ada}` filled in.
pub fn run(bytes: &[u8]) {
    let Some((line, message)) = first_line(bytes) else { return };
    let (source, proxy) = line.split_once(' ').map_or((line, None), |(source, proxy)| (source, Some(proxy)));
    let Some(mapping) = mapping(source) else { return };
    with_front(|front| {
        let door = Door { front, source, proxy, mapping: Arc::new(mapping) };
        door.sends(message);
        if let Ok(mut typed) = CheckRequest::decode(message)
            && fill_in(front, &mut typed)
        {
            door.sends(&typed.encode_to_vec());
        }
    });
}

fn mapping(source: &str) -> Option<Mapping> {
    let engineer = match source {
        "token" => "from = \"token\"".to_owned(),
        "certificate" => {
            "from = \"certificate\"\ntenant = \"vendor\"\nprincipal = \"spiffe://vendor.example/engineers/{object}\""
                .to_owned()
        }
        "payload" => format!(
            "from = \"jwt_payload\"\nnamespace = \"{NAMESPACE}\"\nkey = \"payload\"\ntenant_claim = \"tid\"\n\
             object_claim = \"oid\""
        ),
        _ => return None,
    };
    Some(Mapping::parse("mapping.toml", &ROUTES.replace("from = \"token\"", &engineer)).unwrap())
}

/// Tokens in place of their names; whether there were any.
fn fill_in(front: &Front, message: &mut CheckRequest) -> bool {
    let http = message.attributes.as_mut().and_then(|all| all.request.as_mut()?.http.as_mut());
    let Some(http) = http else { return false };
    let mut any = false;
    let mut fill = |text: &mut String| {
        let name = text.strip_prefix("Bearer {").and_then(|rest| rest.strip_suffix('}'));
        if let Some(token) = name.and_then(|name| front.token(name)) {
            *text = format!("Bearer {token}");
            any = true;
        }
    };
    http.headers.values_mut().for_each(&mut fill);
    for header in http.header_map.iter_mut().flat_map(|map| &mut map.headers) {
        fill(&mut header.value);
        if let Ok(mut text) = String::from_utf8(std::mem::take(&mut header.raw_value)) {
            fill(&mut text);
            header.raw_value = text.into_bytes();
        }
    }
    any
}

struct Door<'a> {
    front: &'a Front,
    source: &'a str,
    proxy: Option<&'a str>,
    mapping: Arc<Mapping>,
}

impl Door<'_> {
    fn sends(&self, message: &[u8]) {
        let Some(answer) = self.answer(message) else { return };
        let code = answer.status.as_ref().expect("an answer has a status").code;
        match answer.http_response.as_ref().expect("an answer says what to do") {
            HttpResponse::DeniedResponse(denied) => {
                assert_ne!(code, 0, "{answer:?}");
                let status = denied.status.as_ref().map_or(0, |status| status.code);
                assert!((400..600).contains(&status) && denied.body.len() <= LONGEST, "{answer:?}");
                let body: Value = serde_json::from_str(&denied.body).expect("a denial is a problem");
                assert!(body["status"] == status && body["decision"] == false && body["code"].is_string(), "{body}");
                // A status of ours is one for the proxy's operator alone.
                let trusted = self.proxy.is_none_or(|proxy| proxy == "tooling");
                assert!(status < 500 || (!trusted && body["code"] == "proxy_not_trusted"), "{body}");
            }
            HttpResponse::OkResponse(ok) => {
                assert_eq!(code, 0, "{answer:?}");
                let message = CheckRequest::decode(message).expect("what goes on could be read");
                let sent = Sent::of(message.attributes.as_ref().unwrap());
                self.may_go_on(&sent, &ok.headers);
                // What the client says in our name does not get through.
                let set = |name: &str| ok.headers.iter().flat_map(|one| &one.header).any(|header| header.key == name);
                let ours = |name: &&str| name.to_ascii_lowercase().replace('_', "-").starts_with("x-consentry-");
                for forged in sent.headers.iter().map(|(name, _)| name.as_str()).filter(ours) {
                    assert!(set(forged) || ok.headers_to_remove.iter().any(|name| name == forged), "{forged}");
                }
            }
            HttpResponse::ErrorResponse(error) => panic!("an error is no answer: {error:?}"),
        }
    }

    /// The answer to this message; none to what is no message.
    fn answer(&self, message: &[u8]) -> Option<CheckResponse> {
        let via = if self.proxy.is_some() { Via::Tcp } else { Via::UnixSocket };
        let routes = check_router(Arc::clone(self.front.app().edge()), via, Arc::clone(&self.mapping));
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let framed = [&[0], &length[..], message].concat();
        let mut request = Request::post("/envoy.service.auth.v3.Authorization/Check").version(Version::HTTP_2);
        request = request.header(CONTENT_TYPE, "application/grpc").header("te", "trailers");
        if let Some(token) = self.proxy.and_then(|proxy| self.front.token(proxy)) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(framed)).unwrap();
        let (head, body) = self.front.block_on(async {
            let (head, body) = routes.oneshot(request).await.unwrap().into_parts();
            (head, body.collect().await.unwrap())
        });
        assert_eq!(head.status, 200, "{head:?}");
        let trailers = body.trailers().cloned().unwrap_or_default();
        let code = head.headers.get("grpc-status").or(trailers.get("grpc-status")).expect("every call has a status");
        let bytes = body.to_bytes();
        if code != "0" {
            assert!(CheckRequest::decode(message).is_err(), "{code:?} to a message that can be read");
            assert!(bytes.is_empty());
            return None;
        }
        let answer = bytes.get(5..).expect("an answer is framed");
        Some(CheckResponse::decode(answer).expect("an answer can be read"))
    }

    /// What goes on passes, or is the one read that is allowed.
    fn may_go_on(&self, sent: &Sent<'_>, told: &[HeaderValueOption]) {
        let http = sent.http;
        if http.method == "GET" && http.path == "/healthz" {
            assert!(told.is_empty(), "{told:?}");
            return;
        }
        // An engineer may ask about themselves, and it is themselves that this is about.
        assert!(self.proxy.is_none_or(|proxy| ["tooling", "ada"].contains(&proxy)), "{:?}", self.proxy);
        assert!(["GET", "HEAD"].contains(&http.method.as_str()), "{http:?}");
        assert!(http.path.starts_with("/v1/tenants/fabrikam/"), "{http:?}");
        assert_eq!(sent.header("x-support-request"), Some("SR-1"), "{http:?}");
        let is_ada = match self.source {
            "token" => sent.header("authorization").is_some_and(|value| {
                let token = value.split_once(' ').map(|(_, token)| token.trim());
                token.is_some_and(|token| Some(token) == self.front.token("ada"))
            }),
            "certificate" => sent.attributes.source.as_ref().is_some_and(|source| source.principal == PRINCIPAL),
            _ => sent.claim("tid") == Some("vendor") && sent.claim("oid") == Some("ada"),
        };
        assert!(is_ada, "{:?}", sent.attributes);
        let header = |name: &str| {
            let mut found = told.iter().flat_map(|one| &one.header).filter(|header| header.key == name);
            found.next().map(|header| header.value.as_str())
        };
        assert_eq!(header("x-consentry-engineer"), Some("vendor/ada"), "{told:?}");
        assert!(header("x-consentry-decision-id").is_some_and(|id| id.len() == 32), "{told:?}");
    }
}

/// A message as this target reads it.
struct Sent<'a> {
    attributes: &'a AttributeContext,
    http: &'a HttpRequest,
    headers: Vec<(String, String)>,
}

impl<'a> Sent<'a> {
    fn of(attributes: &'a AttributeContext) -> Self {
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref()).expect("what goes on is HTTP");
        let mut headers: Vec<(String, String)> =
            http.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for header in http.header_map.iter().flat_map(|map| &map.headers) {
            let raw = String::from_utf8_lossy(&header.raw_value).into_owned();
            headers.push((header.key.clone(), if raw.is_empty() { header.value.clone() } else { raw }));
        }
        Self { attributes, http, headers }
    }

    /// The value of a header that stands there once.
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    fn claim(&self, name: &str) -> Option<&str> {
        let metadata = self.attributes.metadata_context.as_ref()?;
        let payload = metadata.filter_metadata.get(NAMESPACE)?.fields.get("payload")?.kind.as_ref()?;
        let Kind::StructValue(payload) = payload else { return None };
        if let Kind::StringValue(text) = payload.fields.get(name)?.kind.as_ref()? { Some(text) } else { None }
    }
}
