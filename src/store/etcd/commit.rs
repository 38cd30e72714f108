//! A commit as one transaction of etcd, and what came of it.

use std::collections::BTreeMap;

use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, KeyValue, Txn, TxnOp, TxnResponse};

use super::keys::Keys;
use super::members::Listed;
use super::records::{Head, Stored, written};
use super::shared::{Shared, first, gets};
use crate::store::sqlite::replay::{Expected, Grounds};
use crate::store::{Commit, CommitError, Key, Precondition, Write};

/// What came of the transaction.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was written, at this revision; the head's version is its place.
    Written { seq: u64, members: Vec<Listed> },
    /// It had been written before, at this revision. The newest commit is this one.
    Before { revision: i64, head: u64, members: Vec<Listed> },
    /// Somebody else changed this key first.
    Conflict(Key),
    /// The store is another one.
    OtherEpoch,
}

/// A commit ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) txn: Txn,
    /// The preconditions' keys, each with what must be there.
    checked: Vec<(Key, Expected)>,
}

/// Translates a commit.
pub(super) fn transaction(shared: &Shared, commit: &Commit, grounds: &Grounds) -> Result<Transaction, CommitError> {
    if let Some(why) = &grounds.unstorable {
        return Err(CommitError::Unavailable(why.clone()));
    }
    let keys = &shared.keys;
    let place = |key: &Key| {
        let case_of = || match key {
            Key::AccessRequest(id) => grounds.cases.get(id).cloned(),
            Key::Tenant(_)
            | Key::SupportRequest(_)
            | Key::Slot(..)
            | Key::RememberedAnswer(_)
            | Key::Receipt(_)
            | Key::Rollout => None,
        };
        let nowhere = || CommitError::Unavailable(format!("nobody knows which support request `{key}` belongs to"));
        keys.object(key, case_of).ok_or_else(nowhere)
    };
    let epoch = shared.epoch.get().map(|epoch| epoch.0.clone()).unwrap_or_default();
    let log = keys.log_entry(commit.at, &commit.txn_id);
    let mut compares = vec![
        Compare::value(keys.epoch(), CompareOp::Equal, epoch),
        Compare::create_revision(log.clone(), CompareOp::Equal, 0),
    ];
    let mut otherwise = vec![
        TxnOp::get(keys.epoch(), None),
        TxnOp::get(log.clone(), Some(GetOptions::new().with_keys_only())),
        TxnOp::get(keys.head(), None),
        members(keys),
    ];
    let mut checked = Vec::with_capacity(commit.preconditions.len());
    for (Precondition { key, .. }, expected) in commit.preconditions.iter().zip(&grounds.expected) {
        let at = place(key)?;
        compares.push(match expected {
            Expected::Absent => Compare::create_revision(at.clone(), CompareOp::Equal, 0),
            Expected::At(revision) => Compare::mod_revision(at.clone(), CompareOp::Equal, *revision),
            Expected::Impossible => Compare::mod_revision(at.clone(), CompareOp::Equal, i64::MAX),
        });
        otherwise.push(TxnOp::get(at, Some(GetOptions::new().with_keys_only())));
        checked.push((key.clone(), *expected));
    }
    let unwritable = CommitError::Unavailable;
    // Of two writes of one key the later one counts; etcd takes one.
    let mut objects = BTreeMap::new();
    for Write(object) in &commit.writes {
        let stored = Stored { txn_id: commit.txn_id.clone(), object: object.clone() };
        objects.insert(place(&object.key())?, written(&stored).map_err(unwritable)?);
    }
    let among_commits = objects.keys().filter(|key| key.starts_with(&keys.commits())).count();
    let head = Head { txn_id: commit.txn_id.clone(), n_events: among_commits + 2 };
    let mut then: Vec<TxnOp> = objects.into_iter().map(|(key, value)| TxnOp::put(key, value, None)).collect();
    then.push(TxnOp::put(log, written(commit).map_err(unwritable)?, None));
    then.push(TxnOp::put(keys.head(), written(&head).map_err(unwritable)?, None));
    then.push(TxnOp::get(keys.head(), None));
    if commit.takes_away {
        then.push(members(keys));
    }
    Ok(Transaction { txn: Txn::new().when(compares).and_then(then).or_else(otherwise), checked })
}

fn members(keys: &Keys) -> TxnOp {
    // Who there is, not what each says: with a thousand of them that would be the most of every answer.
    TxnOp::get(keys.members(), Some(GetOptions::new().with_prefix().with_keys_only()))
}

/// What the answer says.
pub(super) fn outcome(
    shared: &Shared,
    transaction: &Transaction,
    answer: &TxnResponse,
) -> Result<Outcome, CommitError> {
    let keys = &shared.keys;
    let mut gets = gets(answer).into_iter();
    if answer.succeeded() {
        let seq = version(gets.next());
        let members = gets.next().map(|listed| Listed::all(keys, listed)).unwrap_or_default();
        return Ok(Outcome::Written { seq, members });
    }
    let epoch = gets.next().and_then(first);
    if epoch.map(|epoch| epoch.value().to_vec()) != shared.epoch.get().map(|known| known.0.clone().into_bytes()) {
        return Ok(Outcome::OtherEpoch);
    }
    let entry = gets.next().and_then(first);
    let head = version(gets.next());
    let members = gets.next().map(|listed| Listed::all(keys, listed)).unwrap_or_default();
    if let Some(entry) = entry {
        return Ok(Outcome::Before { revision: entry.mod_revision(), head, members });
    }
    for ((key, expected), found) in transaction.checked.iter().zip(gets) {
        let found = match first(found) {
            None => Expected::Absent,
            Some(found) => Expected::At(found.mod_revision()),
        };
        if found != *expected {
            return Ok(Outcome::Conflict(key.clone()));
        }
    }
    Err(CommitError::Unavailable("etcd refused the commit and does not show why".to_owned()))
}

fn version(head: Option<GetResponse>) -> u64 {
    head.and_then(first).as_ref().map_or(0, KeyValue::version).unsigned_abs()
}
