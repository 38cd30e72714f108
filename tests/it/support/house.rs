//! A running service, and short words for what happens in every test.

use std::path::Path;
use std::sync::Arc;

use consentry::app::App;
use consentry::clock::ManualClock;
use consentry::config::Config;
use consentry::identity::development::DevelopmentKey;
use consentry::model::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::person::{Person, Reply};

pub const ISSUER: &str = "https://issuer.test.example/{tid}";
pub const AUDIENCE: &str = "consentry";

/// A service with its own folder, clock and key.
pub struct House {
    pub app: Option<App>,
    pub clock: ManualClock,
    pub key: Arc<DevelopmentKey>,
    pub url: String,
    pub folder: TempDir,
    pub config: Config,
}

impl House {
    /// A service with two registered tenants, `contoso` and `fabrikam`, and the vendor's tenant `vendor`.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, with more settings (TOML sections or top-level keys of other sections than the ones set here).
    pub async fn start_with(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let key = Arc::new(DevelopmentKey::generate().unwrap());
        std::fs::write(folder.path().join("jwks.json"), key.jwks()).unwrap();
        let config = config(folder.path(), more);
        let clock = ManualClock::at("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap());
        // On the heap: the start of everything is a large future, and tests hold several.
        let app = Box::pin(App::start(&config, Arc::new(clock.clone()))).await.unwrap();
        let url = format!("http://{}", app.address());
        Self { app: Some(app), clock, key, url, folder, config }
    }

    /// A service in which `vendor/ada` may read fabrikam's data under contoso's support request `SR-1`: `cyd` of contoso
    /// and `dee` of fabrikam have approved.
    pub async fn granted() -> Self {
        let house = Self::start().await;
        house.grant().await;
        house
    }

    /// Makes it so that `vendor/ada` may read fabrikam's data under `SR-1`.
    pub async fn grant(&self) {
        self.open("SR-1", "contoso", "vendor/ada").await;
        self.ask(&self.engineer("ada"), "SR-1", "fabrikam").await;
        self.approve(&self.admin("contoso", "cyd")).await;
        self.approve(&self.admin("fabrikam", "dee")).await;
    }

    /// Stops the service; everything that it recorded is on the disk, and signed.
    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await.unwrap();
        }
    }

    /// Stops the service and starts it again on the same folder.
    pub async fn restart(&mut self) {
        self.stop().await;
        let app = Box::pin(App::start(&self.config, Arc::new(self.clock.clone()))).await.unwrap();
        self.url = format!("http://{}", app.address());
        self.app = Some(app);
    }

    pub fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    /// Somebody with these directory roles (by name) and app roles.
    pub fn person(&self, tenant: &str, object: &str, roles: &[&str], app_roles: &[&str]) -> Person {
        Person::new(self, tenant, object, roles, app_roles, false)
    }

    /// An administrator: Global Administrator of the tenant.
    pub fn admin(&self, tenant: &str, object: &str) -> Person {
        self.person(tenant, object, &["Global Administrator"], &[])
    }

    /// A support engineer of the vendor.
    pub fn engineer(&self, object: &str) -> Person {
        self.person("vendor", object, &[], &["SupportEngineer"])
    }

    /// A program of the vendor.
    pub fn service(&self, object: &str, app_roles: &[&str]) -> Person {
        Person::new(self, "vendor", object, &[], app_roles, true)
    }

    /// The ticketing system.
    pub fn ticketing(&self) -> Person {
        self.service("ticketing", &["SupportRequests.Manage"])
    }

    /// The diagnostic tooling.
    pub fn tooling(&self) -> Person {
        self.service("tooling", &["Decisions.Evaluate"])
    }

    /// The ticketing system opens a support request from the admin centers, assigned to this engineer.
    pub async fn open(&self, id: &str, tenant: &str, assignee: &str) -> Reply {
        self.open_with(id, tenant, json!({ "assignee": assignee })).await
    }

    /// The same, with other members.
    pub async fn open_with(&self, id: &str, tenant: &str, more: Value) -> Reply {
        let mut body = json!({
            "id": id, "number": format!("N-{id}"), "summary": format!("summary of {id}"), "tenant": tenant,
            "submitted_in": "admin_center",
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = self.ticketing().post("/v1/support-requests", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply
    }

    /// The engineer asks for access; gives the access request's id.
    pub async fn ask(&self, engineer: &Person, support_request: &str, resource_tenant: &str) -> String {
        let body = json!({ "support_request": support_request, "resource_tenant": resource_tenant, "reason": "sign-in fails" });
        let reply = engineer.post("/v1/access-requests", &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json["id"].as_str().unwrap().to_owned()
    }

    /// The consents of contoso and of fabrikam under `SR-1`, asked for by `vendor/ada` and not decided.
    pub async fn asked(&self) -> (String, String) {
        self.open("SR-1", "contoso", "vendor/ada").await;
        self.ask(&self.engineer("ada"), "SR-1", "fabrikam").await;
        (self.pending(&self.admin("contoso", "cyd")).await, self.pending(&self.admin("fabrikam", "dee")).await)
    }

    /// The records of the decision log, oldest first.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("decisions/00000000000000000000.jsonl")).unwrap();
        let json = |line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        text.lines().map(json).filter(|record| record["type"] != "segment").collect()
    }

    /// Whether the service is up and every part of it works.
    pub async fn is_well(&self) {
        let reply = self.tooling().holding("").get("/readyz").await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// The newest consent that waits for this administrator.
    pub async fn pending(&self, admin: &Person) -> String {
        let reply = admin.get("/v1/consents?view=pending").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json["items"][0]["id"].as_str().unwrap_or_else(|| panic!("nothing is pending: {reply:?}")).to_owned()
    }

    /// The administrator approves the newest consent that waits for them; gives its id.
    pub async fn approve(&self, admin: &Person) -> String {
        self.approve_with(admin, json!({})).await
    }

    /// The same, narrowed.
    pub async fn approve_with(&self, admin: &Person, scope: Value) -> String {
        let id = self.pending(admin).await;
        let reply = admin.post(&format!("/v1/consents/{id}/approve"), &scope).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        id
    }

    /// The tooling asks whether an engineer may read.
    pub async fn may_read(&self, engineer: &str, resource: &str, support_request: &str) -> Reply {
        self.may(engineer, "read", resource, support_request).await
    }

    /// The tooling asks whether an engineer may do something with diagnostic data.
    pub async fn may(&self, engineer: &str, verb: &str, resource: &str, support_request: &str) -> Reply {
        self.tooling().post("/access/v1/evaluation", &question(engineer, verb, resource, support_request)).await
    }

    /// Asserts that the read is allowed.
    pub async fn allows(&self, engineer: &str, resource: &str, support_request: &str) {
        let reply = self.may_read(engineer, resource, support_request).await;
        assert_eq!((reply.status, reply.decision()), (200, true), "{reply:?}");
    }

    /// Asserts that the read is denied for this reason.
    pub async fn denies(&self, code: &str, engineer: &str, resource: &str, support_request: &str) {
        let reply = self.may_read(engineer, resource, support_request).await;
        assert_eq!((reply.status, reply.decision(), reply.code()), (200, false, code), "{reply:?}");
    }

    /// The ticketing system closes the support request.
    pub async fn close(&self, support_request: &str) {
        let reply = self.ticketing().post(&format!("/v1/support-requests/{support_request}/close"), &json!({})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// An AuthZEN read question.
pub fn question(engineer: &str, verb: &str, resource: &str, support_request: &str) -> Value {
    json!({
        "subject": { "type": "SupportEngineer", "id": engineer },
        "action": { "name": verb },
        "resource": { "type": "DiagnosticData", "id": resource },
        "context": { "support_request": support_request },
    })
}

/// Settings for a service in this folder.
pub fn config(folder: &Path, more: &str) -> Config {
    let path = folder.join("consentry.toml");
    std::fs::write(&path, settings(folder, more)).unwrap();
    Config::read(Some(&path), &consentry::config::Overrides::default()).unwrap()
}

/// The text of those settings.
pub fn settings(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    // Beside a guest model nothing of support access may be set, and a fleet's tenants are its authorities' business.
    let tenants = if more.contains("guest_model.") || more.contains("fleet.role = \"sidecar\"") {
        ""
    } else {
        r#"tenants = [
            { id = "contoso", display_name = "Contoso" },
            { id = "fabrikam", display_name = "Fabrikam" },
        ]"#
    };
    format!(
        r#"
        mode = "development"
        server.listen = "127.0.0.1:0"
        store.path = "{folder}/store.db"
        decision_log.path = "{folder}/decisions"
        {tenants}
        {more}

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
