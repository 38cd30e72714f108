//! An issuer: the names it answers to, the tenants it speaks for, the algorithms and audiences of its tokens.

use std::collections::HashSet;
use std::sync::Arc;

use super::refused::TokenRefused;
use super::settings::{InvalidIdentitySettings, IssuerSettings, SigningAlgorithm, key_url};
use super::source::{KeySource, http_client};
use super::token::Claims;
use crate::model::{TenantId, Timestamp};

/// What stands in a template for the token's tenant.
const TENANT_PLACE: &str = "{tid}";

/// The `iss` values that an issuer answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IssuerName {
    Exact(String),
    Template { before: String, after: String },
}

impl IssuerName {
    /// Reads a plain name, or a template with one `{tid}`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'{' && byte != b'}');
        match text.split_once(TENANT_PLACE) {
            None if plain(text) && !text.is_empty() => Some(Self::Exact(text.to_owned())),
            Some((before, after)) if plain(before) && plain(after) && !before.is_empty() => {
                Some(Self::Template { before: before.to_owned(), after: after.to_owned() })
            }
            None | Some(_) => None,
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }

    /// What stands in `iss` in the place of the tenant, when this is a template that fits. A tenant holds no `/`, so
    /// that one template cannot swallow what another one spells out.
    fn tenant_in<'a>(&self, iss: &'a str) -> Option<&'a str> {
        match self {
            Self::Exact(_) => None,
            Self::Template { before, after } => {
                let tenant = iss.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                TenantId::new(tenant).is_ok().then_some(tenant)
            }
        }
    }
}

/// One issuer with its keys.
pub(super) struct Issuer {
    name: IssuerName,
    tenants: HashSet<TenantId>,
    audiences: Vec<String>,
    algorithms: Vec<SigningAlgorithm>,
    pub(super) keys: Arc<KeySource>,
}

impl Issuer {
    /// Makes the issuer; a key file is read at once, a key URL when the first token comes.
    ///
    /// # Errors
    /// [`InvalidIdentitySettings`] when a setting or the key file cannot be used.
    pub(super) fn new(settings: IssuerSettings) -> Result<Self, InvalidIdentitySettings> {
        let issuer = settings.issuer;
        let name = IssuerName::parse(&issuer).ok_or_else(|| InvalidIdentitySettings::IssuerName(issuer.clone()))?;
        let keys = match (settings.jwks_file, settings.jwks_url.as_deref()) {
            (Some(path), None) => KeySource::file(issuer.clone(), path)
                .map_err(|cause| InvalidIdentitySettings::Keys { issuer, cause: cause.to_string() })?,
            (None, Some(text)) => {
                let fault = || InvalidIdentitySettings::KeyUrl { issuer: issuer.clone(), url: text.to_owned() };
                let url = key_url(text).ok_or_else(fault)?;
                let client = http_client().map_err(|cause| InvalidIdentitySettings::HttpClient(cause.to_string()))?;
                KeySource::url(issuer, client, url)
            }
            (Some(_), Some(_)) | (None, None) => return Err(InvalidIdentitySettings::KeySource(issuer)),
        };
        Ok(Self {
            name,
            tenants: settings.tenants.into_iter().collect(),
            audiences: settings.audiences,
            algorithms: settings.algorithms,
            keys: Arc::new(keys),
        })
    }

    /// The header's algorithm, when this issuer may use it. Names we do not know, `none` among them, are never allowed.
    ///
    /// # Errors
    /// [`TokenRefused::AlgorithmNotAllowed`].
    pub(super) fn algorithm(&self, alg: &str) -> Result<SigningAlgorithm, TokenRefused> {
        let named = |allowed: &&SigningAlgorithm| allowed.name() == alg;
        self.algorithms.iter().find(named).copied().ok_or(TokenRefused::AlgorithmNotAllowed)
    }

