//! Settings about the etcd that a fleet shares: where it is, who we are to it, and our patience with it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// How to reach etcd.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdSettings {
    /// Its members' client URLs, `https://host:2379`.
    pub endpoints: Vec<String>,
    /// What all keys begin with, for an etcd that others use too; ends with `/` if it is not empty.
    #[serde(default)]
    pub prefix: String,
    /// The user, where etcd asks for a password.
    #[serde(default)]
    pub user: Option<String>,
    /// The file with that user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The authorities that sign the members' certificates (PEM).
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Our certificate (PEM).
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The name in the members' certificates, where it is not the endpoint's host.
    #[serde(default)]
    pub domain: Option<String>,
    /// How long one call may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

const fn default_timeout_ms() -> u64 {
    1_000
}

impl EtcdSettings {
    /// How long one call may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The setting that cannot be, or contradicts another one, and why.
    #[must_use]
    pub fn contradiction(&self) -> Option<(&'static str, String)> {
        let said = |key, message: &str| Some((key, message.to_owned()));
        let is_url = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if self.endpoints.is_empty() || !self.endpoints.iter().all(is_url) {
            return said("fleet.etcd.endpoints", "must name at least one http or https URL");
        }
        let is_tls = self.endpoints.iter().all(|url| url.starts_with("https://"));
        if !is_tls && (self.ca.is_some() || self.certificate.is_some()) {
            return said("fleet.etcd.endpoints", "must all be https URLs where `ca` or `certificate` is given");
        }
        if self.certificate.is_some() != self.key.is_some() {
            return said("fleet.etcd.certificate", "and `fleet.etcd.key` go together");
        }
        if self.user.is_some() != self.password_file.is_some() {
            return said("fleet.etcd.user", "and `fleet.etcd.password_file` go together");
        }
        if !self.prefix.is_empty() && !self.prefix.ends_with('/') {
            return said("fleet.etcd.prefix", "must end with `/`");
        }
        if !(50..=30_000).contains(&self.timeout_ms) {
            return said("fleet.etcd.timeout_ms", "must be between 50 and 30000");
        }
        None
    }
}
