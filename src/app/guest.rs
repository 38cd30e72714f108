//! The guest model's files: read whole, judged whole, then swapped, as those of bundles are (G6).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::bundles::{Wanted, is_whole};
use super::watch::{Watched, watch};
use crate::audit::{DecisionIds, DecisionLog};
use crate::clock::Clock;
use crate::config::GuestModelSettings;
use crate::decision::Guest;
use crate::policy::{GuestModel, GuestSource, InForce, LoadError};

/// Where the model comes from.
#[derive(Debug)]
pub(super) struct GuestOrigin {
    directory: PathBuf,
    quiet: Duration,
}

/// What stands in its files, as of one moment.
#[derive(Debug)]
pub(super) struct GuestLook {
    source: Result<GuestSource, LoadError>,
    fingerprint: [u8; 32],
}

impl GuestOrigin {
    /// The origin that the settings name, if they do.
    pub(super) fn of(settings: &GuestModelSettings, quiet: Duration) -> Option<Self> {
        settings.directory.clone().map(|directory| Self { directory, quiet })
    }

    /// Makes a model of what the files hold now.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn load(&self) -> Result<GuestModel, LoadError> {
        judge(&self.steady_look())
    }
}

fn judge(look: &GuestLook) -> Result<GuestModel, LoadError> {
    GuestModel::load(look.source.as_ref().map_err(Clone::clone)?)
}

impl Watched for GuestOrigin {
    type Look = GuestLook;

    fn paths(&self) -> Vec<PathBuf> {
        [self.directory.clone(), self.directory.join("policies"), self.directory.join("schemas")].into()
    }

    fn quiet(&self) -> Duration {
        self.quiet
    }

    fn look(&self) -> GuestLook {
        let source = GuestSource::read(&self.directory);
        // `Debug` writes everything that there is to tell one content from another.
        let fingerprint = Sha256::digest(format!("{source:?}")).into();
        GuestLook { source, fingerprint }
    }

    fn fingerprint(look: &GuestLook) -> [u8; 32] {
        look.fingerprint
    }

    fn spoil(look: &mut GuestLook, error: LoadError) {
        look.source = Err(error);
    }
}

/// Puts new models in place of the one in force, one at a time.
#[derive(Debug)]
pub(super) struct GuestReloader {
    origin: Arc<GuestOrigin>,
    models: Arc<InForce<GuestModel>>,
    log: Arc<DecisionLog>,
    clock: Arc<dyn Clock>,
    one_at_a_time: Mutex<()>,
}

impl GuestReloader {
    pub(super) fn new(origin: GuestOrigin, first: GuestModel, log: Arc<DecisionLog>, clock: Arc<dyn Clock>) -> Self {
        let reloader = Self {
            origin: Arc::new(origin),
            models: Arc::new(InForce::new(first)),
            log,
            clock,
            one_at_a_time: Mutex::new(()),
        };
        reloader.tell(&reloader.models.current());
        reloader
    }

    /// What decides by the model in force.
    pub(super) fn decides(&self, ids: Arc<DecisionIds>) -> Guest {
        Guest::new(Arc::clone(&self.models), Arc::clone(&self.clock), ids)
    }

    /// Takes changes into force as they come, until it is dropped. `busy` are folders in which the service itself writes.
    pub(super) async fn watch(self: Arc<Self>, busy: Vec<PathBuf>) {
        let origin = Arc::clone(&self.origin);
        watch(origin, busy, move |look| {
            let _alone = self.one_at_a_time.lock();
            if let Err(error) = self.take(&look, Wanted::ByChange) {
                tracing::error!(error = %error, "the guest model is not good: the one in force stays");
            }
        })
        .await;
    }

    /// Takes what the files hold now into force, if it is good.
    ///
    /// # Errors
    /// [`LoadError`]; the model in force stays.
    pub(super) fn reload(&self) -> Result<(), LoadError> {
        let _alone = self.one_at_a_time.lock();
        self.take(&self.origin.steady_look(), Wanted::ByOrder)
    }

    fn take(&self, look: &GuestLook, wanted: Wanted) -> Result<(), LoadError> {
        self.put(look, wanted).inspect_err(|error| self.models.refuse(error))
    }

    fn put(&self, look: &GuestLook, wanted: Wanted) -> Result<(), LoadError> {
        let model = judge(look)?;
        let current = self.models.current();
        if wanted == Wanted::ByChange {
            if model.version() == current.version() {
                self.models.confirm();
                return Ok(());
            }
            is_whole(current.policies(), model.policies())?;
        }
        self.tell(&model);
        tracing::info!(model = model.name(), policy.version = %model.version(), "the guest model is reloaded");
        self.models.replace(model);
        Ok(())
    }

    /// Tells the log of a model that comes into force now. A log that cannot be written answers nothing either.
    fn tell(&self, model: &GuestModel) {
        let line = json!({
            "type": "guest_model", "time": self.clock.now(), "model": model.name(), "policy_version": model.version(),
        });
        if let Err(error) = self.log.append(line.to_string().as_bytes(), None).map(|_ticket| ()) {
            tracing::warn!(%error, "the log does not tell which model came into force");
        }
    }
}
