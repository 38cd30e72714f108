//! Requests that try to be read otherwise here than by the API, and bytes that Envoy does not send.

use std::os::unix::fs::PermissionsExt as _;

use envoy_types::ext_authz::v3::pb::CheckRequest;
use serde_json::Value;
use tonic::Code;
use tonic_prost::ProstCodec;

use super::gate::{EXAMPLE, Gate, SIGN_IN, Sent};
use crate::support::{Connection, request};

/// A mapping in which everything comes from the request.
const ALL: &str = r#"
[engineer]
from = "token"

[[routes]]
methods = ["GET"]
path = "/by-header"
query = ["top"]
action = "read"
tenant = "{header:x-tenant}"
category = "{header:x-category}"
item = "{header:x-item}"
support_request = "{header:x-support-request}"

[[routes]]
methods = ["GET"]
path = "/by-query"
action = "read"
tenant = "{query:tenant}"
category = "signInLogs"
support_request = "{query:case}"
"#;

#[tokio::test]
async fn a_path_with_a_second_spelling_does_not_go_on() {
    let gate = Gate::granted().await;
    let ada = gate.house.engineer("ada");
    let before = gate.house.records().len();
    for path in [
        "//v1/tenants/fabrikam/sign-ins/42",
        "/v1/tenants//fabrikam/sign-ins/42",
        "/v1/tenants/fabrikam/sign-ins/42/",
        "/v1/tenants/fabrikam/./sign-ins/42",
        "/v1/tenants/contoso/../fabrikam/sign-ins/42",
        "/v1/tenants/fabrikam/sign-ins/..%2F..%2F..%2Fcontoso%2Fsign-ins",
        "/v1/tenants/fabrikam/sign-ins/%2e%2e/%2e%2e/contoso",
        "/v1/tenants/fabrikam/sign-ins/42%2f",
        "/v1/tenants/fabrikam/sign-ins/42%00",
        "/v1/tenants/fabrikam/sign-ins/42%0d%0aHost:x",
        "/v1/tenants/fabrikam/sign-ins/..;/..;/contoso",
        "/v1/tenants/fabrikam;tenant=contoso/sign-ins/42",
        "/v1/tenants/fabrikam/sign-ins/%34%32",
        "/v1/tenants/fabrikam/sign-ins/42%252f",
        "/v1/tenants/fabrikam/sign-ins\\42",
        "/v1/tenants/fabrikam/sign-ins/42#/healthz",
        "http://api/v1/tenants/fabrikam/sign-ins/42",
        "*",
        "",
        &format!("/v1/tenants/fabrikam/sign-ins/{}", "4".repeat(9_000)),
    ] {
        let answer = gate.ask(Sent::get(path).by(&ada).under("SR-1")).await;
        assert_eq!((answer.code, answer.denial()), (3, (400, "path_not_canonical")), "{path}");
    }
    for path in [
        "/v1/tenants/fabrikam/sign-ins/42?",
        "/v1/tenants/fabrikam/sign-ins/42?tenant=contoso",
        "/v1/tenants/fabrikam/sign-ins?top=1&top=2",
        "/v1/tenants/fabrikam/sign-ins?top=1;tenant=contoso",
    ] {
        let answer = gate.ask(Sent::get(path).by(&ada).under("SR-1")).await;
        assert_eq!(answer.denial(), (400, "query_not_mapped"), "{path}");
    }
    for path in ["/V1/tenants/fabrikam/sign-ins/42", "/v1/tenants/fabrikam/Sign-Ins/42", "/", "/v1/tenants/fabrikam"] {
        let answer = gate.ask(Sent::get(path).by(&ada).under("SR-1")).await;
        assert_eq!(answer.denial(), (403, "not_mapped"), "{path}");
    }
    assert_eq!(gate.house.records().len(), before, "nothing was asked of it");
}

