//! Where things stand in etcd.

use std::fmt::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::model::{SupportRequestId, Timestamp};
use crate::store::{Key, MemberId, Seq};

/// Objects of one kind are spread over so many ranges.
pub(super) const SHARDS: u16 = 256;

/// Names keys below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

/// The kinds of objects that followers know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Followed {
    Tenants,
    SupportRequests,
    AccessRequests,
}

impl Followed {
    /// In the order of a snapshot.
    pub(super) const ALL: [Self; 3] = [Self::Tenants, Self::SupportRequests, Self::AccessRequests];

    const fn name(self) -> &'static str {
        match self {
            Self::Tenants => "tenant",
            Self::SupportRequests => "case",
            Self::AccessRequests => "req",
        }
    }
}

/// Which of the keys that commits write are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    /// All: so it is noticed when an object vanishes behind the commits' back.
    Everything,
    /// The log and the head, from which all is made: what many watch is sent many times.
    Log,
}

impl Keys {
    pub(super) fn below(prefix: &str) -> Self {
        Self { prefix: prefix.trim_end_matches('/').to_owned() }
    }

    /// Everything but the members.
    pub(super) fn state(&self) -> String {
        format!("{}/acc/", self.prefix)
    }

    /// Everything that belongs to commits.
    pub(super) fn commits(&self) -> String {
        format!("{}/acc/v1/", self.prefix)
    }

    /// What a watch of these keys shows: its beginning, and what it ends before.
    pub(super) fn watched(&self, watched: Watched) -> (String, String) {
        match watched {
            // What lies below a name ends where what lies beside it begins.
            Watched::Everything => (self.commits(), format!("{}/acc/v10", self.prefix)),
            // Nothing stands between the epoch, the head and the log.
            Watched::Log => (self.epoch(), format!("{}/acc/v1/log0", self.prefix)),
        }
    }

    pub(super) fn epoch(&self) -> String {
        format!("{}/acc/v1/epoch", self.prefix)
    }

    /// Written by each commit, never deleted: its version is the commit's place.
    pub(super) fn head(&self) -> String {
        format!("{}/acc/v1/head", self.prefix)
    }

    pub(super) fn log(&self) -> String {
        format!("{}/acc/v1/log/", self.prefix)
    }

    /// The log from this hour on.
    pub(super) fn log_entry(&self, at: Timestamp, txn_id: &str) -> String {
        format!("{}{}/{}", self.log(), hour(at), escaped(txn_id))
    }

    /// Where an object stands; an access request stands below its support request.
    pub(super) fn object(&self, key: &Key, case_of: impl FnOnce() -> Option<SupportRequestId>) -> Option<String> {
        let acc = format!("{}/acc", self.prefix);
        let of_case = |kind: &str, case: &SupportRequestId| {
            format!("{acc}/v1/{kind}/{:02x}/{}", shard(case.as_str()), escaped(case.as_str()))
        };
        Some(match key {
            Key::Tenant(id) => format!("{acc}/v1/tenant/{:02x}/{}", shard(id.as_str()), escaped(id.as_str())),
            Key::SupportRequest(id) => of_case("case", id),
            Key::AccessRequest(id) => format!("{}/{}", of_case("req", &case_of()?), escaped(id.as_str())),
            Key::Slot(case, tenant) => format!("{}/{}", of_case("uniq", case), escaped(tenant.as_str())),
            Key::Receipt(consent) => {
                format!("{acc}/v1/receipt/{:02x}/{}", shard(consent.as_str()), escaped(consent.as_str()))
            }
            Key::Rollout => self.rollout(),
            // It is deleted one day, and nothing is that stands among the commits.
            Key::RememberedAnswer(key) => {
                format!("{acc}/answer/{:02x}/{}", shard(key), const_hex::encode(Sha256::digest(key)))
            }
        })
    }

    /// The policies that every member decides by.
    pub(super) fn rollout(&self) -> String {
        format!("{}/acc/v1/policies", self.prefix)
    }

    /// Every object of a kind.
    pub(super) fn of_kind(&self, kind: Followed) -> String {
        format!("{}/acc/v1/{}/", self.prefix, kind.name())
    }

    /// The range of some of the shards that objects of a kind are spread over: its beginning, and what it ends before.
    pub(super) fn shards(&self, kind: Followed, shards: Range<u16>) -> (String, String) {
        let all = self.of_kind(kind);
        // No shard begins with a `g`.
        let begin = |shard| if shard < SHARDS { format!("{all}{shard:02x}/") } else { format!("{all}g") };
        (begin(shards.start), begin(shards.end))
    }

