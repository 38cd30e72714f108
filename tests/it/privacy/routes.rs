//! Every route of the service, as the router's own source names them, so that a new one cannot be forgotten here.

use http::Method;

/// The routes that observers walk through. A route that is not listed here fails `every_route_is_observed`.
pub const KNOWN: [&str; 35] = [
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
    "/.well-known/consentry-receipt-keys",
    "/access/v1/jwks",
    "/access/v1/request-schema",
    "/.well-known/authzen-configuration",
    "/.well-known/authzen-configuration/{*path}",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/access/v1/requests",
    "/access/v1/requests/{id}",
    "/access/v1/requests/{id}/cancel",
    "/v1/tenants/{id}",
    "/v1/support-requests",
    "/v1/support-requests/{id}",
    "/v1/support-requests/{id}/assignee",
    "/v1/support-requests/{id}/close",
    "/v1/support-requests/{id}/reopen",
    "/v1/access-requests",
    "/v1/access-requests/{id}",
    "/v1/access-requests/{id}/cancel",
    "/v1/consents",
    "/v1/consents/{id}",
    "/v1/consents/{id}/receipt",
    "/v1/consents/{id}/approve",
    "/v1/consents/{id}/reject",
    "/v1/consents/{id}/narrow",
    "/v1/consents/{id}/revoke",
    "/v1/audit-log",
    "/v1/audit-log/reads",
    "/v1/decisions/{id}/explanation",
];

/// Methods that clients have words for, and one that they have not.
pub fn methods() -> [Method; 8] {
    let made_up = Method::from_bytes(b"PEEK").unwrap();
    let [get, head, post, put] = [Method::GET, Method::HEAD, Method::POST, Method::PUT];
    [get, head, post, put, Method::PATCH, Method::DELETE, Method::OPTIONS, made_up]
}

/// The routes in the router's source, written there or named.
pub fn in_source() -> Vec<&'static str> {
    let source = include_str!("../../../src/http/router.rs");
    let text = |rest: &'static str| rest.split('"').next().unwrap();
    let named = |name: &str| text(source.split(&format!("const {name}: &str = \"")).nth(1).unwrap());
    let route = |rest: &'static str| match rest.strip_prefix('"') {
        Some(rest) => text(rest),
        None => named(rest.split(',').next().unwrap()),
    };
    source.split(".route(").skip(1).map(route).collect()
}
