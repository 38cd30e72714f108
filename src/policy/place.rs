//! Where in a file something is wrong: `file:line:column`, as editors and people read it (G6).

use std::fmt;

use cedar_policy::PolicyId;

/// How many bytes of problems are told at once: enough for a screen or a log line, whatever a file holds.
const TOLD: usize = 32 * 1024;
/// How many characters of one message are told: Cedar can list everything that it would have taken instead.
const LONGEST: usize = 1_000;

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

    /// The same, with the file's own name alone.
    #[must_use]
    pub fn without_folders(&self) -> Self {
        let file = self.file.rsplit('/').next().unwrap_or_default();
        Self { file: file.to_owned(), ..self.clone() }
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
        shortened(f, &self.message)?;
        if let Some(help) = &self.help {
            f.write_str(" (")?;
            shortened(f, help)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

fn shortened(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => write!(f, "{}…", text.get(..end).unwrap_or(text)),
        None => f.write_str(text),
    }
}

/// Why a bundle is not good enough to serve: everything that is wrong with it, not just the first thing.
///
/// As text it is a line for each problem, and of very many the first ones with the number of the rest.
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
        let mut told = 0;
        for (n, problem) in self.problems.iter().enumerate() {
            let line = problem.to_string();
            if n > 0 {
                if told + line.len() > TOLD {
                    return write!(f, "\nand {} more problems", self.problems.len() - n);
                }
                f.write_str("\n")?;
            }
            told += line.len();
            f.write_str(&line)?;
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

    #[test]
    fn very_many_and_very_long_problems_are_counted_and_cut() {
        let long = Problem { place: None, message: "é".repeat(1_001), help: Some("x".repeat(1_000)) };
        assert_eq!(long.to_string(), format!("{}… ({})", "é".repeat(1_000), "x".repeat(1_000)));
        let told = LoadError { problems: vec![long; 1_000] }.to_string();
        assert!(told.len() <= 33 * 1024 && told.ends_with("\nand 990 more problems"), "{} bytes", told.len());
    }
}
