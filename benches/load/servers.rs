//! What is measured: the service, and the floor, each a process of its own on one core.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use consentry::clock::{Clock as _, SystemClock};
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};
use consentry::policy::{BundleSource, RoleCatalogue};
use serde::Deserialize;

use crate::client::Address;
use crate::fixture::{Failure, settings};
use crate::{EVALUATION, processes};

/// A server process; it ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) tcp: Address,
    pub(crate) ready_in: Duration,
}

impl Server {
    /// The service on this folder's store and settings.
    pub(crate) fn ours(folder: &Path) -> Result<Self, Failure> {
        Self::start(&["serve-ours", &folder.display().to_string()])
    }

    /// The floor that gives this answer.
    pub(crate) fn floor(answer: &str) -> Result<Self, Failure> {
        Self::start(&["serve-floor", answer])
    }

    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let started = Instant::now();
        let (process, address) = processes::started(arguments)?;
        Ok(Self { process, tcp: Address::Tcp(address), ready_in: started.elapsed() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn resident_mb(&self) -> Result<usize, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        let kib: usize = line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?;
        Ok(kib / 1024)
    }

    /// Processor time used so far, of all threads, in ticks of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        cpu_of(self.id())
    }
}

/// The processor time that a process has used, of all threads, in ticks of 10 ms.
pub(crate) fn cpu_of(process: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold anything, but no field after it holds a bracket.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64, Failure> { Ok(fields.get(at).ok_or("no time")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Who the tokens name.
pub(crate) struct People {
    key: DevelopmentKey,
    administrator: RoleCatalogue,
}

impl People {
    /// The diagnostic tooling.
    pub(crate) fn tooling(&self) -> Result<String, Failure> {
        self.token("vendor", "tooling", true)
    }

    /// An administrator of this tenant, who may revoke there.
    pub(crate) fn administrator(&self, tenant: &str) -> Result<String, Failure> {
        self.token(tenant, "administrator", false)
    }

    fn token(&self, tenant: &str, object: &str, service: bool) -> Result<String, Failure> {
        let role = self.administrator.by_name("Global Administrator").ok_or("no such role")?;
        Ok(self.key.mint(&DevelopmentClaims {
            issuer: format!("https://issuer.bench.example/{tenant}"),
            audience: "consentry".to_owned(),
            tenant: tenant.parse()?,
            object: object.to_owned(),
            roles: if service { Vec::new() } else { vec![role.clone()] },
            app_roles: if service { vec!["Decisions.Evaluate".parse()?] } else { Vec::new() },
            service,
            issued_at: SystemClock::new().now(),
            lifetime_s: 3_600,
        })?)
    }
}

/// The socket of the server in this folder.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("decisions.sock")
}

/// Settings and keys of a server in this folder.
pub(crate) fn prepare(folder: &Path, log_mode: &str) -> Result<People, Failure> {
    let key = DevelopmentKey::generate()?;
    std::fs::write(folder.join("jwks.json"), key.jwks())?;
    let more = format!("server.unix_socket = \"{}\"\ndecision_log.mode = \"{log_mode}\"", socket(folder).display());
    std::fs::write(folder.join("consentry.toml"), settings(folder, &more))?;
    Ok(People { key, administrator: RoleCatalogue::parse(&BundleSource::shipped().roles.text)? })
}

#[derive(Deserialize)]
struct Entity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
struct Action {
    name: String,
}

#[derive(Deserialize)]
struct Context {
    support_request: String,
}

#[derive(Deserialize)]
struct Evaluation {
    subject: Entity,
    action: Action,
    resource: Entity,
    context: Context,
}

/// The floor: parses, decides nothing.
pub(crate) fn serve_floor(answer: String) -> Result<(), Failure> {
    let answer = Bytes::from(answer);
    let evaluate = move |body: Bytes| {
        let answer = answer.clone();
        async move {
            let parsed: Result<Evaluation, _> = serde_json::from_slice(&body);
            let known = parsed.is_ok_and(|evaluation| {
                let Evaluation { subject, action, resource, context } = evaluation;
                let parts = [subject.kind, subject.id, action.name, resource.kind, resource.id];
                !context.support_request.is_empty() && parts.iter().all(|part| !part.is_empty())
            });
            let status = if known { http::StatusCode::OK } else { http::StatusCode::BAD_REQUEST };
            (status, [(http::header::CONTENT_TYPE, "application/json")], answer)
        }
    };
    let routes = Router::new().route(EVALUATION, post(evaluate));
    processes::serve_routes(tokio::runtime::Builder::new_multi_thread(), routes)
}
