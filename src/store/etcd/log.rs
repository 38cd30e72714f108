//! The log of commits, read where a watch cannot be trusted or has nothing to show.

use etcd_client::{GetOptions, SortOrder, SortTarget, Txn, TxnOp};

use super::errors::Fault;
use super::records;
use super::shared::{Shared, Standing, Start, first, gets};
use crate::store::sqlite::replay::Placed;
use crate::store::{Commit, Seq};

/// How many commits are read at once: each is as long as etcd's longest request at most.
pub(super) const PORTION: usize = 32;

/// A commit's entry in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    key: Vec<u8>,
    seq: Seq,
    revision: i64,
}

/// The entries after a place, in order, and from where a watch shows what comes behind them.
pub(super) async fn entries_after(shared: &Shared, start: Start) -> Result<(Vec<Entry>, i64), Fault> {
    let standing = shared.standing().await?;
    if standing.head < start.seq {
        // A read can be old. A renewal tells if it is not.
        return Err(Fault::Unavailable("etcd answered with an old state".to_owned()));
    }
    if standing.head == start.seq {
        if standing.head_revision != start.revision {
            return Err(Fault::Regressed(format!("commit {} is not the one that was seen", start.seq.0)));
        }
        return Ok((Vec::new(), standing.at));
    }
    let keys = entries(shared, standing, start.revision).await?;
    let missing = standing.head.0 - start.seq.0;
    if u64::try_from(keys.len()).ok() != Some(missing)
        || keys.last().map(|(_, last)| *last) != Some(standing.head_revision)
    {
        return Err(Fault::Compacted(start.seq));
    }
    let entries = (start.seq.0 + 1..).zip(keys).map(|(seq, (key, revision))| Entry { key, seq: Seq(seq), revision });
    Ok((entries.collect(), standing.at))
}

/// The keys of the log written after this revision, with theirs, the oldest first.
async fn entries(shared: &Shared, standing: Standing, after: i64) -> Result<Vec<(Vec<u8>, i64)>, Fault> {
    let options = GetOptions::new()
        .with_prefix()
        .with_keys_only()
        .with_min_mod_revision(after + 1)
        .with_revision(standing.at)
        .with_sort(SortTarget::Mod, SortOrder::Ascend);
    let mut listed = shared.cluster.range(shared.keys.log(), options).await?;
    Ok(listed.take_kvs().into_iter().map(|entry| (entry.key().to_vec(), entry.mod_revision())).collect())
}

/// The revisions of all commits that are still in the log, the oldest first.
pub(super) async fn revisions(shared: &Shared, standing: Standing) -> Result<Vec<i64>, Fault> {
    Ok(entries(shared, standing, 0).await?.into_iter().map(|(_, revision)| revision).collect())
}

/// Reads the commits of these entries. Entries are never written again, so that any later state shows the same.
pub(super) async fn read(shared: &Shared, entries: &[Entry]) -> Result<Vec<Placed>, Fault> {
    let ops: Vec<TxnOp> = entries.iter().map(|entry| TxnOp::get(entry.key.clone(), None)).collect();
    let answer = shared.transact(Txn::new().and_then(ops)).await?;
    let mut placed = Vec::with_capacity(entries.len());
    for (entry, read) in entries.iter().zip(gets(&answer)) {
        let found = first(read).filter(|found| found.mod_revision() == entry.revision);
        let Some(found) = found else { return Err(Fault::Compacted(Seq(entry.seq.0.saturating_sub(1)))) };
        let commit: Commit = records::read(found.key(), found.value())?;
        placed.push(Placed { seq: entry.seq, revision: entry.revision, commit });
    }
    Ok(placed)
}

/// Finds where to follow from, when a follower names no more than a commit's number.
pub(super) async fn start_at(shared: &Shared, seq: Seq) -> Result<Start, Fault> {
    if seq == Seq(0) {
        return Ok(Start { seq, revision: 0, quiet_until: 0 });
    }
    let known = shared.starts.lock().iter().find(|start| start.seq == seq).copied();
    if let Some(start) = known {
        return Ok(start);
    }
    let standing = shared.standing().await?;
    let Some(later) = standing.head.0.checked_sub(seq.0) else {
        let lost = format!("a follower has seen change {}, the store has got to {} only", seq.0, standing.head.0);
        return Err(Fault::Damaged(lost));
    };
    let revisions = revisions(shared, standing).await?;
    let at = usize::try_from(later).ok().and_then(|later| revisions.iter().rev().nth(later));
    let revision = *at.ok_or(Fault::Compacted(seq))?;
    Ok(Start { seq, revision, quiet_until: revision })
}
