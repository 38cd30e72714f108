//! One row being played: who is who, what the words of a step do, and whether an answer is the expected one.
//!
//! In the beginning contoso has opened `SR-1` in the admin centers, without allowing advanced diagnostic information, and
//! it is assigned to ada. What is said without `under ...` is said under `SR-1`; a consent is the newest of its tenant.

use std::collections::HashMap;

use consentry::clock::Clock as _;
use consentry::policy::WorkflowAction;
use serde_json::{Value, json};

use super::table::{Line, Row};
use crate::support::{House, Person, Reply};

pub struct Scene {
    pub house: House,
    name: String,
    /// The newest consent of each tenant.
    pub consents: HashMap<String, String>,
    /// The newest access request.
    pub request: String,
    /// The newest decision on a read.
    decision: String,
}

impl Scene {
    pub async fn start(name: String, settings: &str) -> Self {
        let house = House::start_with(settings).await;
        Self { house, name, consents: HashMap::new(), request: "ar-none".to_owned(), decision: String::new() }
    }

    pub async fn end(mut self) {
        if let Some(app) = self.house.app.take() {
            app.stop().await.unwrap();
        }
    }

    /// Plays a row in one of its worlds; gives what was seen on the way.
    pub async fn play(&mut self, row: &Row, world: &[String]) -> Vec<String> {
        for step in ["northwind is registered", "vendor is registered", "SR-1 opens for contoso"] {
            self.step(step).await;
        }
        let mut seen = Vec::new();
        for line in &row.lines {
            match line {
                Line::Steps(steps) => self.steps(steps).await,
                Line::Either(_) => self.steps(world).await,
                Line::Answer(step, answer) => {
                    let reply = self.act(step).await;
                    self.check(step, answer, &reply);
                }
                Line::Alike(steps) => {
                    let mut first: Option<Reply> = None;
                    for step in steps {
                        let reply = self.act(step).await;
                        let first = first.get_or_insert_with(|| reply.clone());
                        assert_eq!((first.status, &first.text), (reply.status, &reply.text), "{}: {step}", self.name);
                    }
                }
                Line::SeesTheSame(person) => seen.extend(self.seen_by(person).await),
            }
        }
        seen
    }

    async fn steps(&mut self, steps: &[String]) {
        for step in steps {
            self.step(step).await;
        }
    }

    async fn step(&mut self, step: &str) {
        let reply = self.act(step).await;
        assert!((200..300).contains(&reply.status), "{}: {step}: {reply:?}", self.name);
    }

    /// Who is who. Names that are `<name>@<tenant>` are Global Administrators there.
    pub fn person(&self, name: &str) -> Person {
        let house = &self.house;
        if let Some((name, tenant)) = name.split_once('@') {
            return house.admin(tenant, name);
        }
        match name {
            "ada" | "bob" => house.engineer(name),
            // An engineer of the vendor, who administers the vendor's own tenant as well.
            "eva" => house.person("vendor", name, &["Global Administrator"], &["SupportEngineer"]),
            "roy" => house.person("vendor", name, &[], &[]),
            "rob" => house.person("vendor", name, &[], &["Decisions.Explain"]),
            // A reviewer who works on support requests as well, and one of a customer's own making.
            "rex" => house.person("vendor", name, &[], &["Decisions.Explain", "SupportEngineer"]),
            "rik" => house.person("fabrikam", name, &["Reports Reader"], &["Decisions.Explain"]),
            "mallory" => house.person("contoso", name, &[], &["SupportEngineer"]),
            "cyd" => house.admin("contoso", name),
            "dee" => house.admin("fabrikam", name),
            "ned" => house.admin("northwind", name),
            "dora" => house.person("fabrikam", name, &["Service Support Administrator"], &[]),
            "rita" => house.person("fabrikam", name, &["Reports Reader"], &[]),
            "sam" => house.person("fabrikam", name, &["Security Reader"], &[]),
            "sue" => house.person("fabrikam", name, &["Security Administrator"], &[]),
            "dan" => house.person("fabrikam", name, &["Directory Readers"], &[]),
            "guy" => house.person("fabrikam", name, &["00000000-made-up-role", "TenantAdministrator"], &[]),
            "ticketing" => house.ticketing(),
            "impostor" => house.person("contoso", name, &[], &["SupportRequests.Manage", "Decisions.Evaluate"]),
            // A program of a customer's, with the vendor's app roles in the customer's own directory.
            "intruder" => {
                Person::new(house, "contoso", name, &[], &["SupportRequests.Manage", "Decisions.Evaluate"], true)
            }
            _ => panic!("{}: who is `{name}`?", self.name),
        }
    }

