//! The follower: takes a snapshot, then every change in order, and tells the store how far it is.

use std::sync::Arc;
use std::time::Duration;

use super::facts::{NotFresh, Replica};
use crate::store::{MemberId, Seq, Store, StoreError};

/// How long to wait before trying again to follow a store that failed.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the store for ever. The replica is usable while this keeps up, and says why when it is not.
pub async fn follow(replica: Arc<Replica>, store: Arc<dyn Store>, member: MemberId) {
    loop {
        let error = match run(&replica, &*store, &member).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        tracing::error!(error = %error, "the replica cannot follow the store; nothing is allowed until it can");
        replica.stop(NotFresh::Lost(error.to_string()));
        tokio::time::sleep(RETRY).await;
    }
}

async fn run(replica: &Replica, store: &dyn Store, member: &MemberId) -> Result<std::convert::Infallible, StoreError> {
    replica.clear();
    let seq = bootstrap(replica, store).await?;
    let mut changes = store.changes(seq)?;
    let epoch = catch_up(replica, store, member, &mut *changes, seq).await?;
    loop {
        let change = changes.next().await?;
        if change.seq != replica.applied().next() {
            return Err(StoreError::Damaged(format!(
                "change {} follows {}: one is missing",
                change.seq.0,
                replica.applied().0
            )));
        }
        replica.apply(change);
        let renewal = store.renew(member.clone(), replica.applied()).await?;
        if renewal.epoch != epoch || renewal.head < replica.applied() {
            return Err(StoreError::Damaged("the store went back to an earlier state".to_owned()));
        }
    }
}

async fn bootstrap(replica: &Replica, store: &dyn Store) -> Result<Seq, StoreError> {
    let mut early = Vec::new();
    let seq = store
        .snapshot(&mut |item| {
            if let Some(item) = replica.load(item) {
                early.push(item);
            }
        })
        .await?;
    for item in early {
        if let Some(item) = replica.load(item) {
            return Err(StoreError::Damaged(format!("`{}` has no support request", item.object.key())));
        }
    }
    Ok(seq)
}

/// Applies everything up to the head that the first renewal names; only then may the picture be used.
async fn catch_up(
    replica: &Replica,
    store: &dyn Store,
    member: &MemberId,
    changes: &mut dyn crate::store::ChangeFeed,
    snapshot: Seq,
) -> Result<crate::store::Epoch, StoreError> {
    let renewal = store.renew(member.clone(), snapshot).await?;
    let mut applied = snapshot;
    while applied < renewal.head {
        let change = changes.next().await?;
        applied = change.seq;
        replica.apply(change);
    }
    replica.start(applied);
    store.renew(member.clone(), applied).await?;
    Ok(renewal.epoch)
}
