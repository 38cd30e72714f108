//! Packing a bundle: its texts, its tests, which must hold, and its proof, which must be about it.

use std::path::Path;

use super::run::run;
use super::suite::Suite;
use crate::model::Timestamp;
use crate::policy::{Bundle, Package, PackedFile, PackedTests, ProofReport};

/// Why a bundle is not packed.
#[derive(Debug, thiserror::Error)]
pub enum NotPacked {
    /// Rows that do not hold, each with what is wrong.
    #[error("{} policy tests fail:\n{}", .0.len(), .0.join("\n"))]
    TestsFail(Vec<String>),
    /// There are no tests.
    #[error("there are no policy tests: nobody has said what this bundle should answer")]
    NoTests,
    /// The proof report is not about this bundle.
    #[error("{0}")]
    NoProof(String),
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// A package of the bundle in this directory, with the report about its tests as JSON.
///
/// # Errors
/// [`NotPacked`].
pub fn pack(
    directory: &Path,
    bundle: &Bundle,
    proof: Option<String>,
    created_at: Timestamp,
) -> Result<(Package, String), NotPacked> {
    let suites = Suite::read_all(&directory.join("policies/tests")).map_err(|errors| {
        NotPacked::Unreadable(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let outcome = run(bundle, &suites);
    if outcome.rows.is_empty() {
        return Err(NotPacked::NoTests);
    }
    let failed: Vec<_> = outcome.failed().map(|row| format!("{}:{}: {}", row.file, row.line, row.name())).collect();
    if !failed.is_empty() {
        return Err(NotPacked::TestsFail(failed));
    }
    let report = serde_json::to_string_pretty(&outcome).map_err(|error| NotPacked::Unreadable(error.to_string()))?;
    let mut files = files(directory, bundle)?;
    let mut invariants_digest = None;
    if let Some(text) = proof {
        let wrong = |error: crate::policy::LoadError| NotPacked::NoProof(error.to_string());
        let proof = ProofReport::parse("to be packed", &text).map_err(wrong)?;
        // Which invariants are enough is for whoever serves it to say.
        proof.covers(bundle, Some(&proof.invariants_digest)).map_err(wrong)?;
        invariants_digest = Some(proof.invariants_digest);
        files.push(Package::proof_file(text));
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let tests = PackedTests {
        rows: outcome.rows.len(),
        coverage_percent: outcome.coverage.percent(),
        report_sha256: crate::signing::sha256(report.as_bytes()),
    };
    let package = Package {
        policy_version: bundle.version().to_string(),
        bundle_sha256: bundle.source().digest(),
        created_at: created_at.to_string(),
        program: concat!("consentry ", env!("CARGO_PKG_VERSION")).to_owned(),
        tests,
        invariants_digest,
        files,
    };
    Ok((package, report))
}

/// The bundle's texts as they were loaded, and its tests and invariants as they stand in the directory.
fn files(directory: &Path, bundle: &Bundle) -> Result<Vec<PackedFile>, NotPacked> {
    let source = bundle.source();
    let named = |file: &crate::policy::SourceFile| {
        let path = Path::new(&file.name).strip_prefix(directory).unwrap_or_else(|_| Path::new(&file.name));
        PackedFile { name: path.display().to_string(), text: file.text.clone() }
    };
    let mut files: Vec<_> = [&source.schema, &source.roles].into_iter().chain(&source.policies).map(named).collect();
    for (folder, end) in [("policies/tests", "toml"), ("policies/invariants", "cedar")] {
        let Ok(entries) = std::fs::read_dir(directory.join(folder)) else { continue };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if !name.starts_with('.') && path.extension().is_some_and(|extension| extension == end) {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| NotPacked::Unreadable(format!("{}: {error}", path.display())))?;
                files.push(PackedFile { name: format!("{folder}/{name}"), text });
            }
        }
    }
    Ok(files)
}
