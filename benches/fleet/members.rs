//! Members that decide nothing, and do everything else that a sidecar does: they bootstrap, watch, apply and renew.

use std::sync::Arc;
use std::time::Duration;

use consentry::clock::{Clock, SystemClock};
use consentry::replica::{Following, Replica, follow};
use consentry::store::etcd::{EtcdStore, Role};
use consentry::store::{MemberId, Store};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::fixture::Failure;
use crate::stage::open;

/// How many bootstrap at once.
const AT_ONCE: usize = 8;

/// The members; dropping them ends them.
pub(crate) struct Members {
    replicas: Vec<Arc<Replica>>,
    /// What each does goes on in here.
    following: JoinSet<()>,
}

impl Members {
    /// Starts so many, and waits until each is usable.
    pub(crate) async fn start(cluster: &Cluster, count: usize, acknowledge: Duration) -> Result<Self, Failure> {
        let mut members = Self { replicas: Vec::with_capacity(count), following: JoinSet::new() };
        for number in 0..count {
            let name = format!("member-{number:04}");
            let store = open(cluster, Role::Sidecar, &name).await?;
            members.add(Arc::new(store), name, acknowledge);
            if let Some(before) = number.checked_sub(AT_ONCE) {
                members.until_fresh(before).await?;
            }
        }
        for number in 0..count {
            members.until_fresh(number).await?;
        }
        Ok(members)
    }

    fn add(&mut self, store: Arc<EtcdStore>, name: String, acknowledge_interval: Duration) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let replica = Arc::new(Replica::new(clock));
        let following = Following { acknowledge_interval, ..Following::as_member(MemberId(name)) };
        let store: Arc<dyn Store> = store;
        self.following.spawn(follow(Arc::clone(&replica), store, following));
        self.replicas.push(replica);
    }

    async fn until_fresh(&self, number: usize) -> Result<(), Failure> {
        let replica = self.replicas.get(number).ok_or("no such member")?;
        for _ in 0..12_000 {
            if replica.fresh().is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("member {number} does not become usable: {:?}", replica.fresh()).into())
    }

    /// How many of them can be used now, how many renewals they have made, and how many of those failed.
    pub(crate) fn standing(&self) -> (usize, u64, u64) {
        let usable = self.replicas.iter().filter(|replica| replica.fresh().is_ok()).count();
        let leases = || self.replicas.iter().filter_map(|replica| replica.lease());
        (usable, leases().map(|lease| lease.renewals).sum(), leases().map(|lease| lease.failures).sum())
    }
}
