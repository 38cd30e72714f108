//! What every part of the store knows: the connections, the keys, the incarnation, and how far etcd is known to be.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use etcd_client::{GetResponse, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::connect::Cluster;
use super::errors::{Failed, Fault};
use super::keys::Keys;
use crate::store::{Epoch, MemberId, Seq};

/// How many places of snapshots are remembered: followers begin where a snapshot was.
const REMEMBERED: usize = 16;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) keys: Keys,
    /// This process.
    pub(super) member: MemberId,
    /// This run of it.
    pub(super) boot_id: String,
    /// What its key tells of it beside how far it is, as a JSON object.
    pub(super) about: watch::Receiver<String>,
    pub(super) epoch: OnceLock<Epoch>,
    /// The revision at which the epoch was first seen to stand.
    pub(super) epoch_stood_at: AtomicI64,
    /// The newest commit that etcd has spoken of.
    pub(super) told: watch::Sender<Seq>,
    /// Why the last request failed.
    pub(super) trouble: Mutex<Option<String>>,
    /// Why this process can go on with nothing that it knows.
    pub(super) lost: watch::Sender<Option<Fault>>,
    pub(super) patience: Duration,
    pub(super) starts: Mutex<VecDeque<Start>>,
}

/// Where to follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) seq: Seq,
    /// The revision of that commit.
    pub(super) revision: i64,
    /// Nothing was committed between that revision and this one.
    pub(super) quiet_until: i64,
}

/// How far etcd is, at one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) head: Seq,
    /// The revision of the head's commit.
    pub(super) head_revision: i64,
    /// The revision at which that holds.
    pub(super) at: i64,
}

impl Shared {
    /// Sends the transaction, and keeps what came of it for whoever asks after our health.
    pub(super) async fn transact(&self, txn: Txn) -> Result<TxnResponse, Failed> {
        let answer = self.cluster.transact(txn).await;
        *self.trouble.lock() = answer.as_ref().err().map(ToString::to_string);
        answer
    }

    /// The incarnation does not change while this process runs.
    pub(super) fn check_epoch(&self, found: &Epoch) -> Result<(), Fault> {
        let known = self.epoch.get_or_init(|| found.clone());
        if known == found {
            return Ok(());
        }
        Err(Fault::Regressed(format!("its epoch was {} and is {}", known.0, found.0)))
    }

    pub(super) fn tell(&self, head: Seq) {
        self.told.send_if_modified(|told| *told < head && std::mem::replace(told, head) < head);
    }

    /// Nothing that this process knows counts any more.
    pub(super) fn lose(&self, fault: Fault) {
        tracing::error!(%fault, "the fleet's store is lost to this process");
        self.lost.send_if_modified(|lost| lost.is_none() && lost.replace(fault).is_none());
    }

    pub(super) fn remember(&self, start: Start) {
        let mut starts = self.starts.lock();
        starts.retain(|known| known.seq != start.seq);
        starts.push_back(start);
        if starts.len() > REMEMBERED {
            starts.pop_front();
        }
    }

    /// Reads how far etcd is. What it answers may be old: only a transaction that writes tells the newest state.
    pub(super) async fn standing(&self) -> Result<Standing, Fault> {
        let asked = Txn::new().and_then([TxnOp::get(self.keys.head(), None), TxnOp::get(self.keys.epoch(), None)]);
        let answer = self.transact(asked).await?;
        let mut gets = gets(&answer).into_iter();
        self.stands(&answer, gets.next(), gets.next())
    }

    /// What the head and the epoch say, as a transaction read them.
    pub(super) fn stands(
        &self,
        answer: &TxnResponse,
        head: Option<GetResponse>,
        epoch: Option<GetResponse>,
    ) -> Result<Standing, Fault> {
        let epoch = epoch.and_then(first).filter(|epoch| !epoch.value().is_empty());
        let epoch = epoch.ok_or_else(|| Fault::Unavailable("no authority has begun it".to_owned()))?;
        let at = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        if self.epoch.get().is_none() {
            self.epoch_stood_at.store(at, Ordering::Release);
        }
        self.check_epoch(&Epoch(String::from_utf8_lossy(epoch.value()).into_owned()))?;
        let head = head.and_then(first);
        let standing = Standing {
            head: Seq(head.as_ref().map_or(0, |head| head.version().unsigned_abs())),
            head_revision: head.as_ref().map_or(0, KeyValue::mod_revision),
            at,
        };
        self.tell(standing.head);
        Ok(standing)
    }
}

/// What the transaction read, in the order of its reads.
pub(super) fn gets(answer: &TxnResponse) -> Vec<GetResponse> {
    let read = |response| match response {
        TxnOpResponse::Get(get) => Some(get),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    };
    answer.op_responses().into_iter().filter_map(read).collect()
}

/// What stands under the one key that was read.
pub(super) fn first(mut read: GetResponse) -> Option<KeyValue> {
    read.take_kvs().into_iter().next()
}
