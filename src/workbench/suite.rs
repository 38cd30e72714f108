//! Policy tests: files of rows that a policy author writes without Rust.
//!
//! A file says its facts once. Each row is a question with the answer that is expected of it; it can change facts for
//! itself (`given`, `without`), and ask for several principals, actions or resources at once.

pub(super) mod file;

use std::path::Path;

use cedar_policy::EntityUid;
use serde::Deserialize;

pub use self::file::{Ask, AskContext, Expected, RawEntry, schema};
use self::file::{FactsEntry, OneOrMany, RowEntry, SuiteEntry};
use crate::policy::Place;

macro_rules! shipped {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../../", $name)))),*] };
}

/// The tests that ship with the program.
const SHIPPED: [(&str, &str); 7] = shipped![
    "policies/tests/audit.toml",
    "policies/tests/consents.toml",
    "policies/tests/guardrails.toml",
    "policies/tests/reading.toml",
    "policies/tests/requests.toml",
    "policies/tests/services.toml",
    "policies/tests/visibility.toml"
];

/// What a row asks.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// In the rules' words, about the facts of the file.
    Facts {
        /// The facts, as this row changes them.
        facts: toml::Table,
        /// Who.
        subject: EntityUid,
        /// What.
        action: String,
        /// About what.
        resource: EntityUid,
        /// What else the question names.
        context: AskContext,
    },
    /// In Cedar's own terms.
    Raw(RawEntry),
}

/// The facts of a file, with their places.
#[derive(Deserialize)]
struct FactsAlone {
    #[expect(dead_code, reason = "read for what is wrong with them")]
    facts: Option<FactsEntry>,
}

/// One question with its expected answer.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where its row stands.
    pub place: Place,
    /// The rules it speaks of.
    pub rules: Vec<String>,
    /// The sentence it tells.
    pub says: String,
    /// Which of the row's questions it is, where the row asks several.
    pub variant: Option<String>,
    /// What it asks.
    pub wanted: Wanted,
    /// The answer.
    pub expect: Expected,
    /// The reason's code.
    pub code: Option<String>,
    /// Policies that must be among those that made the answer what it is.
    pub because: Vec<String>,
}

/// A test file, ready to run.
#[derive(Debug)]
pub struct Suite {
    /// Its name.
    pub file: String,
    /// What it is about.
    pub title: String,
    /// Its questions, in order.
    pub rows: Vec<Row>,
}

/// A test file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SuiteError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

