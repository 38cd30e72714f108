//! A service in this process with many pairs of tenants, and a client that measures each call on one connection.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use consentry::app::App;
use consentry::clock::{Clock as _, SystemClock};
use consentry::config::{Config, Overrides};
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};
use consentry::policy::{BundleSource, RoleCatalogue};
use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use crate::fixture::Failure;
use crate::fixture::settings;
use crate::processes::pin;

/// What the tenant that is not observed does with its consents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Waits,
    Approves,
    Rejects,
    ApprovesAndRevokes,
}

/// Which of the two tenants of a case is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Observed {
    SupportRequestTenant,
    ResourceTenant,
}

/// One pair of tenants with its cases.
pub(crate) struct Unit {
    /// The administrator of the observed tenant, and somebody there without a role.
    pub(crate) admin: String,
    pub(crate) admin_id: String,
    pub(crate) nobody: String,
    pub(crate) resource_tenant: String,
    pub(crate) cases: Vec<Case>,
}

/// What one support request consists of.
pub(crate) struct Case {
    pub(crate) support_request: String,
    pub(crate) access_request: String,
    /// The consent of the observed tenant, and that of the other one.
    pub(crate) own: String,
    pub(crate) others: String,
    /// The decision on the engineer's read of the resource tenant's data, allowed where both have approved; nothing where
    /// that tenant is observed.
    pub(crate) read: String,
}

/// How many cases each pair of tenants has: the observed tenant approves the first and leaves the second waiting.
const CASES: usize = 2;

/// The service and the one who calls it.
pub(crate) struct Stage {
    runtime: Option<Runtime>,
    app: Option<App>,
    key: DevelopmentKey,
    roles: RoleCatalogue,
    _folder: TempDir,
    stream: TcpStream,
    buffer: Vec<u8>,
    random: Rng,
}

