//! Everything that somebody can look at, ask and try, in words that mean the same in either world.

use std::fmt;

use fastrand::Rng;
use http::Method;
use serde_json::json;

use super::routes::{KNOWN, methods};
use super::world::World;

/// One call. Words such as `<co/0/contoso>` stand for ids.
#[derive(Debug, Clone)]
pub struct Look {
    pub who: String,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
}

impl Look {
    pub fn new(who: &str, method: Method, path: &str) -> Self {
        Self { who: who.to_owned(), method, path: path.to_owned(), headers: Vec::new(), body: None }
    }

    pub fn saying(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Display for Look {
    /// Without cursors: they hold ids, and are compared where they are given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split("cursor=").next().unwrap_or_default();
        write!(f, "{} {} {path} {:?} {:?}", self.who, self.method, self.headers, self.body)
    }
}

/// An id that nothing has.
pub const ABSENT: &str = "00000000000040008000000000000000";

const LISTS: [&str; 6] = [
    "/v1/consents?view=pending",
    "/v1/consents?view=approved",
    "/v1/audit-log?",
    "/v1/audit-log/reads?",
    "/v1/access-requests?",
    "/v1/support-requests?",
];

/// Ids of the other tenant among them: looking for those must tell nothing.
const FILTERS: [&str; 15] = [
    "support_request=SR-1",
    "support_request=SR-3",
    "support_request=SR-elsewhere-0",
    "actor=vendor/ada",
    "actor=contoso/admin-0",
    "actor=fabrikam/admin-0",
    "from=2026-11-22T10:35:00Z",
    "to=2026-11-22T10:55:00Z",
    "activity=Approval%20approved",
    "data_category=signInLogs",
    "data_category=auditLogs&actor=vendor/ada",
    "support_request=SR-1&actor=fabrikam/admin-0&from=2026-11-22T10:35:00Z",
    "support_request=SR-3&actor=contoso/admin-0&to=2026-11-22T10:55:00Z",
    "activity=Request%20approved&actor=contoso/admin-1",
    "actor=vendor/bob",
];

const ACTIONS: [&str; 17] = [
    "createAccessRequest",
    "viewAccessRequest",
    "cancelAccessRequest",
    "viewSupportRequest",
    "approveConsent",
    "rejectConsent",
    "narrowConsent",
    "revokeConsent",
    "viewConsent",
    "viewApprovedAccess",
    "listConsents",
    "readAuditLog",
    "manageSupportRequests",
    "registerTenant",
    "listOwnRequests",
    "read",
    "make",
];

/// The ids of every kind that anybody could think of, with some that nothing has and some that nothing can have.
fn ids(world: &World, kind: &str) -> Vec<String> {
    let mut ids = match kind {
        "consents" => world.consents(),
        "access-requests" => world.access_requests(),
        "decisions" => world.decisions(),
        "support-requests" => ["SR-1", "SR-3", "SR-5", "SR-elsewhere-0"].map(ToOwned::to_owned).to_vec(),
        _ => ["contoso", "fabrikam", "northwind", "eastwind"].map(ToOwned::to_owned).to_vec(),
    };
    let prefix = match kind {
        "consents" => "co-",
        "decisions" => "",
        _ => "ar-",
    };
    ids.extend([format!("{prefix}{ABSENT}"), "%20".to_owned(), "..%2f..".to_owned(), "%ff".to_owned()]);
    ids
}

/// What the ids in a route name.
fn kind_of(route: &'static str) -> &'static str {
    // Tasks are access requests.
    if route.starts_with("/access/v1/requests") {
        "access-requests"
    } else {
        route.split('/').nth(2).unwrap_or_default()
    }
}

/// What somebody sees at a glance: the lists, and each thing by its id.
pub async fn glance(world: &mut World, who: &str) {
    for list in LISTS {
        world.look_through(who, &format!("{list}&limit=200").replace("?&", "?")).await;
        world.look_through(who, &format!("{list}&limit=2").replace("?&", "?")).await;
    }
    for id in ids(world, "consents") {
        world.look(&Look::new(who, Method::GET, &format!("/v1/consents/{id}"))).await;
    }
    for id in ids(world, "access-requests") {
        world.look(&Look::new(who, Method::GET, &format!("/access/v1/requests/{id}"))).await;
    }
    for id in ids(world, "decisions") {
        world.look(&Look::new(who, Method::GET, &format!("/v1/decisions/{id}/explanation"))).await;
    }
}

/// Everything that can be looked at and asked without changing anything.
pub async fn look_at_everything(world: &mut World, who: &str) {
    glance(world, who).await;
    for list in ["/v1/audit-log?", "/v1/audit-log/reads?"] {
        for filter in FILTERS {
            world.look_through(who, &format!("{list}{filter}&limit=1")).await;
            world.look_on(who, &format!("{list}{filter}&limit=1")).await;
            world.look(&Look::new(who, Method::GET, &format!("{list}{filter}&format=ocsf"))).await;
        }
    }
    for list in ["/v1/audit-log", "/v1/audit-log/reads"] {
        for format in ["jsonl", "ocsf", "jsonl&limit=2", "csv"] {
            world.look(&Look::new(who, Method::GET, &format!("{list}?format={format}"))).await;
        }
    }
    for view in ["pending", "approved"] {
        for limit in ["1", "0", "201", "x"] {
            world.look_through(who, &format!("/v1/consents?view={view}&limit={limit}")).await;
        }
    }
    for route in KNOWN {
        let kind = kind_of(route);
        let paths = if route.contains("{id}") {
            ids(world, kind).iter().map(|id| route.replace("{id}", id)).collect()
        } else {
            vec![route.to_owned()]
        };
        for path in paths {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                let look = Look::new(who, method, &path).with("if-none-match", "\"1\"").with("x-request-id", "mine");
                world.look(&look).await;
            }
        }
    }
    ask_everything(world, who).await;
}

/// Every question about oneself, and some about others.
async fn ask_everything(world: &mut World, who: &str) {
    for id in ids(world, "consents") {
        let search = json!({
            "subject": { "type": "User" }, "action": { "name": "approveConsent" },
            "resource": { "type": "Consent", "id": id },
        });
        world.look(&Look::new(who, Method::POST, "/access/v1/search/subject").saying(search.to_string())).await;
    }
    let mut resources = Vec::new();
    for id in ids(world, "consents") {
        resources.push(("Consent", id));
    }
    for id in ids(world, "access-requests") {
        resources.push(("AccessRequest", id));
    }
    for id in ["SR-1", "SR-3", "SR-5", "SR-elsewhere-0", "SR-none"] {
        resources.push(("SupportRequest", id.to_owned()));
    }
    for tenant in ["contoso", "fabrikam", "northwind", "nowhere"] {
        resources.push(("Tenant", tenant.to_owned()));
        resources.push(("AuditLog", tenant.to_owned()));
        resources.push(("DiagnosticData", format!("{tenant}/signInLogs")));
    }
    resources.push(("Endpoint", "decisions".to_owned()));
    resources.push(("Nonsense", "x".to_owned()));
    for kind in ["User", "SupportEngineer", "Service"] {
        // In another role than their own they are answered by the role.
        let own = if who.starts_with("vendor/") { "SupportEngineer" } else { "User" };
        let actions = if kind == own { &ACTIONS[..] } else { &["viewConsent", "read", "make"] };
        let mut questions = Vec::new();
        for (resource, id) in &resources {
            for action in actions {
                questions.push(json!({
                    "action": { "name": action }, "resource": { "type": resource, "id": id },
                    "context": { "support_request": "SR-1", "resource_tenant": "fabrikam" },
                }));
            }
        }
        for questions in questions.chunks(900) {
            let batch = json!({ "subject": { "type": kind, "id": who }, "evaluations": questions });
            world.look(&Look::new(who, Method::POST, "/access/v1/evaluations").saying(batch.to_string())).await;
        }
        for about in [who, "vendor/ada", "fabrikam/admin-0", "contoso/admin-0"] {
            let question = json!({
                "subject": { "type": kind, "id": about }, "action": { "name": "read" },
                "resource": { "type": "DiagnosticData", "id": "fabrikam/signInLogs" },
                "context": { "support_request": "SR-1" },
            });
            world.look(&Look::new(who, Method::POST, "/access/v1/evaluation").saying(question.to_string())).await;
        }
    }
}

/// Tries every method of every route on every id, with a body and headers drawn at random. Trying comes last: it changes
/// what is there.
pub async fn try_everything(world: &mut World, who: &str, random: &mut Rng) {
    for route in KNOWN {
        let kind = kind_of(route);
        for id in if route.contains("{id}") { ids(world, kind) } else { vec![String::new()] } {
            for method in methods() {
                // Most of the other methods are answered by the router alone.
                if method != Method::POST && random.u8(..4) != 0 {
                    continue;
                }
                world.look(&trial(random, who, method, &route.replace("{id}", &id))).await;
            }
        }
    }
}

fn trial(random: &mut Rng, who: &str, method: Method, path: &str) -> Look {
    let mut look = Look::new(who, method, path);
    let bodies = [
        "{}",
        "",
        "{",
        "[]",
        r#"{"categories":["signInLogs"]}"#,
        r#"{"categories":[]}"#,
        r#"{"until":"2026-11-25T00:00:00Z"}"#,
        r#"{"until":"2026-01-01T00:00:00Z"}"#,
        r#"{"assignee":"vendor/eve"}"#,
        r#"{"display_name":"mine"}"#,
        r#"{"summary":"mine"}"#,
        r#"{"support_request":"SR-1","resource_tenant":"fabrikam","reason":"because"}"#,
        r#"{"support_request":"SR-none","resource_tenant":"fabrikam","reason":"because"}"#,
        r#"{"subject":{"type":"User","id":"x"},"action":{"name":"viewConsent"},"resource":{"type":"Consent","id":"<co/0/contoso>"}}"#,
        r#"{"subject":{"type":"SupportEngineer","id":"vendor/ada"},"action":{"name":"read"},"resource":{"type":"DiagnosticData","id":"fabrikam/signInLogs"},"context":{"support_request":"SR-1","business_justification":"why"},"denial":{"binding_token":"a.b.c","expires_at":"2026-11-22T12:00:00Z"}}"#,
        r#"{"comment":"mine"}"#,
        r#"{"id":"SR-1","number":"1","summary":"s","tenant":"contoso","submitted_in":"admin_center"}"#,
    ];
    if random.u8(..8) != 0 {
        look = look.saying(*random.choice(&bodies).unwrap());
    }
    let headers: [(&str, &str); 8] = [
        ("if-match", "\"1\""),
        ("if-match", "\"2\""),
        ("if-match", "\"7\", \"3\""),
        ("if-match", "*"),
        ("idempotency-key", "key-1"),
        ("idempotency-key", "mine"),
        ("content-type", "text/plain"),
        ("accept", "text/html"),
    ];
    for _ in 0..random.u8(..3) {
        let (name, value) = *random.choice(&headers).unwrap();
        look = look.with(name, value);
    }
    look
}
