//! Signed bundles: one file with a bundle's texts, its tests and its proof, under one signature.
//!
//! The payload is an in-toto statement (<https://in-toto.io/Statement/v1>): its subjects are the files with their
//! digests, its predicate holds the texts and what was found out about them. Everything stands inside the signature, so
//! that there is no archive to be taken apart before it is known who made it.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::place::LoadError;
use super::proof::ProofReport;
use super::source::{BundleSource, LARGEST_FILE_BYTES, ROLES_FILE, SCHEMA_FILE, SourceFile};
use crate::model::Timestamp;
use crate::signing::{Signer, TrustedKey, TrustedKeys, dsse, sha256};

/// The payload's media type.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:consentry:policy-bundle:v1";
/// The proof report in a package.
const PROOF_FILE: &str = "reports/proof.json";

/// A signed bundle may not be larger than this many bytes.
const LARGEST_PACKAGE_BYTES: u64 = 32 * 1024 * 1024;
const MOST_FILES: usize = 1_000;
const LONGEST_NAME_BYTES: usize = 100;

/// What came of the policy tests when the bundle was packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PackedTests {
    /// How many rows were asked; all of them held.
    pub rows: usize,
    /// The coverage, in percent.
    pub coverage_percent: usize,
    /// The SHA-256 digest of the report.
    pub report_sha256: String,
}

