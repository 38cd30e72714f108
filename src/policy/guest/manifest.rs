//! A guest model's manifest: its name, and by name what of a request is believed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::super::place::{LoadError, Place, Problem};
use super::super::source::SourceFile;
use super::words::Words;

/// A model's name may not be longer than this many characters.
const LONGEST_NAME: usize = 64;
/// The name of the service's own model, which believes no request (G7).
const OURS: &str = "support-access";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    #[serde(default = "yes")]
    explain: bool,
    #[serde(default)]
    from_requests: FromRequests,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FromRequests {
    context: Vec<Spanned<String>>,
    action: Vec<Spanned<String>>,
    properties: BTreeMap<String, Spanned<Vec<String>>>,
}

const fn yes() -> bool {
    true
}

/// What a model says of itself.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) name: String,
    /// Whether answers say why.
    pub(super) explain: bool,
    /// The keys of a request's context that are believed.
    pub(super) context: BTreeSet<String>,
    /// The properties of an action that are believed.
    pub(super) action: BTreeSet<String>,
    /// The properties of subjects and resources that are believed, by their type.
    pub(super) properties: BTreeMap<String, BTreeSet<String>>,
}

impl Manifest {
    /// Reads a manifest, and holds it against the schema: what it names must be there.
    ///
    /// # Errors
    /// [`LoadError`] with everything that is wrong.
    pub(super) fn read(file: &SourceFile, words: &Words) -> Result<Self, LoadError> {
        let at = |offset: usize, message: String| Problem {
            place: Some(Place::of(&file.name, &file.text, offset)),
            message,
            help: None,
        };
        let parsed: File = toml::from_str(&file.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            LoadError { problems: vec![at(offset, error.message().to_owned())] }
        })?;
        let mut problems = Vec::new();
        let name = parsed.name.get_ref();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
            let message = format!("a name has 1 to {LONGEST_NAME} of a-z, 0-9 and `-`");
            problems.push(at(parsed.name.span().start, message));
        }
        if name == OURS {
            let message = format!("`{OURS}` is the service's own model, which takes no facts from requests (G7)");
            problems.push(at(parsed.name.span().start, message));
        }
        for key in &parsed.from_requests.context {
            if key.get_ref() == "action" || !words.has_context(key.get_ref()) {
                let message =
                    format!("no action's context has the attribute `{}` for a request to fill", key.get_ref());
                problems.push(at(key.span().start, message));
            }
        }
        for property in &parsed.from_requests.action {
            if !words.has_action_property(property.get_ref()) {
                let message = format!("no action's context has the attribute `action.{}`", property.get_ref());
                problems.push(at(property.span().start, message));
            }
        }
        for (kind, properties) in &parsed.from_requests.properties {
            for property in properties.get_ref() {
                if words.attribute(kind, property).is_none() {
                    let message = format!("the schema has no entity type `{kind}` with an attribute `{property}`");
                    problems.push(at(properties.span().start, message));
                }
            }
        }
        let set = |names: Vec<Spanned<String>>| names.into_iter().map(Spanned::into_inner).collect::<BTreeSet<_>>();
        let manifest = Self {
            name: name.clone(),
            explain: parsed.explain,
            context: set(parsed.from_requests.context),
            action: set(parsed.from_requests.action),
            properties: parsed
                .from_requests
                .properties
                .into_iter()
                .map(|(kind, names)| (kind, names.into_inner().into_iter().collect()))
                .collect(),
        };
        for (action, missing) in words.never_complete(&manifest.context, !manifest.action.is_empty()) {
            let message = format!(
                "the action `{action}` needs `context.{missing}`, which requests cannot fill: name it in `from_requests`, or \
                 make it optional"
            );
            problems.push(at(0, message));
        }
        if problems.is_empty() { Ok(manifest) } else { Err(LoadError { problems }) }
    }
}
