//! Where a guest model's texts come from: a directory with a manifest, `schemas/`, `policies/` and perhaps entities.

use std::path::Path;

use super::super::place::LoadError;
use super::super::source::{SourceFile, files_with, problem, read_file};

/// The file that says what the model is called, and what it takes from requests.
pub const MANIFEST_FILE: &str = "model.toml";
/// The file that holds the entities there are.
const ENTITIES_FILE: &str = "entities.json";

/// The texts of a guest model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSource {
    pub(super) manifest: SourceFile,
    /// In the order of their names; together they are one schema.
    pub(super) schemas: Vec<SourceFile>,
    /// In the order of their names.
    pub(super) policies: Vec<SourceFile>,
    /// None: there are no entities but those that requests tell of.
    pub(super) entities: Option<SourceFile>,
}

impl GuestSource {
    /// Reads a guest model's directory: `model.toml`, every `schemas/*.cedarschema`, every `policies/*.cedar`, and
    /// `entities.json` if it is there.
    ///
    /// # Errors
    /// [`LoadError`] naming every file that is missing, unreadable, too large or not UTF-8.
    pub fn read(directory: &Path) -> Result<Self, LoadError> {
        let mut problems = Vec::new();
        let manifest = read_file(directory, MANIFEST_FILE, &mut problems);
        let mut folder = |folder: &str, extension: &str| {
            let path = directory.join(folder);
            match files_with(&path, extension) {
                Ok(names) if names.is_empty() => {
                    problems.push(problem(&path, &format!("holds no `.{extension}` file")));
                    Vec::new()
                }
                Ok(names) => names
                    .iter()
                    .filter_map(|name| read_file(directory, &format!("{folder}/{name}"), &mut problems))
                    .collect(),
                Err(error) => {
                    problems.push(problem(&path, &error.to_string()));
                    Vec::new()
                }
            }
        };
        let schemas = folder("schemas", "cedarschema");
        let policies = folder("policies", "cedar");
        let entities = match directory.join(ENTITIES_FILE).try_exists() {
            Ok(false) => None,
            Ok(true) | Err(_) => read_file(directory, ENTITIES_FILE, &mut problems),
        };
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(Self { manifest, schemas, policies, entities }),
            Some(_) | None => Err(LoadError { problems }),
        }
    }

    /// Every text, behind its file's own name: the same text says something else in another place.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let files = [&self.manifest].into_iter().chain(&self.schemas).chain(&self.policies).chain(&self.entities);
        files.flat_map(|file| [file.name.rsplit('/').next().unwrap_or_default(), file.text.as_str()])
    }
}
