//! Test results as `JUnit` XML, which CI services show row by row.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::workbench::run::{Outcome, RowOutcome};

/// The XML's text: a suite for each file, a case for each row.
///
/// # Errors
/// When a text cannot be written as XML.
pub fn junit(outcome: &Outcome) -> Result<String, quick_junit::SerializeError> {
    let mut files: BTreeMap<&str, Vec<&RowOutcome>> = BTreeMap::new();
    for row in &outcome.rows {
        files.entry(&row.file).or_default().push(row);
    }
    let mut report = Report::new("consentry policy test");
    for (file, rows) in files {
        let mut suite = TestSuite::new(file);
        suite.add_test_cases(rows.into_iter().map(case));
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn case(row: &RowOutcome) -> TestCase {
    let mut status = TestCaseStatus::success();
    if !row.wrong.is_empty() {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(row.wrong.join("; "));
    }
    let mut case = TestCase::new(row.name(), status);
    case.set_classname(format!("{}:{}", row.file, row.line));
    case
}
