//! What the `OpenAPI` document says of an answer: every answer that a person gets in any test is held against it.

use std::sync::LazyLock;

use http::Method;
use serde_json::Value;

use super::person::Reply;
use super::shape::{followed, wrong};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap());

/// Panics when the document does not tell of such an answer. What it has no path for is not its business: other listeners,
/// and paths that are none.
#[track_caller]
pub fn check(method: &Method, path: &str, reply: &Reply) {
    // The service does not name itself; a proxy that has lost it does.
    if reply.headers.contains_key("server") {
        return;
    }
    let path = path.split('?').next().unwrap_or_default();
    let Some((template, item)) =
        DOCUMENT["paths"].as_object().unwrap().iter().find(|(template, _)| fits(template, path))
    else {
        return;
    };
    let place = format!("{method} {template}");
    // A HEAD is a GET whose answer's body stays away.
    let is_head = method == Method::HEAD;
    let operation = &item[if is_head { "get".to_owned() } else { method.as_str().to_ascii_lowercase() }];
    if reply.code() == "no_such_path" || (reply.status == 405 && operation.is_null()) {
        return;
    }
    let responses = &operation["responses"];
    let response = followed(&DOCUMENT, &responses[reply.status.to_string()]);
    assert!(response.is_object(), "{place}: the OpenAPI document does not tell of this status: {reply:?}");
    for (header, value) in response["headers"].as_object().into_iter().flatten() {
        let is_there = value["required"] != true || reply.headers.contains_key(header.as_str());
        assert!(is_there, "{place}: the OpenAPI document promises `{header}`: {reply:?}");
    }
    let kind = reply.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let content = &response["content"][kind];
    assert!(content.is_object(), "{place}: the OpenAPI document does not tell of `{kind}`: {reply:?}");
    if kind == "application/problem+json" && !is_head {
        let codes = &content["schema"]["allOf"][1]["properties"]["code"]["enum"];
        let is_told = codes.as_array().is_none_or(|codes| codes.contains(&reply.json["code"]));
        assert!(is_told, "{place}: the OpenAPI document does not tell of this code: {reply:?}");
    }
    if (kind == "application/json" || kind.ends_with("+json")) && !is_head {
        let fault = wrong(&DOCUMENT, &content["schema"], &reply.json, "body");
        assert!(fault.is_none(), "{place}: the OpenAPI document has another shape: {fault:?}: {reply:?}");
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) | (Some("{path}"), Some(_)) => return true,
            (Some("{id}"), Some(id)) if !id.is_empty() => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            (_, _) => return false,
        }
    }
}

#[test]
fn an_answer_that_is_not_told_of_is_noticed() {
    let reply = |status: u16, kind: &'static str, code: &str| Reply {
        status,
        headers: [("content-type", kind), ("retry-after", "1")]
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .into_iter()
            .collect(),
        text: String::new(),
        json: serde_json::json!({ "type": "x", "title": "x", "status": status, "code": code, "detail": "x" }),
    };
    let problem = "application/problem+json";
    let passes = |path: &str, reply: Reply| std::panic::catch_unwind(|| check(&Method::GET, path, &reply)).is_ok();
    assert!(passes("/v1/consents/co-1?x=y", reply(404, problem, "not_found")));
    assert!(passes("/v1/consents/co-1", reply(503, problem, "store_unavailable")));
    assert!(passes("/elsewhere", reply(418, "text/plain", "")));
    assert!(!passes("/v1/consents/co-1", reply(418, problem, "not_found")), "a status");
    assert!(!passes("/v1/consents/co-1", reply(405, problem, "method_not_allowed")), "a method");
    assert!(!passes("/v1/consents/co-1", reply(404, problem, "consent_gone")), "a code");
    assert!(!passes("/v1/consents/co-1", reply(404, "text/plain", "not_found")), "a kind of content");
    assert!(!passes("/v1/consents/co-1", reply(200, "application/json", "")), "a header that is missing");
    for (name, value) in [("colour", Value::from("red")), ("status", "404".into()), ("detail", Value::Null)] {
        let mut other = reply(404, problem, "not_found");
        other.json[name] = value;
        assert!(!passes("/v1/consents/co-1", other), "a shape: {name}");
    }
}
