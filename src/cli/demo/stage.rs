//! The stage: a real server on the embedded store in a temporary folder, and tokens that it accepts.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tempfile::TempDir;

use super::cast::Who;
use crate::app::App;
use crate::audit::DecisionLogSettings;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{
    AccessRequestSettings, Config, DecisionSettings, GuestModelSettings, Mode, PolicySettings, ReceiptSettings,
    ServerSettings, StoreSettings, TelemetrySettings,
};
use crate::identity::development::{DevelopmentClaims, DevelopmentKey};
use crate::identity::{IdentitySettings, IssuerSettings, SigningAlgorithm};
use crate::model::TenantId;
use crate::outbox::WebhookSettings;
use crate::policy::{BundleSource, RoleCatalogue};
use crate::signing::SigningKey;

const ISSUER: &str = "https://issuer.demo.example/{tid}";
const AUDIENCE: &str = "consentry";

/// Long enough to play with, short enough to be worthless when found in a terminal's history.
const TOKEN_LIFETIME_S: u64 = 8 * 60 * 60;

/// How long the end of the demo waits for requests under way.
const DRAIN_MS: u64 = 2_000;

/// The server at work, and everybody's token.
pub(super) struct Stage {
    app: App,
    folder: TempDir,
    url: String,
    tokens: BTreeMap<Who, String>,
}

impl Stage {
    /// Starts the server there, or on another free port when that one is taken.
    pub(super) async fn build(listen: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("consentry-demo-").tempdir().context("no temporary folder")?;
        let key = DevelopmentKey::generate()?;
        let key_set = folder.path().join("jwks.json");
        std::fs::write(&key_set, key.jwks()).with_context(|| format!("`{}` cannot be written", key_set.display()))?;
        let config = settings(folder.path(), &key_set, free(listen))?;
        config.check()?;
        let app = App::start(&config, Arc::new(SystemClock::new())).await?;
        let url = format!("http://{}", app.address());
        Ok(Self { app, folder, url, tokens: tokens(&key)? })
    }

    /// Where the server is reached.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Somebody's token.
    pub(super) fn token(&self, who: Who) -> &str {
        self.tokens.get(&who).map_or("", String::as_str)
    }

    /// Stops the server and removes the folder.
    pub(super) async fn clear(self) -> anyhow::Result<()> {
        self.app.stop().await.context("the decision log could not be flushed")?;
        let path = self.folder.path().to_owned();
        self.folder.close().with_context(|| format!("`{}` could not be removed", path.display()))
    }
}

fn free(listen: SocketAddr) -> SocketAddr {
    match TcpListener::bind(listen) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => SocketAddr::new(listen.ip(), 0),
        Ok(_) | Err(_) => listen,
    }
}

/// Settings for development, from here alone: whatever the environment says is not meant for the demo.
fn settings(folder: &Path, key_set: &Path, listen: SocketAddr) -> anyhow::Result<Config> {
    let issuer = IssuerSettings {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        algorithms: vec![SigningAlgorithm::EdDsa],
        jwks_file: Some(key_set.to_owned()),
        jwks_url: None,
        tenants: Vec::new(),
        development: true,
    };
    let log_key = folder.join("log-key.pem");
    std::fs::write(&log_key, SigningKey::generate()?.to_pem())?;
    Ok(Config {
        fleet: None,
        mode: Mode::Development,
        ext_authz: None,
        server: ServerSettings { listen, drain_timeout_ms: DRAIN_MS, ..ServerSettings::default() },
        store: StoreSettings { path: folder.join("store.db"), accept_earlier_clock: false },
        policy: PolicySettings::default(),
        guest_model: GuestModelSettings::default(),
        decision: DecisionSettings::default(),
        decision_log: DecisionLogSettings {
            signing_key: Some(log_key),
            ..DecisionLogSettings::at(folder.join("decisions"))
        },
        identity: IdentitySettings {
            vendor_tenants: vec![TenantId::new("vendor")?],
            issuers: vec![issuer],
            ..IdentitySettings::default()
        },
        tenants: Vec::new(),
        receipts: ReceiptSettings::default(),
        access_requests: AccessRequestSettings::default(),
        webhooks: WebhookSettings::default(),
        telemetry: TelemetrySettings::default(),
    })
}

fn tokens(key: &DevelopmentKey) -> anyhow::Result<BTreeMap<Who, String>> {
    let catalogue = RoleCatalogue::parse(&BundleSource::shipped().roles.text)?;
    let issued_at = SystemClock::new().now();
    let token = |who: Who| {
        let claims = DevelopmentClaims {
            issuer: ISSUER.replace("{tid}", who.tenant()),
            audience: AUDIENCE.to_owned(),
            tenant: who.tenant_id()?,
            object: who.object().to_owned(),
            roles: who.roles(&catalogue),
            app_roles: who.app_roles()?,
            service: who.is_service(),
            issued_at,
            lifetime_s: TOKEN_LIFETIME_S,
        };
        Ok((who, key.mint(&claims)?))
    };
    Who::ALL.into_iter().map(token).collect()
}
