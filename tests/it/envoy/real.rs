//! A real Envoy with the configuration that ships as an example, and the diagnostic API behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::pause;

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// The example.
const EXAMPLE: &str = include_str!("../../../deploy/envoy/envoy.yaml");

/// A small diagnostic API. It knows nothing of engineers and consents, and remembers what reached it.
pub struct Api {
    pub address: SocketAddr,
    reached: Arc<Mutex<Vec<Reached>>>,
    serving: tokio::task::JoinHandle<()>,
}

/// A request that reached the API.
#[derive(Debug, Clone)]
pub struct Reached {
    pub target: String,
    pub headers: HeaderMap,
}

impl Reached {
    /// Every value of a header.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

impl Api {
    pub async fn start() -> Self {
        let reached: Arc<Mutex<Vec<Reached>>> = Arc::default();
        let answer = async |State(reached): State<Arc<Mutex<Vec<Reached>>>>, request: Request| {
            let (parts, _) = request.into_parts();
            let target = parts.uri.to_string();
            reached.lock().push(Reached { target, headers: parts.headers });
            "{\"signIns\":[]}"
        };
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&reached));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, reached, serving }
    }

    /// What has reached it since this was asked last.
    pub fn reached(&self) -> Vec<Reached> {
        std::mem::take(&mut self.reached.lock())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The example's configuration with other addresses.
#[derive(Clone)]
pub struct Configuration(String);

impl Configuration {
    /// In front of this API, asking through this socket. Every port is a free one.
    pub fn of(api: &Api, socket: &Path) -> Self {
        Self(EXAMPLE.to_owned())
            .with("port_value: 9901", "port_value: 0")
            .with("port_value: 8080", "port_value: 0")
            .with("port_value: 8700", &format!("port_value: {}", api.address.port()))
            .with("/run/consentry/envoy.sock", &socket.display().to_string())
            // Nobody waits for the sidecar for as long as in earnest.
            .with("          interval: 2s", "          interval: 0.05s")
            .with("no_traffic_interval: 2s", "no_traffic_interval: 0.05s")
    }

    /// With this in place of that, which must be there once.
    pub fn with(self, that: &str, this: &str) -> Self {
        assert_eq!(self.0.matches(that).count(), 1, "{that}");
        Self(self.0.replace(that, this))
    }
}

/// An Envoy at work. It is killed when it is dropped.
pub struct Envoy {
    child: Child,
    pub address: SocketAddr,
    pub folder: TempDir,
    admin: String,
}

impl Envoy {
    /// Starts it, and returns when it serves and finds the sidecar well.
    pub async fn start(configuration: &Configuration) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/envoy/bin/envoy");
        assert!(program.exists(), "there is no Envoy: `./test` installs it into target/envoy");
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("envoy.yaml"), &configuration.0).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["-c", "envoy.yaml", "--admin-address-path", "admin", "-l", "warn"])
            .args(["--concurrency", "2", "--disable-hot-restart"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), folder, admin: String::new() };
        let file = envoy.folder.path().join("admin");
        let admin = envoy.until(async || std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty())).await;
        envoy.admin = format!("http://{admin}");
        let listeners = envoy.until(async || envoy.told("/listeners?format=json").await).await;
        let listeners: Value = serde_json::from_str(&listeners).unwrap();
        let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
        envoy.address.set_port(port.as_u64().unwrap().try_into().unwrap());
        envoy.until_sidecar_is_well(true).await;
        envoy
    }

    /// Returns when the health checks of the sidecar say this.
    pub async fn until_sidecar_is_well(&self, well: bool) {
        let gauge = format!("cluster.consentry.membership_healthy: {}", u8::from(well));
        self.until(async || {
            let stats = self.told("/stats?filter=membership_healthy|server.state").await?;
            (stats.contains(&gauge) && stats.contains("server.state: 0")).then_some(())
        })
        .await;
    }

    async fn told(&self, path: &str) -> Option<String> {
        reqwest::get(format!("{}{path}", self.admin)).await.ok()?.text().await.ok()
    }

    /// Returns what is found once something is.
    pub async fn until<T>(&self, look: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Envoy does not get there: {log}");
            pause();
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
