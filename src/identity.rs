//! Tokens to callers: issuers, keys, claims, roles.
//!
//! What lives here: which issuers are trusted for which tenants, where their keys come from, and the checks that turn a
//! bearer token into a [`Caller`] (RFC 7519, RFC 8725, OpenID Connect Core). What does not: how a token arrives, and what
//! a caller may do. E-mail addresses and names in tokens are never read.

mod cache;
mod caller;
pub mod development;
mod issuer;
mod keys;
mod refused;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod token;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

pub use self::cache::LastToken;
pub use self::caller::{Caller, CallerKind};
pub use self::refused::TokenRefused;
pub use self::settings::{
    IdentitySettings, InvalidIdentitySettings, IssuerSettings, MAX_CLOCK_SKEW_S, SigningAlgorithm,
};

use self::cache::{TokenCache, Verified};
use self::caller::{FromToken, Proof};
use self::issuer::Issuer;
use self::token::{Claims, UnverifiedToken};
use crate::clock::Clock;
use crate::model::{AppRole, PersonId, RoleId, ServiceId, TenantId, Timestamp};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The most entries that `wids` or `roles` may have.
const MAX_ROLES: usize = 200;

/// Tells who calls.
pub struct Identity {
    issuers: Box<[Issuer]>,
    vendor_tenants: HashSet<TenantId>,
    skew_ms: i64,
    cache: TokenCache,
    clock: Arc<dyn Clock>,
}

impl Identity {
    /// Takes the settings and reads the key files; keys behind URLs are fetched when the first token comes.
    ///
    /// Whether this is production is not known here: call [`IdentitySettings::validate`] before.
    ///
    /// # Errors
    /// [`InvalidIdentitySettings`] when a setting or a key file cannot be used.
    pub fn new(settings: IdentitySettings, clock: Arc<dyn Clock>) -> Result<Self, InvalidIdentitySettings> {
        settings.validate(false)?;
        let skew_ms = i64::try_from(settings.clock_skew_s.saturating_mul(1000)).unwrap_or(0);
        let issuers: Result<_, _> = settings.issuers.into_iter().map(Issuer::new).collect();
        Ok(Self {
            issuers: issuers?,
            vendor_tenants: settings.vendor_tenants.into_iter().collect(),
            skew_ms,
            cache: TokenCache::new(settings.token_cache_capacity),
            clock,
        })
    }

    /// The caller of a token that was verified before, told the sooner when it is the connection's last one. Nothing is
    /// waited for; `None` says nothing about the token.
    #[must_use]
    pub fn cached(&self, token: &str, last: Option<&LastToken>) -> Option<Caller> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let generation_of = |issuer: usize| self.issuers.get(issuer).map(|issuer| issuer.keys.generation());
        self.cache.get(token, last, self.clock.now(), generation_of)
    }

    /// Whether the tenant is one of the vendor's, whose people are support engineers.
    #[must_use]
    pub fn is_vendors(&self, tenant: &str) -> bool {
        self.vendor_tenants.contains(tenant)
    }

    /// Checks a bearer token: the caller of one that was verified before, or the whole way.
    ///
    /// # Errors
    /// [`TokenRefused`] says what is wrong with it; [`TokenRefused::is_unavailable`] when the keys are what is missing.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, TokenRefused> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefused::TooLong);
        }
        if let Some(caller) = self.cached(token, None) {
            return Ok(caller);
        }
        let unverified = UnverifiedToken::parse(token)?;
        // The issuer comes first: an algorithm and a key are only looked up among those of the issuer that is claimed.
        let (at, issuer) = issuer::named_by(&self.issuers, unverified.unverified_claims())?;
        let algorithm = issuer.algorithm(unverified.alg()?)?;
        let (key, generation) = issuer.keys.find(unverified.kid()?).await?;
        let claims = unverified.verify(&key, algorithm)?;
        let (tenant, expires_at) = issuer.check(&claims, self.clock.now(), self.skew_ms)?;
        let proof = Proof { issuer: at, generation };
        let caller = self.caller(claims, tenant, expires_at, proof)?;
        self.cache.put(token, Verified { caller: caller.clone(), expires_at, issuer: at, generation });
        Ok(caller)
    }

    /// Whether a caller's credential is good now: it has not ended, and its issuer has the keys that it had then.
    #[must_use]
    pub fn still_proves(&self, caller: &Caller) -> bool {
        let keys = caller.proof().and_then(|proof| Some((self.issuers.get(proof.issuer)?, proof.generation)));
        let is_proved = keys.is_some_and(|(issuer, generation)| issuer.keys.generation() == generation);
        is_proved && caller.expires_at().is_some_and(|end| self.clock.now() < end)
    }

    /// Reads the keys of all issuers again. To be called every hour; a failure is logged and the old keys stay.
    pub async fn refresh_all(&self) {
        for issuer in &self.issuers {
            issuer.keys.refresh().await;
        }
    }

    /// The caller that the checked claims describe.
    fn caller(
        &self,
        claims: Claims,
        tenant: TenantId,
        expires_at: Timestamp,
        proof: Proof,
    ) -> Result<Caller, TokenRefused> {
        let kind = kind(&claims, &tenant)?;
        let roles = names(claims.wids.as_deref(), |name| RoleId::new(name).ok())?;
        let app_roles = names(claims.roles.as_deref(), |name| AppRole::new(name).ok())?;
        let printable = |id: &String| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
        Ok(Caller::from_token(FromToken {
            kind,
            roles,
            app_roles,
            vendor: self.vendor_tenants.contains(&tenant),
            tenant,
            expires_at,
            token_id: claims.jti.or(claims.uti).filter(printable),
            proof,
        }))
    }
}

/// A program says so in `idtyp`; everyone else is a person. Directories that leave `idtyp` out of a program's token must
/// be told to put it in, or the program counts as a person of its tenant, with its own object id.
fn kind(claims: &Claims, tenant: &TenantId) -> Result<CallerKind, TokenRefused> {
    let oid = claims.oid.as_deref();
    match claims.idtyp.as_deref() {
        Some("app") => {
            let id = claims.azp.as_deref().or(claims.appid.as_deref()).or(oid);
            let id = ServiceId::new(id.ok_or(TokenRefused::MissingClaim("azp"))?);
            Ok(CallerKind::Service { tenant: tenant.clone(), id: id.map_err(|_| TokenRefused::Malformed)? })
        }
        Some("user") | None => {
            let person = PersonId::new(tenant, oid.ok_or(TokenRefused::MissingClaim("oid"))?);
            Ok(CallerKind::Person(person.map_err(|_| TokenRefused::Malformed)?))
        }
        Some(_) => Err(TokenRefused::Unsupported("claim `idtyp` other than `user` or `app`")),
    }
}

/// The names that `known` knows, sorted, each once. A list that is too long is refused, not cut: half of a caller's
/// roles would be another caller.
fn names<T: Ord>(
    values: Option<&[serde_json::Value]>,
    known: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, TokenRefused> {
    let values = values.unwrap_or_default();
    if values.len() > MAX_ROLES {
        return Err(TokenRefused::Unsupported("more than 200 roles"));
    }
    let mut names: Vec<T> = values.iter().filter_map(serde_json::Value::as_str).filter_map(known).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("issuers", &self.issuers.len())
            .field("vendor_tenants", &self.vendor_tenants)
            .finish_non_exhaustive()
    }
}
