//! Bodies to a guest model: allowed and found is what the model's policies allow on its file and on what its manifest
//! believes, whatever else a body says.

use serde_json::Value;

use super::evaluations::is_beyond_values;
use super::front::{Front, Reply, first_line, with_guest};

/// The longest answer to one question.
const LONGEST_ANSWER: usize = 16 * 1024;
/// The longest batch, as in the default settings.
const BATCH: usize = 1_000;
/// The users of the model's file, and the actions of its schema.
const USERS: [&str; 2] = ["alice", "bob"];
const ACTIONS: [&str; 3] = ["delete", "read", "write"];
/// The reasons of answers that rest on the whole of a question.
const ANSWERED: [&str; 3] = ["archived", "not_permitted", "permitted"];

/// The first line is who asks; the rest is a body for every endpoint of the decision API.
pub fn run(bytes: &[u8]) {
    let Some((who, body)) = first_line(bytes) else { return };
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(said) => said,
        Err(error) if is_beyond_values(&error) => return,
        Err(_) => Value::Null,
    };
    with_guest(|front| {
        let ask = |path: &str| ask(front, who, path, body);
        if let Some(one) = ask("evaluation") {
            is_honest(&one.json, &said, &Value::Null);
        }
        if let Some(many) = ask("evaluations") {
            match many.json["evaluations"].as_array() {
                // Without a list of its own a batch is a single question (AuthZEN 1.0, section 7.1).
                None => is_honest(&many.json, &said, &Value::Null),
                Some(answers) => {
                    let items = said["evaluations"].as_array().map(Vec::as_slice).unwrap_or_default();
                    assert!(answers.len() <= items.len() && answers.len() <= BATCH, "{many:?}");
                    answers.iter().zip(items).for_each(|(answer, item)| is_honest(answer, item, &said));
                }
            }
        }
        let [subject, action, resource] = ["subject", "action", "resource"].map(|part| &said[part]);
        if let Some(page) = ask("search/subject") {
            let is_right = |found: &str| {
                let found = serde_json::json!({ "type": "user", "id": found });
                is_right(&found, action, resource)
            };
            found(&page, "id", &USERS, is_right);
        }
        if let Some(page) = ask("search/resource") {
            let is_right = |found: &str| {
                let found = serde_json::json!({ "type": "record", "id": found });
                is_right(subject, action, &found)
            };
            found(&page, "id", &["record-1", "record-2"], is_right);
        }
        if let Some(page) = ask("search/action") {
            let is_right = |found: &str| is_right(subject, &serde_json::json!({ "name": found }), resource);
            found(&page, "name", &ACTIONS, is_right);
        }
    });
}

/// The answer to somebody who may ask; none where nothing was answered.
fn ask(front: &Front, who: &str, path: &str, body: &[u8]) -> Option<Reply> {
    let request = front.request(who, "POST", &format!("/access/v1/{path}"), body.to_vec())?;
    let reply = front.call(request);
    assert!(reply.status != 200 || who == "tooling", "{who} was answered: {reply:?}");
    (reply.status == 200).then_some(reply)
}

/// An allow is one of the model's, and so is a denial that gives no error for its reason. The members of a question come
/// from itself or from the batch around it.
fn is_honest(answer: &Value, item: &Value, batch: &Value) {
    let decision = answer["decision"].as_bool().unwrap_or_else(|| panic!("no decision: {answer}"));
    let told = answer.to_string();
    assert!(told.len() <= LONGEST_ANSWER, "an answer of {} bytes", told.len());
    let member = |name: &str| if item[name].is_null() { &batch[name] } else { &item[name] };
    let is_right = is_right(member("subject"), member("action"), member("resource"));
    assert!(!decision || is_right, "{answer} to {item} of {batch}");
    let answered = answer["context"]["reason"]["code"].as_str().is_some_and(|code| ANSWERED.contains(&code));
    assert!(!answered || decision == is_right, "{answer} to {item} of {batch}");
}

/// A page holds each of its results once, in their order, and every one is right.
fn found(page: &Reply, name: &str, known: &[&str], is_right: impl Fn(&str) -> bool) {
    let results = page.json["results"].as_array().unwrap_or_else(|| panic!("no results: {page:?}"));
    let names: Vec<&str> = results.iter().map(|one| one[name].as_str().unwrap()).collect();
    assert!(names.windows(2).all(|two| two[0] < two[1]), "{page:?}");
    assert!(names.iter().all(|one| known.contains(one) && is_right(one)), "{page:?}");
    assert_eq!(page.json["page"]["count"], names.len(), "{page:?}");
}

/// Whether the records model allows this, told once more: its policies, on its file and on what it believes.
fn is_right(subject: &Value, action: &Value, resource: &Value) -> bool {
    if subject["type"] != "user" || resource["type"] != "record" {
        return false;
    }
    let who = subject["id"].as_str().unwrap_or_default();
    let role = subject["properties"]["role"].as_str().or((who == "bob").then_some("admin"));
    let in_file = match resource["id"].as_str() {
        Some("record-1") => "active",
        Some("record-2") => "archived",
        // No request can tell who keeps and reads a record: of others nothing can be said.
        _ => return false,
    };
    let archived = resource["properties"]["status"].as_str().unwrap_or(in_file) == "archived";
    match action["name"].as_str() {
        Some("read") => USERS.contains(&who),
        Some("write") if archived => role == Some("admin"),
        Some("write") => who == "alice",
        Some("delete") => who == "alice" && action["properties"]["soft"] == true,
        _ => false,
    }
}