    /// Does what the words say.
    pub async fn act(&mut self, step: &str) -> Reply {
        let step = self.named(step);
        let words: Vec<&str> = step.split(' ').collect();
        let (words, under) = match words.as_slice() {
            [words @ .., "under", support_request] => (words, *support_request),
            words => (words, "SR-1"),
        };
        let ticketing = self.house.ticketing();
        let support_request = |id: &str, what: &str| format!("/v1/support-requests/{id}{what}");
        match *words {
            [tenant, "is", "registered"] => {
                ticketing.put(&format!("/v1/tenants/{tenant}"), &json!({ "display_name": tenant })).await
            }
            [id, "opens", "for", tenant, ref how @ ..] => {
                let (portal, assignee) = match *how {
                    [] => ("admin_center", "ada"),
                    ["elsewhere"] => ("other_portal", "ada"),
                    ["to", engineer] => ("admin_center", engineer),
                    _ => panic!("{}: opened how? `{step}`", self.name),
                };
                let body = json!({
                    "id": id, "number": format!("N-{id}"), "summary": format!("summary-of-{id}"), "tenant": tenant,
                    "submitted_in": portal, "assignee": self.person(assignee).id,
                });
                ticketing.post("/v1/support-requests", &body).await
            }
            [id, "closes"] => ticketing.post(&support_request(id, "/close"), &json!({})).await,
            [id, "reopens"] => ticketing.post(&support_request(id, "/reopen"), &json!({})).await,
            [id, "goes", "to", engineer] => {
                let assignee = if engineer == "nobody" { Value::Null } else { json!(self.person(engineer).id) };
                ticketing.put(&support_request(id, "/assignee"), &json!({ "assignee": assignee })).await
            }
            [id, verb @ ("allows" | "refuses"), "advanced", "diagnostics"] => {
                let setting = json!({ "advanced_diagnostic_information": verb == "allows" });
                ticketing.patch(&support_request(id, ""), &setting).await
            }
            [length, "passes"] => {
                self.house.clock.advance_millis(millis(length));
                self.house.tooling().get("/healthz").await
            }
            [who, "asks", "for", tenant] => self.ask(who, tenant, under, "sign-in-fails").await,
            [who, "asks", "for", tenant, "without", "a", "reason"] => self.ask(who, tenant, under, " ").await,
            [who, "withdraws"] => {
                let path = format!("/v1/access-requests/{}/cancel", self.request);
                self.person(who).post(&path, &json!({})).await
            }
            [who, verb @ ("approves" | "rejects" | "narrows" | "revokes"), ref how @ ..] => {
                self.decide(who, verb, how).await
            }
            [who, "reads", resource] if under == "nothing" => {
                let mut question = crate::support::question(&self.person(who).id, "read", resource, "");
                question["context"] = json!({});
                self.house.tooling().post("/access/v1/evaluation", &question).await
            }
            [who, "reads", resource] => {
                let reply = self.house.may_read(&self.person(who).id, resource, under).await;
                reply.json["context"]["decision_id"].as_str().unwrap_or_default().clone_into(&mut self.decision);
                reply
            }
            [who, "may", verb, resource] => self.house.may(&self.person(who).id, verb, resource, under).await,
            // With their own token, about themselves.
            [who, "wonders", "about", resource] => {
                let person = self.person(who);
                let question = crate::support::question(&person.id, "read", resource, under);
                person.post("/access/v1/evaluation", &question).await
            }
            // With their own token, about somebody else.
            [who, "asks", "whether", engineer, "reads", resource] => {
                let question = crate::support::question(&self.person(engineer).id, "read", resource, under);
                self.person(who).post("/access/v1/evaluation", &question).await
            }
            // With their own token, about what is no diagnostic data: themselves, then somebody else.
            [who, "may", action, kind, id] => self.may(who, who, [action, kind, id]).await,
            [who, "asks", "whether", other, "may", action, kind, id] => self.may(who, other, [action, kind, id]).await,
            ["the", "last", "record"] => {
                let json = self.house.records().pop().unwrap();
                Reply { status: 200, headers: http::HeaderMap::new(), text: json.to_string(), json }
            }
            [who, "gets", path] => self.person(who).get(path).await,
            [who, "posts", path] => self.person(who).post(path, &json!({})).await,
            _ => panic!("{}: what is `{step}`?", self.name),
        }
    }

