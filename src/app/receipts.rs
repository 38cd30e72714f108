//! The keys of receipts, read from their files at the start.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::config::ReceiptSettings;
use crate::signing::{InvalidKey, Signer, SigningKey, TrustedKey, TrustedKeys};

/// Whoever signs receipts, and the keys by which they are verified, the present one first.
///
/// # Errors
/// [`StartError::Receipts`] naming the file.
pub(super) fn read(settings: &ReceiptSettings) -> Result<(Option<Arc<dyn Signer>>, TrustedKeys), StartError> {
    let signing = settings.signing_key.as_deref().map(|file| key(file, SigningKey::from_pem)).transpose()?;
    let former = settings.former_keys.iter().map(|file| key(file, TrustedKey::from_pem));
    let mut keys: Vec<TrustedKey> = signing.iter().map(SigningKey::public).collect();
    keys.extend(former.collect::<Result<Vec<_>, _>>()?);
    Ok((signing.map(|signing| Arc::new(signing) as Arc<dyn Signer>), TrustedKeys(keys)))
}

fn key<K>(file: &Path, parse: impl FnOnce(&str) -> Result<K, InvalidKey>) -> Result<K, StartError> {
    let refused = |problem: String| StartError::Receipts { file: file.display().to_string(), problem };
    let text = std::fs::read_to_string(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    parse(&text).map_err(|error| refused(error.to_string()))
}
