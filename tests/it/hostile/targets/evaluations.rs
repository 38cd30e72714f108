//! AuthZEN bodies: never an allow but for the one read that is allowed, whatever the body says.

use serde_json::Value;

use super::front::{Reply, first_line, with_front};

/// Verbs of the schema that only read (R2).
const READS: [&str; 4] = ["read", "list", "search", "download"];
/// What texts can say and `Value` cannot hold, as its errors call it: depth, half of a letter, huge numbers.
const BEYOND_VALUES: [&str; 4] = ["recursion limit", "hex escape", "surrogate", "number out of range"];
/// The longest batch, as in the default settings.
const BATCH: usize = 1_000;

/// The first line is who asks; the rest is a body for both endpoints.
pub fn run(bytes: &[u8]) {
    let Some((who, body)) = first_line(bytes) else { return };
    with_front(|front| {
        let ask = |path: &str| front.request(who, "POST", path, body.to_vec()).map(|request| front.call(request));
        let said = match serde_json::from_slice::<Value>(body) {
            Ok(said) => said,
            Err(error) if is_beyond_values(&error) => return,
            Err(_) => Value::Null,
        };
        if let Some(one) = ask("/access/v1/evaluation") {
            is_honest(who, &one, &one.json, &said, &Value::Null);
        }
        let Some(many) = ask("/access/v1/evaluations") else { return };
        let Some(answers) = many.json["evaluations"].as_array() else {
            // Without a list of its own a batch is a single question (AuthZEN 1.0, section 7.1).
            is_honest(who, &many, &many.json, &said, &Value::Null);
            return;
        };
        assert_eq!(many.status, 200);
        let items = said["evaluations"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(answers.len() <= items.len() && answers.len() <= BATCH, "{many:?}");
        for (answer, item) in answers.iter().zip(items) {
            assert!(answer["decision"].is_boolean(), "{answer}");
            is_honest(who, &many, answer, item, &said);
        }
    });
}

/// Whether a body is JSON all the same, by its grammar: the service skips such things where it does not look, and denies the
/// item where it does. What we would compare with does neither.
pub(super) fn is_beyond_values(error: &serde_json::Error) -> bool {
    let told = error.to_string();
    BEYOND_VALUES.iter().any(|what| told.contains(what))
}

/// An allow is one that this world allows; the members of a question come from itself or from the batch around it.
fn is_honest(who: &str, reply: &Reply, answer: &Value, item: &Value, batch: &Value) {
    if answer["decision"] != true {
        return;
    }
    assert_eq!(reply.status, 200, "{reply:?}");
    let member = |name: &str| if item[name].is_null() { &batch[name] } else { &item[name] };
    let (subject, resource) = (member("subject"), member("resource"));
    if resource["type"] != "DiagnosticData" {
        // A person may ask what they themselves may do; nobody else has an answer.
        let of_ones_own = ["ada", "bob", "cyd", "dee", "eve"].contains(&who);
        assert!(of_ones_own && subject["id"].as_str().is_some_and(|id| id.ends_with(who)), "{who} {item} {batch}");
        return;
    }
    assert_eq!((&subject["type"], &subject["id"]), (&Value::from("SupportEngineer"), &Value::from("vendor/ada")));
    assert!(["tooling", "ada"].contains(&who), "{who} {reply:?}");
    assert!(READS.iter().any(|verb| member("action")["name"] == *verb), "{item} {batch}");
    assert_eq!(resource["id"].as_str().unwrap().split('/').next(), Some("fabrikam"), "{item} {batch}");
    assert_eq!(member("context")["support_request"], "SR-1", "{item} {batch}");
}
