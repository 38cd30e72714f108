//! Settings of webhooks: endpoints of tenants, their secrets, and how long to try.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::sender::is_public;
use crate::model::TenantId;
use crate::store::Stream;

/// The most endpoints.
const MOST_ENDPOINTS: usize = 200;
/// The longest name of an endpoint, in bytes.
const LONGEST_NAME: usize = 64;

/// Why the settings of webhooks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWebhooks {
    /// A file with a secret or key.
    #[error("endpoint `{name}`: `{file}` {problem}")]
    Secret {
        /// The endpoint.
        name: String,
        /// The file.
        file: String,
        /// What is wrong with it. Never a part of what it holds.
        problem: String,
    },
    /// No client can be made, such as when this machine has no root certificates.
    #[error("endpoint `{name}`: nothing can be sent by https: {cause}")]
    Client {
        /// The endpoint.
        name: String,
        /// Why.
        cause: String,
    },
}

/// Webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// How long one delivery may take, answer included, in milliseconds.
    pub timeout_ms: u64,
    /// How often the tenants' streams are looked into, in milliseconds.
    pub look_every_ms: u64,
    /// After how long a delivery that failed is tried again for the first time, in milliseconds; then after twice as long
    /// each time. A random part of up to a half is taken off.
    pub first_retry_ms: u64,
    /// The longest that a letter waits for its next try, in milliseconds.
    pub longest_retry_ms: u64,
    /// After how long a letter that fails is given up, in milliseconds: it becomes a dead letter.
    pub dead_after_ms: u64,
    /// Send to addresses of private networks, too.
    pub allow_private_addresses: bool,
    /// Where to send whose events.
    pub endpoints: Vec<EndpointSettings>,
    /// Where whoever asked for access after a denial may be called back.
    pub callbacks: Vec<CallbackSettings>,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            timeout_ms: 15_000,
            look_every_ms: 500,
            first_retry_ms: 5_000,
            longest_retry_ms: 60 * 60 * 1_000,
            dead_after_ms: 3 * 24 * 60 * 60 * 1_000,
            allow_private_addresses: false,
            endpoints: Vec::new(),
            callbacks: Vec::new(),
        }
    }
}

/// One endpoint of one tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// What operators call it. Its outbox is kept under this name.
    pub name: String,
    /// Whose events it gets.
    pub tenant: TenantId,
    /// Where it is: https, or http on this machine itself in development.
    pub url: String,
    /// Files with a secret (`whsec_...`) each. Every delivery is signed with all of them, so that they can be changed one
    /// after the other.
    #[serde(default)]
    pub secret_files: Vec<PathBuf>,
    /// A file with a key (PEM, Ed25519) by which every delivery is signed, too: its receiver needs no secret.
    #[serde(default)]
    pub signing_key_file: Option<PathBuf>,
    /// Which events; all of them when not given.
    #[serde(default = "every_stream")]
    pub events: Vec<Stream>,
}

/// One endpoint that is called back when an access request's task ends. No other address is called back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallbackSettings {
    /// What operators call it. Its outbox is kept under this name.
    pub name: String,
    /// Where it is: exactly as a submission names it.
    pub url: String,
    /// As those of [`EndpointSettings`].
    #[serde(default)]
    pub secret_files: Vec<PathBuf>,
    /// As that of [`EndpointSettings`].
    #[serde(default)]
    pub signing_key_file: Option<PathBuf>,
}

/// Where something is sent, and how it is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    pub(super) secret_files: &'a [PathBuf],
    pub(super) signing_key_file: Option<&'a PathBuf>,
    pub(super) content_type: &'static str,
}

fn every_stream() -> Vec<Stream> {
    Stream::OF_TENANTS.to_vec()
}

impl WebhookSettings {
    /// How long one delivery may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// How often the streams are looked into.
    #[must_use]
    pub const fn look_every(&self) -> Duration {
        Duration::from_millis(self.look_every_ms)
    }

