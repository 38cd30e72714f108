//! The keys of receipts and of references, read from their files at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StartError;
use crate::config::{AccessRequestSettings, ReceiptSettings};
use crate::reference::References;
use crate::signing::{InvalidKey, Signer, SigningKey, TrustedKey, TrustedKeys};

/// Whoever signs receipts, and the keys by which they are verified, the present one first.
///
/// # Errors
/// [`StartError::Receipts`] naming the file.
pub(super) fn of_receipts(settings: &ReceiptSettings) -> Result<(Option<Arc<dyn Signer>>, TrustedKeys), StartError> {
    let refused = |file: &Path, problem| StartError::Receipts { file: file.display().to_string(), problem };
    let signing = settings.signing_key.as_deref().map(|file| key(file, SigningKey::from_pem, refused)).transpose()?;
    let mut keys: Vec<TrustedKey> = signing.iter().map(SigningKey::public).collect();
    keys.extend(former(&settings.former_keys, refused)?);
    Ok((signing.map(|signing| Arc::new(signing) as Arc<dyn Signer>), TrustedKeys(keys)))
}

/// Whoever signs references, for the service at this address; none where there is no key for that.
///
/// # Errors
/// [`StartError::AccessRequests`] naming the file.
pub(super) fn of_references(
    settings: &AccessRequestSettings,
    public_url: &str,
) -> Result<Option<References>, StartError> {
    let refused = |file: &Path, problem| StartError::AccessRequests { file: file.display().to_string(), problem };
    let Some(file) = settings.signing_key.as_deref() else { return Ok(None) };
    let signing = key(file, SigningKey::from_pem, refused)?;
    let former = TrustedKeys(former(&settings.former_keys, refused)?);
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let (denials, approvals) = (ms(settings.denial_lifetime_ms), ms(settings.approval_lifetime_ms));
    Ok(Some(References::new(public_url, signing, former, denials, approvals)))
}

fn former(files: &[PathBuf], refused: impl Fn(&Path, String) -> StartError) -> Result<Vec<TrustedKey>, StartError> {
    files.iter().map(|file| key(file, TrustedKey::from_pem, &refused)).collect()
}

fn key<K>(
    file: &Path,
    parse: impl FnOnce(&str) -> Result<K, InvalidKey>,
    refused: impl Fn(&Path, String) -> StartError,
) -> Result<K, StartError> {
    let text = std::fs::read_to_string(file).map_err(|error| refused(file, format!("cannot be read: {error}")))?;
    parse(&text).map_err(|error| refused(file, error.to_string()))
}
