//! A look at the fleet from outside, for whoever runs it: reads only, and registers nobody.

use etcd_client::{GetOptions, KeyValue, Txn, TxnOp};
use serde_json::Value;

use super::connect::Cluster;
use super::errors::Fault;
use super::keys::Keys;
use super::records::{self, Present, Stored};
use super::shared::{first, gets};
use crate::store::{EtcdSettings, Member, Object, Seq, StoreError};

/// The fleet at one moment.
#[derive(Debug, Clone)]
pub struct FleetLook {
    /// The store's incarnation; none: no authority has begun it.
    pub epoch: Option<String>,
    /// The newest commit.
    pub head: Seq,
    /// The version of the policies that were rolled out last.
    pub policy_version: Option<String>,
    /// The members, in the order of their names.
    pub members: Vec<SeenMember>,
}

/// A member as its key shows it.
#[derive(Debug, Clone)]
pub struct SeenMember {
    /// Which, and how far it is.
    pub member: Member,
    /// Changes with every renewal.
    pub written: i64,
    /// What it tells of itself.
    pub about: Option<Value>,
}

/// Looks at the fleet on this etcd.
///
/// # Errors
/// [`StoreError::Unavailable`] when nobody answers, [`StoreError::Damaged`] when what is there is no fleet's.
pub async fn look(settings: &EtcdSettings) -> Result<FleetLook, StoreError> {
    let cluster = Cluster::new(settings)?;
    let keys = Keys::below(&settings.prefix);
    let all = Txn::new().and_then([
        TxnOp::get(keys.epoch(), None),
        TxnOp::get(keys.head(), None),
        TxnOp::get(keys.rollout(), None),
        TxnOp::get(keys.members(), Some(GetOptions::new().with_prefix())),
    ]);
    let answer = cluster.transact(all).await.map_err(Fault::from)?;
    let mut read = gets(&answer).into_iter();
    let mut one = || read.next().and_then(first);
    let (epoch, head, rollout) = (one(), one(), one());
    let members = read.next().map(|mut read| read.take_kvs()).unwrap_or_default();
    let policy_version = match rollout.map(|entry| records::read::<Stored>(entry.key(), entry.value())).transpose()? {
        Some(Stored { object: Object::Rollout(rollout), .. }) => Some(rollout.policy_version),
        Some(_) | None => None,
    };
    Ok(FleetLook {
        epoch: epoch.map(|epoch| String::from_utf8_lossy(epoch.value()).into_owned()),
        head: Seq(head.map_or(0, |head| head.version().unsigned_abs())),
        policy_version,
        members: members.iter().filter_map(|entry| seen(&keys, entry)).collect(),
    })
}

fn seen(keys: &Keys, entry: &KeyValue) -> Option<SeenMember> {
    let id = keys.member_at(entry.key())?;
    let present: Option<Present> = serde_json::from_slice(entry.value()).ok();
    let applied = Seq(present.as_ref().map_or(0, |present| present.applied_seq));
    let about = present.and_then(|present| present.about).and_then(|about| serde_json::from_str(about.get()).ok());
    Some(SeenMember {
        member: Member { id, entry: entry.create_revision().unsigned_abs(), applied },
        written: entry.mod_revision(),
        about,
    })
}
