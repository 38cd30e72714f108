//! Opens the store: the one place that names a concrete one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::StartError;
use crate::clock::Clock;
#[cfg(feature = "etcd")]
use crate::config::Role;
use crate::config::{Config, FleetSettings, TenantSettings};
use crate::model::{Tenant, Timestamp};
#[cfg(feature = "etcd")]
use crate::store::MemberId;
#[cfg(not(feature = "etcd"))]
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;
use crate::store::{Commit, CommitError, Object, Precondition, Store, Versioned, Write};

/// By how much the clock may be behind what is stored: our time then begins at what is stored.
const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// What a member's key tells of it beside how far it is: for `consentry fleet status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// `authority` or `sidecar`.
    pub(crate) role: String,
    /// The program's version.
    pub(crate) program: String,
    /// The policies that it decides by.
    pub(crate) policy_version: String,
    /// How long its lease is.
    pub(crate) lease_ms: u64,
    /// How often it renews it.
    pub(crate) renew_ms: u64,
}

impl About {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Keeps what a member's key tells.
#[derive(Debug)]
pub(super) struct Told {
    about: About,
    to: watch::Sender<String>,
}

impl Told {
    fn of(fleet: &FleetSettings) -> Self {
        let about = About {
            role: fleet.role.as_str().to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            policy_version: String::new(),
            lease_ms: fleet.lease_ms,
            renew_ms: fleet.renew_ms,
        };
        Self { to: watch::Sender::new(about.to_json()), about }
    }

    /// From the next renewal on.
    pub(super) fn decides_by(&self, policy_version: &str) {
        let about = About { policy_version: policy_version.to_owned(), ..self.about.clone() };
        self.to.send_replace(about.to_json());
    }
}

/// The store that the settings name, with the tenants of the configuration in it; and what others are told of this process,
/// where there are others.
///
/// # Errors
/// [`StartError`].
pub(super) async fn open(
    config: &Config,
    clock: &dyn Clock,
) -> Result<(Arc<dyn Store>, Option<Arc<Told>>), StartError> {
    let told = config.fleet.as_ref().map(|fleet| Arc::new(Told::of(fleet)));
    let store: Arc<dyn Store> = match config.fleet.as_ref().zip(told.as_ref()) {
        Some((fleet, told)) => shared(config, fleet, told).await?,
        None => embedded(config, clock)?,
    };
    for tenant in &config.tenants {
        register(&*store, tenant, clock).await?;
    }
    Ok((store, told))
}

fn embedded(config: &Config, clock: &dyn Clock) -> Result<Arc<dyn Store>, StartError> {
    let store = Arc::new(SqliteStore::open(&config.store.path)?);
    if let Some(stored) = store.last_commit_at().filter(|_| !config.store.accept_earlier_clock) {
        go_on_from(stored, clock)?;
    }
    Ok(store)
}

/// The store of a fleet.
///
/// # Errors
/// [`StartError::Store`].
#[cfg(feature = "etcd")]
async fn shared(config: &Config, fleet: &FleetSettings, told: &Told) -> Result<Arc<dyn Store>, StartError> {
    use crate::store::etcd::{self, EtcdOptions, EtcdStore};

    let role = match fleet.role {
        Role::Authority => etcd::Role::Authority { copy: &config.store.path },
        Role::Sidecar => etcd::Role::Sidecar,
    };
    let options = EtcdOptions {
        settings: fleet.etcd.clone(),
        role,
        member: MemberId(fleet.member.clone()),
        lease: fleet.lease(),
        wait_out: fleet.wait_out(),
        about: told.to.subscribe(),
    };
    Ok(Arc::new(EtcdStore::open(options).await?))
}

/// This program has none of that kind: [`Config::check`] says so first.
///
/// # Errors
/// Always.
#[cfg(not(feature = "etcd"))]
#[expect(clippy::unused_async, reason = "the other one waits for etcd")]
async fn shared(_config: &Config, _fleet: &FleetSettings, _told: &Told) -> Result<Arc<dyn Store>, StartError> {
    Err(StoreError::Unavailable("this program was built without the cargo feature `etcd`".to_owned()).into())
}

/// How often a tenant is looked at anew because another authority was first.
const ATTEMPTS: usize = 16;

/// Registers a tenant of the configuration, or renames it (R10). Of authorities that start at once one does.
async fn register(store: &dyn Store, tenant: &TenantSettings, clock: &dyn Clock) -> Result<(), StartError> {
    let mut cause = None;
    for _ in 0..ATTEMPTS {
        let before = store.tenant(tenant.id.clone()).await?;
        if before.as_ref().is_some_and(|before| before.value.display_name == tenant.display_name) {
            return Ok(());
        }
        match store.commit(registration(before, tenant, clock)).await {
            Ok(_) => return Ok(()),
            // Somebody else wrote it, or perhaps we did: the next look tells.
            Err(error @ (CommitError::Conflict { .. } | CommitError::Unknown(_))) => cause = Some(error),
            Err(error @ CommitError::Unavailable(_)) => {
                return Err(StartError::Tenant { id: tenant.id.to_string(), cause: error });
            }
        }
    }
    cause.map_or(Ok(()), |cause| Err(StartError::Tenant { id: tenant.id.to_string(), cause }))
}

fn registration(before: Option<Versioned<Tenant>>, tenant: &TenantSettings, clock: &dyn Clock) -> Commit {
    let version = before.as_ref().map_or(1, |before| before.value.version + 1);
    let object = Object::Tenant(Tenant { id: tenant.id.clone(), display_name: tenant.display_name.clone(), version });
    Commit {
        txn_id: uuid::Uuid::now_v7().to_string(),
        at: clock.now(),
        preconditions: vec![Precondition { key: object.key(), revision: before.map(|before| before.revision) }],
        writes: vec![Write(object)],
        activities: Vec::new(),
        announcements: Vec::new(),
        takes_away: false,
    }
}

/// Our time goes on from what is stored.
fn go_on_from(stored: Timestamp, clock: &dyn Clock) -> Result<(), StartError> {
    let now = clock.now();
    if now.plus_millis(CLOCK_TOLERANCE_MS) < stored {
        return Err(StartError::Clock { now, stored });
    }
    clock.not_before(stored);
    Ok(())
}
