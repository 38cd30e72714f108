//! Settings about access requests after a denial (AuthZEN Access Request and Approval Profile).

use std::path::PathBuf;

use serde::Deserialize;

/// The longest that a denial may be answered with an access request.
const LONGEST_DENIAL_MS: u64 = 24 * 60 * 60 * 1_000;

/// Access requests after a denial.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessRequestSettings {
    /// The key that signs bindings of denials and approvals (PEM, Ed25519); none: the profile is not served.
    pub signing_key: Option<PathBuf>,
    /// Public keys that signed them before (PEM): what they signed still counts.
    pub former_keys: Vec<PathBuf>,
    /// How long an access request is taken after its denial, in milliseconds.
    pub denial_lifetime_ms: u64,
    /// How long an approval may be brought along before it is fetched anew, in milliseconds.
    pub approval_lifetime_ms: u64,
}

impl Default for AccessRequestSettings {
    fn default() -> Self {
        Self {
            signing_key: None,
            former_keys: Vec::new(),
            denial_lifetime_ms: 10 * 60 * 1_000,
            approval_lifetime_ms: 24 * 60 * 60 * 1_000,
        }
    }
}

impl AccessRequestSettings {
    /// What cannot be so: the setting, and why. In production the profile's addresses are https.
    ///
    /// # Errors
    /// The first such setting.
    pub fn validate(&self, production: bool, public_url: Option<&str>) -> Result<(), (&'static str, String)> {
        // Times on the wire are whole seconds.
        if !(1_000..=LONGEST_DENIAL_MS).contains(&self.denial_lifetime_ms) {
            let message = format!("must be from 1000 to {LONGEST_DENIAL_MS}");
            return Err(("access_requests.denial_lifetime_ms", message));
        }
        if self.approval_lifetime_ms < 1_000 {
            return Err(("access_requests.approval_lifetime_ms", "must be at least 1000".to_owned()));
        }
        let secure = public_url.is_some_and(|url| url.starts_with("https://"));
        if production && self.signing_key.is_some() && !secure {
            let message = "must be an https URL where access requests are taken (`access_requests.signing_key`)";
            return Err(("server.public_url", message.to_owned()));
        }
        Ok(())
    }
}
