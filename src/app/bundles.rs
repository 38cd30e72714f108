//! Where the bundle in force comes from, and what it must bring along: read whole, judged whole, then swapped (G6).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::chronicle::Chronicle;
use super::newest::Newest;
use super::stores::Told;
use super::watch::{Watched, watch};
use crate::clock::Clock;
use crate::config::PolicySettings;
use crate::model::Timestamp;
use crate::policy::{Bundle, BundleSource, Effect, LoadError, Policies, PolicyInfo, ProofReport, SignedPackage};
use crate::replica::Rollouts;
use crate::signing::{TrustedKey, TrustedKeys};
use crate::store::{RolledOut, Rollout};

/// A signed bundle may come from a clock that is ahead of ours by this much.
const AHEAD_MS: i64 = 5 * 60 * 1000;

/// Who wants a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Somebody told us to.
    ByOrder,
    /// The files have changed.
    ByChange,
}

/// What stands in the files that a bundle comes from, as of one moment.
#[derive(Debug)]
pub(super) struct Look {
    source: Result<BundleSource, LoadError>,
    package: Option<SignedPackage>,
    proof: Option<Result<ProofReport, LoadError>>,
    /// Tells this content from any other.
    fingerprint: [u8; 32],
}

impl Look {
    /// The digest of its texts; none: they could not be read.
    fn digest(&self) -> Option<String> {
        self.source.as_ref().ok().map(BundleSource::digest)
    }
}

/// Where one bundle comes from.
#[derive(Debug)]
pub(super) struct Origin {
    settings: PolicySettings,
    trusted: TrustedKeys,
    newest: Option<Newest>,
    clock: Arc<dyn Clock>,
}

