//! A member's lease: renewed by a transaction that writes, so that what it reads beside it is the newest state.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, KeyValue, Txn, TxnOp};
use parking_lot::Mutex;

use super::errors::Fault;
use super::records::{self, Present, written};
use super::shared::{Shared, Standing, first, gets};
use crate::store::{Member, MemberId, Seq, StoreError};

/// The members that this process has registered: itself.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    known: Mutex<BTreeMap<MemberId, Registration>>,
}

#[derive(Debug, Clone, Copy)]
enum Registration {
    /// Our key was made at this revision.
    Ours { created: i64, applied: Seq },
    /// Another run's key stands there, last written at this revision, and was first seen like this at that moment.
    Others { written: i64, since: Instant },
}

impl Registrations {
    /// The members as they were registered, without asking.
    pub(super) fn ours(&self) -> Vec<Member> {
        let known = self.known.lock();
        let ours = known.iter().filter_map(|(id, registration)| match registration {
            Registration::Ours { created, applied } => {
                Some(Member { id: id.clone(), entry: created.unsigned_abs(), applied: *applied })
            }
            Registration::Others { .. } => None,
        });
        ours.collect()
    }

    fn get(&self, member: &MemberId) -> Option<Registration> {
        self.known.lock().get(member).copied()
    }

    fn set(&self, member: &MemberId, registration: Registration) {
        self.known.lock().insert(member.clone(), registration);
    }

    fn forget(&self, member: &MemberId) {
        self.known.lock().remove(member);
    }

    /// Says how far the member is, and tells how far etcd is. A member without a key is registered; one whose key was
    /// taken away is fenced, and registers anew the next time.
    pub(super) async fn renew(
        &self,
        shared: &Shared,
        member: &MemberId,
        applied: Seq,
        wait_out: Duration,
    ) -> Result<Standing, StoreError> {
        let standing = match self.get(member) {
            Some(Registration::Ours { created, .. }) => self.again(shared, member, applied, created).await?,
            Some(Registration::Others { .. }) | None => {
                let registered = match self.register(shared, member, applied, wait_out).await? {
                    // Nothing is in the way any more.
                    None => self.register(shared, member, applied, wait_out).await?,
                    registered => registered,
                };
                registered.ok_or(StoreError::Fenced)?
            }
        };
        if standing.head < applied {
            let lost = format!("commit {} was applied here, and etcd has got to {} only", applied.0, standing.head.0);
            return Err(StoreError::Regressed(lost));
        }
        Ok(standing)
    }

    async fn again(
        &self,
        shared: &Shared,
        member: &MemberId,
        applied: Seq,
        created: i64,
    ) -> Result<Standing, StoreError> {
        let key = shared.keys.member(member);
        let mut compares = vec![Compare::create_revision(key.clone(), CompareOp::Equal, created)];
        // A store that was restored holds the key as well: how far we were in the other one must not be said there. Whoever
        // registered before anybody had begun the store knows no epoch, and has been nowhere.
        if let Some(epoch) = shared.epoch.get() {
            compares.push(Compare::value(shared.keys.epoch(), CompareOp::Equal, epoch.0.clone()));
        }
        let renewed = Txn::new()
            .when(compares)
            .and_then([
                TxnOp::put(key, present(shared, applied)?, None),
                TxnOp::get(shared.keys.head(), None),
                TxnOp::get(shared.keys.epoch(), None),
            ])
            .or_else([TxnOp::get(shared.keys.head(), None), TxnOp::get(shared.keys.epoch(), None)]);
        let answer = shared.transact(renewed).await.map_err(Fault::from)?;
        let mut gets = gets(&answer).into_iter();
        if !answer.succeeded() {
            shared.stands(&answer, gets.next(), gets.next())?;
            self.forget(member);
            return Err(StoreError::Fenced);
        }
        let standing = shared.stands(&answer, gets.next(), gets.next())?;
        self.set(member, Registration::Ours { created, applied });
        Ok(standing)
    }

