//! The document itself: compared with the routes, with the file in `docs/`, and with the rules of `OpenAPI`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use http::Method;
use serde_json::Value;

use super::{CHECKED_IN, served, tools, whole};
use crate::privacy::routes;
use crate::support::House;

/// `.ci/openapi` sets this to have the file written.
fn is_to_be_written() -> bool {
    std::env::var_os("WRITE_OPENAPI").is_some()
}

#[tokio::test]
async fn what_is_checked_in_is_what_is_served() {
    let (text, _) = served(&House::start().await).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(CHECKED_IN);
    if is_to_be_written() {
        std::fs::write(&file, text).unwrap();
    } else {
        let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(checked_in == text, "{CHECKED_IN} is out of date: run .ci/openapi");
    }
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_path_is_a_route() {
    let (_, document) = served(&House::start().await).await;
    let documented: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routes: Vec<String> = routes::in_source().into_iter().map(|route| route.replace("{*", "{")).collect();
    let routes: BTreeSet<&str> = routes.iter().map(String::as_str).collect();
    assert_eq!(documented, routes, "describe the new route in `src/http/openapi/`, and run .ci/openapi");
}

#[tokio::test]
async fn every_method_is_documented_and_no_other_is_taken() {
    let (house, _folder) = whole().await;
    let (_, document) = served(&house).await;
    let stranger = house.tooling().holding("");
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "x").replace("{path}", "base");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let reply = stranger.send(method.clone(), &path, None).await;
            let is_documented = item.get(method.as_str().to_ascii_lowercase()).is_some();
            let is_taken = !matches!((reply.status, reply.code()), (404, "no_such_path") | (405, "method_not_allowed"));
            assert_eq!(is_documented, is_taken, "{method} {path}: {reply:?}");
        }
    }
}

/// Every reference leads somewhere, and nothing is described that nobody refers to.
#[tokio::test]
async fn references_and_components_match() {
    let (_, document) = served(&House::start().await).await;
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    let mut described = BTreeSet::new();
    for (kind, components) in document["components"].as_object().unwrap() {
        let schemes = kind == "securitySchemes";
        described.extend(
            components
                .as_object()
                .unwrap()
                .keys()
                .filter(|_| !schemes)
                .map(|name| format!("#/components/{kind}/{name}")),
        );
    }
    assert_eq!(named, described);
}

#[tokio::test]
async fn every_operation_tells_its_problems_and_is_found_under_one_name() {
    let (_, document) = served(&House::start().await).await;
    let mut names: BTreeMap<&str, u32> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            *names.entry(operation["operationId"].as_str().unwrap()).or_default() += 1;
            assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{place}");
            let responses = operation["responses"].as_object().unwrap();
            let is_open = operation.get("security").is_none();
            // Who calls is asked first, wherever it is asked; and what asks can fail.
            assert_eq!(responses.contains_key("401"), !is_open, "{place}");
            assert!(is_open || responses.contains_key("503"), "{place}");
            let has_body = operation.get("requestBody").is_some();
            for status in ["408", "413"] {
                assert_eq!(responses.contains_key(status), has_body, "{place}: {status}");
            }
        }
    }
    assert!(names.values().all(|count| *count == 1), "{names:?}");
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// As those see it who wrote down what `OpenAPI` 3.1 is: a validator by others.
#[tokio::test]
async fn the_document_is_openapi_3_1() {
    let (text, document) = served(&House::start().await).await;
    assert_eq!(document["openapi"], "3.1.0");
    let folder = tempfile::TempDir::new().unwrap();
    let check = |text: &str| {
        let file = folder.path().join("openapi.json");
        std::fs::write(&file, text).unwrap();
        let output = Command::new(tools::path("openapi-spec-validator")).arg(file).output();
        output.unwrap_or_else(|error| panic!("{}: {error}", tools::MISSING))
    };
    let checked = check(&text);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    // The validator is awake.
    assert!(
        !check(&text.replace("\"operationId\"", "\"operation\"").replace("\"in\": \"path\"", "\"in\": \"road\""))
            .status
            .success()
    );
}
