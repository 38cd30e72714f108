//! The key that signs the log's heads, and those that did before.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::error::LogError;
use super::segment::{Expected, append_to};
use super::settings::DecisionLogSettings;
use super::sink::Files;
use crate::signing::{InvalidKey, Signer, SigningKey, TrustedKey, TrustedKeys};

/// The key that is made where none is named, in development.
const MADE_KEY: &str = "development-signing-key.pem";
/// Its public half.
const MADE_PUBLIC_KEY: &str = "development-signing-key.pub.pem";

/// The key that the settings name; one that is made in the folder when they name none.
pub(super) fn signer(files: &dyn Files, settings: &DecisionLogSettings) -> Result<Arc<dyn Signer>, LogError> {
    let made = settings.path.join(MADE_KEY);
    match &settings.signing_key {
        Some(path) => Ok(Arc::new(read(path)?)),
        None if made.exists() => Ok(Arc::new(read(&made)?)),
        None => match make(files, &settings.path) {
            Ok(key) => Ok(Arc::new(key)),
            Err(reason) => Err(LogError::Key { path: made, reason }),
        },
    }
}

/// Everybody whose heads count: the key itself, and those that signed before.
pub(super) fn trusted(settings: &DecisionLogSettings, signer: &dyn Signer) -> Result<TrustedKeys, LogError> {
    let before = settings.trusted_keys.iter().map(|path| read_public(path));
    std::iter::once(Ok(signer.public())).chain(before).collect::<Result<_, _>>().map(TrustedKeys)
}

/// Whether the keys that the settings name are there.
pub(super) fn check(settings: &DecisionLogSettings) -> Result<(), LogError> {
    settings.signing_key.iter().try_for_each(|path| read(path).map(|_| ()))?;
    settings.trusted_keys.iter().try_for_each(|path| read_public(path).map(|_| ()))
}

fn text(path: &Path) -> Result<String, LogError> {
    let refused = |error| LogError::Key { path: path.to_owned(), reason: format!("cannot be read: {error}") };
    std::fs::read_to_string(path).map_err(refused)
}

fn read(path: &Path) -> Result<SigningKey, LogError> {
    let refused = |error: InvalidKey| LogError::Key { path: path.to_owned(), reason: error.to_string() };
    SigningKey::from_pem(&text(path)?).map_err(refused)
}

fn read_public(path: &Path) -> Result<TrustedKey, LogError> {
    let refused = |error: InvalidKey| LogError::Key { path: path.to_owned(), reason: error.to_string() };
    TrustedKey::from_pem(&text(path)?).map_err(refused)
}

fn make(files: &dyn Files, folder: &Path) -> Result<SigningKey, String> {
    let key = SigningKey::generate().map_err(|error| error.to_string())?;
    let write = |name: &str, text: &str| {
        let (half, path) = (folder.join(format!("{name}.tmp")), folder.join(name));
        let _ = files.remove(&half);
        let mut file = append_to(&half, Expected::New)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        files.rename(&half, &path)
    };
    // The private half last: once it is there both are. A head may not be signed by a key that a power cut takes.
    let made = write(MADE_PUBLIC_KEY, &key.public().to_pem())
        .and_then(|()| write(MADE_KEY, &key.to_pem()))
        .and_then(|()| files.sync_folder(folder));
    made.map_err(|error| format!("cannot be made: {error}"))?;
    tracing::warn!(
        log.key = %folder.join(MADE_KEY).display(),
        "a key was made to sign the decision log's heads, beside the log: whoever can change the log can sign it"
    );
    Ok(key)
}
