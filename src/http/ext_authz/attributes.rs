//! What Envoy says about a request (`envoy.service.auth.v3.AttributeContext`).

use envoy_types::ext_authz::v3::pb::CheckRequest;
use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::google::protobuf::value::Kind;

use crate::http::problem::Problem;
use crate::mapping::{Arrived, Headers};

/// A message that is about an HTTP request.
pub(super) struct Seen<'a> {
    attributes: &'a AttributeContext,
    request: &'a HttpRequest,
}

impl<'a> Seen<'a> {
    /// # Errors
    /// 400 when it is about something else, or says something that Envoy does not say.
    pub(super) fn of(message: &'a CheckRequest) -> Result<Self, Problem> {
        let attributes = message.attributes.as_ref();
        let http = attributes.and_then(|attributes| Some((attributes, attributes.request.as_ref()?.http.as_ref()?)));
        let Some((attributes, request)) = http else {
            return Err(Problem::invalid("attributes.request.http", "is missing: only HTTP requests are mapped"));
        };
        // Envoy leaves both empty: the path has them. Somebody who does not could mean another request.
        if !request.query.is_empty() || !request.fragment.is_empty() {
            return Err(Problem::invalid("attributes.request.http.query", "belongs into the path"));
        }
        Ok(Self { attributes, request })
    }

    /// The headers of the request, each as often as Envoy tells of it. A map has each once, repeated ones joined by commas,
    /// which no part of a question can hold.
    pub(super) fn headers(&self) -> Vec<(&'a str, &'a str)> {
        let mut pairs: Vec<(&str, &str)> =
            self.request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for header in self.request.header_map.iter().flat_map(raw_headers) {
            pairs.push(header);
        }
        pairs
    }

    /// The request, with these headers of its own.
    pub(super) fn arrived<'h>(&self, headers: &'h [(&'a str, &'a str)]) -> Arrived<'h>
    where
        'a: 'h,
    {
        Arrived { method: &self.request.method, target: &self.request.path, headers: Headers::of(headers) }
    }

    /// Whom the client's certificate was issued to, as Envoy has verified it; empty without one.
    pub(super) fn principal(&self) -> &'a str {
        self.attributes.source.as_ref().map_or("", |peer| peer.principal.as_str())
    }

    /// A text in the payload that a filter of Envoy's has left in its metadata.
    pub(super) fn claim(&self, namespace: &str, key: &str, claim: &str) -> Claim<'a> {
        let metadata = self.attributes.metadata_context.as_ref();
        let payload =
            metadata.and_then(|metadata| metadata.filter_metadata.get(namespace)?.fields.get(key)?.kind.as_ref());
        let Some(Kind::StructValue(payload)) = payload else { return Claim::NoPayload };
        match payload.fields.get(claim).and_then(|value| value.kind.as_ref()) {
            Some(Kind::StringValue(text)) => Claim::Text(text),
            Some(
                Kind::NullValue(_)
                | Kind::NumberValue(_)
                | Kind::BoolValue(_)
                | Kind::StructValue(_)
                | Kind::ListValue(_),
            )
            | None => Claim::NoText,
        }
    }
}

/// A claim of a payload.
#[derive(Clone, Copy)]
pub(super) enum Claim<'a> {
    NoPayload,
    NoText,
    Text(&'a str),
}

/// The headers that Envoy gives as bytes (`encode_raw_headers`). What is no text is told as one that fits nothing.
fn raw_headers(map: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    map.headers.iter().map(|header| {
        let raw = std::str::from_utf8(&header.raw_value).unwrap_or("\u{fffd}");
        let value = if header.raw_value.is_empty() { header.value.as_str() } else { raw };
        (header.key.as_str(), value)
    })
}
