//! Where a bundle's texts come from: a directory with `schemas/` and `policies/`, or the ones shipped in the binary.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::place::{LoadError, Problem};

/// One text of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name, as problems name it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The texts of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleSource {
    /// The Cedar schema.
    pub schema: SourceFile,
    /// The role catalogue, as JSON.
    pub roles: SourceFile,
    /// The policies, in the order of their names. Of several policies that decide, the first in this order gives the
    /// reason that people see first.
    pub policies: Vec<SourceFile>,
}

/// The file that holds the schema, in a bundle's `schemas/`.
pub(super) const SCHEMA_FILE: &str = "schemas/support_access.cedarschema";
/// The file that holds the role catalogue, in a bundle's `schemas/`.
pub(super) const ROLES_FILE: &str = "schemas/entra-roles.json";

/// A bundle's file may not be larger than this many bytes.
pub(super) const LARGEST_FILE_BYTES: u64 = 4 * 1024 * 1024;

macro_rules! shipped {
    ($name:literal) => {
        SourceFile { name: $name.to_owned(), text: include_str!(concat!("../../", $name)).to_owned() }
    };
}

impl BundleSource {
    /// The bundle that ships with the program.
    #[must_use]
    pub fn shipped() -> Self {
        Self {
            schema: shipped!("schemas/support_access.cedarschema"),
            roles: shipped!("schemas/entra-roles.json"),
            policies: vec![
                shipped!("policies/audit.cedar"),
                shipped!("policies/guardrails.cedar"),
                shipped!("policies/reading.cedar"),
                shipped!("policies/requests.cedar"),
                shipped!("policies/services.cedar"),
                shipped!("policies/visibility.cedar"),
            ],
        }
    }

    /// A digest of the texts: 64 hexadecimal digits, whose first 16 are the bundle's version.
    #[must_use]
    pub fn digest(&self) -> String {
        super::bundle::digest_of(self)
    }

    /// Reads a bundle directory: `schemas/support_access.cedarschema`, `schemas/entra-roles.json` and every
    /// `policies/*.cedar`.
    ///
    /// # Errors
    /// [`LoadError`] naming every file that is missing, unreadable, too large or not UTF-8.
    pub fn read(directory: &Path) -> Result<Self, LoadError> {
        let mut problems = Vec::new();
        let schema = read_file(directory, SCHEMA_FILE, &mut problems);
        let roles = read_file(directory, ROLES_FILE, &mut problems);
        let mut policies = Vec::new();
        match policy_files(&directory.join("policies")) {
            Ok(names) if names.is_empty() => {
                problems.push(problem(&directory.join("policies"), "holds no `.cedar` file"));
            }
            Ok(names) => {
                for name in names {
                    policies.extend(read_file(directory, &format!("policies/{name}"), &mut problems));
                }
            }
            Err(error) => problems.push(problem(&directory.join("policies"), &error.to_string())),
        }
        match (schema, roles) {
            (Some(schema), Some(roles)) if problems.is_empty() => Ok(Self { schema, roles, policies }),
            _ => Err(LoadError { problems }),
        }
    }
}

/// Reads every `.cedar` file of a bundle's folder, in the order of their names.
///
/// # Errors
/// [`LoadError`] naming every file that is unreadable, too large or not UTF-8.
pub(super) fn read_folder(directory: &Path, folder: &str) -> Result<Vec<SourceFile>, LoadError> {
    let path = directory.join(folder);
    let names =
        policy_files(&path).map_err(|error| LoadError { problems: vec![problem(&path, &error.to_string())] })?;
    let mut problems = Vec::new();
    let files =
        names.iter().filter_map(|name| read_file(directory, &format!("{folder}/{name}"), &mut problems)).collect();
    if problems.is_empty() { Ok(files) } else { Err(LoadError { problems }) }
}

fn policy_files(directory: &Path) -> std::io::Result<Vec<String>> {
    files_with(directory, "cedar")
}

/// The names of a folder's files with this extension, in their order.
pub(super) fn files_with(directory: &Path, wanted: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // An editor's lock and backup files begin with a dot or do not end so.
        if !name.starts_with('.') && Path::new(&name).extension().is_some_and(|extension| extension == wanted) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

pub(super) fn read_file(directory: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<SourceFile> {
    let path = directory.join(name);
    match read_text(&path) {
        Ok(text) => Some(SourceFile { name: path.display().to_string(), text }),
        Err(message) => {
            problems.push(problem(&path, &message));
            None
        }
    }
}

fn read_text(path: &PathBuf) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > LARGEST_FILE_BYTES {
        return Err(format!("is {length} bytes long, at most {LARGEST_FILE_BYTES} are allowed"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
}

pub(super) fn problem(path: &Path, message: &str) -> Problem {
    Problem { place: None, message: format!("{}: {message}", path.display()), help: None }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A bundle's directory with these policy files.
    fn directory(policies: &[(&str, &[u8])]) -> TempDir {
        let directory = TempDir::new().unwrap();
        for folder in ["policies", "schemas"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        std::fs::write(directory.path().join(SCHEMA_FILE), "schema").unwrap();
        std::fs::write(directory.path().join(ROLES_FILE), "roles").unwrap();
        for (name, text) in policies {
            std::fs::write(directory.path().join("policies").join(name), text).unwrap();
        }
        directory
    }

    fn refused(directory: &TempDir) -> String {
        BundleSource::read(directory.path()).unwrap_err().to_string()
    }

    #[test]
    fn policies_are_read_in_the_order_of_their_names_and_an_editors_files_are_not() {
        let files: [(&str, &[u8]); 5] =
            [("b.cedar", b"2"), ("a.cedar", b"1"), (".a.cedar", b"x"), ("a.cedar~", b"x"), ("README.md", b"x")];
        let source = BundleSource::read(directory(&files).path()).unwrap();
        let texts: Vec<_> = source.policies.iter().map(|file| file.text.as_str()).collect();
        assert_eq!((source.schema.text.as_str(), source.roles.text.as_str()), ("schema", "roles"));
        assert_eq!(texts, ["1", "2"]);
    }

    #[test]
    fn everything_that_cannot_be_read_is_named() {
        assert!(refused(&directory(&[])).contains("holds no `.cedar` file"));
        assert!(refused(&directory(&[("a.cedar", b"ab\xff")])).contains("a.cedar: is not UTF-8 at byte 2"));
        let bare = directory(&[("a.cedar", b"1")]);
        std::fs::remove_file(bare.path().join(ROLES_FILE)).unwrap();
        std::fs::remove_file(bare.path().join(SCHEMA_FILE)).unwrap();
        let missing = refused(&bare);
        assert!(missing.contains(ROLES_FILE) && missing.contains(SCHEMA_FILE), "{missing}");
        std::fs::remove_dir_all(bare.path().join("policies")).unwrap();
        assert_eq!(refused(&bare).lines().count(), 3);
    }

    #[test]
    fn a_file_of_the_largest_size_is_read_and_no_larger_one() {
        let largest = usize::try_from(LARGEST_FILE_BYTES).unwrap();
        assert!(BundleSource::read(directory(&[("a.cedar", &vec![b' '; largest])]).path()).is_ok());
        assert!(refused(&directory(&[("a.cedar", &vec![b' '; largest + 1])])).contains("bytes long"));
    }
}
