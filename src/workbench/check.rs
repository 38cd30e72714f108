//! Checking a bundle before anybody serves it: everything that loading refuses, and what a reviewer would ask about.

mod format;
mod lints;
mod solved;
mod words;

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

pub use format::formatted;
pub use solved::solved;

use crate::policy::{Bundle, BundleSource, LoadError, Place, SourceFile};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The bundle cannot serve.
    Error,
    /// It can, and is probably not what its author meant.
    Warning,
    /// Worth a look; may well be meant.
    Note,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The check that found it, such as `unscoped-permit`.
    pub lint: &'static str,
    /// The file; none when it concerns the bundle as a whole.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// Where in the file, in bytes.
    #[serde(skip)]
    pub span: Range<usize>,
    /// What.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// A finding about the bundle as a whole.
    #[must_use]
    pub fn of_bundle(lint: &'static str, message: String) -> Self {
        let (file, line, column, span) = (None, 1, 1, 0..0);
        Self { severity: Severity::Note, lint, file, line, column, span, message, help: None }
    }

    fn at(severity: Severity, lint: &'static str, file: &SourceFile, span: Range<usize>, message: String) -> Self {
        let place = Place::of(&file.name, &file.text, span.start);
        let (line, column) = (place.line, place.column);
        Self { severity, lint, file: Some(place.file), line, column, span, message, help: None }
    }

    fn with_help(self, help: &str) -> Self {
        Self { help: Some(help.to_owned()), ..self }
    }
}

/// Everything that is found in a bundle, in the order of files and places.
///
/// `rules` are the numbers of the rules that there are; `@rule` may name no other.
#[must_use]
pub fn check(source: &BundleSource, rules: &BTreeSet<String>) -> Vec<Finding> {
    let mut found: Vec<Finding> = format::check(source);
    match Bundle::load(source) {
        Err(error) => found.extend(refused(source, &error)),
        Ok(bundle) => {
            found.extend(lints::check(&bundle, rules));
            found.extend(words::check(&bundle));
        }
    }
    sort(&mut found);
    found
}

/// Puts findings in the order of files and places.
pub fn sort(found: &mut [Finding]) {
    found.sort_by(|a, b| (&a.file, a.span.start, a.severity).cmp(&(&b.file, b.span.start, b.severity)));
}

/// What loading refuses.
fn refused(source: &BundleSource, error: &LoadError) -> Vec<Finding> {
    let files = || source.policies.iter().chain([&source.schema, &source.roles]);
    let finding = |problem: &crate::policy::Problem| {
        let place = problem.place.as_ref();
        let file = place.and_then(|place| files().find(|file| file.name == place.file));
        let start = match (place, file) {
            (Some(place), Some(file)) => offset_of(&file.text, place.line, place.column),
            (Some(_) | None, None) | (None, Some(_)) => 0,
        };
        Finding {
            severity: Severity::Error,
            lint: "refused",
            file: place.map(|place| place.file.clone()),
            line: place.map_or(1, |place| place.line),
            column: place.map_or(1, |place| place.column),
            span: start..start + 1,
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    };
    error.problems.iter().map(finding).collect()
}

/// The byte at which a line and column, both from 1, begin.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text.get(line_start..).unwrap_or_default();
    line_start + rest.char_indices().nth(column - 1).map_or(0, |(at, _)| at)
}

/// The numbers of the rules that a text tells of: `R` and digits at the beginning of a table row.
#[must_use]
pub fn rules_told(text: &str) -> BTreeSet<String> {
    let is_rule = |word: &&str| word.strip_prefix('R').is_some_and(|number| number.parse::<u16>().is_ok());
    let first =
        |line: &str| line.strip_prefix("| ").and_then(|row| row.split(' ').next().filter(is_rule).map(str::to_owned));
    text.lines().filter_map(first).collect()
}