#[tokio::test]
async fn a_header_that_makes_another_request_of_it_does_not_go_on() {
    let gate = Gate::granted().await;
    let sent = Sent::get(SIGN_IN).by(&gate.house.engineer("ada")).under("SR-1");
    assert!(gate.ask(sent.clone()).await.is_through());
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "GET"),
        ("x-original-url", "/v1/tenants/contoso/sign-ins/42"),
        ("x-rewrite-url", "/v1/tenants/contoso/sign-ins/42"),
    ] {
        assert_eq!(gate.ask(sent.clone().with(name, value)).await.denial(), (400, "override_not_taken"), "{name}");
        let raw = sent.clone().with_raw(name, value.as_bytes());
        assert_eq!(gate.ask(raw).await.denial(), (400, "override_not_taken"), "{name}");
    }
    assert_eq!(gate.ask(sent.clone().with("upgrade", "websocket")).await.denial(), (403, "upgrade_not_mapped"));
    let connect = Sent { method: "CONNECT".to_owned(), ..sent };
    assert_eq!(gate.ask(connect).await.denial(), (403, "upgrade_not_mapped"));
}

#[tokio::test]
async fn a_value_from_the_request_stays_in_its_place() {
    let gate = Gate::with(ALL).await;
    gate.house.grant().await;
    let ada = gate.house.engineer("ada");
    let by = |tenant: &str, category: &str, item: &str| {
        let sent = Sent::get("/by-header").by(&ada).under("SR-1");
        sent.with("x-tenant", tenant).with("x-category", category).with("x-item", item)
    };
    assert!(gate.ask(by("fabrikam", "signInLogs", "a/b")).await.is_through());
    assert_eq!(gate.house.records().pop().unwrap()["resource"], "fabrikam/signInLogs/a/b");
    // A tenant with a slash would push the rest one place on.
    for (tenant, category, item, field) in [
        ("fabrikam/signInLogs", "auditLogs", "x", "tenant"),
        ("fabrikam,contoso", "signInLogs", "x", "tenant"),
        ("", "signInLogs", "x", "tenant"),
        ("fabrikam", "signInLogs/auditLogs", "x", ""),
        ("fabrikam", "signinlogs", "x", "resource"),
        ("fabrikam", "signInLogs", "", "resource"),
        ("fabrikam", "signInLogs", "a\nb", "resource"),
        ("fabrikam", "signInLogs", &"x".repeat(513), "resource"),
    ] {
        let answer = gate.ask(by(tenant, category, item)).await;
        if field.is_empty() {
            // `signInLogs` is the category then, and the rest the item: what the API is asked for is judged as that.
            assert!(answer.is_through(), "{answer:?}");
            continue;
        }
        assert_eq!((answer.denial(), &answer.body["field"]), ((400, "invalid_request"), &Value::from(field)));
    }
    let missing = Sent::get("/by-header").by(&ada).under("SR-1").with("x-tenant", "fabrikam");
    assert_eq!(gate.ask(missing).await.denial(), (400, "header_missing"));
    let twice = by("fabrikam", "signInLogs", "x").with_raw("x-tenant", b"contoso");
    assert_eq!(gate.ask(twice).await.denial(), (400, "header_ambiguous"));
    let bytes = Sent::get("/by-header").by(&ada).under("SR-1").with_raw("x-tenant", b"fabrikam\xff");
    let bytes = bytes.with("x-category", "signInLogs").with("x-item", "x");
    assert_eq!(gate.ask(bytes).await.denial(), (400, "invalid_request"));
    let query = |query: &str| Sent::get(&format!("/by-query?{query}")).by(&ada);
    assert!(gate.ask(query("tenant=fabrikam&case=SR-1")).await.is_through());
    assert!(gate.ask(query("case=SR-1&tenant=fabrikam")).await.is_through());
    assert_eq!(gate.ask(query("case=SR-1")).await.denial(), (400, "parameter_missing"));
    for wrong in [
        "tenant=fabrikam&tenant=contoso&case=SR-1",
        "tenant=fabrikam%2FauditLogs&case=SR-1",
        "tenant=fabrikam&case=SR-1&x=1",
        "Tenant=fabrikam&case=SR-1",
        "tenant=fabrikam&case=SR+1",
    ] {
        assert_eq!(gate.ask(query(wrong)).await.denial(), (400, "query_not_mapped"), "{wrong}");
    }
}

