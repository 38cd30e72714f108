//! Processes on one core: the service, the API, and Envoy with the configuration of `deploy/envoy/`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use consentry::clock::{Clock as _, SystemClock};
use consentry::identity::development::{DevelopmentClaims, DevelopmentKey};

use crate::client::Address;
use crate::fixture::{Failure, settings};
use crate::processes;

pub(crate) type Key = DevelopmentKey;

const MAPPING: &str = r#"
[engineer]
from = "token"

[[routes]]
methods = ["GET"]
path = "/v1/{tenant}/{category}"
action = "read"
tenant = "{tenant}"
category = "{category}"
support_request = "{header:x-support-request}"
"#;
const ENVOY: &str = include_str!("../../deploy/envoy/envoy.yaml");
const PATIENCE: Duration = Duration::from_secs(20);

/// A server process; it ends with this value.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: Address,
}

impl Process {
    pub(crate) fn ours(folder: &Path) -> Result<Self, Failure> {
        Self::announced(&["serve-ours", &folder.display().to_string()])
    }

    pub(crate) fn api() -> Result<Self, Failure> {
        Self::announced(&["serve-api"])
    }

    fn announced(arguments: &[&str]) -> Result<Self, Failure> {
        let (child, address) = processes::started(arguments)?;
        Ok(Self { child, address: Address::Tcp(address) })
    }

    /// An Envoy in front of the API that asks the service in this folder, or nobody.
    pub(crate) fn envoy(folder: &Path, name: &str, api: &Address, asks: bool) -> Result<Self, Failure> {
        let Address::Tcp(api) = api else { return Err("the API listens on TCP".into()) };
        let folder = folder.join(name);
        std::fs::create_dir(&folder)?;
        // Nobody knows a free port before it is bound: one that was just free, then.
        let free = || Ok::<_, Failure>(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?);
        let listen = free()?;
        let mut text = ENVOY
            .replace("port_value: 9901", "port_value: 0")
            .replace("port_value: 8080", &format!("port_value: {}", listen.port()))
            .replace("port_value: 8700", &format!("port_value: {}", api.port()))
            .replace("/run/consentry/envoy.sock", &folder.with_file_name("envoy.sock").display().to_string());
        if !asks {
            let (before, rest) =
                text.split_once("                  - name: envoy.filters.http.ext_authz").ok_or("no filter")?;
            let (_, after) =
                rest.split_once("                  - name: envoy.filters.http.router").ok_or("no router")?;
            text = format!("{before}                  - name: envoy.filters.http.router{after}");
        }
        std::fs::write(folder.join("envoy.yaml"), text)?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/envoy/bin/envoy");
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(["-c", "envoy.yaml", "-l", "error", "--concurrency", "1", "--disable-hot-restart"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .spawn()?;
        let process = Self { child, address: Address::Tcp(listen) };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(listen).is_err() {
            if Instant::now() > deadline {
                return Err("Envoy does not listen; `./test` installs it".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Until its first look at the service.
        std::thread::sleep(Duration::from_secs(3));
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings, mapping and key of the service in this folder.
pub(crate) fn prepare(folder: &Path) -> Result<Key, Failure> {
    let key = DevelopmentKey::generate()?;
    std::fs::write(folder.join("jwks.json"), key.jwks())?;
    std::fs::write(folder.join("mapping.toml"), MAPPING)?;
    let shown = folder.display();
    let more = format!("[ext_authz]\nunix_socket = \"{shown}/envoy.sock\"\nmapping = \"{shown}/mapping.toml\"");
    std::fs::write(folder.join("consentry.toml"), settings(folder, &more))?;
    Ok(key)
}

/// A token of an engineer, `vendor/<object>`.
pub(crate) fn token(key: &Key, engineer: &str) -> Result<String, Failure> {
    Ok(key.mint(&DevelopmentClaims {
        issuer: "https://issuer.bench.example/vendor".to_owned(),
        audience: "consentry".to_owned(),
        tenant: "vendor".parse()?,
        object: engineer.trim_start_matches("vendor/").to_owned(),
        roles: Vec::new(),
        app_roles: vec!["SupportEngineer".parse()?],
        service: false,
        issued_at: SystemClock::new().now(),
        lifetime_s: 3_600,
    })?)
}

/// A diagnostic API that has one answer.
pub(crate) fn serve_api() -> Result<(), Failure> {
    let routes = Router::new().fallback(async || "{\"signIns\":[]}");
    processes::serve_routes(tokio::runtime::Builder::new_current_thread(), routes)
}
