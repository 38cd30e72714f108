//! The shadow bundle's files: read as those of the bundle in force are, and put beside it.

use std::path::PathBuf;
use std::sync::Arc;

use super::bundles::{Look, Origin};
use super::watch::{Watched as _, watch};
use crate::clock::Clock;
use crate::config::PolicySettings;
use crate::decision::Shadow;
use crate::policy::LoadError;

/// Keeps the shadow bundle as its files are.
#[derive(Debug)]
pub(super) struct Beside {
    origin: Arc<Origin>,
    shadow: Arc<Shadow>,
    clock: Arc<dyn Clock>,
}

impl Beside {
    /// The shadow that the settings name, if they do. A bundle that is not good is told and left out: the shadow decides
    /// nothing, and so is no reason not to serve.
    ///
    /// # Errors
    /// [`LoadError`] when a trusted key cannot be read or the report cannot be written.
    pub(super) fn start(settings: &PolicySettings, clock: Arc<dyn Clock>) -> Result<Option<Self>, LoadError> {
        let Some(wanted) = &settings.shadow else { return Ok(None) };
        let origin = Arc::new(Origin::new(&settings.of_shadow(wanted), None, Arc::clone(&clock))?);
        let shadow = Shadow::start(wanted.sample, &wanted.report)
            .map_err(|error| LoadError::of(format!("the shadow's report {}: {error}", wanted.report.display())))?;
        let beside = Self { origin, shadow, clock };
        beside.reload();
        Ok(Some(beside))
    }

    /// Checks the shadow that the settings name. A start does without a bad one; whoever asks before is told.
    ///
    /// # Errors
    /// [`LoadError`] saying what is wrong with its bundle.
    pub(super) fn check(settings: &PolicySettings, clock: Arc<dyn Clock>) -> Result<(), LoadError> {
        let Some(wanted) = &settings.shadow else { return Ok(()) };
        let origin = Origin::new(&settings.of_shadow(wanted), None, clock)?;
        let checked = origin.judge(&origin.steady_look()).map(|_| ());
        checked.map_err(|error| LoadError::of(format!("the shadow bundle is not good: {error}")))
    }

    pub(super) fn shadow(&self) -> &Arc<Shadow> {
        &self.shadow
    }

    /// Reads the files again.
    pub(super) fn reload(&self) {
        self.take(&self.origin.steady_look());
    }

    fn take(&self, look: &Look) {
        match self.origin.judge(look) {
            // The same again would only begin its report anew.
            Ok(bundle) if self.shadow.version().as_deref() == Some(bundle.version().as_str()) => {}
            Ok(bundle) => {
                tracing::info!(policy.version = %bundle.version(), "a shadow bundle is asked too");
                self.shadow.replace(bundle, self.clock.now());
            }
            Err(error) => {
                tracing::error!(error = %error, "the shadow bundle is not good");
                self.shadow.refuse(&error);
            }
        }
    }

    /// Takes changes as they come, until it is dropped. `busy` are folders in which the service itself writes.
    pub(super) async fn watch(self: Arc<Self>, busy: Vec<PathBuf>) {
        let origin = Arc::clone(&self.origin);
        watch(origin, busy, move |look| self.take(&look)).await;
    }
}
