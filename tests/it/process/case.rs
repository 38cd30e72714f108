//! One support request as whoever works on it remembers it: what was called, what was acknowledged, what must be there.

use http::Method;
use serde_json::{Value, json};

use crate::support::process::{Sidecar, Site};
use crate::support::{Person, Reply, question};

/// What can be called on a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Open,
    Ask,
    ContosoApproves,
    ContosoRejects,
    FabrikamApproves,
    FabrikamRejects,
    FabrikamRevokes,
    Close,
}

/// What must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Truth {
    support_request: Option<&'static str>,
    contoso: Option<&'static str>,
    fabrikam: Option<&'static str>,
    contoso_log: Vec<&'static str>,
    fabrikam_log: Vec<&'static str>,
}

impl Truth {
    /// What is true after these acts: the rules, told once more (R10-R14, R21).
    fn after(acts: impl IntoIterator<Item = Act>) -> Self {
        let mut truth = Self::default();
        for act in acts {
            truth.act(act);
        }
        truth
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Open => self.support_request = Some("open"),
            Act::Ask => {
                (self.contoso, self.fabrikam) = (Some("pending"), Some("pending"));
                self.contoso_log.push("Request created");
            }
            Act::ContosoApproves => {
                self.contoso = Some("approved");
                self.contoso_log.push("Request approved");
            }
            Act::ContosoRejects => {
                self.contoso = Some("rejected");
                self.contoso_log.push("Request rejected");
            }
            Act::FabrikamApproves => {
                self.fabrikam = Some("approved");
                self.fabrikam_log.push("Approval approved");
            }
            Act::FabrikamRejects => {
                self.fabrikam = Some("rejected");
                self.fabrikam_log.push("Approval rejected");
            }
            Act::FabrikamRevokes => {
                self.fabrikam = Some("revoked");
                self.fabrikam_log.push("Approval removed");
            }
            Act::Close => {
                self.support_request = Some("closed");
                if self.contoso == Some("pending") {
                    self.contoso_log.push("Request canceled");
                }
                for consent in [&mut self.contoso, &mut self.fabrikam] {
                    *consent = match *consent {
                        Some("pending") => Some("canceled"),
                        Some("approved") => Some("completed"),
                        other => other,
                    };
                }
            }
        }
    }

    fn allows(&self) -> bool {
        (self.support_request, self.contoso, self.fabrikam) == (Some("open"), Some("approved"), Some("approved"))
    }
}

/// Everybody who works on cases.
#[derive(Clone)]
pub(super) struct People {
    pub(super) ticketing: Person,
    pub(super) tooling: Person,
    pub(super) ada: Person,
    pub(super) cyd: Person,
    pub(super) dee: Person,
}

impl People {
    pub(super) fn of(site: &Site, sidecar: &Sidecar) -> Self {
        let admin = |tenant, object| site.person(sidecar, tenant, object, &["Global Administrator"], &[]);
        Self {
            ticketing: site.person(sidecar, "vendor", "ticketing", &[], &["SupportRequests.Manage"]),
            tooling: site.person(sidecar, "vendor", "tooling", &[], &["Decisions.Evaluate"]),
            ada: site.person(sidecar, "vendor", "ada", &[], &["SupportEngineer"]),
            cyd: admin("contoso", "cyd"),
            dee: admin("fabrikam", "dee"),
        }
    }

    /// May Ada read Fabrikam's sign-in logs under this case?
    pub(super) async fn may_read(&self, case: &str) -> reqwest::Result<Reply> {
        let body = question("vendor/ada", "read", "fabrikam/signInLogs", case).to_string();
        self.tooling.try_send(Method::POST, "/access/v1/evaluation", Some(body.into_bytes())).await
    }
}

/// A call as it was sent; sent again it is the same call.
#[derive(Debug, Clone)]
struct Call {
    act: Act,
    path: String,
    body: Value,
}

/// A case with everything that was called on it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) id: String,
    access_request: String,
    acknowledged: Vec<Act>,
    /// The call whose answer never came.
    open_end: Option<Call>,
}

