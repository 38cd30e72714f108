//! A service in this process, called without a network: requests in, replies out, each looked at for what always holds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::LocalKey;

use axum::Router;
use axum::body::Body;
use consentry::app::App;
use consentry::clock::ManualClock;
use consentry::config::Config;
use consentry::http::{Via, router};
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};
use consentry::model::Timestamp;
use consentry::policy::{BundleSource, RoleCatalogue};
use figment::Figment;
use figment::providers::{Format as _, Toml};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

pub(super) const ISSUER: &str = "https://issuer.test.example/{tid}";
pub(super) const AUDIENCE: &str = "consentry";
/// The time in every front.
pub(super) const NOW: &str = "2026-11-22T10:00:00Z";

/// The development key of every front, so that an input means the same in every run: Ed25519 in PKCS#8 (RFC 8410), the
/// private key all sevens.
pub(super) const KEY: [u8; 48] = {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let mut key = [7; 48];
    let mut at = 0;
    while at < head.len() {
        key[at] = head[at];
        at += 1;
    }
    key
};

/// The key that signs what callers carry from a denial to an access request (RFC 8410, section 10.3).
const REFERENCES: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                          -----END PRIVATE KEY-----\n";

/// The tenants of the granted front. A guest model has none.
const TENANTS: &str = "tenants = [{ id = \"contoso\", display_name = \"Contoso\" }, \
                       { id = \"fabrikam\", display_name = \"Fabrikam\" }]";

/// The records model, which is served as a guest.
const RECORDS: [(&str, &str); 4] = [
    ("model.toml", include_str!("../../../data/records/model.toml")),
    ("schemas/records.cedarschema", include_str!("../../../data/records/schemas/records.cedarschema")),
    ("policies/records.cedar", include_str!("../../../data/records/policies/records.cedar")),
    ("entities.json", include_str!("../../../data/records/entities.json")),
];

/// After so many uses a front is thrown away: what hostile input made it store must not pile up.
const USES: usize = 3_000;

/// The longest answer to a request that was no good. Complaints may quote, but not give back everything they were sent.
const LONGEST_COMPLAINT: usize = 8 * 1024;

/// Who calls: tenant, object, directory roles, app roles, whether it is a program.
const PEOPLE: [(&str, &str, &str, &str, bool); 7] = [
    ("tooling", "vendor", "", "Decisions.Evaluate", true),
    ("ticketing", "vendor", "", "SupportRequests.Manage", true),
    ("ada", "vendor", "", "SupportEngineer", false),
    ("bob", "vendor", "", "SupportEngineer", false),
    ("cyd", "contoso", "Global Administrator", "", false),
    ("dee", "fabrikam", "Global Administrator", "", false),
    ("eve", "fabrikam", "", "", false),
];

/// A service, most often the one in which `vendor/ada` may read fabrikam's data under contoso's `SR-1`, both tenants having approved. Under
/// `SR-2` she has asked for the same and nobody has decided.
pub(super) struct Front {
    runtime: Option<Runtime>,
    app: Option<App>,
    pub(super) folder: TempDir,
    routes: Router,
    tokens: HashMap<&'static str, String>,
    /// Ids that differ from front to front, by the placeholders that stand for them in inputs.
    placeholders: Vec<(&'static str, String)>,
    uses: usize,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) json: Value,
}

type Kept = RefCell<Option<Front>>;

thread_local! {
    static FRONT: Kept = const { RefCell::new(None) };
    static GUEST: Kept = const { RefCell::new(None) };
}

/// Runs with this thread's front.
pub(super) fn with_front<R>(work: impl FnOnce(&Front) -> R) -> R {
    with(&FRONT, Front::granted, work)
}

/// Runs with this thread's front of the records model, a guest.
pub(super) fn with_guest<R>(work: impl FnOnce(&Front) -> R) -> R {
    with(&GUEST, Front::guest, work)
}

fn with<R>(kept: &'static LocalKey<Kept>, make: fn() -> Front, work: impl FnOnce(&Front) -> R) -> R {
    kept.with_borrow_mut(|kept| {
        if kept.as_ref().is_some_and(|front| front.uses >= USES) {
            *kept = None;
        }
        let front = kept.get_or_insert_with(make);
        front.uses += 1;
        work(front)
    })
}

/// Settings for a service in this folder, with the bundle and the key set that lie there, and more at the top.
fn settings(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    format!(
        r#"
        {more}
        mode = "development"
        server.listen = "127.0.0.1:0"
        server.read_timeout_ms = 500
        store.path = "{folder}/store.db"
        decision_log.path = "{folder}/decisions"
        policy.directory = "{folder}/bundle"
        policy.watch = false

        [identity]
        vendor_tenants = ["vendor"]

        [[identity.issuers]]
        issuer = "{ISSUER}"
        audiences = ["{AUDIENCE}"]
        algorithms = ["EdDSA"]
        jwks_file = "{folder}/jwks.json"
        development = true
        "#
    )
}

