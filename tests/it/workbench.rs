//! The policy author's and reviewer's tools, as they use them: the program, a bundle's directory, a log.

mod check;
mod diff;
mod edited;
mod log;
mod proof_report;
mod prove;
mod solved;
mod tests;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `consentry policy ...` in this folder.
fn policy(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_consentry")).arg("policy").args(arguments).current_dir(folder).output().unwrap()
}

/// What it printed as JSON, and how it ended.
fn json(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = policy(folder, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{told}"));
    (output.status.code().unwrap(), value)
}

/// A bundle with the shipped words and these files: name and text, below `policies/`.
fn bundle(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    for name in ["schemas/support_access.cedarschema", "schemas/entra-roles.json"] {
        std::fs::copy(root.join(name), folder.path().join(name)).unwrap();
    }
    std::fs::create_dir_all(folder.path().join("policies/tests")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join("policies").join(name), text).unwrap();
    }
    folder
}
