//! Policy tests: files of rows that a policy author writes without Rust.
//!
//! A file says its facts once. Each row is a question with the answer that is expected of it; it can change facts for
//! itself (`given`, `without`), and ask for several principals, actions or resources at once.

use std::path::Path;

use cedar_policy::EntityUid;
use serde::Deserialize;
use toml::Spanned;

use crate::policy::Place;

macro_rules! shipped {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../../", $name)))),*] };
}

/// The tests that ship with the program.
const SHIPPED: [(&str, &str); 1] = shipped!["policies/tests/reading.toml"];

/// A test file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteEntry {
    title: String,
    #[serde(default)]
    facts: toml::Table,
    #[serde(default)]
    ask: Ask,
    #[serde(default, rename = "row")]
    rows: Vec<Spanned<RowEntry>>,
}

/// What is asked. What a row leaves out, the file's `[ask]` says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    subject: Option<OneOrMany>,
    action: Option<OneOrMany>,
    resource: Option<OneOrMany>,
    context: Option<AskContext>,
}

/// What else a question names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AskContext {
    /// The support request under which somebody wants to read.
    pub support_request: Option<String>,
    /// The tenant for which an access request is created (R10).
    pub resource_tenant: Option<String>,
    /// Whether a question to the decision endpoint is about its caller.
    pub about_self: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RowEntry {
    rule: String,
    says: String,
    #[serde(default)]
    given: toml::Table,
    #[serde(default)]
    without: Vec<String>,
    subject: Option<OneOrMany>,
    action: Option<OneOrMany>,
    resource: Option<OneOrMany>,
    context: Option<AskContext>,
    request: Option<RawEntry>,
    expect: Expected,
    code: Option<String>,
    #[serde(default)]
    because: Vec<String>,
}

/// A question in Cedar's own terms.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEntry {
    /// Who.
    pub principal: String,
    /// What.
    pub action: String,
    /// About what.
    pub resource: String,
    /// Under which circumstances, in Cedar's JSON.
    #[serde(default = "empty_object")]
    pub context: serde_json::Value,
    /// The entities, in Cedar's JSON.
    #[serde(default)]
    pub entities: Vec<serde_json::Value>,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// The answer that a row expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Permitted.
    Allow,
    /// Not permitted.
    Deny,
}

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
    /// [`SuiteError`] at the first thing that is wrong: syntax, an unknown key, a row without a question.
    pub fn parse(file: &str, text: &str) -> Result<Self, SuiteError> {
        let at = |offset: usize| Place::of(file, text, offset);
        let entry: SuiteEntry = toml::from_str(text).map_err(|error| SuiteError {
            place: at(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
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
        return Ok(vec![(None, Wanted::Raw(raw.clone()))]);
    }
    let mut facts = facts.clone();
    merge(&mut facts, &row.given);
    for path in &row.without {
        remove(&mut facts, path)?;
    }
    let of = |own: &Option<OneOrMany>, usual: &Option<OneOrMany>, name: &str| {
        let one = own.as_ref().or(usual.as_ref()).ok_or_else(|| format!("the row names no `{name}`"))?;
        Ok::<_, String>(one.all().to_vec())
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

/// Takes a fact out, by its dotted path.
fn remove(facts: &mut toml::Table, path: &str) -> Result<(), String> {
    let missing = || format!("`without`: the facts have no `{path}`");
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(parents, last)| (Some(parents), last));
    let mut table = facts;
    for name in parents.into_iter().flat_map(|parents| parents.split('.')) {
        table = table.get_mut(name).and_then(toml::Value::as_table_mut).ok_or_else(missing)?;
    }
    table.remove(last).map(|_| ()).ok_or_else(missing)
}
