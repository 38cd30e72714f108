//! Where a bundle's texts come from: a directory with `schemas/` and `policies/`, or the ones shipped in the binary.

use std::path::{Path, PathBuf};

use super::place::{LoadError, Problem};

/// One text of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, as problems name it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The texts of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
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
const SCHEMA_FILE: &str = "schemas/support_access.cedarschema";
/// The file that holds the role catalogue, in a bundle's `schemas/`.
const ROLES_FILE: &str = "schemas/entra-roles.json";

/// A bundle's file may not be larger than this many bytes.
const LARGEST_FILE_BYTES: u64 = 4 * 1024 * 1024;

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

fn policy_files(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // An editor's lock and backup files begin with a dot or do not end so.
        if !name.starts_with('.') && Path::new(&name).extension().is_some_and(|extension| extension == "cedar") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read_file(directory: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<SourceFile> {
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

fn problem(path: &Path, message: &str) -> Problem {
    Problem { place: None, message: format!("{}: {message}", path.display()), help: None }
}