impl Origin {
    /// The origin that the settings name. `newest` is the file that remembers the newest package that was in force.
    ///
    /// # Errors
    /// [`LoadError`] when a trusted key cannot be read.
    pub(super) fn new(
        settings: &PolicySettings,
        newest: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LoadError> {
        let keys = settings.trusted_keys.iter().map(|path| trusted(path)).collect::<Result<_, _>>()?;
        let newest = newest.filter(|_| settings.bundle.is_some()).map(Newest::in_file);
        Ok(Self { settings: settings.clone(), trusted: TrustedKeys(keys), newest, clock })
    }

    /// Makes a bundle of what was read, if it is good and brings along what it must.
    ///
    /// # Errors
    /// [`LoadError`] saying what is wrong, and where.
    pub(super) fn judge(&self, look: &Look) -> Result<Bundle, LoadError> {
        if let Some(package) = &look.package {
            self.is_in_time(package)?;
        }
        let bundle = Bundle::load(look.source.as_ref().map_err(Clone::clone)?)?;
        if let Some(report) = &look.proof {
            report.as_ref().map_err(Clone::clone)?.covers(&bundle, self.settings.invariants.as_deref())?;
        }
        Ok(bundle)
    }

    /// No package is taken that is older than one which was in force: whoever can put files here but not sign could
    /// otherwise bring back what was signed once and has been mended since.
    fn is_in_time(&self, package: &SignedPackage) -> Result<(), LoadError> {
        let (made, now) = (package.created_at(), self.clock.now());
        if made > now.plus_millis(AHEAD_MS) {
            return Err(LoadError::of(format!("the signed bundle says that it was made at {made}, and it is {now}")));
        }
        let newest = self.newest.as_ref().map_or(Ok(None), Newest::read)?;
        match newest.filter(|newest| made < *newest) {
            None => Ok(()),
            Some(newest) => Err(LoadError::of(format!(
                "the signed bundle was made at {made}, before the one of {newest} that was in force; to go back, pack \
                 and sign the older texts anew"
            ))),
        }
    }

    /// What was rolled out, as if it had stood in the files. Where the settings ask for a signed bundle, nothing else is
    /// taken.
    fn look_at_rollout(&self, rollout: &Rollout) -> Look {
        let wants_signed = self.settings.bundle.is_some() || !self.trusted.0.is_empty();
        match &rollout.bundle {
            RolledOut::Signed(envelope) => self.look_into(SignedPackage::open(envelope.as_bytes(), &self.trusted)),
            RolledOut::Texts(_) if wants_signed => {
                self.look_at(Err(LoadError::of("was not signed, and the settings name keys to trust")), None)
            }
            RolledOut::Texts(texts) => {
                let source = serde_json::from_str(texts);
                self.look_at(source.map_err(|error| LoadError::of(format!("cannot be read: {error}"))), None)
            }
        }
    }

    fn look_into(&self, signed: Result<SignedPackage, LoadError>) -> Look {
        match signed {
            Ok(signed) => self.look_at(signed.package().source(), Some(signed)),
            Err(error) => self.look_at(Err(error), None),
        }
    }

    fn look_at(&self, source: Result<BundleSource, LoadError>, package: Option<SignedPackage>) -> Look {
        let proof = self.settings.require_proof.then(|| {
            let packed = package.as_ref().and_then(|signed| signed.package().proof().transpose());
            packed.unwrap_or_else(|| match &self.settings.proof_report {
                Some(path) => ProofReport::read(path),
                None => Err(LoadError::of("no proof for this bundle: the signed bundle has none")),
            })
        });
        let mut digest = Sha256::new();
        // `Debug` writes everything that there is to tell one content from another.
        digest.update(format!("{:?} {:?} {proof:?}", source, package.as_ref().map(SignedPackage::sha256)));
        Look { source, package, proof, fingerprint: digest.finalize().into() }
    }

    /// Remembers what is in force from now on.
    fn note(&self, look: &Look) -> Result<(), LoadError> {
        match (&self.newest, &look.package) {
            (Some(newest), Some(package)) => newest.note(package.created_at()),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Reads, judges and remembers: the bundle to start with, and what it was made of.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn first(&self) -> Result<(Bundle, Look), LoadError> {
        let look = self.steady_look();
        let bundle = self.judge(&look)?;
        self.note(&look)?;
        Ok((bundle, look))
    }
}

impl Watched for Origin {
    type Look = Look;

    fn paths(&self) -> Vec<PathBuf> {
        let folders = self
            .settings
            .directory
            .iter()
            .flat_map(|directory| [directory.clone(), directory.join("policies"), directory.join("schemas")]);
        let report = self.settings.proof_report.iter().filter(|_| self.settings.require_proof);
        folders.chain(self.settings.bundle.clone()).chain(report.cloned()).collect()
    }

    fn quiet(&self) -> Duration {
        self.settings.watch_quiet()
    }

    fn look(&self) -> Look {
        match (&self.settings.bundle, &self.settings.directory) {
            (Some(file), _) => self.look_into(SignedPackage::read(file, &self.trusted)),
            (None, Some(directory)) => self.look_at(BundleSource::read(directory), None),
            (None, None) => self.look_at(Ok(BundleSource::shipped()), None),
        }
    }

    fn fingerprint(look: &Look) -> [u8; 32] {
        look.fingerprint
    }

    fn spoil(look: &mut Look, error: LoadError) {
        look.source = Err(error);
    }
}

fn trusted(path: &Path) -> Result<TrustedKey, LoadError> {
    let named = |message: String| LoadError::of(format!("the trusted key {}: {message}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    TrustedKey::from_pem(&text).map_err(|error| named(error.to_string()))
}

/// What becomes of files that have changed.
#[derive(Debug)]
pub(super) enum Course {
    /// They are taken into force here.
    Here,
    /// They are handed in, and come into force with every member of the fleet.
    HandedIn(mpsc::Sender<Rollout>),
    /// They count for as long as nothing was rolled out to the fleet.
    UntilRollout,
}

/// Puts new bundles in place of the one in force, one at a time.
#[derive(Debug)]
pub(super) struct Reloader {
    course: Course,
    /// Who tells the fleet what this process decides by.
    told: Option<Arc<Told>>,
    /// Whether what is in force was rolled out.
    rolled_out: AtomicBool,
    origin: Arc<Origin>,
    policies: Arc<Policies>,
    chronicle: Arc<Chronicle>,
    one_at_a_time: Mutex<()>,
    /// What was judged last.
    last: Mutex<Option<[u8; 32]>>,
}

impl Reloader {
    pub(super) fn new(
        origin: Origin,
        first: &Look,
        policies: Arc<Policies>,
        chronicle: Arc<Chronicle>,
        course: Course,
        told: Option<Arc<Told>>,
    ) -> Self {
        chronicle.in_force(&policies.current());
        if let Some(told) = &told {
            told.decides_by(policies.current().version().as_str());
        }
        Self {
            course,
            told,
            rolled_out: AtomicBool::new(false),
            origin: Arc::new(origin),
            policies,
            chronicle,
            one_at_a_time: Mutex::new(()),
            last: Mutex::new(Some(first.fingerprint)),
        }
    }

    /// Takes changes into force as they come, until it is dropped. `busy` are folders in which the service itself writes.
    pub(super) async fn watch(self: Arc<Self>, busy: Vec<PathBuf>) {
        let origin = Arc::clone(&self.origin);
        watch(origin, busy, move |look| self.changed(&look)).await;
    }

    fn changed(&self, look: &Look) {
        let _alone = self.one_at_a_time.lock();
        // Told and taken, or refused, by order meanwhile.
        if *self.last.lock() == Some(look.fingerprint) {
            return;
        }
        match self.take(look, Wanted::ByChange) {
            Ok(true) => {
                let version = self.policies.current().version().to_string();
                tracing::info!(policy.version = version, "policies reloaded: their files have changed");
            }
            Ok(false) => {}
            Err(error) => tracing::error!(error = %error, "the policies are not good: the ones in force stay"),
        }
    }

    /// Takes what the files hold now into force, if it is good. Tells whether another bundle is in force now.
    ///
    /// # Errors
    /// [`LoadError`]; the bundle in force stays.
    pub(super) fn reload(&self, wanted: Wanted) -> Result<bool, LoadError> {
        let _alone = self.one_at_a_time.lock();
        let look = self.origin.steady_look();
        self.take(&look, wanted)
    }

    fn take(&self, look: &Look, wanted: Wanted) -> Result<bool, LoadError> {
        *self.last.lock() = Some(look.fingerprint);
        self.put(look, wanted).inspect_err(|error| self.policies.refuse(error))
    }

    fn put(&self, look: &Look, wanted: Wanted) -> Result<bool, LoadError> {
        let bundle = self.origin.judge(look)?;
        let current = self.policies.current();
        if wanted == Wanted::ByChange {
            if bundle.version() == current.version() {
                self.origin.note(look)?;
                self.policies.confirm();
                return Ok(false);
            }
            if self.origin.settings.directory.is_some() && !self.origin.settings.require_proof {
                is_whole(current.policies(), bundle.policies())?;
            }
        }
        match &self.course {
            Course::HandedIn(roller) => {
                let handed_in = roller.try_send(rollout_of(look, &bundle, self.origin.clock.now())?);
                handed_in.map_err(|_| LoadError::of("other policies are being rolled out: try again")).map(|()| false)
            }
            Course::UntilRollout if self.rolled_out.load(Ordering::Acquire) => Err(LoadError::of(
                "the policies in force were rolled out to the fleet: hand others to one of its authorities",
            )),
            Course::Here | Course::UntilRollout => self.take_into_force(look, bundle).map(|()| true),
        }
    }

    fn take_into_force(&self, look: &Look, bundle: Bundle) -> Result<(), LoadError> {
        // Remembered first: a package that was in force for a moment must not be followed by an older one.
        self.origin.note(look)?;
        self.chronicle.in_force(&bundle);
        if let Some(told) = &self.told {
            told.decides_by(bundle.version().as_str());
        }
        self.policies.replace(bundle);
        Ok(())
    }
}

impl Rollouts for Reloader {
    fn take(&self, rollout: &Rollout) -> Result<(), String> {
        let _alone = self.one_at_a_time.lock();
        let look = self.origin.look_at_rollout(rollout);
        let taken = self.origin.judge(&look).and_then(|bundle| {
            if look.digest().as_deref() != Some(&*rollout.bundle_sha256) {
                return Err(LoadError::of("are not those that the digest names"));
            }
            if bundle.version() == self.policies.current().version() {
                self.origin.note(&look)?;
                self.policies.confirm();
                return Ok(());
            }
            let version = bundle.version().to_string();
            self.take_into_force(&look, bundle)?;
            tracing::info!(policy.version = version, "policies that were rolled out are in force");
            Ok(())
        });
        let taken = taken.inspect_err(|error| self.policies.refuse(error));
        taken.map_err(|error| format!("the policies `{}` that were rolled out: {error}", rollout.policy_version))?;
        self.rolled_out.store(true, Ordering::Release);
        Ok(())
    }
}

/// What is rolled out to the fleet when these files are.
///
/// # Errors
/// [`LoadError`] when they cannot be read.
pub(super) fn rollout_of(look: &Look, bundle: &Bundle, at: Timestamp) -> Result<Rollout, LoadError> {
    let source = look.source.as_ref().map_err(Clone::clone)?;
    let rolled_out = if let Some(signed) = &look.package {
        RolledOut::Signed(signed.envelope().to_owned())
    } else {
        RolledOut::Texts(serde_json::to_string(source).map_err(|error| LoadError::of(error.to_string()))?)
    };
    let policy_version = bundle.version().to_string();
    Ok(Rollout { policy_version, bundle_sha256: source.digest(), at, bundle: rolled_out })
}

/// A folder of which a part has not arrived yet can be a good bundle, one with fewer forbids. So a forbid does not go
/// away by itself: not before somebody says so.
pub(super) fn is_whole<'a>(
    current: impl IntoIterator<Item = &'a PolicyInfo>,
    new: impl IntoIterator<Item = &'a PolicyInfo>,
) -> Result<(), LoadError> {
    let kept = forbids(new);
    let gone: Vec<_> = forbids(current).into_iter().filter(|id| !kept.contains(id)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let few = gone.iter().take(5).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let more = if gone.len() > 5 { format!(" and {} more", gone.len() - 5) } else { String::new() };
    Err(LoadError::of(format!(
        "the forbid {few}{more} would be gone: is the bundle whole? If it is meant so, say so with SIGHUP"
    )))
}

fn forbids<'a>(policies: impl IntoIterator<Item = &'a PolicyInfo>) -> Vec<String> {
    policies.into_iter().filter(|one| one.effect == Effect::Forbid).map(|one| one.id.clone()).collect()
}
