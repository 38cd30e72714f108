//! One of two worlds: a house in which the shared history happens, and the other tenant does what it likes.

use std::collections::HashMap;

use fastrand::Rng;
use http::Method;
use serde_json::json;

use super::alike::Sight;
use super::observer::Look;
use super::plan::{Act, CONTOSO, Decision, FABRIKAM, SUPPORT_REQUESTS, decision};
use crate::support::{House, Person, Reply, question};
use crate::webhooks::receiver::{Manner, Receiver};
use crate::webhooks::{SETTINGS, told};

/// From one act of the shared history to the next, in milliseconds; the other tenant acts in between.
const SLOT_MS: i64 = 10 * 60 * 1_000;

/// The key that signs receipts in every world (RFC 8410, section 10.3).
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";

/// An access request with the consents of its tenants.
struct Asked {
    support_request: &'static str,
    id: String,
    consents: HashMap<String, String>,
}

pub struct World {
    house: Box<House>,
    /// Where the observed tenant is told what happens; the other tenant's endpoint fails.
    hook: Receiver,
    _other_hook: Receiver,
    /// How many letters were heard.
    heard: usize,
    people: HashMap<String, Person>,
    asked: Vec<Asked>,
    /// The decisions on the reads of the shared history.
    reads: Vec<String>,
    /// Where the clock stands within the slot.
    into_slot_ms: i64,
    /// Support requests between the other tenant and a fourth one, which only this world may have.
    elsewhere: usize,
    pub observed: &'static str,
    pub other: &'static str,
    pub sight: Sight,
    /// What the other tenant did, and what came of it.
    pub doings: Vec<String>,
}

impl World {
    pub async fn begin(observed: &'static str) -> Self {
        // The address shows in the AuthZEN metadata, and is no doing of anybody's.
        let url = "server.public_url = \"https://consentry.test\"\n";
        let other = if observed == CONTOSO { FABRIKAM } else { CONTOSO };
        let (hook, other_hook) = (Receiver::open().await, Receiver::open().await);
        other_hook.answers(Manner::Fails(500));
        let hooks = [hook.settings("ours", observed), other_hook.settings("theirs", other)].concat();
        let key = hook.keep("receipts.pem", KEY);
        let receipts = format!("[receipts]\nsigning_key = \"{}\"\n", key.display());
        let requests = format!("[access_requests]\nsigning_key = \"{}\"\n", key.display());
        let house = Box::new(House::start_with(&format!("{url}{SETTINGS}{hooks}{receipts}{requests}")).await);
        let mut people = HashMap::new();
        let global: &[&str] = &["Global Administrator"];
        for tenant in [CONTOSO, FABRIKAM, "northwind", "eastwind"] {
            for (name, roles) in [
                ("admin-0", global),
                ("admin-1", &["Service Support Administrator"]),
                ("reader", &["Reports Reader"]),
                ("nobody", &[]),
            ] {
                people.insert(format!("{tenant}/{name}"), house.person(tenant, name, roles, &[]));
            }
        }
        for engineer in ["ada", "bob", "eve"] {
            people.insert(format!("vendor/{engineer}"), house.engineer(engineer));
        }
        people.insert("ticketing".to_owned(), house.ticketing());
        people.insert("tooling".to_owned(), house.tooling());
        let world = Self {
            house,
            hook,
            _other_hook: other_hook,
            heard: 0,
            people,
            asked: Vec::new(),
            reads: Vec::new(),
            into_slot_ms: 0,
            elsewhere: 0,
            observed,
            other,
            sight: Sight::default(),
            doings: Vec::new(),
        };
        for tenant in ["northwind", "eastwind"] {
            world.who("ticketing").put(&format!("/v1/tenants/{tenant}"), &json!({ "display_name": tenant })).await;
        }
        for (id, tenant, resource) in SUPPORT_REQUESTS {
            world.open(id, tenant, if tenant == resource { "other_portal" } else { "admin_center" }).await;
        }
        world
    }

    pub async fn end(mut self) {
        if let Some(app) = self.house.app.take() {
            app.stop().await.unwrap();
        }
    }

