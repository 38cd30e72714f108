//! The members: as a transaction lists them, as they change, and those that are struck off.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, GetOptions, GetResponse, KeyValue, Txn, TxnOp};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use super::errors::Fault;
use super::keys::Keys;
use super::records::{BarrierRecord, Present, Silent, written};
use super::renew::strike_off;
use super::shared::Shared;
use crate::store::{Barrier, Member, MemberId, Seq};

/// Of so many commits it is remembered what their members had written.
const REMEMBERED: usize = 1_024;

/// How long to wait before a failed watch is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// What members say is told on so seldom: a thousand of them speak in turn, and everybody who waits looks at each list.
const APART: Duration = Duration::from_millis(5);

/// A member as a transaction listed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) member: Member,
    /// When it was written last.
    pub(super) written: i64,
}

impl Listed {
    /// Every member that was read.
    pub(super) fn all(keys: &Keys, mut read: GetResponse) -> Vec<Self> {
        read.take_kvs().iter().filter_map(|entry| Self::of(keys, entry)).collect()
    }

    fn of(keys: &Keys, entry: &KeyValue) -> Option<Self> {
        let id = keys.member_at(entry.key())?;
        // Of a key that says nothing, or was read without what it says, it is not known that anything is in force: it is
        // waited for.
        let applied = serde_json::from_slice(entry.value()).map_or(0, |present: Present| present.applied_seq);
        let member = Member { id, entry: entry.create_revision().unsigned_abs(), applied: Seq(applied) };
        Some(Self { member, written: entry.mod_revision() })
    }
}

/// What the members of our commits had written when those were made.
#[derive(Debug, Default)]
pub(super) struct Seen {
    by_seq: Mutex<VecDeque<(Seq, BTreeMap<MemberId, i64>)>>,
    /// The list of members that was kept last, by what is in it.
    roster: Mutex<Option<String>>,
}

impl Seen {
    /// Keeps the list of a commit. Of two lists of one commit the earlier one stays: a member that has written between
    /// them holds a lease that was not waited out by whoever holds the earlier list.
    pub(super) fn keep(&self, seq: Seq, members: &[Listed]) {
        let mut by_seq = self.by_seq.lock();
        if by_seq.iter().any(|(known, _)| *known == seq) {
            return;
        }
        let written = members.iter().map(|listed| (listed.member.id.clone(), listed.written)).collect();
        by_seq.push_back((seq, written));
        if by_seq.len() > REMEMBERED {
            by_seq.pop_front();
        }
    }

    /// The list of a commit, which is long where there are many members and needed once. No later one takes its place.
    fn take(&self, seq: Seq) -> BTreeMap<MemberId, i64> {
        let mut by_seq = self.by_seq.lock();
        let kept = by_seq.iter_mut().find(|(known, _)| *known == seq);
        kept.map(|(_, written)| std::mem::take(written)).unwrap_or_default()
    }
}

/// Keeps what came of waiting, then strikes off who was waited out and has not written since the commit.
pub(super) async fn note(shared: &Shared, seen: &Seen, barrier: &Barrier) -> Result<(), Fault> {
    let roster = roster(barrier);
    let roster = written(&roster).map_err(Fault::Unavailable)?;
    let digest = const_hex::encode(Sha256::digest(&roster));
    let waited = BarrierRecord {
        seq: barrier.seq.0,
        at: barrier.at,
        roster: digest.clone(),
        acknowledged: barrier.acknowledged.len(),
        waited_out: barrier.waited_out.iter().map(Silent::from).collect(),
    };
    let value = written(&waited).map_err(Fault::Unavailable)?;
    // The same when it is tried again; another authority waits for itself.
    let key = shared.keys.barrier(barrier.at, barrier.seq, &shared.boot_id);
    let mut puts = vec![TxnOp::put(key, value, None)];
    let is_kept = seen.roster.lock().as_ref() == Some(&digest);
    if !is_kept {
        puts.push(TxnOp::put(shared.keys.roster(&digest), roster, None));
    }
    shared.transact(Txn::new().and_then(puts)).await?;
    *seen.roster.lock() = Some(digest);
    let written = seen.take(barrier.seq);
    for silent in &barrier.waited_out {
        let Some(written) = written.get(&silent.id) else { continue };
        // One that stays is waited for again by the next change that takes access away.
        match strike_off(shared, &silent.id, *written).await {
            Ok(true) => {
                tracing::warn!(member = %silent.id.0, applied = silent.applied.0, "a silent member was struck off");
            }
            Ok(false) => {}
            Err(fault) => tracing::warn!(member = %silent.id.0, %fault, "a silent member was not struck off"),
        }
    }
    Ok(())
}

/// Who was waited for. The lists hardly ever change: each is kept once, so that what is kept of a wait stays short in a large
/// fleet.
fn roster(barrier: &Barrier) -> Vec<&str> {
    let waited_out = barrier.waited_out.iter().map(|member| &member.id);
    let mut names: Vec<&str> = barrier.acknowledged.iter().chain(waited_out).map(|id| id.0.as_str()).collect();
    names.sort_unstable();
    names
}

/// Tells the members as they change, until the process ends.
pub(super) async fn keep_watching(shared: Arc<Shared>, members: watch::Sender<Vec<Member>>) {
    loop {
        if let Err(fault) = watch_once(&shared, &members).await {
            tracing::debug!(%fault, "the fleet's members cannot be watched now");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn watch_once(shared: &Shared, members: &watch::Sender<Vec<Member>>) -> Result<(), Fault> {
    let mut listed = shared.cluster.range(shared.keys.members(), GetOptions::new().with_prefix()).await?;
    let at = listed.header().map_or(0, etcd_client::ResponseHeader::revision);
    let read = listed.take_kvs();
    let members_of =
        |entry: &KeyValue| Listed::of(&shared.keys, entry).map(|Listed { member, .. }| (member.id.clone(), member));
    let mut known: BTreeMap<MemberId, Member> = read.iter().filter_map(members_of).collect();
    tell(members, &known);
    let mut told_at = Instant::now();
    let mut is_told = true;
    let mut stream = shared.cluster.watch(shared.keys.all_members(), at + 1).await?;
    loop {
        if !is_told && told_at.elapsed() >= APART {
            tell(members, &known);
            (told_at, is_told) = (Instant::now(), true);
        }
        let answered = tokio::select! {
            response = stream.message() => response.map_err(|error| Fault::Unavailable(error.to_string()))?,
            () = tokio::time::sleep_until(told_at + APART), if !is_told => continue,
        };
        let Some(response) = answered.filter(|response| !response.canceled()) else {
            return Err(Fault::Unavailable("the watch ended".to_owned()));
        };
        for event in response.events() {
            let Some(entry) = event.kv() else { continue };
            match event.event_type() {
                EventType::Delete => {
                    if let Some(id) = shared.keys.member_at(entry.key()) {
                        known.remove(&id);
                    }
                }
                EventType::Put => known.extend(members_of(entry)),
            }
            is_told = false;
        }
    }
}

fn tell(members: &watch::Sender<Vec<Member>>, known: &BTreeMap<MemberId, Member>) {
    let now: Vec<Member> = known.values().cloned().collect();
    members.send_if_modified(|before| *before != now && std::mem::replace(before, now.clone()) != now);
}
