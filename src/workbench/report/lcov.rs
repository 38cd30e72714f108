//! Coverage as an lcov trace file, which editors and code hosts show beside the text: a line is a condition's, a
//! function is a policy, a branch is one of a condition's two ways.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::workbench::coverage::{Coverage, PolicyCoverage};

/// The trace file's text.
#[must_use]
pub fn lcov(coverage: &Coverage) -> String {
    let mut files: BTreeMap<&str, Vec<&PolicyCoverage>> = BTreeMap::new();
    for policy in &coverage.policies {
        files.entry(&policy.file).or_default().push(policy);
    }
    let mut text = String::new();
    for (file, policies) in files {
        // Writing to a string cannot fail.
        let _ = write_file(&mut text, file, &policies);
    }
    text
}

fn write_file(text: &mut String, file: &str, policies: &[&PolicyCoverage]) -> std::fmt::Result {
    writeln!(text, "TN:\nSF:{file}")?;
    for policy in policies {
        writeln!(text, "FN:{},{}", policy.line, policy.id)?;
    }
    for policy in policies {
        writeln!(text, "FNDA:{},{}", policy.determined, policy.id)?;
    }
    let hit = policies.iter().filter(|policy| policy.determined > 0).count();
    writeln!(text, "FNF:{}\nFNH:{hit}", policies.len())?;
    let conditions: Vec<_> = policies
        .iter()
        .flat_map(|policy| policy.conditions.iter().map(|condition| (condition.line.unwrap_or(policy.line), condition)))
        .collect();
    let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut found, mut taken) = (0, 0);
    for (number, (line, condition)) in conditions.iter().enumerate() {
        *lines.entry(*line).or_default() += condition.seen_true + condition.seen_false;
        for (branch, count) in [condition.seen_true, condition.seen_false].into_iter().enumerate() {
            writeln!(text, "BRDA:{line},{number},{branch},{count}")?;
            found += 1;
            taken += usize::from(count > 0);
        }
    }
    writeln!(text, "BRF:{found}\nBRH:{taken}")?;
    for (line, count) in &lines {
        writeln!(text, "DA:{line},{count}")?;
    }
    let hit = lines.values().filter(|count| **count > 0).count();
    writeln!(text, "LF:{}\nLH:{hit}\nend_of_record", lines.len())
}
