//! A snapshot from etcd itself, for processes that keep no copy: everything as it was at one revision.

use std::ops::Range;
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

/// About how many objects are read with one range: a small store costs a few requests, and no answer is very long.
const PORTION: u64 = 1_000;

/// Hands over everything that followers know of: tenants, support requests, access requests, policies. The access
/// requests of one support request lie in one range and come in the order in which they were created.
pub(super) async fn snapshot(shared: &Arc<Shared>, visit: &mut (dyn FnMut(SnapshotItem) + Send)) -> Result<Seq, Fault> {
    let standing = shared.standing().await?;
    let commits = Arc::new(log::revisions(shared, standing).await?);
    for kind in Followed::ALL {
        let counted = GetOptions::new().with_prefix().with_count_only().with_revision(standing.at);
        let count = shared.cluster.range(shared.keys.of_kind(kind), counted).await?.count();
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut reading = JoinSet::new();
        for shards in portions(count.unsigned_abs()) {
            let (shared, commits, permits) = (Arc::clone(shared), Arc::clone(&commits), Arc::clone(&permits));
            reading.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let (begin, end) = shared.keys.shards(kind, shards);
                let options = GetOptions::new().with_range(end).with_revision(standing.at);
                let mut read = shared.cluster.range(begin, options).await?;
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

/// All shards, in portions of about as many objects as are read with one range.
fn portions(count: u64) -> impl Iterator<Item = Range<u16>> {
    let needed = u16::try_from(count.div_ceil(PORTION)).unwrap_or(SHARDS).min(SHARDS);
    // What is empty is not read.
    let bound = move |portion: u16| u16::try_from(u32::from(SHARDS) * u32::from(portion) / u32::from(needed.max(1)));
    (0..needed).map(move |portion| bound(portion).unwrap_or(SHARDS)..bound(portion + 1).unwrap_or(SHARDS))
}

/// An object with the place of the commit that wrote it last: behind it there are as many commits as were made later.
fn item(entry: &KeyValue, head: Seq, commits: &[i64]) -> Result<SnapshotItem, Fault> {
    let Stored { object, .. } = records::read(entry.key(), entry.value())?;
    let later = commits.len() - commits.partition_point(|commit| *commit <= entry.mod_revision());
    let seq = head.0.checked_sub(u64::try_from(later).unwrap_or(u64::MAX));
    let seq = seq.ok_or_else(|| Fault::Damaged(format!("its log has more than {} commits", head.0)))?;
    Ok(SnapshotItem { seq: Seq(seq), object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_in_one_portion() {
        for count in [1, 999, 1_000, 1_001, 2_500, 100_000, 255_999, 256_001, 10_000_000, u64::MAX] {
            let portions: Vec<_> = portions(count).collect();
            let all: Vec<u16> = portions.iter().cloned().flatten().collect();
            assert_eq!(all, (0..SHARDS).collect::<Vec<_>>(), "{count}");
            assert!(portions.iter().all(|portion| !portion.is_empty()), "{count}: {portions:?}");
        }
        assert_eq!(portions(0).count(), 0);
        assert_eq!((portions(1_000).count(), portions(1_001).count(), portions(u64::MAX).count()), (1, 2, 256));
    }
}