    async fn may(&self, who: &str, subject: &str, [action, kind, id]: [&str; 3]) -> Reply {
        let is_engineers = WorkflowAction::by_name(action).is_some_and(WorkflowAction::is_engineers);
        let question = json!({
            "subject": { "type": if is_engineers { "SupportEngineer" } else { "User" }, "id": self.person(subject).id },
            "action": { "name": action }, "resource": { "type": kind, "id": id },
        });
        self.person(who).post("/access/v1/evaluation", &question).await
    }

    async fn ask(&mut self, who: &str, tenant: &str, under: &str, reason: &str) -> Reply {
        let body = json!({ "support_request": under, "resource_tenant": tenant, "reason": reason });
        let reply = self.person(who).post("/v1/access-requests", &body).await;
        if reply.status == 201 {
            reply.json["id"].as_str().unwrap().clone_into(&mut self.request);
            for consent in reply.json["consents"].as_array().unwrap() {
                let tenant = consent["tenant"].as_str().unwrap().to_owned();
                let pending = self.house.pending(&self.house.admin(&tenant, "registrar")).await;
                self.consents.insert(tenant, pending);
            }
        }
        reply
    }

    /// `[of <tenant>] [to <category>+<category>] [until <length from now>]`
    async fn decide(&self, who: &str, verb: &str, how: &[&str]) -> Reply {
        let person = self.person(who);
        let (mut tenant, mut body) = (person.id.split('/').next().unwrap(), json!({}));
        for pair in how.chunks(2) {
            match *pair {
                ["of", of] => tenant = of,
                ["to", "nothing"] => body["categories"] = json!([]),
                ["to", categories] => body["categories"] = categories.split('+').collect(),
                ["until", length] => {
                    body["until"] = json!(self.house.clock.now().plus_millis(millis(length)).to_string());
                }
                _ => panic!("{}: how is `{pair:?}`?", self.name),
            }
        }
        let consent = self.consents.get(tenant).map_or("co-none", String::as_str);
        let command = match verb {
            "approves" => "approve",
            "rejects" => "reject",
            "narrows" => "narrow",
            _ => "revoke",
        };
        person.post(&format!("/v1/consents/{consent}/{command}"), &body).await
    }

    /// Puts ids and times in place of `{contoso}` (its consent), `{request}`, `{decision}` (of the last read) and `{now}`.
    pub fn named(&self, text: &str) -> String {
        let mut text = text
            .replace("{request}", &self.request)
            .replace("{decision}", &self.decision)
            .replace("{now}", &self.house.clock.now().to_string());
        for tenant in ["contoso", "fabrikam", "northwind", "vendor"] {
            let consent = self.consents.get(tenant).map_or("co-none", String::as_str);
            text = text.replace(&format!("{{{tenant}}}"), consent);
        }
        text
    }

    /// `yes|no|<status> [<code>] [by <policy>]`, or `<status> <path>: <values>; <path>: <values> ...`
    fn check(&self, step: &str, answer: &str, reply: &Reply) {
        let answer = self.named(answer);
        let name = format!("{}: {step} -> {answer}: {reply:?}", self.name);
        let (head, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        let status = match head {
            "yes" | "no" => {
                assert_eq!(reply.json["decision"], json!(head == "yes"), "{name}");
                200
            }
            status => status.parse().unwrap(),
        };
        assert_eq!(reply.status, status, "{name}");
        if rest.contains(": ") {
            for expected in rest.split("; ") {
                let (path, values) = expected.split_once(": ").unwrap();
                let found = super::sight::values(reply, path);
                assert_eq!(found, values, "{path} in {name}");
            }
            return;
        }
        let (code, policy) = match rest.strip_prefix("by ") {
            Some(policy) => ("", policy),
            None => rest.split_once(" by ").unwrap_or((rest, "")),
        };
        assert!(code.is_empty() || reply.code() == code, "{name}");
        assert!(policy.is_empty() || reply.policies().contains(&policy), "{name}");
    }
}

/// `30d`, `-1h`, `10s`, `1ms` in milliseconds.
fn millis(length: &str) -> i64 {
    let digits = length.trim_end_matches(char::is_alphabetic);
    let unit = match &length[digits.len()..] {
        "d" => 24 * 60 * 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "s" => 1_000,
        "ms" => 1,
        unit => panic!("what is the unit `{unit}`?"),
    };
    digits.parse::<i64>().unwrap() * unit
}