    /// Checks what the claims say about us and the time, and whether this issuer may speak for the tenant; tells until
    /// when they hold.
    ///
    /// The skew helps a token whose issuer's clock is ahead of ours. It does not lengthen a life: `exp` is the end.
    ///
    /// # Errors
    /// [`TokenRefused`]: a missing `tid`, `aud` or `exp`, or one that does not hold.
    pub(super) fn check(
        &self,
        claims: &Claims,
        now: Timestamp,
        skew_ms: i64,
    ) -> Result<(TenantId, Timestamp), TokenRefused> {
        let tenant = claims.tid.as_deref().ok_or(TokenRefused::MissingClaim("tid"))?;
        let tenant = TenantId::new(tenant).map_err(|_| TokenRefused::Malformed)?;
        let any_tenant = self.tenants.is_empty() && !self.name.is_exact();
        if !any_tenant && !self.tenants.contains(&tenant) {
            return Err(TokenRefused::TenantMismatch);
        }
        let audiences = claims.aud.as_ref().ok_or(TokenRefused::MissingClaim("aud"))?;
        if !audiences.any(|audience| self.audiences.iter().any(|ours| ours == audience)) {
            return Err(TokenRefused::WrongAudience);
        }
        let expires_at = claims.exp.as_ref().ok_or(TokenRefused::MissingClaim("exp"))?.0;
        if now >= expires_at {
            return Err(TokenRefused::Expired);
        }
        let latest = now.plus_millis(skew_ms);
        let starts = [&claims.nbf, &claims.iat];
        if starts.into_iter().flatten().any(|start| start.0 > latest) {
            return Err(TokenRefused::NotYetValid);
        }
        Ok((tenant, expires_at))
    }
}

/// The issuer that a token names, with its place in the list. An exact name goes before a template.
///
/// # Errors
/// [`TokenRefused::UnknownIssuer`]; [`TokenRefused::TenantMismatch`] when only templates fit and name another tenant
/// than `tid`; [`TokenRefused::MissingClaim`].
pub(super) fn named_by<'a>(issuers: &'a [Issuer], claims: &Claims) -> Result<(usize, &'a Issuer), TokenRefused> {
    let iss = claims.iss.as_deref().ok_or(TokenRefused::MissingClaim("iss"))?;
    let exactly = |(_, issuer): &(usize, &Issuer)| matches!(&issuer.name, IssuerName::Exact(name) if name == iss);
    if let Some(found) = issuers.iter().enumerate().find(exactly) {
        return Ok(found);
    }
    let mut refusal = TokenRefused::UnknownIssuer;
    for (at, issuer) in issuers.iter().enumerate() {
        let Some(tenant) = issuer.name.tenant_in(iss) else { continue };
        match claims.tid.as_deref() {
            Some(tid) if tid == tenant => return Ok((at, issuer)),
            Some(_) => refusal = TokenRefused::TenantMismatch,
            None => refusal = TokenRefused::MissingClaim("tid"),
        }
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_yields_one_tenant_and_swallows_nothing_else() {
        let template = IssuerName::parse("https://login.example/{tid}/v2.0").unwrap();
        assert_eq!(template.tenant_in("https://login.example/contoso/v2.0"), Some("contoso"));
        for other in [
            "https://login.example/contoso/v1.0",
            "https://login.example//v2.0",
            "https://login.example/a/b/v2.0",
            "https://login.example/v2.0",
            "xhttps://login.example/contoso/v2.0",
            "https://login.example/contoso/v2.0/",
            "",
        ] {
            assert_eq!(template.tenant_in(other), None, "{other}");
        }
    }

    #[test]
    fn a_template_must_not_start_with_the_tenant() {
        // `{tid}.example` would trust every host name that somebody registers.
        assert_eq!(IssuerName::parse("{tid}.example"), None);
        for bad in ["", "https://login example", "https://login.example/{tenant}", "https://login.example/{tid}/{tid}"]
        {
            assert_eq!(IssuerName::parse(bad), None, "{bad}");
        }
    }
}
