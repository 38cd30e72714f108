//! Reports of shadow bundles, read back.

use std::path::Path;

pub use crate::decision::{SHADOW_FORMAT, ShadowAnswer, ShadowDifference, ShadowExample, ShadowReport};

/// Reads the report that a service writes about its shadow bundle.
///
/// # Errors
/// When there is none, or it is not one.
pub fn read(path: &Path) -> std::io::Result<ShadowReport> {
    let report: ShadowReport = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    if report.format == SHADOW_FORMAT {
        Ok(report)
    } else {
        let message = format!("its format is `{}`, this program reads `{SHADOW_FORMAT}`", report.format);
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message))
    }
}