#[tokio::test]
async fn headers_that_say_what_we_say_are_taken_away() {
    let gate = Gate::granted().await;
    let sent = Sent::get(SIGN_IN)
        .by(&gate.house.engineer("ada"))
        .under("SR-1")
        .with("x-consentry-engineer", "vendor/eve")
        .with("x-consentry-decision-id", "made-up")
        .with("x-consentry-reason", "made-up")
        .with("x-consentry-later", "made-up")
        .with("x_consentry_engineer", "vendor/eve")
        .with("x-consentry_engineer", "vendor/eve")
        .with("x-other", "kept");
    let mut answer = gate.ask(sent).await;
    assert!(answer.is_through());
    answer.removed.sort();
    let removed = ["x-consentry-later", "x-consentry-reason", "x-consentry_engineer", "x_consentry_engineer"];
    assert_eq!(answer.removed, removed);
    assert_eq!(answer.header("x-consentry-engineer"), "vendor/ada");
    assert_ne!(answer.header("x-consentry-decision-id"), "made-up");
}

#[tokio::test]
async fn what_is_no_question_of_envoys_is_denied_or_refused_and_ends_nothing() {
    let gate = Gate::granted().await;
    let answer = gate.client.clone().check(CheckRequest::default()).await.unwrap().into_inner();
    let answer: super::gate::Answer = answer.into();
    assert_eq!(answer.denial(), (400, "invalid_request"));
    // The same request once more, in members that Envoy leaves empty.
    let mut message = Sent::get("/healthz").message();
    let http = message.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
    http.query = "x=1".to_owned();
    let answer: super::gate::Answer = gate.client.clone().check(message).await.unwrap().into_inner().into();
    assert_eq!(answer.denial(), (400, "invalid_request"));
    // As large as nothing that Envoy asks.
    let long = Sent::get(SIGN_IN).with("x-long", &"x".repeat(2 * 1024 * 1024));
    assert_eq!(gate.ask(long).await.denial(), (413, "body_too_large"));
    // Bytes that are no message, and services that are not there.
    let socket = gate.folder.path().join("envoy.sock");
    let channel =
        tonic::transport::Endpoint::new(format!("unix://{}", socket.display())).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    for (path, code) in [
        ("/envoy.service.auth.v3.Authorization/Check", Code::Internal),
        ("/envoy.service.auth.v3.Authorization/Else", Code::Unimplemented),
        ("/grpc.health.v1.Health/Else", Code::Unimplemented),
        ("/access/v1/evaluation", Code::Unimplemented),
        ("/v1/consents", Code::Unimplemented),
    ] {
        grpc.ready().await.unwrap();
        let garbage = tonic_health::pb::HealthCheckRequest { service: "\u{7}".repeat(9) };
        let codec = ProstCodec::<_, tonic_health::pb::HealthCheckResponse>::default();
        let status = grpc.unary(tonic::Request::new(garbage), path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(status.code(), code, "{path}: {status:?}");
    }
    let answer = Connection::through(&socket)
        .await
        .send(&request("POST", "/envoy.service.auth.v3.Authorization/Check", &[("connection", "close")], "{}"))
        .await
        .rest()
        .await;
    assert!(!answer.is_empty());
    assert!(gate.reads("ada", SIGN_IN).await.is_through(), "it goes on as before");
}

#[tokio::test]
async fn the_socket_is_its_owners_and_groups_and_goes_with_its_service() {
    let mut gate = Gate::with(EXAMPLE).await;
    let socket = gate.folder.path().join("envoy.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    gate.house.restart().await;
    assert!(socket.exists());
    gate.house.stop().await;
    assert!(!socket.exists());
}