    /// What cannot be so: the setting, and why. In production nothing is sent without https.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self, production: bool) -> Result<(), (&'static str, String)> {
        for (key, value) in [
            ("webhooks.timeout_ms", self.timeout_ms),
            ("webhooks.look_every_ms", self.look_every_ms),
            ("webhooks.first_retry_ms", self.first_retry_ms),
        ] {
            if value == 0 {
                return Err((key, "must be at least 1".to_owned()));
            }
        }
        if self.longest_retry_ms < self.first_retry_ms {
            return Err(("webhooks.longest_retry_ms", "must be at least `webhooks.first_retry_ms`".to_owned()));
        }
        if self.endpoints.len() + self.callbacks.len() > MOST_ENDPOINTS {
            return Err(("webhooks.endpoints", format!("and `callbacks` are more than {MOST_ENDPOINTS}")));
        }
        let mut names = HashSet::new();
        for endpoint in &self.endpoints {
            if let Some(problem) = endpoint.problem(self.allow_private_addresses, production) {
                return Err(("webhooks.endpoints", format!("`{}` {problem}", endpoint.name)));
            }
            if !names.insert(&endpoint.name) {
                return Err(("webhooks.endpoints", format!("`{}` stands there twice", endpoint.name)));
            }
        }
        let mut addresses = HashSet::new();
        for callback in &self.callbacks {
            if let Some(problem) = callback.destination().problem(self.allow_private_addresses, production) {
                return Err(("webhooks.callbacks", format!("`{}` {problem}", callback.name)));
            }
            // Operators ask for an endpoint by its name, and submissions for a callback by its address.
            if !names.insert(&callback.name) || !addresses.insert(&callback.url) {
                return Err(("webhooks.callbacks", format!("`{}` or its `url` stands there twice", callback.name)));
            }
        }
        Ok(())
    }
}

impl EndpointSettings {
    /// The name of its outbox in the store: an endpoint that is given to another tenant begins anew.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }

    pub(super) fn destination(&self) -> Destination<'_> {
        Destination {
            name: &self.name,
            url: &self.url,
            secret_files: &self.secret_files,
            signing_key_file: self.signing_key_file.as_ref(),
            content_type: "application/cloudevents+json; charset=utf-8",
        }
    }

    fn problem(&self, private: bool, production: bool) -> Option<String> {
        if self.events.is_empty() || self.events.contains(&Stream::Tasks) {
            return Some("has no `events`, or such as no tenant has".to_owned());
        }
        self.destination().problem(private, production)
    }
}

impl CallbackSettings {
    /// The name of its outbox in the store: no tenant's name holds a space.
    pub(super) fn key(&self) -> String {
        format!("callback {}", self.name)
    }

    pub(super) fn destination(&self) -> Destination<'_> {
        Destination {
            name: &self.name,
            url: &self.url,
            secret_files: &self.secret_files,
            signing_key_file: self.signing_key_file.as_ref(),
            content_type: "application/json",
        }
    }
}

impl Destination<'_> {
    fn problem(&self, private: bool, production: bool) -> Option<String> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if self.name.is_empty() || self.name.len() > LONGEST_NAME || !self.name.bytes().all(named) {
            return Some(format!("is no name: 1 to {LONGEST_NAME} letters, digits and `-._`"));
        }
        if self.secret_files.len() > 4 || (self.secret_files.is_empty() && self.signing_key_file.is_none()) {
            return Some("needs one to four `secret_files`, or a `signing_key_file`".to_owned());
        }
        address_problem(self.url, private, production).map(|problem| format!("has `url` `{}`: {problem}", self.url))
    }
}

/// Why nothing is sent to this address; a name is looked at again when it is resolved.
pub(crate) fn address_problem(text: &str, private: bool, production: bool) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else { return Some("it is no address") };
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = host == "localhost" || ip.as_ref().is_ok_and(IpAddr::is_loopback);
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback && !production);
    if !secure {
        return Some("it must be https; http is for loopback in development");
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Some("it must hold no user, password or fragment");
    }
    // What a name leads to is looked at when it is resolved.
    let allowed = private || (loopback && !production) || ip.map_or(!loopback, is_public);
    (!allowed).then_some("it lies in a private network: `webhooks.allow_private_addresses` allows that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_where_it_could_be_read_or_where_nobody_means_it() {
        for (url, private, production, good) in [
            ("https://hooks.contoso.example/in", false, true, true),
            ("https://hooks.contoso.example:8443/in?a=b", false, true, true),
            ("https://203.0.113.7/", false, true, false),
            ("https://8.8.8.8/", false, true, true),
            ("https://10.0.0.7/in", false, true, false),
            ("https://10.0.0.7/in", true, true, true),
            ("https://169.254.169.254/latest/meta-data", false, true, false),
            ("https://[::1]/", false, true, false),
            ("https://[::ffff:10.0.0.1]/", false, true, false),
            ("https://localhost/", false, true, false),
            ("http://hooks.contoso.example/in", false, false, false),
            ("http://10.0.0.7/in", true, false, false),
            ("http://127.0.0.1:9/in", false, false, true),
            ("http://localhost:9/in", false, false, true),
            ("http://127.0.0.1:9/in", true, true, false),
            ("https://user@hooks.contoso.example/", false, true, false),
            ("https://:word@hooks.contoso.example/", false, true, false),
            ("https://hooks.contoso.example/#part", false, true, false),
            ("ftp://hooks.contoso.example/", false, true, false),
            ("file:///etc/passwd", true, false, false),
            ("hooks.contoso.example", false, true, false),
        ] {
            assert_eq!(address_problem(url, private, production).is_none(), good, "{url} {private} {production}");
        }
    }
}