    /// A list of members, by what is in it.
    pub(super) fn roster(&self, digest: &str) -> String {
        format!("{}/acc/roster/{digest}", self.prefix)
    }

    pub(super) fn barrier(&self, at: Timestamp, seq: Seq, unique: &str) -> String {
        format!("{}/acc/barrier/{}/{:020}-{unique}", self.prefix, hour(at), seq.0)
    }

    /// Written by an authority that wants to know how far the store is.
    pub(super) fn question(&self, authority: &MemberId) -> String {
        format!("{}/acc/question/{}", self.prefix, escaped(&authority.0))
    }

    pub(super) fn members(&self) -> String {
        format!("{}/fleet/v1/", self.prefix)
    }

    /// What a watch of the members shows.
    pub(super) fn all_members(&self) -> (String, String) {
        (self.members(), format!("{}/fleet/v10", self.prefix))
    }

    pub(super) fn member(&self, id: &MemberId) -> String {
        format!("{}{}", self.members(), escaped(&id.0))
    }

    /// Which member stands under this key.
    pub(super) fn member_at(&self, key: &[u8]) -> Option<MemberId> {
        let name = std::str::from_utf8(key).ok()?.strip_prefix(&self.members())?;
        unescaped(name).map(MemberId)
    }
}

/// The hour as `yyyymmddhh`.
fn hour(at: Timestamp) -> String {
    at.to_string().chars().take_while(|c| *c != ':').filter(char::is_ascii_digit).collect()
}

fn shard(id: &str) -> u8 {
    Sha256::digest(id).first().copied().unwrap_or_default()
}

/// Percent-encoded: an id cannot leave its place.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AccessRequestId, TenantId};

    #[test]
    fn an_id_stays_below_its_kind() {
        let keys = Keys::below("/staging/");
        let odd = MemberId("a/../b %é".to_owned());
        let key = keys.member(&odd);
        assert_eq!(key, "/staging/fleet/v1/a%2F..%2Fb%20%25%C3%A9");
        assert_eq!(keys.member_at(key.as_bytes()), Some(odd));
        assert_eq!(keys.member_at(b"/staging/fleet/v1/%F"), None);
        assert_eq!(keys.member_at(b"/fleet/v1/a"), None);
    }

    #[test]
    fn a_case_is_in_one_shard() {
        let keys = Keys::below("");
        let case = SupportRequestId::new("sr-1").unwrap();
        let at = |key: Key| keys.object(&key, || Some(case.clone())).unwrap();
        let shard = format!("{:02x}", shard("sr-1"));
        assert_eq!(at(Key::SupportRequest(case.clone())), format!("/acc/v1/case/{shard}/sr-1"));
        let request = Key::AccessRequest(AccessRequestId::new("ar-1").unwrap());
        assert_eq!(at(request.clone()), format!("/acc/v1/req/{shard}/sr-1/ar-1"));
        let own = u16::from(super::shard("sr-1"));
        for shard in 0..SHARDS {
            let (begin, end) = keys.shards(Followed::AccessRequests, shard..shard + 1);
            let is_within = (begin..end).contains(&at(request.clone()));
            assert_eq!(is_within, shard == own, "{shard}");
        }
        let slot = Key::Slot(case.clone(), TenantId::new("contoso").unwrap());
        assert_eq!(at(slot), format!("/acc/v1/uniq/{shard}/sr-1/contoso"));
        assert_eq!(keys.object(&request, || None), None);
        for (key, is_of_log) in [
            (keys.epoch(), true),
            (keys.head(), true),
            (keys.log_entry(Timestamp::from_millis(0), "~"), true),
            (at(Key::SupportRequest(case.clone())), false),
            (at(request.clone()), false),
            (at(Key::Tenant(TenantId::new("contoso").unwrap())), false),
            (keys.rollout(), false),
        ] {
            let is_in = |watched| {
                let (begin, end) = keys.watched(watched);
                (begin..end).contains(&key)
            };
            assert_eq!((is_in(Watched::Everything), is_in(Watched::Log)), (true, is_of_log), "{key}");
        }
        assert!(!at(Key::RememberedAnswer("tool/1".to_owned())).starts_with(&keys.commits()));
        assert_eq!(hour(Timestamp::from_millis(1_790_000_000_000)), "2026092114");
        assert_eq!(keys.log_entry(Timestamp::from_millis(0), "t/1"), "/acc/v1/log/1970010100/t%2F1");
    }
}
