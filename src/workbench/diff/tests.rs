//! The policy tests whose answers an edit changes.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::policy::Bundle;
use crate::workbench::run::{Given, run};
use crate::workbench::suite::{Expected, Suite};

/// A row that the two bundles answer differently.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TestChange {
    /// What people call it.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: usize,
    /// What it expects.
    pub expects: String,
    /// What the old bundle answers.
    pub old: String,
    /// What the new one answers.
    pub new: String,
}

/// Asks both bundles every row. A row that stands in the tests of both is told once.
pub(super) fn changed(old: &Bundle, new: &Bundle, suites: &[Suite]) -> Vec<TestChange> {
    let (before, after) = (run(old, suites), run(new, suites));
    let rows = suites.iter().flat_map(|suite| &suite.rows);
    let mut told = BTreeSet::new();
    let mut changed = Vec::new();
    for ((before, after), row) in before.rows.iter().zip(&after.rows).zip(rows) {
        let (old, new) = (answer(before.given.as_ref()), answer(after.given.as_ref()));
        let name = before.name();
        if old != new && told.insert((name.clone(), old.clone(), new.clone())) {
            let expects = word(row.expect).to_owned();
            changed.push(TestChange { name, file: before.file.clone(), line: before.line, expects, old, new });
        }
    }
    changed
}

/// The answer and its code; which of several policies gave it is not the asker's concern.
pub(super) fn answer(given: Option<&Given>) -> String {
    match given {
        None => "cannot be asked".to_owned(),
        Some(given) if given.decision == Expected::Allow => "allow".to_owned(),
        Some(given) => format!("deny ({})", given.reason.code),
    }
}

const fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
    }
}
