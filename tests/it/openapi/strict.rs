//! The document made stricter for the tests: what an answer has and the document does not tell of is an error. Clients
//! must not be so strict: answers can grow.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The document with its answers' objects closed. What requests use stays as it is.
pub(super) fn closed(mut document: Value) -> Value {
    let (mut asked, mut parts) = (BTreeSet::new(), BTreeSet::new());
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            named(&document, &operation["requestBody"], &mut asked);
            named(&document, &operation["parameters"], &mut asked);
        }
    }
    parts_of(&document, &mut parts);
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for (name, schema) in schemas {
        let place = format!("#/components/schemas/{name}");
        if !asked.contains(&place) && !parts.contains(&place) {
            close(schema);
        }
    }
    close(&mut document["components"]["responses"]);
    document
}

/// What is named from here, and from there on.
fn named(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    if let Some(place) = value.get("$ref").and_then(Value::as_str)
        && found.insert(place.to_owned())
    {
        named(document, document.pointer(&place[1..]).unwrap(), found);
    }
    children(value).for_each(|child| named(document, child, found));
}

/// What is a part of something larger, which is closed as a whole.
fn parts_of(value: &Value, found: &mut BTreeSet<String>) {
    for part in value.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        found.extend(part.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
    }
    children(value).for_each(|child| parts_of(child, found));
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(items) => Box::new(items.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    }
}

fn close(value: &mut Value) {
    match value {
        Value::Object(members) if members.contains_key("allOf") => {
            members.insert("unevaluatedProperties".to_owned(), false.into());
        }
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            let inner = members.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "example" | "examples"));
            inner.for_each(|(_, child)| close(child));
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_member_that_is_not_told_of_is_an_error_in_answers_alone() {
    let object = |name: &str| {
        let properties = Map::from_iter([(name.to_owned(), serde_json::json!({ "type": "string" }))]);
        serde_json::json!({ "type": "object", "properties": properties })
    };
    let document = serde_json::json!({
        "paths": { "/x": { "post": { "requestBody": { "$ref": "#/components/schemas/Asked" } } } },
        "components": {
            "schemas": { "Asked": object("a"), "Told": object("b"), "Part": object("c") },
            "responses": { "No": { "allOf": [{ "$ref": "#/components/schemas/Part" }, object("d")] } },
        },
    });
    let closed = closed(document);
    let schemas = &closed["components"]["schemas"];
    assert_eq!(schemas["Told"]["additionalProperties"], false);
    assert!(
        schemas["Asked"].get("additionalProperties").is_none() && schemas["Part"].get("additionalProperties").is_none()
    );
    assert_eq!(closed["components"]["responses"]["No"]["unevaluatedProperties"], false);
}
