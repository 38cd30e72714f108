//! Settings: from a file, then the environment, then flags; read once, checked whole, handed down as values.

mod access_requests;
mod ext_authz;
mod fleet;
mod policy;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::audit::DecisionLogSettings;
use crate::identity::IdentitySettings;
use crate::model::TenantId;
use crate::outbox::WebhookSettings;

pub use access_requests::AccessRequestSettings;
pub use ext_authz::ExtAuthzSettings;
pub use fleet::{FleetSettings, Role};
pub use policy::{PolicySettings, ShadowSettings};

/// Environment variables begin with this; `__` stands between section and key: `CONSENTRY_SERVER__LISTEN`.
const ENVIRONMENT_PREFIX: &str = "CONSENTRY_";

/// `CONSENTRY_CONFIG` names the settings file, as `--config` does: it is no setting itself.
const NOT_A_SETTING: &str = "config";

/// The directory of this user's caches, for this program: `$XDG_CACHE_HOME/consentry`, or `~/.cache/consentry`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one file that reads the environment")]
pub fn cache_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(PathBuf::from);
    // A relative path is invalid, says the XDG specification.
    let folder = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
    folder.or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|folder| folder.join("consentry"))
}

/// Whether this is for real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// For real: no development keys, no open listeners.
    #[default]
    Production,
    /// For trying things out.
    Development,
}

/// Everything an operator can set. Keys that are not here are errors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `production` (default) or `development`.
    #[serde(default)]
    pub mode: Mode,
    /// Listeners and their limits.
    #[serde(default)]
    pub server: ServerSettings,
    /// Envoy's external authorization; none: Envoy cannot ask.
    #[serde(default)]
    pub ext_authz: Option<ExtAuthzSettings>,
    /// The embedded store.
    pub store: StoreSettings,
    /// One process of many on one store; none: this process holds its store alone.
    #[serde(default)]
    pub fleet: Option<FleetSettings>,
    /// The policy bundle.
    #[serde(default)]
    pub policy: PolicySettings,
    /// Another Cedar model that is served instead of the support-access model.
    #[serde(default)]
    pub guest_model: GuestModelSettings,
    /// The read decision.
    #[serde(default)]
    pub decision: DecisionSettings,
    /// The decision log.
    pub decision_log: DecisionLogSettings,
    /// Issuers of tokens.
    #[serde(default)]
    pub identity: IdentitySettings,
    /// Tenants registered by the configuration (R10).
    #[serde(default)]
    pub tenants: Vec<TenantSettings>,
    /// Receipts of approvals.
    #[serde(default)]
    pub receipts: ReceiptSettings,
    /// Access requests after a denial.
    #[serde(default)]
    pub access_requests: AccessRequestSettings,
    /// Where tenants are told what happens.
    #[serde(default)]
    pub webhooks: WebhookSettings,
    /// The program's own logs.
    #[serde(default)]
    pub telemetry: TelemetrySettings,
}

/// Listeners and their limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// Where to listen on TCP.
    pub listen: SocketAddr,
    /// Where to listen on a Unix domain socket for decisions; its file permission (0660) says who may ask.
    pub unix_socket: Option<PathBuf>,
    /// Where to listen for whoever collects metrics; nowhere when not given. It asks for no token.
    pub metrics_listen: Option<SocketAddr>,
    /// The URL under which others reach the TCP listener (AuthZEN metadata); `http://<listen>` when not given.
    pub public_url: Option<String>,
    /// Lets everybody on this machine ask for decisions over TCP without a token. Never in production.
    pub insecure_loopback: bool,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// The most bytes that bodies may take together while they are read and worked on; more wait for room. Bodies of up
    /// to 4 KiB need none.
    pub max_bodies_bytes: usize,
    /// The most questions in one batch.
    pub max_batch: usize,
    /// The most connections per listener; more wait to be accepted.
    pub max_connections: usize,
    /// How long a client may take over a request's head, and again over its body, in milliseconds.
    pub read_timeout_ms: u64,
    /// How long a connection may bring no request, in milliseconds, before it is cut, whatever else its client does or
    /// fails to do. It takes up to twice as long.
    pub idle_timeout_ms: u64,
    /// How long a stop waits for requests under way, in milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8620)),
            unix_socket: None,
            metrics_listen: None,
            public_url: None,
            insecure_loopback: false,
            max_body_bytes: 1024 * 1024,
            max_bodies_bytes: 64 * 1024 * 1024,
            max_batch: 1_000,
            max_connections: 1_024,
            read_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            drain_timeout_ms: 10_000,
        }
    }
}

impl ServerSettings {
    /// How long a client may take over a head, and again over a body.
    #[must_use]
    pub const fn read_timeout(&self) -> Duration {
        Duration::from_millis(self.read_timeout_ms)
    }

