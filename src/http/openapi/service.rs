//! Metadata and health: for everybody who can reach the listener.

use http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, ResponseBuilder};

use super::super::evaluation::Metadata;
use super::super::health::Readiness;
use super::operation::{Described, Head, get};
use super::problems::NOT_SERVED;
use crate::signing::jwks::KeySet;

pub(super) const TAG: &str = "Service";

pub(super) fn operations() -> Vec<Described> {
    let metadata = get("/.well-known/authzen-configuration", "getConfiguration", "Where the decision endpoints are")
        .answers::<Metadata>(StatusCode::OK, Head::Plain, "AuthZEN 1.0, section 9.", configuration());
    let path = "/.well-known/authzen-configuration/{path}";
    let beneath = get(path, "getConfigurationBeneath", "The same, of a service whose URL has a path")
        .beneath("The path of the service's URL. It can have slashes.")
        .refuses(&[&NOT_SERVED])
        .answers::<Metadata>(StatusCode::OK, Head::Plain, "AuthZEN 1.0, section 9.2.", configuration());
    let receipt_keys =
        get("/.well-known/consentry-receipt-keys", "getReceiptKeys", "The keys that receipts are verified with")
            .answers::<KeySet>(StatusCode::OK, Head::Plain, "A JWK set (RFC 7517, RFC 8037).", keys());
    let ready = get("/readyz", "getReadiness", "May it be sent work?")
        .answers::<Readiness>(StatusCode::OK, Head::Plain, "Every part works.", readiness("ok"))
        .answers::<Readiness>(StatusCode::SERVICE_UNAVAILABLE, Head::Plain, "A part does not.", readiness("behind"));
    let text = ObjectBuilder::new().schema_type(Type::String);
    let alive = ResponseBuilder::new()
        .description("It is.")
        .content("text/plain", ContentBuilder::new().schema(Some(text)).example(Some("ok\n".into())).build());
    let any = ObjectBuilder::new().schema_type(SchemaType::new(Type::Object));
    let document = ResponseBuilder::new()
        .description("The same for everybody.")
        .content("application/json", ContentBuilder::new().schema(Some(any)).build());
    let described = [
        metadata,
        beneath,
        receipt_keys,
        get("/openapi.json", "getDocument", "This document").responds_with(StatusCode::OK, document.build()),
        get("/healthz", "getHealth", "Is the process alive?").responds_with(StatusCode::OK, alive.build()),
        ready,
    ];
    described.into_iter().map(|described| described.tagged(TAG)).collect()
}

fn configuration() -> Value {
    let at = |path: &str| format!("https://consentry.example/{path}");
    json!({
        "policy_decision_point": "https://consentry.example",
        "access_evaluation_endpoint": at("access/v1/evaluation"),
        "access_evaluations_endpoint": at("access/v1/evaluations"),
        "search_subject_endpoint": at("access/v1/search/subject"),
        "search_resource_endpoint": at("access/v1/search/resource"),
        "search_action_endpoint": at("access/v1/search/action"),
        "access_request_endpoint": at("access/v1/requests"),
        "jwks_uri": at("access/v1/jwks"),
        "capabilities": ["urn:openid:authzen:capability:access-request"],
    })
}

pub(super) fn keys() -> Value {
    json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "kid": "9f86d081884c7d65", "use": "sig", "alg": "EdDSA",
    }] })
}

fn readiness(store: &str) -> Value {
    json!({
        "ready": store == "ok", "checks": { "decision_log": "ok", "replica": "ok", "store": store },
        "policy_version": "55d381eff1d4d3c1", "refused_policies": null, "lost_records": 0, "trail": null, "clock": null,
    })
}
