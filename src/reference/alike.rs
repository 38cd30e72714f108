//! Whether two questions are the same, member by member (the profile's structural comparison).

use serde_json::{Map, Value};

use super::Question;

/// Whether both are about the same subject, action, resource, and bound context. What the `AuthZEN` API does not define of
/// them is no part of it; who acts for the subject may be told elsewhere the second time.
pub(super) fn is_same(one: &Question, other: &Question, bound_context: &[String]) -> bool {
    let entity = |one: &Map<String, Value>, other: &Map<String, Value>, members: &[&str]| {
        members.iter().all(|member| is_alike_if_there(one.get(*member), other.get(*member)))
    };
    entity(&one.subject, &other.subject, &["type", "id"])
        && is_alike_if_there(
            properties_of_subject(&one.subject).as_ref(),
            properties_of_subject(&other.subject).as_ref(),
        )
        && entity(&one.action, &other.action, &["name", "properties"])
        && entity(&one.resource, &other.resource, &["type", "id", "properties"])
        && bound_context.iter().all(|member| is_alike_if_there(one.context.get(member), other.context.get(member)))
}

/// A subject's properties without the one who acts for it; where nothing else is left, there are none.
fn properties_of_subject(subject: &Map<String, Value>) -> Option<Value> {
    let mut properties = subject.get("properties")?.clone();
    let left = properties.as_object_mut().map(|properties| {
        properties.remove("act");
        properties.len()
    });
    (left != Some(0)).then_some(properties)
}

fn is_alike_if_there(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => is_alike(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Whether two values are equal: numbers as RFC 8785 writes them, lists in their order, objects member by member.
pub(super) fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(member, one)| other.get(member).is_some_and(|other| is_alike(one, other)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn question(subject: Value, action: Value, resource: Value, context: Value) -> Question {
        let map = |value: Value| value.as_object().unwrap().clone();
        Question { subject: map(subject), action: map(action), resource: map(resource), context: map(context) }
    }

    #[test]
    fn values_are_compared_as_the_profile_says() {
        for (one, other, alike) in [
            (json!(1), json!(1.0), true),
            (json!(1), json!("1"), false),
            (json!(1), json!(true), false),
            (json!(null), json!(false), false),
            (json!([1, 2]), json!([2, 1]), false),
            (json!([1, 2]), json!([1]), false),
            (json!({ "a": 1, "b": [null] }), json!({ "b": [null], "a": 1.0 }), true),
            (json!({ "a": 1 }), json!({ "a": 1, "b": null }), false),
            (json!({ "a": 1 }), json!({ "b": 1 }), false),
            (json!("a"), json!("A"), false),
        ] {
            assert_eq!(is_alike(&one, &other), alike, "{one} {other}");
            assert_eq!(is_alike(&other, &one), alike, "{other} {one}");
        }
    }

    #[test]
    fn every_part_of_a_question_counts_but_who_acts_for_the_subject() {
        let whole = || {
            question(
                json!({ "type": "SupportEngineer", "id": "v/ada", "properties": { "a": 1, "act": { "sub": "x" } } }),
                json!({ "name": "read", "properties": { "b": [1] } }),
                json!({ "type": "DiagnosticData", "id": "t/auditLogs", "properties": {} }),
                json!({ "support_request": "SR-1", "time": "now" }),
            )
        };
        let bound = ["support_request".to_owned()];
        assert!(is_same(&whole(), &whole(), &bound));
        for (part, change) in [
            ("subject", json!({ "type": "User", "id": "v/ada", "properties": { "a": 1 } })),
            ("subject", json!({ "type": "SupportEngineer", "id": "v/bob", "properties": { "a": 1 } })),
            ("subject", json!({ "type": "SupportEngineer", "id": "v/ada", "properties": { "a": 2 } })),
            ("subject", json!({ "type": "SupportEngineer", "id": "v/ada" })),
            ("action", json!({ "name": "list", "properties": { "b": [1] } })),
            ("action", json!({ "name": "read" })),
            ("resource", json!({ "type": "DiagnosticData", "id": "t/signInLogs", "properties": {} })),
            ("resource", json!({ "type": "DiagnosticData", "id": "t/auditLogs" })),
            ("resource", json!({ "type": "DiagnosticData", "id": "t/auditLogs", "properties": { "x": null } })),
            ("context", json!({ "support_request": "SR-2" })),
            ("context", json!({})),
        ] {
            let mut other = whole();
            let changed = match part {
                "subject" => &mut other.subject,
                "action" => &mut other.action,
                "resource" => &mut other.resource,
                _ => &mut other.context,
            };
            *changed = change.as_object().unwrap().clone();
            assert!(!is_same(&whole(), &other, &bound), "{part}: {change}");
            assert!(!is_same(&other, &whole(), &bound), "{part}: {change}");
        }
        // Who acts may be told elsewhere; the rest of the context may have grown, and other members are nobody's.
        let mut other = whole();
        other.subject = json!({ "type": "SupportEngineer", "id": "v/ada", "properties": { "a": 1 }, "more": 1 })
            .as_object()
            .unwrap()
            .clone();
        other.context =
            json!({ "support_request": "SR-1", "business_justification": "x" }).as_object().unwrap().clone();
        assert!(is_same(&whole(), &other, &bound));
        let acted = |subject: Value| question(subject, json!({}), json!({}), json!({}));
        let alone = acted(json!({ "type": "a", "id": "b", "properties": { "act": {} } }));
        assert!(is_same(&alone, &acted(json!({ "type": "a", "id": "b" })), &[]));
    }
}
