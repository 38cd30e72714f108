//! `/openapi.json`: the whole surface of the main listeners as an `OpenAPI` 3.1 document, made from the wire's own types.
//!
//! It is the same for everybody and says nothing of any tenant. A test compares its paths with the router's and its text
//! with `docs/openapi.json`.

mod consents;
mod decisions;
mod logs;
mod operation;
mod problems;
pub(super) mod schema;
mod service;
mod support;
mod tasks;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::openapi::path::{ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, License, ObjectBuilder, OpenApi, OpenApiBuilder, RefOr, Required, Schema, Server,
};

use self::operation::{Described, schemas_of, sometimes};
use super::{precise, problem};

/// The document, made once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    // Strings, numbers and maps of ours: they serialise.
    let mut json = serde_json::to_string_pretty(&document()).unwrap_or_default();
    json.push('\n');
    json.into()
});

const DESCRIPTION: &str = "\
Stands between a vendor's support engineers and its customers' diagnostic data. The decision API is the OpenID AuthZEN \
Authorization API 1.0; the workflow API is where people and the ticketing system decide what may be read.

Whatever is not a 200 with `\"decision\": true` is a denial. Errors are problem details (RFC 9457) with a stable `code`. \
Requests whose head cannot be read are refused with an empty 400, 414 or 431 before any operation. The decision API is on \
the Unix domain socket too, where no token is needed, and the workflow API is not. Where another model is served there \
are the decisions, the metadata and health alone; subjects, actions and resources are that model's.";

const TAGS: [(&str, &str); 9] = [
    (decisions::TAG, "The read decision: AuthZEN 1.0"),
    (tasks::TAG, "The AuthZEN Access Request and Approval Profile 1.0, Draft 1; where there is a key for it"),
    (support::TENANTS, "Which tenants there are"),
    (support::SUPPORT_REQUESTS, "What the ticketing system tells of cases"),
    (support::ACCESS_REQUESTS, "What engineers ask for"),
    (consents::TAG, "What administrators decide"),
    (logs::AUDIT_LOG, "What a tenant's auditors read"),
    (logs::EXPLANATIONS, "Why a read was decided so"),
    (service::TAG, "Metadata and health"),
];

/// `GET /openapi.json`
pub(super) async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    let cache = HeaderValue::from_static("public, max-age=300");
    ([(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, cache)], DOCUMENT.clone()).into_response()
}

fn document() -> OpenApi {
    let operations = [
        decisions::operations(),
        support::operations(),
        tasks::operations(),
        consents::operations(),
        logs::operations(),
        service::operations(),
    ];
    let mut schemas: BTreeMap<String, RefOr<Schema>> = schemas_of::<problem::Details>().into_iter().collect();
    let mut paths = PathsBuilder::new();
    for Described { method, path, operation, schemas: named } in operations.into_iter().flatten() {
        schemas.extend(named);
        paths = paths.path(path, PathItem::new(method, operation));
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let bearer = bearer.description(Some("A token of one of the issuers in the settings (RFC 6750)."));
    let components = problems::ALL
        .iter()
        .fold(ComponentsBuilder::new(), |components, problems| components.response(problems.name, problems.response()))
        .schemas_from_iter(schemas)
        .security_scheme("bearer", SecurityScheme::Http(bearer.build()))
        .header("RequestId", sometimes("The request's `X-Request-ID`, given back.", Type::String))
        .parameter(
            "RequestId",
            header_parameter("X-Request-ID", "Is given back, and stands in the decision log.", None),
        )
        .parameter(
            "IdempotencyKey",
            header_parameter(
                "Idempotency-Key",
                "The same request under the same key is carried out once within a day; a retry gets the first answer.",
                Some(precise::KEY_PATTERN),
            ),
        )
        .parameter(
            "IfMatch",
            header_parameter(
                "If-Match",
                "Only if this is the present version (RFC 9110): `*`, or entity tags such as `\"3\"`.",
                Some(precise::IF_MATCH_PATTERN),
            ),
        );
    let license = License::new("Apache-2.0");
    let info = InfoBuilder::new().title("Consentry").version(env!("CARGO_PKG_VERSION")).license(Some(license));
    let tag = |(name, says)| TagBuilder::new().name(name).description(Some(says)).build();
    OpenApiBuilder::new()
        .info(info.description(Some(DESCRIPTION)).build())
        .servers(Some([Server::new("/")]))
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(TAGS.map(tag)))
        .build()
}

fn header_parameter(name: &str, says: &str, pattern: Option<&str>) -> utoipa::openapi::path::Parameter {
    let schema = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).pattern(pattern);
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header);
    parameter.required(Required::False).description(Some(says)).schema(Some(schema)).build()
}
