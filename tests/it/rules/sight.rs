//! What people see: the values of an answer by their names, and everything that an administrator can observe.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::scene::Scene;
use crate::support::{Person, Reply};

/// The values under a name such as `items.status`, in order. Of a list every item counts; `members` are an object's
/// names, `count` a list's length; `contains ...` looks for words in the text, `etag` is the header.
pub fn values(reply: &Reply, path: &str) -> String {
    if let Some(words) = path.strip_prefix("contains ") {
        return reply.text.contains(words).to_string();
    }
    if path == "etag" {
        return reply.header("etag").unwrap_or("none").to_owned();
    }
    let mut found = vec![reply.json.clone()];
    for name in path.split('.') {
        found = match name {
            "members" => found
                .iter()
                .flat_map(items)
                .filter_map(Value::as_object)
                .flat_map(|o| o.keys())
                .map(|k| json!(k))
                .collect(),
            "count" => found.iter().map(|value| json!(value.as_array().map_or(0, Vec::len))).collect(),
            name => found.iter().flat_map(items).map(|value| value[name].clone()).collect(),
        };
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let found: Vec<String> = found.iter().flat_map(items).map(text).collect();
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}

fn items(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

impl Scene {
    /// Everything an administrator can find out, and then can try. Ids are random: each is given a number by its first
    /// appearance, so that which is which still counts.
    pub async fn seen_by(&mut self, name: &str) -> Vec<String> {
        let person = self.person(name);
        let tenant = person.id.split('/').next().unwrap().to_owned();
        let own = self.consents[&tenant].clone();
        let mut seen = Vec::new();
        self.look(&person, &mut seen).await;
        let mut ids: Vec<String> = vec![own.clone()];
        ids.extend(self.consents.iter().filter(|(other, _)| **other != tenant).map(|(_, id)| id.clone()));
        for id in &ids {
            for action in ["viewConsent", "viewApprovedAccess", "approveConsent", "rejectConsent", "revokeConsent"] {
                let question = json!({
                    "subject": { "type": "User", "id": person.id }, "action": { "name": action },
                    "resource": { "type": "Consent", "id": id },
                });
                note(&mut seen, &format!("may {action}"), &person.post("/access/v1/evaluation", &question).await);
            }
        }
        for resource in ["contoso/signInLogs", "fabrikam/signInLogs", "northwind/signInLogs"] {
            let reply = self.act(&format!("{name} wonders about {resource}")).await;
            note(&mut seen, resource, &reply);
        }
        // Trying comes last: it changes what is there.
        for version in ["\"1\"", "\"2\"", "\"3\""] {
            for command in ["revoke", "narrow", "approve", "reject"] {
                for id in &ids {
                    let body = if command == "narrow" { json!({ "categories": ["auditLogs"] }) } else { json!({}) };
                    let path = format!("/v1/consents/{id}/{command}");
                    let reply = person.with("if-match", version).post(&path, &body).await;
                    note(&mut seen, &format!("{command} {version}"), &reply);
                }
            }
        }
        self.look(&person, &mut seen).await;
        let mut numbers = HashMap::new();
        seen.iter().map(|text| numbered(text, &mut numbers)).collect()
    }

    async fn look(&self, person: &Person, seen: &mut Vec<String>) {
        for path in [
            "/v1/consents?view=pending",
            "/v1/consents?view=approved",
            "/v1/consents?view=pending&limit=1",
            "/v1/consents?view=approved&limit=1",
            "/v1/consents/{contoso}",
            "/v1/consents/{fabrikam}",
            "/v1/access-requests/{request}",
            "/v1/access-requests",
            "/v1/support-requests/SR-1",
            "/v1/audit-log",
            "/v1/audit-log?limit=1",
            "/v1/audit-log/reads",
        ] {
            note(seen, path, &person.get(&self.named(path)).await);
        }
    }
}

/// Everything of an answer that can be told apart.
fn note(seen: &mut Vec<String>, what: &str, reply: &Reply) {
    let mut headers: Vec<String> = reply.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    headers.retain(|header| !header.starts_with("date=") && !header.starts_with("content-length="));
    headers.sort();
    seen.push(format!("{what}: {} {} {}", reply.status, headers.join(" "), reply.text));
}

/// Puts a number in place of every random id: 32 hexadecimal digits.
fn numbered(text: &str, numbers: &mut HashMap<String, usize>) -> String {
    let mut result = String::new();
    let mut run = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_hexdigit() {
            run.push(character);
            continue;
        }
        if run.len() == 32 {
            let next = numbers.len();
            let number = *numbers.entry(run.clone()).or_insert(next);
            result.extend(["#", &number.to_string()]);
        } else {
            result.push_str(&run);
        }
        run.clear();
        result.push(character);
    }
    result
}
