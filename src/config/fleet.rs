//! Settings of a process that is one of many: its part in the fleet, and the times that the revocation protocol rests on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::EtcdSettings;

/// What a process of a fleet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Decides reads, and makes changes: the workflow's part of the API.
    Authority,
    /// Decides reads, and can change nothing.
    Sidecar,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Sidecar => "sidecar",
        }
    }
}

/// One process of many on one store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSettings {
    /// `authority` or `sidecar`.
    pub role: Role,
    /// This process's name in the fleet: its own, and the same after a restart.
    pub member: String,
    /// The etcd that holds the state.
    pub etcd: EtcdSettings,
    /// How long a lease is, in milliseconds: for so long at most a member decides by what it was told last.
    #[serde(default = "Times::lease_ms")]
    pub lease_ms: u64,
    /// How often it is renewed, in milliseconds.
    #[serde(default = "Times::renew_ms")]
    pub renew_ms: u64,
    /// How long whoever takes access away waits for a member that says nothing, in milliseconds.
    #[serde(default = "Times::wait_ms")]
    pub wait_ms: u64,
    /// How long a member waits at least between saying that a change is in force and saying it of the next, in milliseconds:
    /// what a large fleet spares its store.
    #[serde(default = "Times::acknowledge_ms")]
    pub acknowledge_ms: u64,
    /// Whether every decision is preceded by a renewal: for machines that may be frozen without their clock noticing.
    #[serde(default)]
    pub strict: bool,
}

/// The times when nothing is said about them.
struct Times;

impl Times {
    const fn lease_ms() -> u64 {
        5_000
    }

    const fn renew_ms() -> u64 {
        1_500
    }

    const fn wait_ms() -> u64 {
        6_350
    }

    const fn acknowledge_ms() -> u64 {
        20
    }
}

/// The longest name of a member: it is a part of a key, and of a user's name.
const LONGEST_MEMBER: usize = 100;

impl FleetSettings {
    /// How long a lease is.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How often it is renewed.
    #[must_use]
    pub const fn renew_every(&self) -> Duration {
        Duration::from_millis(self.renew_ms)
    }

    /// How long whoever takes access away waits for a silent member.
    #[must_use]
    pub const fn wait_out(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    /// How far apart two words about changes in force are at least.
    #[must_use]
    pub const fn acknowledge_every(&self) -> Duration {
        Duration::from_millis(self.acknowledge_ms)
    }

    /// The setting that cannot be, or contradicts another one, and why.
    pub(super) fn contradiction(&self) -> Option<(&'static str, String)> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if self.member.is_empty() || self.member.len() > LONGEST_MEMBER || !self.member.bytes().all(is_name) {
            let message = format!("must be 1 to {LONGEST_MEMBER} letters, digits, `-`, `_` or `.`");
            return Some(("fleet.member", message));
        }
        if !(500..=60_000).contains(&self.lease_ms) {
            return Some(("fleet.lease_ms", "must be between 500 and 60000".to_owned()));
        }
        // Two tries to renew fit into a lease, each with its time-out.
        let two_tries = self.renew_ms.saturating_add(self.etcd.timeout_ms.saturating_mul(2));
        if self.renew_ms == 0 || two_tries > self.lease_ms {
            let message = "must be at least 1, and with twice `fleet.etcd.timeout_ms` at most `fleet.lease_ms`";
            return Some(("fleet.renew_ms", message.to_owned()));
        }
        // A lease counts from before it was asked for, and clocks' rates differ by a tenth at most: L / (1 - rho) < 1.25 L.
        let least = self.lease_ms.saturating_mul(5).div_ceil(4).saturating_add(100);
        if self.wait_ms < least {
            return Some((
                "fleet.wait_ms",
                format!("must be at least 1.25 times `fleet.lease_ms` and 100 ms: {least}"),
            ));
        }
        if self.acknowledge_ms > self.renew_ms {
            return Some(("fleet.acknowledge_ms", "must be at most `fleet.renew_ms`".to_owned()));
        }
        self.etcd.contradiction()
    }
}