/// The key of every front, read from a file in this folder.
pub(super) fn key(folder: &Path) -> DevelopmentKey {
    let path = folder.join("development.key");
    std::fs::write(&path, KEY).unwrap();
    DevelopmentKey::load_or_create(&path).unwrap()
}

fn tokens(key: &DevelopmentKey) -> HashMap<&'static str, String> {
    let catalogue = RoleCatalogue::parse(&BundleSource::shipped().roles.text).unwrap();
    let token = |(object, tenant, role, app_role, service): (&'static str, &str, &str, &str, bool)| {
        let claims = DevelopmentClaims {
            issuer: ISSUER.replace("{tid}", tenant),
            audience: AUDIENCE.to_owned(),
            tenant: tenant.parse().unwrap(),
            object: object.to_owned(),
            roles: catalogue.by_name(role).into_iter().cloned().collect(),
            app_roles: app_role.parse().into_iter().collect(),
            service,
            issued_at: NOW.parse().unwrap(),
            lifetime_s: 600,
        };
        (object, key.mint(&claims).unwrap())
    };
    PEOPLE.into_iter().map(token).collect()
}

fn write_bundle(folder: &Path) {
    let BundleSource { schema, roles, policies } = BundleSource::shipped();
    for file in policies.into_iter().chain([schema, roles]) {
        let path = folder.join("bundle").join(file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.text).unwrap();
    }
}

