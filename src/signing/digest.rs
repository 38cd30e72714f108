//! SHA-256 digests as hexadecimal digits.

use sha2::{Digest as _, Sha256};

/// The SHA-256 digest of these bytes, in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    const_hex::encode(Sha256::digest(bytes))
}

/// The SHA-256 digest of these texts in this order, in hexadecimal digits: each is taken with its length, so that no two
/// different lists read the same.
#[must_use]
pub fn sha256_of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    const_hex::encode(digest.finalize())
}

/// The beginning of a digest: enough to tell what people made apart, and short enough to be shown.
pub(crate) fn beginning(digest: &str) -> String {
    digest.chars().take(16).collect()
}