/// What is packed: the predicate of the statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Package {
    /// The bundle's version.
    pub policy_version: String,
    /// The SHA-256 digest of schema, roles and policies, of which the version is the beginning.
    pub bundle_sha256: String,
    /// When it was packed, RFC 3339. A service takes no package that is older than one it had.
    pub created_at: String,
    /// The program that packed it, with its version.
    pub program: String,
    /// The policy tests.
    pub tests: PackedTests,
    /// The digest of the invariants that are proved; none without a proof.
    pub invariants_digest: Option<String>,
    /// The files, in the order of their names.
    pub files: Vec<PackedFile>,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedFile {
    /// Its name, such as `policies/reading.cedar`.
    pub name: String,
    /// Its text.
    pub text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Package,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Subject {
    name: String,
    digest: Sha256Digest,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Sha256Digest {
    sha256: String,
}

/// A package that one of the trusted keys has signed. Holding one proves it.
#[derive(Debug, Clone)]
pub struct SignedPackage {
    package: Package,
    created_at: Timestamp,
    key: TrustedKey,
    sha256: String,
    envelope: Arc<str>,
}

impl Package {
    /// Signs it; gives the envelope, as JSON.
    ///
    /// # Errors
    /// [`LoadError`] when nobody would take it: a file with a name that no bundle has, or one that is too large; and when
    /// it could not be signed.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, LoadError> {
        self.check()?;
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: self.subjects(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.clone(),
        };
        let payload = serde_json::to_vec(&statement).map_err(|error| LoadError::of(error.to_string()))?;
        dsse::seal(signer, PAYLOAD_TYPE, &payload).map_err(|error| LoadError::of(error.to_string()))
    }

    /// The bundle's texts.
    ///
    /// # Errors
    /// [`LoadError`] naming a file that is missing.
    pub fn source(&self) -> Result<BundleSource, LoadError> {
        let file = |packed: &PackedFile| SourceFile { name: packed.name.clone(), text: packed.text.clone() };
        let named = |name: &str| {
            let found = self.files.iter().find(|packed| packed.name == name).map(file);
            found.ok_or_else(|| refused(&format!("holds no `{name}`")))
        };
        let is_policy = |packed: &&PackedFile| {
            packed.name.strip_prefix("policies/").is_some_and(|name| !name.contains('/')) // The others are in folders.
        };
        let source = BundleSource {
            schema: named(SCHEMA_FILE)?,
            roles: named(ROLES_FILE)?,
            policies: self.files.iter().filter(is_policy).map(file).collect(),
        };
        if source.digest() != self.bundle_sha256 || !self.bundle_sha256.starts_with(&self.policy_version) {
            return Err(refused("is not of the bundle that its digest names"));
        }
        Ok(source)
    }

    /// The proof report, if there is one.
    ///
    /// # Errors
    /// [`LoadError`] when it is no report.
    pub fn proof(&self) -> Result<Option<ProofReport>, LoadError> {
        let report = self.files.iter().find(|packed| packed.name == PROOF_FILE);
        report.map(|packed| ProofReport::parse(PROOF_FILE, &packed.text)).transpose()
    }

    /// The file in which a proof report is packed.
    #[must_use]
    pub fn proof_file(text: String) -> PackedFile {
        PackedFile { name: PROOF_FILE.to_owned(), text }
    }

    fn subjects(&self) -> Vec<Subject> {
        let digest = |text: &str| Sha256Digest { sha256: sha256(text.as_bytes()) };
        self.files.iter().map(|file| Subject { name: file.name.clone(), digest: digest(&file.text) }).collect()
    }

    fn check(&self) -> Result<Timestamp, LoadError> {
        if self.files.len() > MOST_FILES {
            return Err(refused(&format!("holds more than {MOST_FILES} files")));
        }
        let mut names = BTreeSet::new();
        for file in &self.files {
            let told: String = file.name.escape_debug().take(LONGEST_NAME_BYTES).collect();
            if !is_a_name(&file.name) {
                return Err(refused(&format!("holds `{told}`, which is no file of a bundle")));
            }
            if !names.insert(&file.name) {
                return Err(refused(&format!("holds `{told}` twice")));
            }
            if file.text.len() as u64 > LARGEST_FILE_BYTES {
                return Err(refused(&format!("holds `{told}`, which is over {LARGEST_FILE_BYTES} bytes long")));
            }
        }
        if !self.files.iter().is_sorted_by(|one, next| one.name < next.name) {
            return Err(refused("does not hold its files in the order of their names"));
        }
        self.created_at.parse().map_err(|error| refused(&format!("has no time of its making: {error}")))
    }
}

impl SignedPackage {
    /// Reads the package in this file, if one of these keys has signed it.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be read, is too large, was not signed by a trusted key or changed afterwards, or
    /// does not hold what its statement says.
    pub fn read(path: &Path, trusted: &TrustedKeys) -> Result<Self, LoadError> {
        let named = |message: String| LoadError::of(format!("{}: {message}", path.display()));
        let file = std::fs::File::open(path).map_err(|error| named(error.to_string()))?;
        let mut bytes = Vec::new();
        file.take(LARGEST_PACKAGE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| named(error.to_string()))?;
        Self::open(&bytes, trusted).map_err(|error| named(error.to_string()))
    }

    /// The package in these bytes, if one of these keys has signed it.
    ///
    /// # Errors
    /// As [`SignedPackage::read`].
    pub fn open(bytes: &[u8], trusted: &TrustedKeys) -> Result<Self, LoadError> {
        if bytes.len() as u64 > LARGEST_PACKAGE_BYTES {
            return Err(refused(&format!("is over {LARGEST_PACKAGE_BYTES} bytes long")));
        }
        let opened = dsse::open(bytes, PAYLOAD_TYPE, trusted);
        let (payload, key) = opened.map_err(|error| LoadError::of(format!("the signed bundle {error}")))?;
        let statement: Statement =
            serde_json::from_slice(&payload).map_err(|error| refused(&format!("holds no statement: {error}")))?;
        if statement.kind != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
            return Err(refused(&format!("holds no statement of the type `{PREDICATE_TYPE}`")));
        }
        let package = statement.predicate;
        let created_at = package.check()?;
        if statement.subject != package.subjects() {
            return Err(refused("holds other files than its statement names"));
        }
        let envelope = String::from_utf8_lossy(bytes).into();
        Ok(Self { package, created_at, key: key.clone(), sha256: sha256(&payload), envelope })
    }

    /// What is packed.
    #[must_use]
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// When it was packed, as its maker's clock said.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The trusted key that signed it.
    #[must_use]
    pub fn key(&self) -> &TrustedKey {
        &self.key
    }

    /// What it was opened from, to be opened by others.
    #[must_use]
    pub fn envelope(&self) -> &str {
        &self.envelope
    }

    /// The SHA-256 digest of what was signed.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn refused(message: &str) -> LoadError {
    LoadError::of(format!("the signed bundle {message}"))
}

