#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it is a test's")]
//! The store's contract over etcd, and what is etcd's own.

mod server;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use self::server::Server;
use super::{EtcdOptions, EtcdStore, Role};
use crate::store::contract::store_contract;
use crate::store::{EtcdSettings, MemberId, Store, StoreError};

store_contract!(empty().await);

/// A fleet of its own: what lies below a fresh prefix of the etcd that all tests share.
pub(super) struct Fleet {
    _server: Arc<Server>,
    settings: EtcdSettings,
    directory: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let server = Server::shared();
        let settings = EtcdSettings {
            endpoints: vec![server.endpoint()],
            prefix: format!("{}/", Uuid::new_v4()),
            user: None,
            password_file: None,
            ca: None,
            certificate: None,
            key: None,
            domain: None,
            timeout_ms: 5_000,
        };
        Self { _server: server, settings, directory: tempfile::tempdir().unwrap() }
    }

    async fn authority(&self, name: &str) -> EtcdStore {
        let copy = self.directory.path().join(format!("{name}.db"));
        self.open(Role::Authority { copy: &copy }, name).await.unwrap()
    }

    async fn sidecar(&self, name: &str) -> EtcdStore {
        self.open(Role::Sidecar, name).await.unwrap()
    }

    async fn open(&self, role: Role<'_>, name: &str) -> Result<EtcdStore, StoreError> {
        let (_, about) = watch::channel("{\"build\": 1}".to_owned());
        let (lease, wait_out) = (Duration::from_millis(500), Duration::from_millis(725));
        let (settings, member) = (self.settings.clone(), MemberId(name.to_owned()));
        EtcdStore::open(EtcdOptions { settings, role, member, lease, wait_out, about }).await
    }
}

async fn empty() -> (Arc<dyn Store>, Fleet) {
    let fleet = Fleet::new();
    (Arc::new(fleet.authority("authority").await), fleet)
}
