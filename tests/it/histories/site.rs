//! A service under test: sends what a history says, and puts names in place of the ids that the service gives.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use consentry::clock::Clock as _;
use consentry::model::Timestamp;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::step::Deed;
use crate::support::oracle::{
    Command, Consent, Millis, Oracle, PEOPLE, Person as Somebody, Portal, Question, View, capitalized, name_of,
    name_of_request, name_of_support_request, reason,
};
use crate::support::{House, Person, Reply as Answer, question};

/// For how long a token is used before another one is minted; it is good for ten minutes.
const TOKEN_USE: Millis = 5 * 60 * 1_000;

/// How often to look whether a started service has read its log back.
const PATIENCE: usize = 6_000;

pub struct Site {
    pub name: &'static str,
    pub house: House,
    bundle: TempDir,
    people: HashMap<&'static str, (Person, Millis)>,
    /// Ids and their names, both ways.
    names: HashMap<String, String>,
    ids: HashMap<String, String>,
    reloads: usize,
    keys: usize,
    pub policy_version: Value,
}

impl Site {
    /// A service with policies that can be edited, and more settings.
    pub async fn start(name: &'static str, settings: &str) -> Self {
        let bundle = TempDir::new().unwrap();
        for folder in ["policies", "schemas"] {
            std::fs::create_dir(bundle.path().join(folder)).unwrap();
            for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    std::fs::copy(entry.path(), bundle.path().join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
        let directory = bundle.path().display();
        // On a busy machine a connection can rest for long between two questions; it must not be closed on the next one.
        let patient = "server.read_timeout_ms = 600000\nserver.idle_timeout_ms = 600000";
        let house = House::start_with(&format!(
            "{settings}\n{patient}\npolicy = {{ directory = \"{directory}\", watch = false }}"
        ))
        .await;
        let mut site = Self {
            name,
            house,
            bundle,
            people: HashMap::new(),
            names: HashMap::new(),
            ids: HashMap::new(),
            reloads: 0,
            keys: 0,
            policy_version: Value::Null,
        };
        site.policy_version = site.readiness().await["policy_version"].clone();
        site
    }

    pub async fn end(mut self) {
        if let Some(app) = self.house.app.take() {
            app.stop().await.unwrap();
        }
    }

    pub fn now(&self) -> Millis {
        self.house.clock.now().as_millis()
    }

    pub fn set_time(&self, now: Millis) {
        self.house.clock.advance_millis(now - self.now());
    }

    /// The person with a token of not long ago: the service remembers it, and minting is not what is tried here.
    pub fn person(&mut self, who: &'static Somebody) -> Person {
        let now = self.now();
        if let Some((person, minted)) = self.people.get(who.name)
            && now - minted < TOKEN_USE
        {
            return person.clone();
        }
        let ids = [who.tenant, who.object];
        let roles = [who.roles, who.app_roles];
        let person = match self.people.values().next() {
            Some((somebody, _)) => somebody.other(ids, roles, who.is_program),
            None => Person::new(&self.house, who.tenant, who.object, who.roles, who.app_roles, who.is_program),
        };
        let person = person.holding(&person.token());
        self.people.insert(who.name, (person.clone(), now));
        person
    }

    async fn readiness(&mut self) -> Value {
        let tooling = self.person(crate::support::oracle::person("tooling"));
        let reply = tooling.get("/readyz").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json
    }

    fn policies(&self) -> PathBuf {
        self.bundle.path().join("policies/reading.cedar")
    }

    /// The same policies with another comment: another version (G6).
    pub async fn reload(&mut self) -> Result<(), String> {
        self.reloads += 1;
        let good = std::fs::read_to_string(self.policies()).unwrap();
        std::fs::write(self.policies(), format!("{good}\n// reloaded {}\n", self.reloads)).unwrap();
        self.house.app().reload_policies().map_err(|error| format!("not reloaded: {error}"))?;
        let before = self.policy_version.take();
        self.policy_version = self.readiness().await["policy_version"].clone();
        if before == self.policy_version { Err("reloaded, and still the old version".to_owned()) } else { Ok(()) }
    }

    /// Policies that permit everything, and do not parse: they must be refused, and change nothing (G6).
    pub async fn reload_broken(&mut self) -> Result<(), String> {
        let good = std::fs::read_to_string(self.policies()).unwrap();
        std::fs::write(
            self.policies(),
            "@id(\"reading.all\") @rule(\"R1\") @reason(\"x\") permit (principal, action, resource);\npermit (",
        )
        .unwrap();
        let reloaded = self.house.app().reload_policies();
        std::fs::write(self.policies(), good).unwrap();
        let ready = self.readiness().await;
        if reloaded.is_ok() || ready["refused_policies"].is_null() || ready["policy_version"] != self.policy_version {
            return Err(format!("broken policies were not refused: {reloaded:?}, {ready}"));
        }
        Ok(())
    }

    /// Stops and starts again, and returns when the customers' lists of reads have been found in a long log.
    pub async fn restart(&mut self) -> Result<(), String> {
        self.house.restart().await;
        self.people.clear();
        let rita = self.person(crate::support::oracle::person("rita"));
        for _ in 0..PATIENCE {
            if rita.get("/v1/audit-log/reads?limit=1").await.status != 503 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the log is never read back".to_owned())
    }

    fn id_of(&self, name: &str, absent: &str) -> String {
        self.ids.get(name).cloned().unwrap_or_else(|| absent.to_owned())
    }

    pub fn consent(&self, consent: Consent) -> String {
        self.id_of(&name_of(consent), "co-00000000000000000000000000000000")
    }

    pub fn request(&self, number: usize) -> String {
        self.id_of(&name_of_request(number), "ar-00000000000000000000000000000000")
    }

    /// From now on this id is called by that name.
    pub fn call(&mut self, id: &str, name: String) {
        self.names.insert(id.to_owned(), name.clone());
        self.ids.insert(name, id.to_owned());
    }

    /// The id of something that was just created, called by this name.
    pub fn meet(&mut self, id: &Value, name: String) -> Result<(), String> {
        let known = id.as_str().filter(|id| !self.names.contains_key(*id));
        let id = known.ok_or_else(|| format!("{name} has no id of its own: {id}"))?.to_owned();
        self.call(&id, name);
        Ok(())
    }

    /// Puts names in place of ids.
    pub fn named(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(name) = self.names.get(text) {
                    text.clone_from(name);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.named(item)),
            Value::Object(members) => members.values_mut().for_each(|item| self.named(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// An answer as the oracle tells it.
    pub fn told(&self, answer: &Answer) -> Value {
        let version = answer.header("etag").map(|etag| etag.trim_matches('"').parse::<u64>().unwrap_or(u64::MAX));
        let is_refused = answer.status >= 400;
        let mut body = if is_refused { Value::Null } else { answer.json.clone() };
        for member in ["field", "present_status"].into_iter().filter(|_| is_refused) {
            if !answer.json[member].is_null() {
                body[member] = answer.json[member].clone();
            }
        }
        self.named(&mut body);
        let code = if is_refused { answer.json["code"].clone() } else { json!("") };
        json!({ "status": answer.status, "code": code, "version": version, "body": body })
    }

    /// Sends a command, twice if it says so; the second answer must be the first.
    pub async fn send(&mut self, deed: &Deed, oracle: &Oracle) -> Result<Answer, String> {
        let (method, path, body) = self.command(&deed.command, oracle);
        let mut person = self.person(deed.who);
        if let Some(version) = deed.if_version {
            person = person.with("if-match", &format!("\"{version}\""));
        }
        self.keys += 1;
        let person = person.with("idempotency-key", &format!("key-{}", self.keys));
        let bytes = body.to_string().into_bytes();
        if !deed.twice {
            return Ok(confirmed(&person, &method, &path, &bytes).await);
        }
        let (first, second) =
            tokio::join!(confirmed(&person, &method, &path, &bytes), confirmed(&person, &method, &path, &bytes));
        let text = |answer: &Answer| {
            (answer.status, answer.code().to_owned(), answer.status < 400 && answer.text != first.text)
        };
        if text(&first) != text(&second) {
            return Err(format!("two answers to one request: {first:?} and {second:?}"));
        }
        Ok(first)
    }

    fn command(&self, command: &Command, oracle: &Oracle) -> (Method, String, Value) {
        let about = |id: usize, what: &str| format!("/v1/support-requests/{}{what}", name_of_support_request(id));
        let decision = |consent: &Consent, verb: &str| format!("/v1/consents/{}/{verb}", self.consent(*consent));
        match command {
            Command::Register(tenant) => {
                (Method::PUT, format!("/v1/tenants/{tenant}"), json!({ "display_name": capitalized(tenant) }))
            }
            Command::Open(opening) => {
                let id = opening.id;
                let portal = if opening.portal == Portal::Other { "other_portal" } else { "admin_center" };
                let body = json!({
                    "id": name_of_support_request(id), "number": format!("N-{id}"),
                    "summary": format!("summary of SR-{id}"), "tenant": opening.tenant, "submitted_in": portal,
                    "advanced_diagnostic_information": opening.allows,
                    "assignee": opening.assignee.map(Somebody::id),
                });
                (Method::POST, "/v1/support-requests".to_owned(), body)
            }
            Command::Allow(id, allow) => {
                (Method::PATCH, about(*id, ""), json!({ "advanced_diagnostic_information": allow }))
            }
            Command::Rename(id, summary) => (Method::PATCH, about(*id, ""), json!({ "summary": summary })),
            Command::Assign(id, engineer) => {
                (Method::PUT, about(*id, "/assignee"), json!({ "assignee": engineer.map(Somebody::id) }))
            }
            Command::Close(id) => (Method::POST, about(*id, "/close"), json!({})),
            Command::Reopen(id) => (Method::POST, about(*id, "/reopen"), json!({})),
            Command::Ask { support_request, resource_tenant } => {
                let body = json!({
                    "support_request": name_of_support_request(*support_request), "resource_tenant": resource_tenant,
                    "reason": reason(oracle.requests().len() + 1),
                });
                (Method::POST, "/v1/access-requests".to_owned(), body)
            }
            Command::Withdraw(number) => {
                (Method::POST, format!("/v1/access-requests/{}/cancel", self.request(*number)), json!({}))
            }
            Command::Approve(consent, categories, until) => {
                (Method::POST, decision(consent, "approve"), self.limits(categories.as_deref(), *until))
            }
            Command::Narrow(consent, categories, until) => {
                (Method::POST, decision(consent, "narrow"), self.limits(categories.as_deref(), *until))
            }
            Command::Reject(consent) => (Method::POST, decision(consent, "reject"), json!({})),
            Command::Revoke(consent) => (Method::POST, decision(consent, "revoke"), json!({})),
        }
    }

    fn limits(&self, categories: Option<&[&str]>, until: Option<Millis>) -> Value {
        let mut body = json!({});
        if let Some(categories) = categories {
            body["categories"] = json!(categories);
        }
        if let Some(until) = until {
            body["until"] = json!(Timestamp::from_millis(self.now() + until).to_string());
        }
        body
    }

    /// Where something is to be seen.
    pub fn path(&self, view: View) -> String {
        match view {
            View::Pending => "/v1/consents?view=pending&limit=200".to_owned(),
            View::Approved => "/v1/consents?view=approved&limit=200".to_owned(),
            View::Consent(consent) => format!("/v1/consents/{}", self.consent(consent)),
            View::SupportRequests => "/v1/support-requests?limit=200".to_owned(),
            View::SupportRequest(id) => format!("/v1/support-requests/{}", name_of_support_request(id)),
            View::AccessRequests => "/v1/access-requests?limit=200".to_owned(),
            View::AccessRequestsUnder(id) => {
                format!("/v1/access-requests?support_request={}", name_of_support_request(id))
            }
            View::AccessRequest(number) => format!("/v1/access-requests/{}", self.request(number)),
            View::AuditLog => "/v1/audit-log?limit=200".to_owned(),
            View::Reads(_) => "/v1/audit-log/reads?limit=200".to_owned(),
        }
    }

    /// What somebody sees there; of the list of reads as many pages as it takes.
    pub async fn look(&mut self, who: &'static Somebody, view: View) -> Value {
        let person = self.person(who);
        let path = self.path(view);
        let mut seen = self.told(&person.get(&path).await);
        let View::Reads(count) = view else { return seen };
        while let Some(cursor) = take_cursor(&mut seen) {
            if seen["body"]["items"].as_array().is_some_and(|items| items.len() >= count) {
                break;
            }
            let mut next = self.told(&person.get(&format!("{path}&cursor={cursor}")).await);
            let more = next["body"]["items"].take();
            seen["body"]["items"].as_array_mut().unwrap().extend(more.as_array().into_iter().flatten().cloned());
            if let Some(cursor) = take_cursor(&mut next) {
                seen["body"]["next_cursor"] = json!(cursor);
            }
        }
        if let Some(items) = seen.pointer_mut("/body/items").and_then(Value::as_array_mut) {
            items.truncate(count);
        }
        seen
    }

    /// The answers to a batch of questions.
    pub async fn ask(&mut self, who: &'static Somebody, questions: &[Value]) -> Result<Vec<Value>, String> {
        let person = self.person(who);
        let reply = person.post("/access/v1/evaluations", &json!({ "evaluations": questions })).await;
        let answers = reply.json["evaluations"].as_array().filter(|answers| answers.len() == questions.len());
        answers.cloned().ok_or_else(|| format!("no answers to a batch: {} {}", reply.status, reply.text))
    }

    /// The answer to one question.
    pub async fn ask_one(&mut self, who: &'static Somebody, question: &Value) -> Value {
        self.person(who).post("/access/v1/evaluation", question).await.json
    }
}

/// Sends a command again under its key until it is known to be in force: a busy machine can take longer than the service
/// waits.
async fn confirmed(person: &Person, method: &Method, path: &str, bytes: &[u8]) -> Answer {
    const TIMES: usize = 20;
    for _ in 0..TIMES {
        let answer = person.send(method.clone(), path, Some(bytes.to_vec())).await;
        if (answer.status, answer.code()) != (503, "unconfirmed") {
            return answer;
        }
    }
    person.send(method.clone(), path, Some(bytes.to_vec())).await
}

fn take_cursor(seen: &mut Value) -> Option<String> {
    seen["body"].as_object_mut()?.remove("next_cursor")?.as_str().map(str::to_owned)
}

/// A read question as the service takes it.
pub fn wire(asked: &Question) -> Value {
    let resource = format!("{}/{}", asked.tenant, asked.category);
    question(&asked.engineer.id(), asked.verb, &resource, &name_of_support_request(asked.support_request))
}

/// Everybody who is a person.
pub fn persons() -> impl Iterator<Item = &'static Somebody> {
    PEOPLE.iter().filter(|person| !person.is_program)
}