    pub fn who(&self, name: &str) -> &Person {
        self.people.get(name).unwrap_or_else(|| panic!("who is `{name}`?"))
    }

    async fn open(&self, id: &str, tenant: &str, portal: &str) {
        self.house.open_with(id, tenant, json!({ "assignee": "vendor/ada", "submitted_in": portal })).await;
        self.house.clock.advance_millis(1);
    }

    /// The consents of a tenant among all access requests so far, as words that stand for them in either world.
    pub fn consents(&self) -> Vec<String> {
        let names = self.asked.iter().enumerate().flat_map(|(nth, asked)| {
            let mut tenants: Vec<_> = asked.consents.keys().collect();
            tenants.sort();
            tenants.into_iter().map(move |tenant| format!("<co/{nth}/{tenant}>"))
        });
        names.collect()
    }

    pub fn access_requests(&self) -> Vec<String> {
        (0..self.asked.len()).map(|nth| format!("<ar/{nth}>")).collect()
    }

    /// The decisions on the reads of the shared history, as words.
    pub fn decisions(&self) -> Vec<String> {
        (0..self.reads.len()).map(|nth| format!("<de/{nth}>")).collect()
    }

    /// A text in which words such as `<co/0/contoso>` stand for the ids of this world.
    fn resolved(&self, text: &str) -> String {
        let mut result = text.to_owned();
        for (nth, asked) in self.asked.iter().enumerate() {
            result = result.replace(&format!("<ar/{nth}>"), &asked.id);
            for (tenant, id) in &asked.consents {
                result = result.replace(&format!("<co/{nth}/{tenant}>"), id);
            }
        }
        for (nth, id) in self.reads.iter().enumerate() {
            result = result.replace(&format!("<de/{nth}>"), id);
        }
        result
    }

    /// The next act of the shared history, at the end of the slot. The other tenant's time is over then.
    pub async fn act(&mut self, act: &Act) {
        self.house.clock.advance_millis(SLOT_MS - self.into_slot_ms);
        self.into_slot_ms = 0;
        match act {
            Act::Ticketing(method, path, body) => {
                let body = (!body.is_null()).then(|| body.to_string().into_bytes());
                let reply = self.who("ticketing").send(method.parse().unwrap(), path, body).await;
                assert_eq!(reply.status, 200, "{act:?}: {reply:?}");
            }
            Act::AskAnew { engineer, support_request, resource } => {
                self.withdraw(engineer, support_request).await;
                let id = match self.ask_after_a_denial(engineer, support_request, resource).await {
                    Some(id) => id,
                    None => self.ask(engineer, support_request, resource).await,
                };
                self.learn(support_request, &id).await;
            }
            Act::Withdraw { engineer, support_request } => self.withdraw(engineer, support_request).await,
            Act::Read { by_tooling, engineer, verb, resource, support_request } => {
                let engineer = format!("vendor/{engineer}");
                let question = question(&engineer, verb, resource, support_request);
                let caller = if *by_tooling { "tooling" } else { &engineer };
                let reply = self.who(caller).post("/access/v1/evaluation", &question).await;
                self.reads.extend(reply.json["context"]["decision_id"].as_str().map(ToOwned::to_owned));
            }
            Act::Decide(decision) => {
                let reply = self.decide(self.observed, decision).await;
                assert!(!names(&reply, self.other), "{decision:?} is told who else there is: {reply:?}");
                self.sight.note(&format!("{decision:?}"), &reply);
            }
        }
        // The clock goes on only when everybody has been told: letters say when they left.
        told(&self.house, "ours").await;
    }

    /// Notes what the observed tenant's endpoint was told since. Letters about different requests may come in any order.
    pub async fn hear(&mut self) {
        told(&self.house, "ours").await;
        let mut letters = self.hook.got().split_off(self.heard);
        self.heard += letters.len();
        letters.sort_by(|one, other| one.about().cmp(other.about()));
        for letter in letters {
            self.sight.note_text(&format!("a letter {} at {}: {}", letter.id, letter.timestamp, letter.text));
        }
    }

