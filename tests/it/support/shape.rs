//! Whether a value has the shape that a schema of the `OpenAPI` document describes. Stricter than schemas are: a member
//! that the document does not tell of is an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What says nothing about a shape, or about texts and numbers alone: the generated calls look at those.
const ANNOTATIONS: [&str; 14] = [
    "description",
    "example",
    "examples",
    "default",
    "format",
    "title",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "$ref",
];

/// What is wrong with a value, and where; none: it has the shape.
pub(super) fn wrong(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let schema = followed(document, schema);
    let Value::Object(keywords) = schema else { return None };
    for (keyword, argument) in keywords {
        let broken = match keyword.as_str() {
            "type" => !kinds(argument).any(|kind| is_of_kind(kind, value)),
            "enum" => !argument.as_array().unwrap().contains(value),
            "oneOf" | "anyOf" => {
                let faults: Vec<String> = list(argument).filter_map(|one| wrong(document, one, value, at)).collect();
                if faults.len() == list(argument).count() {
                    return Some(format!("{at}: none fits: {}", faults.join("; ")));
                }
                false
            }
            // Together with the members, below.
            "allOf"
            | "properties"
            | "required"
            | "additionalProperties"
            | "items"
            | "prefixItems"
            | "propertyNames" => false,
            known if ANNOTATIONS.contains(&known) => false,
            unknown => panic!("{at}: the tests do not know the keyword `{unknown}`"),
        };
        if broken {
            return Some(format!("{at}: `{keyword}` is {argument}, not {value}"));
        }
    }
    match value {
        Value::Object(members) => wrong_member(document, schema, members, at),
        Value::Array(items) => {
            let first = list(&schema["prefixItems"]).map(Some).chain(std::iter::repeat(keywords.get("items")));
            items.iter().zip(first).enumerate().find_map(|(number, (value, item))| match item {
                Some(Value::Bool(false)) => Some(format!("{at}: has more items than the document tells of")),
                item => item.and_then(|item| wrong(document, item, value, &format!("{at}[{number}]"))),
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Members are looked at in all parts of a schema together.
fn wrong_member(document: &Value, schema: &Value, members: &Map<String, Value>, at: &str) -> Option<String> {
    let mut parts = Vec::new();
    gather(document, schema, &mut parts);
    let mut known: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (name, schema) in parts.iter().filter_map(|part| part["properties"].as_object()).flatten() {
        known.entry(name).or_default().push(schema);
    }
    let more = parts.iter().find_map(|part| part.get("additionalProperties"));
    for name in parts.iter().flat_map(|part| list(&part["required"])).filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return Some(format!("{at}: `{name}` is missing"));
        }
    }
    members.iter().find_map(|(name, value)| {
        let place = format!("{at}.{name}");
        match (known.get(name.as_str()), more) {
            (Some(schemas), _) => schemas.iter().find_map(|schema| wrong(document, schema, value, &place)),
            (None, Some(Value::Bool(true))) => None,
            (None, Some(schema @ Value::Object(_))) => wrong(document, schema, value, &place),
            // An object of which nothing is told can hold anything.
            (None, None) if known.is_empty() => None,
            (None, _) => Some(format!("{place}: is not told of")),
        }
    })
}

fn gather<'a>(document: &'a Value, schema: &'a Value, parts: &mut Vec<&'a Value>) {
    let schema = followed(document, schema);
    parts.push(schema);
    list(&schema["allOf"]).for_each(|part| gather(document, part, parts));
}

pub(super) fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => document.pointer(&place[1..]).unwrap(),
        None => value,
    }
}

fn kinds(argument: &Value) -> impl Iterator<Item = &str> {
    argument.as_str().into_iter().chain(list(argument).filter_map(Value::as_str))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is_of_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the tests do not know the type `{unknown}`"),
    }
}

#[test]
fn what_is_missing_of_another_kind_or_not_told_of_is_wrong() {
    let document = serde_json::json!({ "components": { "schemas": {
        "Base": { "type": "object", "properties": { "a": { "type": ["string", "null"] } }, "required": ["a"] },
        "More": { "allOf": [
            { "$ref": "#/components/schemas/Base" },
            { "type": "object", "properties": { "b": { "type": "array", "items": { "enum": ["x", "y"] } } } },
        ] },
        "Either": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/More" }] },
        "Pair": { "type": "array", "items": false, "prefixItems": [{ "type": "string" }, { "type": "integer" }] },
        "Map": { "type": "object", "additionalProperties": { "type": "integer" } },
    } } });
    let is_wrong = |name: &str, value: Value| {
        let schema = serde_json::json!({ "$ref": format!("#/components/schemas/{name}") });
        wrong(&document, &schema, &value, "").is_some()
    };
    for (name, value) in [
        ("More", r#"{"a":"t","b":["x"]}"#),
        ("More", r#"{"a":null}"#),
        ("Either", "null"),
        ("Either", r#"{"a":"t"}"#),
        ("Map", r#"{"k":1}"#),
        ("Pair", r#"["a",1]"#),
    ] {
        assert!(!is_wrong(name, serde_json::from_str(value).unwrap()), "{name} {value}");
    }
    for (name, value) in [
        ("More", r#"{"b":[]}"#),
        ("More", r#"{"a":1}"#),
        ("More", r#"{"a":"t","b":["z"]}"#),
        ("More", r#"{"a":"t","c":1}"#),
        ("Base", r#"{"a":"t","b":["x"]}"#),
        ("Either", r#"{"a":2}"#),
        ("Map", r#"{"k":"1"}"#),
        ("Pair", r#"[1,"a"]"#),
        ("Pair", r#"["a",1,2]"#),
    ] {
        assert!(is_wrong(name, serde_json::from_str(value).unwrap()), "{name} {value}");
    }
}