/// Whether a bundle has files of this name: a known folder, and a name that stays in it.
fn is_a_name(name: &str) -> bool {
    if [SCHEMA_FILE, ROLES_FILE, PROOF_FILE].contains(&name) {
        return true;
    }
    let folders = [("policies/tests/", ".toml"), ("policies/invariants/", ".cedar"), ("policies/", ".cedar")];
    folders.iter().any(|(folder, end)| {
        name.strip_prefix(folder).and_then(|rest| rest.strip_suffix(end)).is_some_and(|stem| {
            !stem.is_empty()
                && !stem.starts_with('.')
                && name.len() <= LONGEST_NAME_BYTES
                && stem.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::signing::SigningKey;

    fn package() -> Package {
        let source = BundleSource::shipped();
        let files = [&source.schema, &source.roles].into_iter().chain(&source.policies);
        let mut files: Vec<_> =
            files.map(|file| PackedFile { name: file.name.clone(), text: file.text.clone() }).collect();
        files.sort_by(|one, other| one.name.cmp(&other.name));
        let digest = source.digest();
        Package {
            policy_version: digest[..16].to_owned(),
            bundle_sha256: digest,
            created_at: "2026-11-22T10:00:00Z".to_owned(),
            program: "test".to_owned(),
            tests: PackedTests { rows: 1, coverage_percent: 100, report_sha256: String::new() },
            invariants_digest: None,
            files,
        }
    }

    fn key() -> (SigningKey, TrustedKeys) {
        let key = SigningKey::generate().unwrap();
        let trusted = TrustedKeys(vec![key.public()]);
        (key, trusted)
    }

    /// What is said of a package that somebody with a trusted key has made so.
    fn made(change: impl FnOnce(&mut Package, &mut Vec<Subject>)) -> Result<(), String> {
        let (key, trusted) = key();
        let mut predicate = package();
        let mut subject = predicate.subjects();
        change(&mut predicate, &mut subject);
        let (kind, predicate_type) = (STATEMENT_TYPE.to_owned(), PREDICATE_TYPE.to_owned());
        let payload = serde_json::to_vec(&Statement { kind, subject, predicate_type, predicate }).unwrap();
        let opened = SignedPackage::open(dsse::seal(&key, PAYLOAD_TYPE, &payload).unwrap().as_bytes(), &trusted);
        opened.and_then(|signed| signed.package().source()).map(|_| ()).map_err(|error| error.to_string())
    }

    /// The same with the subjects put right.
    fn described(change: impl FnOnce(&mut Package)) -> Result<(), String> {
        made(|package, subject| {
            change(package);
            *subject = package.subjects();
        })
    }

    #[test]
    fn what_comes_out_is_what_went_in() {
        let (key, trusted) = key();
        let signed = SignedPackage::open(package().sign(&key).unwrap().as_bytes(), &trusted).unwrap();
        assert_eq!(signed.package(), &package());
        assert_eq!(signed.package().source().unwrap(), BundleSource::shipped());
        assert_eq!((signed.key(), signed.created_at()), (&key.public(), "2026-11-22T10:00:00Z".parse().unwrap()));
    }

    #[test]
    fn files_that_the_statement_does_not_tell_of_and_files_that_are_not_there_are_found() {
        let other_files = |change: fn(&mut Package, &mut Vec<Subject>)| {
            let said = made(change).unwrap_err();
            assert!(said.contains("other files than its statement names"), "{said}");
        };
        other_files(|package, _| drop(package.files.remove(1)));
        other_files(|package, _| {
            package.files.push(PackedFile {
                name: "schemas/support_access.cedarschema~".to_owned(),
                ..package.files[0].clone()
            });
            let last = package.files.len() - 1;
            package.files[last].name = "policies/zz.cedar".to_owned();
            package.files.sort_by(|one, other| one.name.cmp(&other.name));
        });
        other_files(|package, _| package.files[0].text.push(' '));
        other_files(|_, subject| subject[0].digest.sha256.replace_range(..1, "x"));
        other_files(|_, subject| drop(subject.pop()));
        // Told of, and still not the bundle that the digest names.
        let said = described(|package| drop(package.files.remove(1))).unwrap_err();
        assert!(said.contains("not of the bundle that its digest names"), "{said}");
        let said = described(|package| package.policy_version = "0".repeat(16)).unwrap_err();
        assert!(said.contains("not of the bundle that its digest names"), "{said}");
        let said = described(|package| drop(package.files.pop())).unwrap_err();
        assert!(said.contains("holds no `schemas/support_access.cedarschema`"), "{said}");
    }

    #[test]
    fn a_name_never_leads_out_of_the_bundle() {
        let named = |name: &str| described(|package| package.files[0].name = name.to_owned()).unwrap_err();
        for name in [
            "",
            "../policies/a.cedar",
            "policies/../../a.cedar",
            "policies/..cedar",
            "policies/.a.cedar",
            "policies/a/b.cedar",
            "policies\\a.cedar",
            "policies/a\\..\\b.cedar",
            "/policies/a.cedar",
            "policies/a.cedar\0",
            "policies/\u{202e}a.cedar",
            "policies/tests/../a.toml",
            "policies/a.toml",
            "schemas/a.cedarschema",
            "reports/other.json",
            "a.cedar",
        ] {
            let said = named(name);
            assert!(said.contains("which is no file of a bundle"), "{name}: {said}");
        }
        assert!(named(&format!("policies/{}.cedar", "a".repeat(100))).contains("no file of a bundle"));
        assert!(named("policies/guardrails.cedar").contains("twice"));
        assert!(named("policies/zz.cedar").contains("in the order of their names"));
    }

    #[test]
    fn nothing_is_larger_than_it_may_be() {
        let (key, trusted) = key();
        let too_large = vec![b' '; usize::try_from(LARGEST_PACKAGE_BYTES).unwrap() + 1];
        assert!(SignedPackage::open(&too_large, &trusted).unwrap_err().to_string().contains("bytes long"));
        let long = "/".repeat(usize::try_from(LARGEST_FILE_BYTES).unwrap() + 1);
        let mut large = package();
        large.files[0].text = long;
        assert!(large.sign(&key).unwrap_err().to_string().contains("bytes long"));
        let many = |package: &mut Package| {
            let name = |number| format!("policies/{number:06}.cedar");
            package.files = (0..=MOST_FILES).map(|n| PackedFile { name: name(n), text: String::new() }).collect();
        };
        assert!(described(many).unwrap_err().contains("more than 1000 files"));
    }

    #[test]
    fn a_signed_text_of_another_kind_is_no_bundle() {
        let (key, trusted) = key();
        let said = |payload: &Value| {
            let signed = dsse::seal(&key, PAYLOAD_TYPE, payload.to_string().as_bytes()).unwrap();
            SignedPackage::open(signed.as_bytes(), &trusted).unwrap_err().to_string()
        };
        assert!(said(&json!([])).contains("holds no statement"));
        let good = serde_json::to_value(package()).unwrap();
        let statement = |kind: &str, predicate: &Value| json!({ "_type": STATEMENT_TYPE, "subject": [], "predicateType": kind, "predicate": predicate });
        assert!(said(&statement("https://slsa.dev/provenance/v1", &good)).contains("no statement of the type"));
        let mut more = good.clone();
        more["allowUnsigned"] = true.into();
        assert!(said(&statement(PREDICATE_TYPE, &more)).contains("unknown field"));
        let mut no_time = good;
        no_time["createdAt"] = "yesterday".into();
        assert!(said(&statement(PREDICATE_TYPE, &no_time)).contains("no time of its making"));
    }
}
