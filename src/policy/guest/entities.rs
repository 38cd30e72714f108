//! A guest model's entities: each checked against the schema where it stands in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use cedar_policy_core::ast::{Entity, EntityUID, PartialValue};
use cedar_policy_core::entities::{Dereference, Entities, EntityJsonParser, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use serde_json::value::RawValue;

use super::super::place::{LoadError, Place, Problem};
use super::super::source::SourceFile;
use super::words::{Words, problem_at};

/// The most entities of a model.
const MOST_ENTITIES: usize = 20_000;
/// The longest id of an entity, in bytes.
const LONGEST_ID_BYTES: usize = 1_024;

/// The entities there are.
#[derive(Debug)]
pub(super) struct Known {
    /// With the schema's actions.
    pub(super) all: Entities,
    /// The same, each with all of its ancestors.
    each: Vec<Arc<Entity>>,
    /// The ids of each type.
    ids: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    /// Reads the entities of a file, in Cedar's JSON form; none without one.
    ///
    /// # Errors
    /// [`LoadError`] with every entity that is not as the schema wants it, and what is wrong with them together.
    pub(super) fn read(file: Option<&SourceFile>, words: &Words) -> Result<Self, LoadError> {
        let entities = file.map_or(Ok(Vec::new()), |file| read(file, words))?;
        let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entity in &entities {
            let id: &str = entity.uid().eid().as_ref();
            ids.entry(entity.uid().entity_type().to_string()).or_default().insert(id.to_owned());
        }
        let all = Entities::from_entities(
            entities,
            Some(&words.core()),
            TCComputation::ComputeNow,
            Extensions::all_available(),
        )
        .map_err(|error| LoadError {
            problems: vec![Problem {
                place: file.map(|file| Place::of(&file.name, &file.text, 0)),
                message: told(&error),
                help: None,
            }],
        })?;
        let each = all.iter().map(|entity| Arc::new(entity.clone())).collect();
        Ok(Self { all, each, ids })
    }

    /// The ids of the entities of this type behind this one, in their order.
    pub(super) fn ids<'a>(&'a self, kind: &str, after: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.ids
            .get(kind)
            .into_iter()
            .flat_map(move |ids| ids.range::<str, _>((from, Bound::Unbounded)))
            .map(String::as_str)
    }

    /// The entities with these in the place of those of the same name. Where they stand among others is what it was: what is
    /// found anew at each question would cost more than the question.
    ///
    /// # Errors
    /// When two of them have one name.
    pub(super) fn with(&self, others: &[Arc<Entity>]) -> Result<Entities, String> {
        let kept = self.each.iter().filter(|one| others.iter().all(|other| other.uid() != one.uid()));
        let all: Vec<_> = kept.cloned().chain(others.iter().cloned()).collect();
        let (nothing, extensions) = (None::<&NoEntitiesSchema>, Extensions::all_available());
        Entities::new()
            .add_entities(all, nothing, TCComputation::AssumeAlreadyComputed, extensions)
            .map_err(|error| told(&error))
    }

    pub(super) fn get(&self, uid: &EntityUID) -> Option<&Entity> {
        match self.all.entity(uid) {
            Dereference::Data(entity) => Some(entity),
            Dereference::NoSuchEntity | Dereference::Residual(_) => None,
        }
    }
}

fn read(file: &SourceFile, words: &Words) -> Result<Vec<Entity>, LoadError> {
    let items: Vec<&RawValue> = serde_json::from_str(&file.text).map_err(|error| {
        let place = Place { file: file.name.clone(), line: error.line().max(1), column: error.column().max(1) };
        LoadError { problems: vec![Problem { place: Some(place), message: error.to_string(), help: None }] }
    })?;
    if items.len() > MOST_ENTITIES {
        return Err(LoadError {
            problems: vec![problem_at(file, 0, format!("holds more than {MOST_ENTITIES} entities"))],
        });
    }
    let schema = words.core();
    let parser = EntityJsonParser::new(Some(&schema), Extensions::all_available(), TCComputation::ComputeNow);
    let mut problems = Vec::new();
    let mut entities = Vec::new();
    let mut places: BTreeMap<EntityUID, Place> = BTreeMap::new();
    for item in items {
        // An item is a part of the text that it was read from.
        let offset = (item.get().as_ptr() as usize).saturating_sub(file.text.as_ptr() as usize);
        let entity = match parser.single_from_json_str(item.get()) {
            Ok(entity) => entity,
            Err(error) => {
                problems.push(problem_at(file, offset, told(&error)));
                continue;
            }
        };
        if entity.attrs().any(|(_, value)| matches!(value, PartialValue::Residual(_))) {
            problems.push(problem_at(file, offset, format!("`{}` has an attribute without a value", entity.uid())));
        }
        let id: &str = entity.uid().eid().as_ref();
        if id.is_empty() || id.len() > LONGEST_ID_BYTES {
            problems.push(problem_at(file, offset, format!("an id has 1 to {LONGEST_ID_BYTES} bytes")));
        }
        let place = Place::of(&file.name, &file.text, offset);
        if let Some(other) = places.insert(entity.uid().clone(), place.clone()) {
            problems.push(problem_at(file, offset, format!("`{}` stands at {other} already", entity.uid())));
        }
        entities.push(entity);
    }
    if problems.is_empty() { Ok(entities) } else { Err(LoadError { problems }) }
}

/// An error with its causes: the outermost of them says little.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
