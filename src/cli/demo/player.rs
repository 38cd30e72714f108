//! Plays steps: turns what somebody does into HTTP calls with their token.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Value, json};

use super::cast::Who;
use super::check::Answer;
use super::stage::Stage;
use super::story::{Call, SUPPORT_REQUEST, Step};

/// No call of the demo takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls the server as anybody, and remembers who approved what.
pub(super) struct Player<'a> {
    stage: &'a Stage,
    http: reqwest::Client,
    approved: BTreeMap<Who, String>,
}

impl<'a> Player<'a> {
    /// A player on this stage.
    pub(super) fn new(stage: &'a Stage) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            // The server speaks plain HTTP on this machine: the demo works where no root certificates are installed.
            .tls_certs_only([])
            .timeout(PATIENCE)
            .build()?;
        Ok(Self { stage, http, approved: BTreeMap::new() })
    }

    /// Plays a step. A decision is asked for twice; the second answer comes from the cache.
    pub(super) async fn play(&mut self, step: &Step) -> anyhow::Result<Vec<Answer>> {
        let request = self.request(step.who, step.call).await?;
        let mut answers = vec![self.send(step.who, &request).await?];
        if let Call::MayAda { .. } = step.call {
            answers.push(self.send(step.who, &request).await?);
        }
        Ok(answers)
    }

    /// The consents that wait for the two administrators.
    pub(super) async fn pending_consents(&self) -> anyhow::Result<BTreeMap<Who, String>> {
        let mut pending = BTreeMap::new();
        for who in [Who::Cyd, Who::Dee] {
            pending.insert(who, self.pending_consent(who).await?);
        }
        Ok(pending)
    }

    async fn request(&mut self, who: Who, call: Call) -> anyhow::Result<Request> {
        let support_request = format!("/v1/support-requests/{SUPPORT_REQUEST}");
        Ok(match call {
            Call::Register { tenant, display_name } => {
                Request::new(Method::PUT, format!("/v1/tenants/{tenant}"), json!({ "display_name": display_name }))
            }
            Call::OpenSupportRequest => post(
                "/v1/support-requests",
                json!({
                    "id": SUPPORT_REQUEST, "number": "2611-0042", "summary": "Guests from Fabrikam cannot sign in",
                    "tenant": "contoso", "submitted_in": "admin_center", "assignee": "vendor/ada",
                }),
            ),
            Call::AskForAccess { resource_tenant } => post(
                "/v1/access-requests",
                json!({
                    "support_request": SUPPORT_REQUEST, "resource_tenant": resource_tenant,
                    "reason": "the guests' sign-in logs are in their home tenant",
                }),
            ),
            Call::Approve => {
                let consent = self.pending_consent(who).await?;
                let path = format!("/v1/consents/{consent}/approve");
                self.approved.insert(who, consent);
                post(path, json!({}))
            }
            Call::RemoveAccess => {
                let consent = self.approved.get(&who).context("they have approved nothing")?;
                post(format!("/v1/consents/{consent}/revoke"), json!({}))
            }
            Call::Close => post(format!("{support_request}/close"), json!({})),
            Call::Reopen => post(format!("{support_request}/reopen"), json!({})),
            Call::MayAda { verb, data } => post("/access/v1/evaluation", question(verb, data)),
            Call::AuditLog => Request::new(Method::GET, "/v1/audit-log", Value::Null),
            Call::Uses => Request::new(Method::GET, "/v1/audit-log/reads", Value::Null),
        })
    }

    async fn pending_consent(&self, who: Who) -> anyhow::Result<String> {
        let list = Request::new(Method::GET, "/v1/consents?view=pending", Value::Null);
        let answer = self.send(who, &list).await?;
        match answer.body.pointer("/items/0/id").and_then(Value::as_str) {
            Some(consent) => Ok(consent.to_owned()),
            None => bail!("no consent waits for {}: {} {}", who.name(), answer.status, answer.body),
        }
    }

    async fn send(&self, who: Who, request: &Request) -> anyhow::Result<Answer> {
        let url = format!("{}{}", self.stage.url(), request.path);
        let mut call = self.http.request(request.method.clone(), url).bearer_auth(self.stage.token(who));
        if !request.body.is_null() {
            call = call.json(&request.body);
        }
        let asked_at = Instant::now();
        let response = call.send().await?;
        let status = response.status();
        let bytes = response.bytes().await?;
        let took = asked_at.elapsed();
        let body = serde_json::from_slice(&bytes).with_context(|| format!("{status}: the answer is not JSON"))?;
        Ok(Answer { status: status.as_u16(), body, took })
    }
}

/// The read question about Ada.
pub(super) fn question(verb: &str, data: &str) -> Value {
    json!({
        "subject": { "type": "SupportEngineer", "id": "vendor/ada" },
        "action": { "name": verb },
        "resource": { "type": "DiagnosticData", "id": data },
        "context": { "support_request": SUPPORT_REQUEST },
    })
}

struct Request {
    method: Method,
    path: String,
    /// Null: none.
    body: Value,
}

impl Request {
    fn new(method: Method, path: impl Into<String>, body: Value) -> Self {
        Self { method, path: path.into(), body }
    }
}

fn post(path: impl Into<String>, body: Value) -> Request {
    Request::new(Method::POST, path, body)
}
