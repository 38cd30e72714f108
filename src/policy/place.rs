//! Where in a file something is wrong: `file:line:column`, as editors and people read it (G6).

use std::fmt;

use cedar_policy::PolicyId;

/// A place in a text, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named when the bundle was loaded.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset in a file's text.
    #[must_use]
    pub fn of(file: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; none when it concerns the bundle as a whole.
    pub place: Option<Place>,
    /// What.
    pub message: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Why a bundle is not good enough to serve: everything that is wrong with it, not just the first thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// At least one problem, in the order of their places.
    pub problems: Vec<Problem>,
}

impl LoadError {
    /// One problem without a place.
    #[must_use]
    pub fn of(message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { place: None, message: message.into(), help: None }] }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// The problems that one of Cedar's diagnostics tells of, in this file.
pub(super) fn problems(file: &str, text: &str, diagnostic: &dyn miette::Diagnostic) -> Vec<Problem> {
    let help = diagnostic.help().map(|help| help.to_string());
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map(miette::LabeledSpan::offset);
    let detail = label.as_ref().and_then(|label| label.label()).map(|label| format!(": {label}")).unwrap_or_default();
    vec![Problem {
        place: offset.map(|offset| Place::of(file, text, offset)),
        message: format!("{diagnostic}{detail}"),
        help,
    }]
}

/// The place at which a policy names itself.
pub(super) fn place_of_policy(file: &str, text: &str, id: &PolicyId) -> Place {
    let annotation = format!("@id(\"{id}\")");
    Place::of(file, text, text.find(&annotation).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a\néö x\n";
        assert_eq!(Place::of("f", text, 0).to_string(), "f:1:1");
        assert_eq!(Place::of("f", text, text.find('x').unwrap()).to_string(), "f:2:4");
        assert_eq!(Place::of("f", text, 999).to_string(), "f:3:1");
    }

    #[test]
    fn every_problem_has_a_line() {
        let problem = |message: &str, help: Option<&str>| Problem {
            place: Some(Place::of("f", "", 0)),
            message: message.to_owned(),
            help: help.map(ToOwned::to_owned),
        };
        let error = LoadError { problems: vec![problem("a", None), problem("b", Some("do c")), problem("d", None)] };
        assert_eq!(error.to_string(), "f:1:1: a\nf:1:1: b (do c)\nf:1:1: d");
    }
}
