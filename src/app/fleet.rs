//! How a fleet is doing, as an operator wants to know it: who is there, how far each is, and by which policies it decides.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::StartError;
use super::stores::About;
use crate::config::{FleetSettings, Role};
use crate::store::MemberId;
use crate::store::etcd::{FleetLook, SeenMember, look, roles};

/// The arguments of the `etcdctl` calls that give a process of these settings what it needs, and nothing more.
#[must_use]
pub fn etcd_grants(fleet: &FleetSettings) -> Vec<Vec<String>> {
    match fleet.role {
        Role::Authority => roles::authorities(&fleet.etcd.prefix),
        Role::Sidecar => roles::sidecar(&fleet.etcd.prefix, &MemberId(fleet.member.clone())),
    }
}

/// The fleet as it was within a few seconds.
#[derive(Debug, Serialize)]
pub struct FleetStatus {
    /// The store's incarnation; none: no authority has begun it.
    pub epoch: Option<String>,
    /// The newest commit.
    pub head: u64,
    /// The policies that were rolled out last.
    pub policy_version: Option<String>,
    /// The members, in the order of their names.
    pub members: Vec<MemberStatus>,
}

/// One member.
#[derive(Debug, Serialize)]
pub struct MemberStatus {
    /// Its name.
    pub member: String,
    /// `authority` or `sidecar`.
    pub role: Option<String>,
    /// Every commit up to here is in force there.
    pub applied: u64,
    /// How many commits are not yet.
    pub lag: u64,
    /// Whether it renewed its lease while it was watched.
    pub renews: bool,
    /// The policies that it decides by.
    pub policy_version: Option<String>,
    /// The program's version.
    pub program: Option<String>,
    /// What somebody should look at.
    pub trouble: Option<&'static str>,
}

impl FleetStatus {
    /// Watches the fleet for so long, at least for the time between two renewals.
    ///
    /// # Errors
    /// [`StartError::Store`] when etcd cannot be asked.
    pub async fn of(fleet: &FleetSettings, watched: Duration) -> Result<Self, StartError> {
        let before = look(&fleet.etcd).await?;
        tokio::time::sleep(watched.max(fleet.renew_every().saturating_add(fleet.etcd.timeout()))).await;
        Ok(Self::between(&before, look(&fleet.etcd).await?))
    }

    fn between(before: &FleetLook, now: FleetLook) -> Self {
        let written: BTreeMap<_, _> = before.members.iter().map(|seen| (&seen.member.id, seen.written)).collect();
        let member = |seen: &SeenMember| {
            let about: Option<About> = seen.about.clone().and_then(|about| serde_json::from_value(about).ok());
            let renews = written.get(&seen.member.id).is_none_or(|before| *before != seen.written);
            // What was committed while it was watched may be on its way.
            let is_behind = seen.member.applied < before.head;
            let policy_version = about.as_ref().map(|about| about.policy_version.clone());
            let trouble = if !renews {
                Some("it does not renew its lease: it decides nothing, and whoever takes access away waits for it")
            } else if is_behind {
                Some("it renews its lease and does not follow")
            } else if now.policy_version.is_some() && policy_version != now.policy_version {
                Some("it decides by other policies than were rolled out")
            } else {
                None
            };
            MemberStatus {
                member: seen.member.id.0.clone(),
                role: about.as_ref().map(|about| about.role.clone()),
                applied: seen.member.applied.0,
                lag: now.head.0.saturating_sub(seen.member.applied.0),
                renews,
                policy_version,
                program: about.map(|about| about.program),
                trouble,
            }
        };
        let members = now.members.iter().map(member).collect();
        Self { epoch: now.epoch, head: now.head.0, policy_version: now.policy_version.clone(), members }
    }

    /// Whether nothing needs to be looked at.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.epoch.is_some() && self.members.iter().all(|member| member.trouble.is_none())
    }
}