impl Case {
    pub(super) fn new(id: String) -> Self {
        Self { id, access_request: String::new(), acknowledged: Vec::new(), open_end: None }
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Carries an act out under its own idempotency key.
    pub(super) async fn carry_out(&mut self, people: &People, act: Act) -> reqwest::Result<Reply> {
        let call = self.call(people, act).await?;
        self.open_end = Some(call.clone());
        let reply = self.send(people, &call).await?;
        assert!(reply.status < 300, "{}: {act:?}: {reply:?}", self.id);
        assert_eq!(reply.header("idempotency-replayed"), None, "{}: {act:?} for the first time", self.id);
        self.acknowledge(act, &reply);
        Ok(reply)
    }

    fn acknowledge(&mut self, act: Act, reply: &Reply) {
        if act == Act::Ask {
            reply.json["id"].as_str().unwrap().clone_into(&mut self.access_request);
        }
        self.acknowledged.push(act);
        self.open_end = None;
    }

    /// What a restart must have kept: all that was acknowledged, and the call without an answer in whole or not at all.
    /// Sent again under its key it happens once. Tells of a call without an answer whether it had been made.
    pub(super) async fn survived(&mut self, people: &People) -> Option<bool> {
        let found = self.found(people).await;
        let before = Truth::after(self.acknowledged.iter().copied());
        let Some(call) = self.open_end.clone() else {
            assert_eq!(found, before, "{}: after {:?}", self.id, self.acknowledged);
            self.reads_agree(people, &before).await;
            return None;
        };
        let after = Truth::after(self.acknowledged.iter().copied().chain([call.act]));
        assert!(
            found == before || found == after,
            "{}: half of {call:?}: {found:#?}\n{before:#?}\n{after:#?}",
            self.id
        );
        self.reads_agree(people, &found).await;
        let reply = self.send(people, &call).await.unwrap();
        assert!(reply.status < 300, "{}: again: {call:?}: {reply:?}", self.id);
        let replayed = reply.header("idempotency-replayed").is_some();
        assert_eq!(replayed, found == after, "{}: {call:?} was there: {}", self.id, found == after);
        self.acknowledge(call.act, &reply);
        assert_eq!(self.found(people).await, after, "{}: {call:?} happened once", self.id);
        self.reads_agree(people, &after).await;
        Some(replayed)
    }

    async fn reads_agree(&self, people: &People, truth: &Truth) {
        let reply = people.may_read(&self.id).await.unwrap();
        assert_eq!((reply.status, reply.decision()), (200, truth.allows()), "{}: {truth:?} {reply:?}", self.id);
    }

    async fn found(&self, people: &People) -> Truth {
        let id = &self.id;
        let request = people.ticketing.get(&format!("/v1/support-requests/{id}")).await;
        let asked = people.ada.get(&format!("/v1/access-requests?support_request={id}")).await;
        let consent = |part: &str| {
            let items = asked.json["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(items.len() <= 1, "{id}: asked once: {asked:?}");
            let consents = items.first()?["consents"].as_array()?;
            consents.iter().find(|consent| consent["part"] == part).map(|consent| word(&consent["status"]))
        };
        Truth {
            support_request: (request.status == 200).then(|| word(&request.json["status"])),
            contoso: consent("support_request_tenant"),
            fabrikam: consent("resource_tenant"),
            contoso_log: self.log(&people.cyd).await,
            fabrikam_log: self.log(&people.dee).await,
        }
    }

    async fn log(&self, admin: &Person) -> Vec<&'static str> {
        let reply = admin.get(&format!("/v1/audit-log?support_request={}", self.id)).await;
        let items = reply.json["items"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
        items.iter().rev().map(|entry| word(&entry["activity"])).collect()
    }

    async fn call(&self, people: &People, act: Act) -> reqwest::Result<Call> {
        let id = &self.id;
        let (path, body) = match act {
            Act::Open => (
                "/v1/support-requests".to_owned(),
                json!({
                    "id": id, "number": id, "summary": "guests cannot sign in", "tenant": "contoso",
                    "submitted_in": "admin_center", "assignee": "vendor/ada",
                }),
            ),
            Act::Ask => (
                "/v1/access-requests".to_owned(),
                json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "the logs are there" }),
            ),
            Act::Close => (format!("/v1/support-requests/{id}/close"), json!({})),
            Act::ContosoApproves => (self.consent(&people.cyd, "pending", "approve").await?, json!({})),
            Act::ContosoRejects => (self.consent(&people.cyd, "pending", "reject").await?, json!({})),
            Act::FabrikamApproves => (self.consent(&people.dee, "pending", "approve").await?, json!({})),
            Act::FabrikamRejects => (self.consent(&people.dee, "pending", "reject").await?, json!({})),
            Act::FabrikamRevokes => (self.consent(&people.dee, "approved", "revoke").await?, json!({})),
        };
        Ok(Call { act, path, body })
    }

    /// The path of what an administrator does with their consent.
    pub(super) async fn consent(&self, admin: &Person, view: &str, verb: &str) -> reqwest::Result<String> {
        let list = admin.try_send(Method::GET, &format!("/v1/consents?view={view}&limit=200"), None).await?;
        let items = list.json["items"].as_array().unwrap_or_else(|| panic!("{list:?}"));
        let own = items.iter().find(|item| item["access_request"] == self.access_request.as_str());
        let id = own.and_then(|item| item["id"].as_str()).unwrap_or_else(|| panic!("{}: {view}: {list:?}", self.id));
        Ok(format!("/v1/consents/{id}/{verb}"))
    }

    async fn send(&self, people: &People, call: &Call) -> reqwest::Result<Reply> {
        let caller = match call.act {
            Act::Open | Act::Close => &people.ticketing,
            Act::Ask => &people.ada,
            Act::ContosoApproves | Act::ContosoRejects => &people.cyd,
            Act::FabrikamApproves | Act::FabrikamRejects | Act::FabrikamRevokes => &people.dee,
        };
        let key = format!("{}-{:?}", self.id, call.act);
        let body = call.body.to_string().into_bytes();
        caller.with("idempotency-key", &key).try_send(Method::POST, &call.path, Some(body)).await
    }
}

/// The words that a case's state is told in; any other is a failure.
fn word(value: &Value) -> &'static str {
    const WORDS: [&str; 15] = [
        "open",
        "closed",
        "pending",
        "approved",
        "rejected",
        "revoked",
        "completed",
        "canceled",
        "Request created",
        "Request approved",
        "Request rejected",
        "Request canceled",
        "Approval approved",
        "Approval rejected",
        "Approval removed",
    ];
    WORDS.into_iter().find(|word| value == word).unwrap_or_else(|| panic!("an unknown word: {value}"))
}
