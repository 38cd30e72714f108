//! Opens the store: the one place that names a concrete one.

use std::sync::Arc;

use super::StartError;
use crate::clock::Clock;
use crate::config::{Config, TenantSettings};
use crate::model::{Tenant, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::{Commit, Object, Precondition, Store, Write};

/// By how much the clock may be behind what is stored: our time then begins at what is stored.
const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;

/// The store that the settings name, with the tenants of the configuration in it.
///
/// # Errors
/// [`StartError`].
pub(super) async fn open(config: &Config, clock: &dyn Clock) -> Result<Arc<dyn Store>, StartError> {
    let store = Arc::new(SqliteStore::open(&config.store.path)?);
    if let Some(stored) = store.last_commit_at().filter(|_| !config.store.accept_earlier_clock) {
        go_on_from(stored, clock)?;
    }
    for tenant in &config.tenants {
        register(&*store, tenant, clock).await?;
    }
    Ok(store)
}

/// Registers a tenant of the configuration, or renames it (R10).
async fn register(store: &dyn Store, tenant: &TenantSettings, clock: &dyn Clock) -> Result<(), StartError> {
    let before = store.tenant(tenant.id.clone()).await?;
    if before.as_ref().is_some_and(|before| before.value.display_name == tenant.display_name) {
        return Ok(());
    }
    let version = before.as_ref().map_or(1, |before| before.value.version + 1);
    let object = Object::Tenant(Tenant { id: tenant.id.clone(), display_name: tenant.display_name.clone(), version });
    let commit = Commit {
        txn_id: uuid::Uuid::now_v7().to_string(),
        at: clock.now(),
        preconditions: vec![Precondition { key: object.key(), revision: before.map(|before| before.revision) }],
        writes: vec![Write(object)],
        activities: Vec::new(),
        announcements: Vec::new(),
        takes_away: false,
    };
    match store.commit(commit).await {
        Ok(_) => Ok(()),
        Err(cause) => Err(StartError::Tenant { id: tenant.id.to_string(), cause }),
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
