//! A snapshot from etcd itself, for processes that keep no copy: everything as it was at one revision.

use std::sync::Arc;

use etcd_client::{GetOptions, KeyValue};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::errors::Fault;
use super::keys::{Followed, SHARDS};
use super::log;
use super::records::{self, Stored};
use super::shared::{Shared, Start};
use crate::store::{Seq, SnapshotItem};

/// How many ranges are read at once.
const AT_ONCE: usize = 8;

/// Hands over everything that followers know of: tenants, support requests, access requests, policies. The access
/// requests of one support request lie in one range and come in the order in which they were created.
pub(super) async fn snapshot(shared: &Arc<Shared>, visit: &mut (dyn FnMut(SnapshotItem) + Send)) -> Result<Seq, Fault> {
    let standing = shared.standing().await?;
    let commits = Arc::new(log::revisions(shared, standing).await?);
    for kind in Followed::ALL {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut reading = JoinSet::new();
        for shard in 0..SHARDS {
            let (shared, commits, permits) = (Arc::clone(shared), Arc::clone(&commits), Arc::clone(&permits));
            reading.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let options = GetOptions::new().with_prefix().with_revision(standing.at);
                let mut read = shared.cluster.range(shared.keys.shard_of(kind, shard), options).await?;
                let mut entries = read.take_kvs();
                entries.sort_by_key(KeyValue::create_revision);
                let item = |entry: &KeyValue| item(entry, standing.head, &commits);
                entries.iter().map(item).collect::<Result<Vec<_>, Fault>>()
            });
        }
        while let Some(read) = reading.join_next().await {
            let read = read.map_err(|error| Fault::Unavailable(format!("a read was broken off: {error}")))?;
            read?.into_iter().for_each(&mut *visit);
        }
    }
    let options = GetOptions::new().with_revision(standing.at);
    for entry in shared.cluster.range(shared.keys.rollout(), options).await?.take_kvs() {
        visit(item(&entry, standing.head, &commits)?);
    }
    shared.remember(Start { seq: standing.head, revision: standing.head_revision, quiet_until: standing.at });
    Ok(standing.head)
}

/// An object with the place of the commit that wrote it last: behind it there are as many commits as were made later.
fn item(entry: &KeyValue, head: Seq, commits: &[i64]) -> Result<SnapshotItem, Fault> {
    let Stored { object, .. } = records::read(entry.key(), entry.value())?;
    let later = commits.len() - commits.partition_point(|commit| *commit <= entry.mod_revision());
    let seq = head.0.checked_sub(u64::try_from(later).unwrap_or(u64::MAX));
    let seq = seq.ok_or_else(|| Fault::Damaged(format!("its log has more than {} commits", head.0)))?;
    Ok(SnapshotItem { seq: Seq(seq), object })
}
