//! A house that Envoy can ask, and questions as Envoy words them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use envoy_types::ext_authz::v3::pb::{CheckRequest, CheckResponse, HeaderValueOption, HttpResponse};
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value as ProtoValue};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::support::{House, Person};

/// The mapping that ships as an example.
pub const EXAMPLE: &str = include_str!("../../../deploy/envoy/mapping.toml");
/// What ada may read in a granted house, by that mapping.
pub const SIGN_IN: &str = "/v1/tenants/fabrikam/sign-ins/42";

/// A house, and a connection to where Envoy asks.
pub struct Gate {
    pub house: House,
    pub client: AuthorizationClient<Channel>,
    pub folder: TempDir,
}

impl Gate {
    /// A granted house with the example's mapping, asked through its socket.
    pub async fn granted() -> Self {
        let gate = Self::with(EXAMPLE).await;
        gate.house.grant().await;
        gate
    }

    /// A house with this mapping, asked through its socket.
    pub async fn with(mapping: &str) -> Self {
        Self::with_more(mapping, "").await
    }

    /// The same, with more settings at the top.
    pub async fn with_more(mapping: &str, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let house = House::start_with(&format!("{more}\n{}", ext_authz(folder.path(), mapping))).await;
        let client = Self::client(folder.path()).await;
        Self { house, client, folder }
    }

    async fn client(folder: &Path) -> AuthorizationClient<Channel> {
        let path = folder.join("envoy.sock").display().to_string();
        AuthorizationClient::connect(format!("unix://{path}")).await.unwrap()
    }

    /// The same house, asked over TCP.
    pub async fn over_tcp(&self) -> AuthorizationClient<Channel> {
        let address = self.house.app().ext_authz_address().unwrap();
        AuthorizationClient::connect(format!("http://{address}")).await.unwrap()
    }

    pub async fn ask(&self, sent: Sent) -> Answer {
        self.client.clone().check(sent.message()).await.unwrap().into_inner().into()
    }

    /// An engineer of the vendor asks for this path under `SR-1` with their own token.
    pub async fn reads(&self, engineer: &str, path: &str) -> Answer {
        self.ask(Sent::get(path).by(&self.house.engineer(engineer)).under("SR-1")).await
    }
}

/// Settings and files of the mapping.
pub fn ext_authz(folder: &Path, mapping: &str) -> String {
    std::fs::write(folder.join("mapping.toml"), mapping).unwrap();
    let folder = folder.display();
    format!(
        "[ext_authz]\nlisten = \"127.0.0.1:0\"\nunix_socket = \"{folder}/envoy.sock\"\n\
         mapping = \"{folder}/mapping.toml\""
    )
}

/// A payload that a filter has left: namespace, key, claims.
type Payload = (String, String, Vec<(String, Kind)>);

/// A request to the diagnostic API.
#[derive(Clone)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub raw_headers: Vec<(String, Vec<u8>)>,
    pub principal: String,
    pub payload: Option<Payload>,
}

impl Sent {
    pub fn get(path: &str) -> Self {
        Self::of("GET", path)
    }

    pub fn of(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: HashMap::new(),
            raw_headers: Vec::new(),
            principal: String::new(),
            payload: None,
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A header as Envoy gives it with `encode_raw_headers`: as often as it was sent.
    pub fn with_raw(mut self, name: &str, value: &[u8]) -> Self {
        self.raw_headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn by(self, person: &Person) -> Self {
        self.with("authorization", &format!("Bearer {}", person.token()))
    }

    pub fn under(self, support_request: &str) -> Self {
        self.with("x-support-request", support_request)
    }

    pub fn issued_to(mut self, principal: &str) -> Self {
        principal.clone_into(&mut self.principal);
        self
    }

    pub fn with_payload(mut self, namespace: &str, key: &str, claims: &[(&str, Kind)]) -> Self {
        let claims = claims.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
        self.payload = Some((namespace.to_owned(), key.to_owned(), claims));
        self
    }

    pub fn message(self) -> CheckRequest {
        let raw = |(key, raw_value)| HeaderValue { key, raw_value, value: String::new() };
        let header_map = HeaderMap { headers: self.raw_headers.into_iter().map(raw).collect() };
        let http = HttpRequest {
            method: self.method,
            path: self.path,
            headers: self.headers,
            header_map: (!header_map.headers.is_empty()).then_some(header_map),
            host: "api.test".to_owned(),
            scheme: "https".to_owned(),
            protocol: "HTTP/1.1".to_owned(),
            ..HttpRequest::default()
        };
        let metadata = self.payload.map(|(namespace, key, claims)| Metadata {
            filter_metadata: HashMap::from([(namespace, structure([(key, Kind::StructValue(structure(claims)))]))]),
            ..Metadata::default()
        });
        let attributes = AttributeContext {
            source: Some(Peer { principal: self.principal, ..Peer::default() }),
            request: Some(Request { http: Some(http), ..Request::default() }),
            metadata_context: metadata,
            ..AttributeContext::default()
        };
        CheckRequest { attributes: Some(attributes) }
    }
}

fn structure(fields: impl IntoIterator<Item = (String, Kind)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, kind)| (name, ProtoValue { kind: Some(kind) })).collect() }
}

/// What Envoy is told to do.
#[derive(Debug)]
pub struct Answer {
    /// Of the check: 0 lets the request go on.
    pub code: i32,
    /// What the client is told; none when the request goes on.
    pub status: Option<i32>,
    /// Of the denial, or for the API.
    pub headers: BTreeMap<String, String>,
    pub removed: Vec<String>,
    pub for_client: BTreeMap<String, String>,
    pub body: Value,
}

impl Answer {
    pub fn is_through(&self) -> bool {
        assert_eq!(self.code == 0, self.status.is_none(), "{self:?}");
        self.code == 0
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Status and reason of a denial, which says the same in header and body.
    #[track_caller]
    pub fn denial(&self) -> (i32, &str) {
        assert!(!self.is_through(), "{self:?}");
        let status = self.status.unwrap();
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!((&self.body["status"], &self.body["decision"]), (&Value::from(status), &Value::from(false)));
        assert_eq!(self.header("x-consentry-reason"), self.body["code"], "{self:?}");
        assert_eq!(self.header("x-consentry-decision-id"), self.body["decision_id"].as_str().unwrap_or_default());
        (status, self.header("x-consentry-reason"))
    }
}

impl From<CheckResponse> for Answer {
    fn from(response: CheckResponse) -> Self {
        let code = response.status.unwrap().code;
        let map = |options: Vec<HeaderValueOption>| -> BTreeMap<String, String> {
            let header = |option: HeaderValueOption| option.header.map(|header| (header.key, header.value));
            options.into_iter().filter_map(header).collect()
        };
        match response.http_response.unwrap() {
            HttpResponse::OkResponse(ok) => Self {
                code,
                status: None,
                headers: map(ok.headers),
                removed: ok.headers_to_remove,
                for_client: map(ok.response_headers_to_add),
                body: Value::Null,
            },
            HttpResponse::DeniedResponse(denied) => Self {
                code,
                status: Some(denied.status.unwrap().code),
                headers: map(denied.headers),
                removed: Vec::new(),
                for_client: BTreeMap::new(),
                body: serde_json::from_str(&denied.body).unwrap(),
            },
            HttpResponse::ErrorResponse(error) => panic!("an error is no answer: {error:?}"),
        }
    }
}