    /// How long a connection may bring no request.
    #[must_use]
    pub const fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// How long a stop waits.
    #[must_use]
    pub const fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// The embedded store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// The database file.
    pub path: PathBuf,
    /// Start although the machine's clock is behind the store's last change. For one start, after somebody has looked at
    /// the clock: access that had ended could count again.
    #[serde(default)]
    pub accept_earlier_clock: bool,
}

/// Another Cedar model that is served instead of the support-access model.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuestModelSettings {
    /// A directory with `model.toml`, `schemas/`, `policies/` and perhaps `entities.json`; none: support access is served.
    pub directory: Option<PathBuf>,
}

/// The read decision.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionSettings {
    /// How many answers are remembered, at most.
    pub cache_capacity: u64,
}

impl Default for DecisionSettings {
    fn default() -> Self {
        Self { cache_capacity: 100_000 }
    }
}

/// Receipts of approvals.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptSettings {
    /// The key that signs them (PEM, Ed25519); none: none are made.
    pub signing_key: Option<PathBuf>,
    /// Public keys that signed receipts before (PEM): they stay published.
    pub former_keys: Vec<PathBuf>,
}

/// A tenant registered by the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// Its id.
    pub id: TenantId,
    /// What people call it.
    pub display_name: String,
}

/// How the program's own logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// The program's own logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// `json` (default) or `pretty`.
    pub format: LogFormat,
    /// Which lines: `info`, or as `tracing_subscriber::EnvFilter` reads it.
    pub filter: String,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".to_owned() }
    }
}

/// What flags say; they win over the environment, which wins over the file.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// `--mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// `--listen`, `--unix-socket`, `--insecure-loopback`.
    pub server: ServerOverrides,
    /// `--policies`.
    pub policy: PolicyOverrides,
    /// `--guest-model`.
    pub guest_model: GuestModelOverrides,
    /// `--log-format`.
    pub telemetry: TelemetryOverrides,
}

/// Flags about listeners.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServerOverrides {
    /// `--listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// `--unix-socket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_socket: Option<PathBuf>,
    /// `--insecure-loopback`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_loopback: Option<bool>,
}

/// Flags about policies.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PolicyOverrides {
    /// `--policies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
}

/// Flags about a guest model.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GuestModelOverrides {
    /// `--guest-model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
}

/// Flags about logs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TelemetryOverrides {
    /// `--log-format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// The file cannot be read.
    #[error("the settings file `{0}` cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A key is unknown, missing, or of the wrong type; says where it came from.
    #[error("{0}")]
    Malformed(Box<figment::Error>),
    /// Two settings contradict each other, or a setting contradicts the mode.
    #[error("`{key}`: {message}")]
    Contradiction {
        /// The setting.
        key: &'static str,
        /// Why.
        message: String,
    },
}