    async fn ask(&self, engineer: &str, support_request: &str, resource: &str) -> String {
        let body = json!({ "support_request": support_request, "resource_tenant": resource, "reason": "why not" });
        let reply = self.who(&format!("vendor/{engineer}")).post("/v1/access-requests", &body).await;
        // Were it refused in one world, the engineer's doings would differ, and not the other tenant's alone.
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json["id"].as_str().unwrap().to_owned()
    }

    /// Asks as the tooling does after a denial that an access request would cure. Where there is none, as after what the
    /// other tenant did, the engineer asks by the ordinary way: a tenant must not be able to tell which it was.
    async fn ask_after_a_denial(&self, engineer: &str, support_request: &str, resource: &str) -> Option<String> {
        let engineer = format!("vendor/{engineer}");
        let question = question(&engineer, "read", &format!("{resource}/signInLogs"), support_request);
        let denial = self.who("tooling").post("/access/v1/evaluation", &question).await;
        let told = &denial.json["context"]["access_request"];
        let mut submission = question;
        submission["context"]["business_justification"] = "why not".into();
        submission["denial"] = json!({
            "binding_token": told.get("binding_token")?, "expires_at": told.get("expires_at")?,
        });
        let reply = self.who(&engineer).post("/access/v1/requests", &submission).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        Some(reply.json["task"]["id"].as_str().unwrap().to_owned())
    }

    async fn withdraw(&self, engineer: &str, support_request: &str) {
        if let Some(last) = self.asked.iter().rev().find(|asked| asked.support_request == support_request) {
            let path = format!("/v1/access-requests/{}/cancel", last.id);
            self.who(&format!("vendor/{engineer}")).post(&path, &json!({})).await;
        }
    }

    /// Finds the consents of a new access request where their administrators find them.
    async fn learn(&mut self, support_request: &'static str, id: &str) {
        let mut consents = HashMap::new();
        for tenant in [CONTOSO, FABRIKAM] {
            let pending = self.who(&format!("{tenant}/admin-0")).get("/v1/consents?view=pending&limit=200").await;
            let items = pending.json["items"].as_array().unwrap();
            if let Some(consent) = items.iter().find(|consent| consent["access_request"] == id) {
                consents.insert(tenant.to_owned(), consent["id"].as_str().unwrap().to_owned());
            }
        }
        assert!(!consents.is_empty());
        self.asked.push(Asked { support_request, id: id.to_owned(), consents });
    }

    async fn decide(&self, tenant: &str, decision: &Decision) -> Reply {
        let Decision { who, nth, command, body, if_match, key } = decision;
        let id = self.asked[*nth].consents.get(tenant).map_or("co-none", String::as_str);
        let mut person = self.who(&format!("{tenant}/admin-{who}")).clone();
        if let Some(version) = if_match {
            person = person.with("if-match", &format!("\"{version}\""));
        }
        if let Some(key) = key {
            person = person.with("idempotency-key", &format!("key-{key}"));
        }
        person.post(&format!("/v1/consents/{id}/{command}"), body).await
    }

    /// The other tenant decides on its part of an access request.
    pub async fn other_decides(&mut self, decision: &Decision) {
        let reply = self.decide(self.other, decision).await;
        self.doings.push(format!("{decision:?}: {} {}", reply.status, reply.code()));
    }

    /// The other tenant does something, or nothing, before the slot is over.
    pub async fn other_does_something(&mut self, random: &mut Rng) {
        let step = random.i64(1..60_000);
        if self.into_slot_ms + step >= SLOT_MS {
            return;
        }
        self.into_slot_ms += step;
        self.house.clock.advance_millis(step);
        let admin = format!("{}/admin-{}", self.other, random.usize(..2));
        let said = match random.u8(..10) {
            0..=5 if !self.asked.is_empty() => {
                let decision = decision(random, self.asked.len());
                let reply = self.decide(self.other, &decision).await;
                format!("{decision:?}: {} {}", reply.status, reply.code())
            }
            6 if !self.asked.is_empty() => {
                // Somebody else's consent, under whatever id it has.
                let Some(id) = self.asked[random.usize(..self.asked.len())].consents.get(self.observed) else { return };
                let reply = self.who(&admin).post(&format!("/v1/consents/{id}/reject"), &json!({})).await;
                format!("tries another tenant's consent: {}", reply.status)
            }
            7 => {
                for path in ["/v1/consents?view=approved", "/v1/consents?view=pending", "/v1/audit-log"] {
                    self.who(&admin).get(path).await;
                }
                "looks around".to_owned()
            }
            8 => self.deal_elsewhere().await,
            _ => {
                let resource = format!("{}/signInLogs", self.other);
                let reply = self.house.may_read("vendor/ada", &resource, "SR-1").await;
                format!("is read from: {}", reply.code())
            }
        };
        self.doings.push(format!("+{}ms {said}", self.into_slot_ms));
    }

