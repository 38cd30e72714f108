//! `consentry token`: development tokens from a local key.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Mode, Overrides};
use crate::identity::development::{DevelopmentClaims, DevelopmentKey};
use crate::model::{AppRole, RoleId, TenantId};
use crate::policy::{BundleSource, RoleCatalogue};

/// Mints a token from a local key (made when it is missing). Refused when the settings say `production`.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// The settings file, to be sure that it is not for production.
    #[arg(long, short, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
    /// The key's file.
    #[arg(long, value_name = "FILE", default_value = "consentry-development.key")]
    key: PathBuf,
    /// Print the key set (JWKS) that belongs to the key, for `identity.issuers.jwks_file`, instead of a token.
    #[arg(long)]
    jwks: bool,
    /// The issuer that the token names.
    #[arg(long, default_value = "https://issuer.development.example/{tid}")]
    issuer: String,
    /// The audience.
    #[arg(long, default_value = "consentry")]
    audience: String,
    /// The tenant that the person or program belongs to.
    #[arg(long, required_unless_present = "jwks")]
    tenant: Option<TenantId>,
    /// The person's object id, or the program's client id with --service.
    #[arg(long, required_unless_present = "jwks")]
    object: Option<String>,
    /// A directory role, by template id or by name ("Global Administrator"). May be given more than once.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// An app role, such as `SupportEngineer`. May be given more than once.
    #[arg(long = "app-role", value_name = "APP_ROLE")]
    app_roles: Vec<AppRole>,
    /// The token is a program's, not a person's.
    #[arg(long)]
    service: bool,
    /// For how long the token is good, in seconds.
    #[arg(long, default_value_t = 3_600)]
    lifetime_s: u64,
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if let Some(path) = &self.config {
            let config = Config::read(Some(path), &Overrides::default())?;
            if config.mode == Mode::Production {
                bail!("`{}` is for production: its tokens come from its issuers", path.display());
            }
        }
        let key = DevelopmentKey::load_or_create(&self.key)?;
        let text = match (&self.tenant, &self.object) {
            _ if self.jwks => key.jwks(),
            (Some(tenant), Some(object)) => key.mint(&self.claims(tenant, object)?)?,
            (None, _) | (_, None) => bail!("a token needs --tenant and --object"),
        };
        #[expect(clippy::print_stdout, reason = "the token is what was asked for")]
        {
            println!("{text}");
        }
        Ok(())
    }

    fn claims(&self, tenant: &TenantId, object: &str) -> anyhow::Result<DevelopmentClaims> {
        let catalogue = RoleCatalogue::parse(&BundleSource::shipped().roles.text)?;
        let role = |name: &String| match catalogue.by_name(name) {
            Some(id) => Ok(id.clone()),
            None => RoleId::new(name).with_context(|| format!("`{name}` is neither a role's name nor an id")),
        };
        Ok(DevelopmentClaims {
            issuer: self.issuer.replace("{tid}", tenant.as_str()),
            audience: self.audience.clone(),
            tenant: tenant.clone(),
            object: object.to_owned(),
            roles: self.roles.iter().map(role).collect::<anyhow::Result<_>>()?,
            app_roles: self.app_roles.clone(),
            service: self.service,
            issued_at: SystemClock::new().now(),
            lifetime_s: self.lifetime_s,
        })
    }
}