impl Config {
    /// Reads the settings: the file, then `CONSENTRY_...` variables, then flags.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the setting and where it came from.
    pub fn read(file: Option<&Path>, overrides: &Overrides) -> Result<Self, InvalidConfig> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            // Figment takes a missing file for an empty one; a file that was named must be there.
            let text =
                std::fs::read_to_string(path).map_err(|error| InvalidConfig::Unreadable(path.to_owned(), error))?;
            figment = figment.merge(Toml::string(&text));
        }
        let config: Self = figment
            .merge(Env::prefixed(ENVIRONMENT_PREFIX).ignore(&[NOT_A_SETTING]).split("__"))
            .merge(Serialized::defaults(overrides))
            .extract()
            .map_err(|error| InvalidConfig::Malformed(Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    /// Checks what no single setting can be checked for.
    ///
    /// # Errors
    /// [`InvalidConfig::Contradiction`].
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let contradiction =
            |key: &'static str, message: &str| Err(InvalidConfig::Contradiction { key, message: message.to_owned() });
        let production = self.mode == Mode::Production;
        self.identity
            .validate(production)
            .map_err(|error| InvalidConfig::Contradiction { key: "identity", message: error.to_string() })?;
        if self.server.insecure_loopback && production {
            return contradiction("server.insecure_loopback", "never in production; set `mode = \"development\"`");
        }
        if self.server.insecure_loopback && !self.server.listen.ip().is_loopback() {
            return contradiction("server.insecure_loopback", "needs `server.listen` to be a loopback address");
        }
        let ext_authz = self.ext_authz.as_ref();
        if let Some((key, message)) = ext_authz.and_then(|ext| ext.contradiction(self.server.insecure_loopback)) {
            return contradiction(key, message);
        }
        if let Some(url) = &self.server.public_url
            && (!(url.starts_with("https://") || url.starts_with("http://")) || url.contains(['?', '#', ' ']))
        {
            return contradiction("server.public_url", "must be an http or https URL without query and fragment");
        }
        if production && self.decision_log.signing_key.is_none() {
            return contradiction(
                "decision_log.signing_key",
                "required in production: a key that signs the log's heads",
            );
        }
        if self.decision_log.segment_bytes == 0 || self.decision_log.segment_hours == 0 {
            return contradiction("decision_log.segment_bytes", "must be at least 1, and so must `segment_hours`");
        }
        if !crate::audit::is_log_name(&self.decision_log.name) {
            return contradiction("decision_log.name", "must have letters, and no spaces and no `+`");
        }
        let publish_url = self.decision_log.publish_url.as_deref();
        if let Some(problem) = publish_url.and_then(|url| crate::outbox::address_problem(url, true, production)) {
            return contradiction("decision_log.publish_url", problem);
        }
        if let Err(message) = crate::audit::check_pointers(&self.decision_log.mask) {
            return contradiction("decision_log.mask", &message);
        }
        if !self.decision_log.mask.is_empty() && self.decision_log.mask_key.is_none() {
            return contradiction("decision_log.mask_key", "required where something is masked");
        }
        if let Some((key, message)) = self.policy.contradiction() {
            return contradiction(key, message);
        }
        if self.guest_model.directory.is_some() {
            let idle = [
                ("tenants", !self.tenants.is_empty()),
                ("webhooks.endpoints", !self.webhooks.endpoints.is_empty()),
                ("webhooks.callbacks", !self.webhooks.callbacks.is_empty()),
                ("receipts.signing_key", self.receipts.signing_key.is_some()),
                ("policy.shadow", self.policy.shadow.is_some()),
                ("ext_authz", self.ext_authz.is_some()),
                ("access_requests.signing_key", self.access_requests.signing_key.is_some()),
            ];
            if let Some((key, _)) = idle.into_iter().find(|(_, set)| *set) {
                return contradiction(key, "is of support access, which is not served beside `guest_model.directory`");
            }
        }
        if let Some((key, message)) = self.fleet.as_ref().and_then(|fleet| self.contradiction_in_fleet(fleet)) {
            return contradiction(key, &message);
        }
        if let Err((key, message)) = self.webhooks.validate(production) {
            return contradiction(key, &message);
        }
        if let Err((key, message)) = self.access_requests.validate(production, self.server.public_url.as_deref()) {
            return contradiction(key, &message);
        }
        let limits = [
            ("server.max_body_bytes", self.server.max_body_bytes),
            ("server.max_batch", self.server.max_batch),
            ("server.max_connections", self.server.max_connections),
        ];
        for (key, value) in limits {
            if value == 0 {
                return contradiction(key, "must be at least 1");
            }
        }
        if self.server.read_timeout_ms == 0 {
            return contradiction("server.read_timeout_ms", "must be at least 1");
        }
        if self.server.idle_timeout_ms < self.server.read_timeout_ms {
            return contradiction("server.idle_timeout_ms", "must be at least `server.read_timeout_ms`");
        }
        if self.server.max_bodies_bytes < self.server.max_body_bytes {
            return contradiction("server.max_bodies_bytes", "must be at least `server.max_body_bytes`");
        }
        Ok(())
    }

    /// The setting that does not go with being one of many, and why.
    fn contradiction_in_fleet(&self, fleet: &FleetSettings) -> Option<(&'static str, String)> {
        if cfg!(not(feature = "etcd")) {
            let message = "this program was built without the fleet: build it with the cargo feature `etcd`";
            return Some(("fleet", message.to_owned()));
        }
        if self.guest_model.directory.is_some() {
            return Some((
                "fleet",
                "is of support access, which is not served beside `guest_model.directory`".to_owned(),
            ));
        }
        let of_authorities = [
            ("tenants", !self.tenants.is_empty()),
            ("webhooks.endpoints", !self.webhooks.endpoints.is_empty()),
            ("webhooks.callbacks", !self.webhooks.callbacks.is_empty()),
            ("receipts.signing_key", self.receipts.signing_key.is_some()),
            ("access_requests.signing_key", self.access_requests.signing_key.is_some()),
        ];
        let idle = of_authorities.into_iter().find(|(_, set)| *set && fleet.role == Role::Sidecar);
        idle.map(|(key, _)| (key, "is an authority's business: a sidecar only decides".to_owned()))
            .or_else(|| fleet.contradiction())
    }

    /// The URL under which others reach the TCP listener, which listens at `bound`.
    #[must_use]
    pub fn public_url(&self, bound: SocketAddr) -> String {
        let url = self.server.public_url.clone().unwrap_or_else(|| format!("http://{bound}"));
        url.trim_end_matches('/').to_owned()
    }
}
