//! What is measured stands on this: a fleet's store with many cases, and processes that use it.

use std::path::Path;
use std::time::Duration;

use consentry::store::etcd::{EtcdOptions, EtcdStore, Role};
use consentry::store::{Commit, EtcdSettings, MemberId, Object, Store as _, Write};
use tokio::sync::watch;
use tokio::task::JoinSet;

use std::sync::Arc;

use crate::client::{Address, Connection, Request};
use crate::cluster::Cluster;
use crate::fixture::{Failure, THEN, case_objects, settings, tenants};
use crate::servers::{People, Server, prepare};

const LEASE: Duration = Duration::from_secs(5);
const WAIT_OUT: Duration = Duration::from_millis(6_350);

/// For each request to etcd, at all of its members together. When etcd has more to do than it can, patience helps: what is
/// given up is asked again, of the next member.
const TIMEOUT_MS: u64 = 1_500;

/// etcd takes 128 operations in one transaction.
const OBJECTS_AT_ONCE: usize = 100;
/// How many commits of a load are under way at once.
const COMMITS_AT_ONCE: usize = 16;

/// Opens the fleet's store in this process.
pub(crate) async fn open(cluster: &Cluster, role: Role<'_>, member: &str) -> Result<EtcdStore, Failure> {
    let settings = EtcdSettings {
        endpoints: cluster.urls(),
        prefix: String::new(),
        user: None,
        password_file: None,
        ca: None,
        certificate: None,
        key: None,
        domain: None,
        timeout_ms: TIMEOUT_MS,
    };
    let (_, about) = watch::channel("{}".to_owned());
    let member = MemberId(member.to_owned());
    Ok(EtcdStore::open(EtcdOptions { settings, role, member, lease: LEASE, wait_out: WAIT_OUT, about }).await?)
}

/// A commit of these objects, whatever was there before.
pub(crate) fn commit(objects: Vec<Object>) -> Commit {
    Commit {
        txn_id: uuid::Uuid::now_v7().to_string(),
        at: THEN,
        preconditions: Vec::new(),
        writes: objects.into_iter().map(Write).collect(),
        activities: Vec::new(),
        announcements: Vec::new(),
        takes_away: false,
    }
}

/// Fills the fleet's store with so many cases, each with a live access request.
pub(crate) async fn fill(store: &Arc<EtcdStore>, cases: usize) -> Result<(), Failure> {
    let mut objects = tenants()?;
    let mut under_way: JoinSet<Result<(), Failure>> = JoinSet::new();
    for case in 0..=cases {
        if objects.len() + 2 > OBJECTS_AT_ONCE || case == cases {
            for some in std::mem::take(&mut objects).chunks(OBJECTS_AT_ONCE) {
                if under_way.len() >= COMMITS_AT_ONCE
                    && let Some(done) = under_way.join_next().await
                {
                    done??;
                }
                let (store, commit) = (Arc::clone(store), commit(some.to_vec()));
                under_way.spawn(async move {
                    store.commit(commit).await?;
                    Ok(())
                });
            }
        }
        if case < cases {
            objects.extend(case_objects(case)?);
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(())
}

/// Settings, keys and callers of a process of the fleet in this folder.
pub(crate) fn prepare_member(
    folder: &Path,
    cluster: &Cluster,
    role: &str,
    acknowledge_ms: u64,
) -> Result<People, Failure> {
    std::fs::create_dir_all(folder)?;
    let people = prepare(folder, "written")?;
    let more = format!(
        r#"
        fleet.role = "{role}"
        fleet.member = "{role}-of-its-own"
        fleet.lease_ms = {lease}
        fleet.wait_ms = {wait}
        fleet.acknowledge_ms = {acknowledge_ms}
        fleet.etcd.endpoints = {urls:?}
        fleet.etcd.timeout_ms = {TIMEOUT_MS}
        "#,
        lease = LEASE.as_millis(),
        wait = WAIT_OUT.as_millis(),
        urls = cluster.urls(),
    );
    std::fs::write(folder.join("consentry.toml"), settings(folder, &more))?;
    Ok(people)
}

/// Waits until the server answers this question with 200.
pub(crate) async fn until_usable(server: &Server, mut request: Request) -> Result<(), Failure> {
    let Address::Tcp(_) = server.tcp else { return Err("no address".into()) };
    for _ in 0..30_000 {
        let mut connection = Connection::open(&server.tcp).await?;
        if connection.ask(request.bytes(0)).await?.0 == 200 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the server does not become usable".into())
}