    /// Registers the member; none: what another run had left was taken away, and it can be tried again.
    async fn register(
        &self,
        shared: &Shared,
        member: &MemberId,
        applied: Seq,
        wait_out: Duration,
    ) -> Result<Option<Standing>, StoreError> {
        let key = shared.keys.member(member);
        let registered = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([
                TxnOp::put(key.clone(), present(shared, applied)?, None),
                TxnOp::get(key.clone(), None),
                TxnOp::get(shared.keys.head(), None),
                TxnOp::get(shared.keys.epoch(), None),
            ])
            .or_else([TxnOp::get(key, None)]);
        let answer = shared.transact(registered).await.map_err(Fault::from)?;
        let mut gets = gets(&answer).into_iter();
        let Some(found) = gets.next().and_then(first) else {
            return Err(StoreError::Unavailable("etcd does not show the member's key".to_owned()));
        };
        if answer.succeeded() {
            let standing = shared.stands(&answer, gets.next(), gets.next())?;
            self.set(member, Registration::Ours { created: found.create_revision(), applied });
            return Ok(Some(standing));
        }
        let holder: Present = records::read(found.key(), found.value())?;
        if holder.boot_id == shared.boot_id {
            // An earlier try got through without a word.
            self.set(member, Registration::Ours { created: found.create_revision(), applied });
            return self.again(shared, member, applied, found.create_revision()).await.map(Some);
        }
        self.replace(shared, member, &found, wait_out).await.map(|()| None)
    }

    /// Another run of this member has left its key. What was granted to it may still count: the key is taken away when
    /// it has been silent for so long that nothing does.
    async fn replace(
        &self,
        shared: &Shared,
        member: &MemberId,
        found: &KeyValue,
        wait_out: Duration,
    ) -> Result<(), StoreError> {
        let since = match self.get(member) {
            Some(Registration::Others { written, since }) if written == found.mod_revision() => since,
            Some(Registration::Others { .. }) => {
                self.forget(member);
                return Err(StoreError::InUse(format!("the fleet's member `{}`", member.0)));
            }
            Some(Registration::Ours { .. }) | None => {
                let since = Instant::now();
                self.set(member, Registration::Others { written: found.mod_revision(), since });
                since
            }
        };
        if let Some(left) = wait_out.checked_sub(since.elapsed()) {
            return Err(StoreError::Unavailable(format!(
                "another run of the member `{}` may still decide for {} ms",
                member.0,
                left.as_millis()
            )));
        }
        strike_off(shared, member, found.mod_revision()).await?;
        self.forget(member);
        Ok(())
    }

    /// Takes our keys away: this process decides nothing any more.
    pub(super) async fn leave(&self, shared: &Shared) -> Result<(), Fault> {
        let known: Vec<_> = self.known.lock().iter().map(|(id, registration)| (id.clone(), *registration)).collect();
        for (id, registration) in known {
            if let Registration::Ours { created, .. } = registration {
                let key = shared.keys.member(&id);
                let gone = Txn::new()
                    .when([Compare::create_revision(key.clone(), CompareOp::Equal, created)])
                    .and_then([TxnOp::delete(key, None)]);
                shared.transact(gone).await?;
                self.forget(&id);
            }
        }
        Ok(())
    }
}

/// Takes a member's key away, if it has not been written since this revision. Returns whether it is gone.
pub(super) async fn strike_off(shared: &Shared, member: &MemberId, written: i64) -> Result<bool, Fault> {
    let key = shared.keys.member(member);
    let struck = Txn::new()
        .when([Compare::mod_revision(key.clone(), CompareOp::Equal, written)])
        .and_then([TxnOp::delete(key, None)]);
    Ok(shared.transact(struck).await?.succeeded())
}

fn present(shared: &Shared, applied: Seq) -> Result<String, Fault> {
    let about = serde_json::from_str(&shared.about.borrow()).ok();
    let present = Present { boot_id: shared.boot_id.clone(), applied_seq: applied.0, about };
    written(&present).map_err(Fault::Unavailable)
}