/// The records model in a folder in this one.
fn write_records(folder: &Path) {
    for (name, text) in RECORDS {
        let path = folder.join("records").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

impl Front {
    fn granted() -> Self {
        let folder = TempDir::new().unwrap();
        let references = folder.path().join("references.pem");
        std::fs::write(&references, REFERENCES).unwrap();
        let more = format!("{TENANTS}\naccess_requests.signing_key = \"{}\"", references.display());
        let mut front = Self::start(folder, &more);
        front.set_up();
        front
    }

    fn guest() -> Self {
        let folder = TempDir::new().unwrap();
        write_records(folder.path());
        let more = format!("guest_model.directory = \"{}/records\"", folder.path().display());
        Self::start(folder, &more)
    }

    fn start(folder: TempDir, more: &str) -> Self {
        let key = key(folder.path());
        std::fs::write(folder.path().join("jwks.json"), key.jwks()).unwrap();
        write_bundle(folder.path());
        let config: Config = Figment::from(Toml::string(&settings(folder.path(), more))).extract().unwrap();
        config.check().unwrap();
        let clock = ManualClock::at(NOW.parse::<Timestamp>().unwrap());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let app = runtime.block_on(App::start(&config, Arc::new(clock))).unwrap();
        let routes = router(Arc::clone(app.edge()), Via::Tcp);
        let (tokens, placeholders) = (tokens(&key), Vec::new());
        Self { runtime: Some(runtime), app: Some(app), folder, routes, tokens, placeholders, uses: 0 }
    }

    fn set_up(&mut self) {
        for id in ["SR-1", "SR-2"] {
            let opening = json!({
                "id": id, "number": id, "summary": "sign-in fails", "tenant": "contoso",
                "submitted_in": "admin_center", "assignee": "vendor/ada",
            });
            self.must("ticketing", "POST", "/v1/support-requests", &opening);
            let wish = json!({ "support_request": id, "resource_tenant": "fabrikam", "reason": "the logs tell why" });
            let asked = self.must("ada", "POST", "/v1/access-requests", &wish);
            self.placeholders.push(("{access_request}", asked["id"].as_str().unwrap().to_owned()));
            for (admin, placeholder) in [("cyd", "{cyds}"), ("dee", "{dees}")] {
                let waiting = self.must("cyd", "GET", "/v1/consents?view=pending", &Value::Null);
                assert_eq!(waiting["pending_count"], 1);
                let waiting = self.must(admin, "GET", "/v1/consents?view=pending", &Value::Null);
                let consent = waiting["items"][0]["id"].as_str().unwrap().to_owned();
                if id == "SR-1" && admin == "dee" {
                    let path = format!("/v1/consents/{}/approve", self.fill("{cyds}"));
                    self.must("cyd", "POST", &path, &json!({}));
                    self.must("dee", "POST", &format!("/v1/consents/{consent}/approve"), &json!({}));
                }
                self.placeholders.retain(|(name, _)| *name != placeholder);
                self.placeholders.push((placeholder, consent));
            }
        }
        assert!(self.ada_may_read());
        // A denial that an access request would cure.
        self.must("ticketing", "PUT", "/v1/tenants/northwind", &json!({ "display_name": "Northwind" }));
        let question = json!({
            "subject": { "type": "SupportEngineer", "id": "vendor/ada" }, "action": { "name": "read" },
            "resource": { "type": "DiagnosticData", "id": "northwind/signInLogs" },
            "context": { "support_request": "SR-1" },
        });
        let denial = self.must("tooling", "POST", "/access/v1/evaluation", &question);
        let binding = denial["context"]["access_request"]["binding_token"].as_str().unwrap().to_owned();
        self.placeholders.push(("{binding}", binding));
    }

    fn must(&self, who: &str, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let reply = self.call(self.request(who, method, path, body).unwrap());
        assert!(reply.status < 300, "{reply:?}");
        reply.json
    }

    /// The text with the front's own ids in place of their placeholders.
    pub(super) fn fill(&self, text: &str) -> String {
        self.placeholders.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.app().address()
    }

    pub(super) fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    /// The token of somebody; nobody has none.
    pub(super) fn token(&self, who: &str) -> Option<&str> {
        self.tokens.get(who).map(String::as_str)
    }

    /// A request of somebody's with a JSON body; none when there can be no such request.
    pub(super) fn request(&self, who: &str, method: &str, path: &str, body: Vec<u8>) -> Option<Request<Body>> {
        let uri: Uri = path.parse().ok()?;
        let mut request = Request::builder().method(method).uri(uri).body(Body::from(body)).ok()?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = self.token(who) {
            headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        }
        Some(request)
    }

    /// The answer, once everything has been found that must hold for any.
    pub(super) fn call(&self, request: Request<Body>) -> Reply {
        let request_id = request.headers().get("x-request-id").cloned();
        let (parts, bytes) = self.block_on(async {
            let (parts, body) = self.routes.clone().oneshot(request).await.unwrap().into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        });
        let text = String::from_utf8(bytes.to_vec()).expect("an answer is text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status: parts.status.as_u16(), headers: parts.headers, text, json };
        assert!(reply.status < 500, "an error of ours: {reply:?}");
        assert_eq!(reply.headers.get("x-request-id"), request_id.as_ref(), "{reply:?}");
        if reply.status >= 400 {
            reply.is_a_problem();
        }
        reply
    }

    /// Whether the one read is allowed that is allowed here.
    pub(super) fn ada_may_read(&self) -> bool {
        let question = json!({
            "subject": { "type": "SupportEngineer", "id": "vendor/ada" },
            "action": { "name": "read" },
            "resource": { "type": "DiagnosticData", "id": "fabrikam/signInLogs" },
            "context": { "support_request": "SR-1" },
        });
        let request = self.request("tooling", "POST", "/access/v1/evaluation", question.to_string().into_bytes());
        let reply = self.call(request.unwrap());
        reply.status == 200 && reply.json["decision"] == true
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let (runtime, app) = (self.runtime.take().unwrap(), self.app.take().unwrap());
        // In a thread of its own: where this one ends, what a runtime needs may be gone before its front.
        std::thread::spawn(move || runtime.block_on(app.stop()).unwrap()).join().unwrap();
    }
}

impl Reply {
    /// A problem (RFC 9457) says what is wrong, names the field when a part of the request is malformed, never allows
    /// anything, and is short.
    fn is_a_problem(&self) {
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{self:?}");
        assert_eq!(self.json["status"], self.status, "{self:?}");
        assert!(self.json["code"].as_str().is_some_and(|code| !code.is_empty()), "{self:?}");
        assert_ne!(self.json["decision"], true, "{self:?}");
        if self.json["code"] == "invalid_request" {
            assert!(self.json["field"].as_str().is_some_and(|field| !field.is_empty()), "{self:?}");
        }
        assert!(self.text.len() <= LONGEST_COMPLAINT, "a complaint of {} bytes", self.text.len());
    }

    /// The field that a problem names.
    pub(super) fn field(&self) -> &str {
        self.json["field"].as_str().unwrap_or_default()
    }
}

/// The first line of an input, and the rest.
pub(super) fn first_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(line).ok()?, rest.get(1..)?))
}

/// Bytes as they may stand in a path or a query: every one percent-encoded but letters and digits.
pub(super) fn percent(bytes: &[u8]) -> String {
    let one = |byte: &u8| {
        if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
    };
    bytes.iter().map(one).collect()
}