impl Suite {
    /// Reads the text of a test file.
    ///
    /// # Errors
    /// [`SuiteError`] at the first thing that is wrong: syntax, an unknown key, facts that are none, a row without a
    /// question.
    pub fn parse(file: &str, text: &str) -> Result<Self, SuiteError> {
        let at = |offset: usize| Place::of(file, text, offset);
        let unread = |error: toml::de::Error| SuiteError {
            place: at(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        };
        let entry: SuiteEntry = toml::from_str(text).map_err(unread)?;
        // The facts once more by themselves: as a table, to be changed by rows, they have lost their places.
        toml::from_str::<FactsAlone>(text).map_err(unread)?;
        let mut rows = Vec::new();
        for spanned in entry.rows {
            let place = at(spanned.span().start);
            let row = spanned.into_inner();
            let wrong = |message: String| SuiteError { place: place.clone(), message };
            for (variant, wanted) in questions(&row, &entry.facts, &entry.ask).map_err(wrong)? {
                rows.push(Row {
                    place: place.clone(),
                    rules: row.rule.split_whitespace().map(ToOwned::to_owned).collect(),
                    says: row.says.clone(),
                    variant,
                    wanted,
                    expect: row.expect,
                    code: row.code.clone(),
                    because: row.because.clone(),
                });
            }
        }
        Ok(Self { file: file.to_owned(), title: entry.title, rows })
    }

    /// Reads a test file.
    ///
    /// # Errors
    /// [`SuiteError`], as [`Suite::parse`]; or the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, SuiteError> {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The tests that ship with the program.
    ///
    /// # Errors
    /// None in a program that was tested.
    pub fn shipped() -> Result<Vec<Self>, Vec<SuiteError>> {
        SHIPPED.iter().map(|(file, text)| Self::parse(file, text).map_err(|error| vec![error])).collect()
    }

    /// Reads every test file of a bundle's directory (`policies/tests/*.toml`), in the order of their names.
    ///
    /// # Errors
    /// [`SuiteError`] of each file that cannot be read.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, Vec<SuiteError>> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(vec![unreadable(folder, &error)]),
        };
        let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        let (mut suites, mut wrong) = (Vec::new(), Vec::new());
        for path in paths {
            match Self::read(&path) {
                Ok(suite) => suites.push(suite),
                Err(error) => wrong.push(error),
            }
        }
        if wrong.is_empty() { Ok(suites) } else { Err(wrong) }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> SuiteError {
    SuiteError { place: Place::of(&path.display().to_string(), "", 0), message: error.to_string() }
}

/// Every question of a row, with what tells it from the others.
fn questions(row: &RowEntry, facts: &toml::Table, usual: &Ask) -> Result<Vec<(Option<String>, Wanted)>, String> {
    if let Some(raw) = &row.request {
        let asks = row.subject.is_some() || row.action.is_some() || row.resource.is_some() || row.context.is_some();
        if asks || !row.given.is_empty() || !row.without.is_empty() {
            return Err("a row with a `request` brings its own question and facts: nothing else counts".to_owned());
        }
        return Ok(vec![(None, Wanted::Raw(raw.clone()))]);
    }
    let mut facts = facts.clone();
    merge(&mut facts, &row.given);
    for path in &row.without {
        remove(&mut facts, path)?;
    }
    serde_path_to_error::deserialize::<_, FactsEntry>(facts.clone()).map_err(|error| {
        format!("`given` and `without` make facts that are none: `{}`: {}", error.path(), error.inner().message())
    })?;
    let of = |own: &Option<OneOrMany>, usual: &Option<OneOrMany>, name: &str| {
        let one = own.as_ref().or(usual.as_ref()).ok_or_else(|| format!("the row names no `{name}`"))?;
        if one.all().is_empty() {
            return Err(format!("`{name}` is an empty list: the row asks nothing"));
        }
        Ok(one.all().to_vec())
    };
    let subjects = of(&row.subject, &usual.subject, "subject")?;
    let actions = of(&row.action, &usual.action, "action")?;
    let resources = of(&row.resource, &usual.resource, "resource")?;
    let context = row.context.clone().or_else(|| usual.context.clone()).unwrap_or_default();
    let several = subjects.len() * actions.len() * resources.len() > 1;
    let mut found = Vec::new();
    for subject in &subjects {
        for action in &actions {
            for resource in &resources {
                let variant = several.then(|| format!("{subject} {action} {resource}"));
                let wanted = Wanted::Facts {
                    facts: facts.clone(),
                    subject: entity(subject)?,
                    action: action.clone(),
                    resource: entity(resource)?,
                    context: context.clone(),
                };
                found.push((variant, wanted));
            }
        }
    }
    Ok(found)
}

fn entity(text: &str) -> Result<EntityUid, String> {
    text.parse().map_err(|_| format!("`{text}` is not written like `User::\"contoso/cyd\"`"))
}

/// Lays one table over another.
fn merge(under: &mut toml::Table, over: &toml::Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Takes a fact out, by its dotted key.
fn remove(facts: &mut toml::Table, key: &str) -> Result<(), String> {
    let missing = || format!("`without`: the facts have no `{key}`");
    // TOML reads its own keys, quoted parts and all.
    let mut parts: toml::Table = toml::from_str(&format!("{key} = 0")).map_err(|_| {
        format!("`without`: `{key}` is no key: write it as `given` would, in quotes where that needs them")
    })?;
    let mut table = facts;
    while let Some((part, rest)) = std::mem::take(&mut parts).into_iter().next() {
        let toml::Value::Table(rest) = rest else {
            return table.remove(&part).map(|_| ()).ok_or_else(missing);
        };
        table = table.get_mut(&part).and_then(toml::Value::as_table_mut).ok_or_else(missing)?;
        parts = rest;
    }
    Err(missing())
}
