//! What each process may do in etcd: sidecars read the state and write where they stand themselves, and nothing else. One
//! diagnostics host in wrong hands cannot forge an approval.

use super::keys::Keys;
use crate::store::MemberId;

/// The arguments of the `etcdctl` calls that make the authorities' role.
#[must_use]
pub fn authorities(prefix: &str) -> Vec<Vec<String>> {
    let keys = Keys::below(prefix);
    let role = "consentry-authority";
    vec![add(role), grant(role, "readwrite", &keys.state(), true), grant(role, "readwrite", &keys.members(), true)]
}

/// The arguments of the `etcdctl` calls that make the role of one sidecar and the user that has it: the name in its
/// certificate, or the one that it logs in as.
#[must_use]
pub fn sidecar(prefix: &str, member: &MemberId) -> Vec<Vec<String>> {
    let keys = Keys::below(prefix);
    let role = format!("consentry-sidecar-{}", member.0);
    vec![
        add(&role),
        grant(&role, "read", &keys.commits(), true),
        grant(&role, "readwrite", &keys.member(member), false),
    ]
}

fn add(role: &str) -> Vec<String> {
    ["role", "add", role].map(str::to_owned).into()
}

fn grant(role: &str, what: &str, key: &str, below: bool) -> Vec<String> {
    let mut call = vec!["role", "grant-permission", role, what, key];
    if below {
        call.push("--prefix=true");
    }
    call.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_may_write_where_it_stands_and_nowhere_else() {
        let calls = sidecar("ours/", &MemberId("s1".to_owned()));
        let writes: Vec<_> = calls.iter().filter(|call| call.iter().any(|word| word.contains("write"))).collect();
        assert_eq!(writes, [&["role", "grant-permission", "consentry-sidecar-s1", "readwrite", "ours/fleet/v1/s1"]]);
        let reads: Vec<_> =
            calls.iter().filter(|call| call.iter().any(|word| word == "read")).map(|call| &call[4]).collect();
        assert_eq!(reads, ["ours/acc/v1/"]);
    }
}