impl Stage {
    pub(crate) fn set() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let key = DevelopmentKey::generate()?;
        std::fs::write(folder.path().join("jwks.json"), key.jwks())?;
        std::fs::write(folder.path().join("consentry.toml"), settings(folder.path(), ""))?;
        let config = Config::read(Some(&folder.path().join("consentry.toml")), &Overrides::default())?;
        // Threads stay where the one stood that began them: the service has the first core, the client the second.
        pin(0);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let app = runtime.block_on(App::start(&config, Arc::new(SystemClock::new())))?;
        pin(1);
        let stream = connect(app.address())?;
        let roles = RoleCatalogue::parse(&BundleSource::shipped().roles.text)?;
        let (runtime, app) = (Some(runtime), Some(app));
        Ok(Self { runtime, app, key, roles, _folder: folder, stream, buffer: Vec::new(), random: Rng::new() })
    }

    /// A new connection: one that rests while something else is measured is cut.
    pub(crate) fn connect_anew(&mut self) -> Result<(), Failure> {
        self.stream = connect(self.app.as_ref().ok_or("stopped")?.address())?;
        Ok(())
    }

    /// A name that says nothing of when or for what it was given.
    pub(crate) fn name(&mut self) -> String {
        format!("{:016x}", self.random.u64(..))
    }

    /// Two tenants, and their cases.
    pub(crate) fn unit(&mut self, observed: Observed, other: Other) -> Result<Unit, Failure> {
        let [tenant, resource_tenant] = [self.name(), self.name()];
        let ticketing = self.token("vendor", "ticketing", None, Some("SupportRequests.Manage"))?;
        let admins =
            [&tenant, &resource_tenant].map(|tenant| self.token(tenant, "admin", Some("Global Administrator"), None));
        let [admin, resource_admin] = admins;
        let (admin, resource_admin) = (admin?, resource_admin?);
        for name in [&tenant, &resource_tenant] {
            self.tell("PUT", &ticketing, &format!("/v1/tenants/{name}"), &json!({ "display_name": name }))?;
        }
        let (own_tenant, own_admin, others_admin) = match observed {
            Observed::SupportRequestTenant => (&tenant, &admin, &resource_admin),
            Observed::ResourceTenant => (&resource_tenant, &resource_admin, &admin),
        };
        let mut cases = Vec::new();
        for nth in 0..CASES {
            let mut case = self.case(&ticketing, &tenant, &resource_tenant, [own_admin, others_admin])?;
            for (command, does) in [
                ("approve", matches!(other, Other::Approves | Other::ApprovesAndRevokes)),
                ("reject", other == Other::Rejects),
                ("revoke", other == Other::ApprovesAndRevokes),
            ] {
                if does {
                    self.tell("POST", others_admin, &format!("/v1/consents/{}/{command}", case.others), &json!({}))?;
                }
            }
            if nth == 0 {
                self.tell("POST", own_admin, &format!("/v1/consents/{}/approve", case.own), &json!({}))?;
            }
            // The resource tenant is told of reads that both allowed, and may be.
            if observed == Observed::SupportRequestTenant {
                case.read = self.read(&case.support_request, &resource_tenant)?;
            }
            cases.push(case);
        }
        let nobody = self.token(own_tenant, "nobody", None, None)?;
        let admin_id = format!("{own_tenant}/admin");
        Ok(Unit { admin: own_admin.clone(), admin_id, nobody, resource_tenant, cases })
    }

    fn case(
        &mut self,
        ticketing: &str,
        tenant: &str,
        resource_tenant: &str,
        admins: [&str; 2],
    ) -> Result<Case, Failure> {
        let support_request = self.name();
        let ada = self.token("vendor", "ada", None, Some("SupportEngineer"))?;
        let opened = json!({
            "id": support_request, "number": support_request, "summary": "sign-ins of guests fail",
            "tenant": tenant, "submitted_in": "admin_center", "assignee": "vendor/ada",
        });
        self.tell("POST", ticketing, "/v1/support-requests", &opened)?;
        let asked = json!({
            "support_request": support_request, "resource_tenant": resource_tenant, "reason": "the logs tell why",
        });
        let request = self.tell("POST", &ada, "/v1/access-requests", &asked)?;
        let access_request = request.get("id").and_then(Value::as_str).ok_or("no id")?.to_owned();
        let mut newest = |admin: &str| -> Result<String, Failure> {
            let list = self.call(&request_of("GET", "/v1/consents?view=pending&limit=1", admin, None))?;
            let list: Value = serde_json::from_slice(list.body)?;
            Ok(list.pointer("/items/0/id").and_then(Value::as_str).ok_or("no consent")?.to_owned())
        };
        let [own, others] = admins.map(&mut newest);
        Ok(Case { support_request, access_request, own: own?, others: others?, read: String::new() })
    }

    /// The engineer's tooling asks; gives the decision's id.
    fn read(&mut self, support_request: &str, resource_tenant: &str) -> Result<String, Failure> {
        let tooling = self.token("vendor", "tooling", None, Some("Decisions.Evaluate"))?;
        let question = json!({
            "subject": { "type": "SupportEngineer", "id": "vendor/ada" }, "action": { "name": "read" },
            "resource": { "type": "DiagnosticData", "id": format!("{resource_tenant}/signInLogs") },
            "context": { "support_request": support_request },
        });
        let answer = self.tell("POST", &tooling, "/access/v1/evaluation", &question)?;
        Ok(answer.pointer("/context/decision_id").and_then(Value::as_str).ok_or("no decision")?.to_owned())
    }

    /// A token, good for the whole run.
    fn token(&self, tenant: &str, object: &str, role: Option<&str>, app_role: Option<&str>) -> Result<String, Failure> {
        Ok(self.key.mint(&DevelopmentClaims {
            issuer: format!("https://issuer.bench.example/{tenant}"),
            audience: "consentry".to_owned(),
            tenant: tenant.parse()?,
            object: object.to_owned(),
            roles: role.and_then(|role| self.roles.by_name(role)).cloned().into_iter().collect(),
            app_roles: app_role.map(str::parse).transpose()?.into_iter().collect(),
            service: ["ticketing", "tooling"].contains(&object),
            issued_at: SystemClock::new().now(),
            lifetime_s: 3_600,
        })?)
    }

    fn tell(&mut self, method: &str, token: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = self.call(&request_of(method, path, token, Some(&body.to_string())))?;
        if !(200..300).contains(&answer.status) {
            return Err(format!("{path}: {} {}", answer.status, String::from_utf8_lossy(answer.body)).into());
        }
        Ok(serde_json::from_slice(answer.body)?)
    }

    /// One call; how long it took, in microseconds, is in the answer.
    pub(crate) fn call(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        self.buffer.resize(1 << 20, 0);
        let began = Instant::now();
        self.stream.write_all(request)?;
        let mut filled = 0;
        let (head, length) = loop {
            match self.stream.read(self.buffer.get_mut(filled..).ok_or("too long")?) {
                Ok(0) => return Err("the service hung up".into()),
                Ok(count) => filled += count,
                // It does not sleep: how fast a core wakes up depends on what was done before, and is not the service's.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::yield_now();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let got = self.buffer.get(..filled).unwrap_or_default();
            let Some(head) = got.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(got.get(..head).unwrap_or_default())?;
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let length: usize = length.parse()?;
            if filled >= head + 4 + length {
                break (head, length);
            }
        };
        let micros = began.elapsed().as_secs_f64() * 1e6;
        let status = std::str::from_utf8(self.buffer.get(9..12).unwrap_or_default())?.parse()?;
        Ok(Answer { status, micros, body: self.buffer.get(head + 4..head + 4 + length).unwrap_or_default() })
    }

    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        if let (Some(runtime), Some(app)) = (self.runtime.take(), self.app.take()) {
            self.stream.shutdown(std::net::Shutdown::Both)?;
            runtime.block_on(app.stop())?;
        }
        Ok(())
    }
}

pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) micros: f64,
    pub(crate) body: &'a [u8],
}

fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// A request as bytes.
pub(crate) fn request_of(method: &str, path: &str, token: &str, body: Option<&str>) -> Vec<u8> {
    let content = body.map(|body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    let content = content.unwrap_or_default();
    let body = body.unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{content}\r\n{body}")
        .into()
}
