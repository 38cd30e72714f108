//! Tokens that were verified before, by their hash. An entry proves nothing by itself: time and keys are compared anew.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::caller::Caller;
use crate::model::Timestamp;

/// A token's SHA-256: whoever reads our memory finds no token in the cache.
type TokenHash = [u8; 32];

/// The token that a connection brought last, and whose it is: one that comes again need not be hashed. It is kept for as
/// long as the connection, whose buffers hold it as well.
#[derive(Default)]
pub struct LastToken(Mutex<Option<(Box<str>, Verified)>>);

impl fmt::Debug for LastToken {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastToken").finish_non_exhaustive()
    }
}

/// A caller and what the proof rests on.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) caller: Caller,
    pub(super) expires_at: Timestamp,
    /// The issuer's place in the list.
    pub(super) issuer: usize,
    /// The generation of the issuer's keys that the token was verified with.
    pub(super) generation: u64,
}

pub(super) struct TokenCache {
    // The hasher is keyed at random, so that nobody can choose tokens that fall into one bucket.
    entries: Cache<TokenHash, Verified, UnitWeighter, ahash::RandomState>,
}

impl TokenCache {
    pub(super) fn new(capacity: u64) -> Self {
        let items = usize::try_from(capacity).unwrap_or(usize::MAX);
        let hasher = ahash::RandomState::new();
        Self { entries: Cache::with(items, capacity, UnitWeighter, hasher, DefaultLifecycle::default()) }
    }

    /// The caller of a token that was verified, while it has not expired and none of its issuer's keys has changed.
    pub(super) fn get(
        &self,
        token: &str,
        last: Option<&LastToken>,
        now: Timestamp,
        generation_of: impl Fn(usize) -> Option<u64>,
    ) -> Option<Caller> {
        let holds = |verified: &Verified| {
            now < verified.expires_at && generation_of(verified.issuer) == Some(verified.generation)
        };
        let mut last = last.map(|last| last.0.lock());
        if let Some((known, verified)) = last.as_deref().and_then(Option::as_ref)
            && known.as_ref() == token
            && holds(verified)
        {
            return Some(verified.caller.clone());
        }
        let hash = hash(token)?;
        let verified = self.entries.get(&hash)?;
        if !holds(&verified) {
            self.entries.remove(&hash);
            return None;
        }
        let caller = verified.caller.clone();
        if let Some(last) = &mut last {
            **last = Some((token.into(), verified));
        }
        Some(caller)
    }

    pub(super) fn put(&self, token: &str, verified: Verified) {
        if let Some(hash) = hash(token) {
            self.entries.insert(hash, verified);
        }
    }
}

fn hash(token: &str) -> Option<TokenHash> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}
