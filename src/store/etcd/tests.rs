//! The store's contract over etcd, and what is etcd's own.

mod access;
mod batches;
mod faults;
mod fleet;
mod killed;
mod proxy;
mod server;

use std::path::Path;
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
    server: Arc<Server>,
    settings: EtcdSettings,
    directory: Arc<TempDir>,
}

impl Fleet {
    fn new() -> Self {
        Self::on(Server::shared())
    }

    /// With an etcd of its own.
    fn alone() -> Self {
        Self::on(Arc::new(Server::start(&[])))
    }

    fn on(server: Arc<Server>) -> Self {
        let settings = settings(server.endpoint(), format!("{}/", Uuid::new_v4()));
        Self { server, settings, directory: Arc::new(tempfile::tempdir().unwrap()) }
    }

    /// The same fleet, reached by other ways.
    fn through(&self, endpoints: &[String], timeout_ms: u64) -> Self {
        let settings = EtcdSettings { endpoints: endpoints.to_vec(), timeout_ms, ..self.settings.clone() };
        Self { server: Arc::clone(&self.server), settings, directory: Arc::clone(&self.directory) }
    }

    /// What its keys begin with.
    fn root(&self) -> &str {
        &self.settings.prefix
    }

    /// Puts a backup in the place of the etcd that is its own.
    fn restore(&mut self, backup: &Path) {
        Arc::get_mut(&mut self.server).unwrap().restore(backup);
    }

    async fn authority(&self, name: &str) -> EtcdStore {
        let copy = self.directory.path().join(format!("{name}.db"));
        self.open(Role::Authority { copy: &copy }, name).await.unwrap()
    }

    async fn sidecar(&self, name: &str) -> EtcdStore {
        self.open(Role::Sidecar, name).await.unwrap()
    }

    async fn open(&self, role: Role<'_>, name: &str) -> Result<EtcdStore, StoreError> {
        open(self.settings.clone(), role, name).await
    }
}

async fn open(settings: EtcdSettings, role: Role<'_>, name: &str) -> Result<EtcdStore, StoreError> {
    let (_, about) = watch::channel("{\"build\": 1}".to_owned());
    let (lease, wait_out) = (Duration::from_millis(500), Duration::from_millis(725));
    EtcdStore::open(EtcdOptions { settings, role, member: MemberId(name.to_owned()), lease, wait_out, about }).await
}

async fn empty() -> (Arc<dyn Store>, Fleet) {
    let fleet = Fleet::new();
    (Arc::new(fleet.authority("authority").await), fleet)
}

/// Does something behind the stores' backs.
fn etcdctl(fleet: &Fleet, arguments: &[&str]) -> String {
    server::etcdctl(&["--endpoints", &fleet.server.endpoint()], arguments)
}

fn settings(endpoint: String, prefix: String) -> EtcdSettings {
    EtcdSettings {
        endpoints: vec![endpoint],
        prefix,
        user: None,
        password_file: None,
        ca: None,
        certificate: None,
        key: None,
        domain: None,
        timeout_ms: 5_000,
    }
}
