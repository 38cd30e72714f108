//! Settings about policies: where they come from, what they must bring along, and when they are read again.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The policy bundle.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    /// A directory with `policies/` and `schemas/`; the shipped bundle when neither this nor `bundle` is given.
    pub directory: Option<PathBuf>,
    /// A signed bundle, as `consentry policy bundle pack` makes it.
    pub bundle: Option<PathBuf>,
    /// Files with the public keys (PEM) of those who may sign bundles. With it nothing but a signed bundle is served.
    pub trusted_keys: Vec<PathBuf>,
    /// Takes a changed bundle into force without being told to.
    pub watch: bool,
    /// For how long nothing must change, in milliseconds, before a change counts as finished.
    pub watch_quiet_ms: u64,
    /// Serves no bundle of which the proof report does not say that every invariant holds.
    pub require_proof: bool,
    /// The report of `consentry policy prove`. A signed bundle may bring its own.
    pub proof_report: Option<PathBuf>,
    /// The digest of the invariants that count instead of the ones that ship with the program.
    pub invariants: Option<String>,
    /// A bundle that is asked beside the one in force, and decides nothing.
    pub shadow: Option<ShadowSettings>,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            directory: None,
            bundle: None,
            trusted_keys: Vec::new(),
            watch: true,
            watch_quiet_ms: 250,
            require_proof: false,
            proof_report: None,
            invariants: None,
            shadow: None,
        }
    }
}

/// A bundle that is asked beside the one in force, and decides nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowSettings {
    /// Its directory.
    pub directory: Option<PathBuf>,
    /// Or the signed bundle.
    pub bundle: Option<PathBuf>,
    /// Which share of the decisions it is asked too, from 0 to 1.
    #[serde(default = "all")]
    pub sample: f64,
    /// The file that tells what it would have decided otherwise.
    pub report: PathBuf,
}

const fn all() -> f64 {
    1.0
}

impl PolicySettings {
    /// For how long nothing must change before a change counts as finished.
    #[must_use]
    pub const fn watch_quiet(&self) -> Duration {
        Duration::from_millis(self.watch_quiet_ms)
    }

    /// The settings under which the shadow bundle is loaded: as the one in force, but that it needs no proof.
    #[must_use]
    pub fn of_shadow(&self, shadow: &ShadowSettings) -> Self {
        Self {
            directory: shadow.directory.clone(),
            bundle: shadow.bundle.clone(),
            require_proof: false,
            shadow: None,
            ..self.clone()
        }
    }

    /// The setting that contradicts another one, and why.
    pub(super) fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let shadow = self.shadow.as_ref();
        [
            (
                self.require_proof && self.proof_report.is_none() && self.bundle.is_none(),
                "policy.require_proof",
                "needs `policy.proof_report`, the file to look into",
            ),
            (self.directory.is_some() && self.bundle.is_some(), "policy.bundle", "stands beside `policy.directory`"),
            (
                self.bundle.is_some() && self.trusted_keys.is_empty(),
                "policy.bundle",
                "needs `policy.trusted_keys`: nobody else knows whose signature counts",
            ),
            (
                self.bundle.is_none() && !self.trusted_keys.is_empty(),
                "policy.trusted_keys",
                "needs `policy.bundle`: nothing else is signed",
            ),
            (self.watch_quiet_ms == 0, "policy.watch_quiet_ms", "must be at least 1"),
            (
                shadow.is_some_and(|shadow| shadow.directory.is_some() == shadow.bundle.is_some()),
                "policy.shadow",
                "needs either `directory` or `bundle`",
            ),
            (
                shadow.is_some_and(|shadow| shadow.bundle.is_some()) && self.trusted_keys.is_empty(),
                "policy.shadow.bundle",
                "needs `policy.trusted_keys`",
            ),
            (
                shadow.is_some_and(|shadow| !(0.0..=1.0).contains(&shadow.sample)),
                "policy.shadow.sample",
                "must be a share from 0 to 1",
            ),
        ]
        .into_iter()
        .find_map(|(wrong, key, message)| wrong.then_some((key, message)))
    }
}