    /// A case that the observed tenant has no part in.
    async fn deal_elsewhere(&mut self) -> String {
        let id = format!("SR-elsewhere-{}", self.elsewhere);
        self.elsewhere += 1;
        self.house.open_with(&id, "eastwind", json!({ "assignee": "vendor/bob" })).await;
        self.house.ask(self.who("vendor/bob"), &id, self.other).await;
        self.house.approve(self.who("eastwind/admin-0")).await;
        let admin = self.who(&format!("{}/admin-0", self.other));
        self.house.approve(admin).await;
        let read = self.house.may_read("vendor/bob", &format!("{}/auditLogs", self.other), &id).await;
        format!("has to do with eastwind: {}", read.code())
    }

    /// The engineer may read a tenant's data, and does.
    pub async fn is_read(&self, tenant: &str, support_request: &str) {
        self.house.allows("vendor/ada", &format!("{tenant}/signInLogs"), support_request).await;
    }

    /// So many records of nobody's reads, written at once.
    pub async fn fill_the_log(&self, records: usize) {
        let question = question("vendor/eve", "read", "northwind/signInLogs", "SR-none");
        let mut batch = question.clone();
        batch["evaluations"] = vec![question; records].into();
        let reply = self.who("tooling").post("/access/v1/evaluations", &batch).await;
        assert_eq!(
            (reply.status, reply.json["evaluations"].as_array().map(Vec::len)),
            (200, Some(records)),
            "{reply:?}"
        );
    }

    /// Somebody looks, or tries something; what they are answered is noted.
    pub async fn look(&mut self, look: &Look) -> Reply {
        let mut person = self.who(&look.who).clone();
        for (name, value) in &look.headers {
            person = person.with(name, value);
        }
        let (path, body) = (self.resolved(&look.path), look.body.as_ref().map(|body| self.resolved(body)));
        let said = path.contains(self.other) || body.as_ref().is_some_and(|body| body.contains(self.other));
        let reply = person.send(look.method.clone(), &path, body.map(String::into_bytes)).await;
        // R18: the other tenant's name is the same in both worlds, and still not theirs to know.
        if look.who.starts_with(self.observed) && !said {
            assert!(!names(&reply, self.other), "{look} is told who else there is: {reply:?}");
        }
        self.sight.note(&format!("{look}"), &reply);
        reply
    }

    /// A list with all of its pages.
    pub async fn look_through(&mut self, who: &str, path: &str) {
        let mut next = path.to_owned();
        for _ in 0..200 {
            let reply = self.look(&Look::new(who, Method::GET, &next)).await;
            let Some(cursor) = reply.json["next_cursor"].as_str() else { return };
            next = format!("{path}&cursor={cursor}");
        }
        panic!("{path} has no end");
    }

    /// The first page of a list, and the one that its cursor alone leads to.
    pub async fn look_on(&mut self, who: &str, path: &str) {
        let reply = self.look(&Look::new(who, Method::GET, path)).await;
        if let Some(cursor) = reply.json["next_cursor"].as_str() {
            let list = path.split('?').next().unwrap();
            self.look(&Look::new(who, Method::GET, &format!("{list}?cursor={cursor}"))).await;
        }
    }

    /// The other tenant's doings as a story, for a failure.
    pub fn story(&self) -> String {
        self.doings.join("\n    ")
    }
}

/// Whether an answer names this tenant anywhere.
fn names(reply: &Reply, tenant: &str) -> bool {
    format!("{:?} {}", reply.headers, reply.text).to_lowercase().contains(tenant)
}
