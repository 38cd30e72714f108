//! The test files of the `cedar` command line's `run-tests`: JSON, in Cedar's own terms.

use std::path::Path;

use serde::Deserialize;

use super::suite::{Expected, RawEntry, Row, Suite, SuiteError, Wanted};
use crate::policy::Place;

#[derive(Deserialize)]
struct TestEntry {
    #[serde(default)]
    name: Option<String>,
    request: RequestEntry,
    /// A list of entities, or the name of a file that holds one.
    entities: serde_json::Value,
    decision: Expected,
    /// A subset of the policies that made it so.
    #[serde(default)]
    reason: Vec<String>,
    #[serde(default)]
    num_errors: usize,
}

#[derive(Deserialize)]
struct RequestEntry {
    principal: String,
    action: String,
    resource: String,
    #[serde(default)]
    context: serde_json::Map<String, serde_json::Value>,
}

/// Reads such a file.
///
/// # Errors
/// [`SuiteError`] when it is no such file, or names an entities file that cannot be read, or expects policies to fail:
/// a policy that fails denies here, whatever else holds.
pub fn read(path: &Path) -> Result<Suite, SuiteError> {
    let file = path.display().to_string();
    let wrong = |message: String| SuiteError { place: Place { file: file.clone(), line: 1, column: 1 }, message };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let entries: Vec<TestEntry> = serde_json::from_str(&text).map_err(|error| SuiteError {
        place: Place { file: file.clone(), line: error.line(), column: error.column() },
        message: error.to_string(),
    })?;
    let mut rows = Vec::new();
    for (number, entry) in (1..).zip(entries) {
        let says = entry.name.unwrap_or_else(|| format!("test {number}"));
        if entry.num_errors > 0 {
            return Err(wrong(format!("`{says}` expects policies to fail: here a policy that fails denies")));
        }
        let entities = match entry.entities {
            serde_json::Value::Array(entities) => entities,
            serde_json::Value::String(name) => {
                let beside = path.parent().unwrap_or_else(|| Path::new(".")).join(&name);
                let text = std::fs::read_to_string(&beside).map_err(|error| wrong(format!("`{name}`: {error}")))?;
                serde_json::from_str(&text).map_err(|error| wrong(format!("`{name}`: {error}")))?
            }
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_) => {
                return Err(wrong(format!("`{says}`: `entities` must be a list or the name of a file")));
            }
        };
        rows.push(Row {
            place: Place { file: file.clone(), line: 1, column: 1 },
            rules: Vec::new(),
            says,
            variant: None,
            wanted: Wanted::Raw(RawEntry {
                principal: entry.request.principal,
                action: entry.request.action,
                resource: entry.request.resource,
                context: serde_json::Value::Object(entry.request.context),
                entities,
            }),
            expect: entry.decision,
            code: None,
            because: entry.reason,
        });
    }
    Ok(Suite { title: file.clone(), file, rows })
}
