//! The words of a guest model's schema: entity types with their attributes, actions with their contexts.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Schema, SchemaFragment};
use cedar_policy_core::ast::{EntityType, EntityUID};
use cedar_policy_core::entities::json::{AttributeType, ContextSchema as _, EntityTypeDescription as _, SchemaType};
use cedar_policy_core::validator::{CoreSchema, EntityTypeDescription, ValidatorSchema, context_schema_for_action};

use super::super::place::{LoadError, Place, Problem, problems};
use super::super::source::SourceFile;

/// The attribute of a context that holds the properties of the action.
pub(super) const OF_ACTION: &str = "action";

/// What marks the service's own schema: its facts are never taken from requests (G7).
const OURS: [&str; 2] = ["SupportEngineer", "DiagnosticData"];

/// The schema of a guest model.
#[derive(Debug)]
pub(super) struct Words {
    schema: Schema,
    types: BTreeMap<String, Kind>,
    actions: BTreeMap<String, ActionWords>,
}

/// An entity type.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: EntityType,
    description: EntityTypeDescription,
}

/// An action.
#[derive(Debug)]
pub(super) struct ActionWords {
    pub(super) uid: EntityUID,
    /// The attributes of its context.
    pub(super) context: BTreeMap<String, AttributeType>,
    /// The types of subject and resource that it is about.
    about: BTreeSet<(String, String)>,
}

impl Words {
    /// Parses the files, which together are one schema.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(super) fn read(files: &[SourceFile]) -> Result<Self, LoadError> {
        let mut found = Vec::new();
        let mut fragments = Vec::new();
        for file in files {
            match SchemaFragment::from_cedarschema_str(&file.text) {
                Ok((fragment, _warnings)) => fragments.push(fragment),
                Err(error) => found.extend(problems(&file.name, &file.text, &error)),
            }
        }
        if !found.is_empty() {
            return Err(LoadError { problems: found });
        }
        let schema = Schema::from_schema_fragments(fragments).map_err(|error| {
            let mut problems: Vec<_> =
                files.iter().take(1).flat_map(|file| problems(&file.name, &file.text, &error)).collect();
            for problem in &mut problems {
                problem.place = problem.place.take().or_else(|| place_of_name(files, &problem.message));
            }
            LoadError { problems }
        })?;
        let words = Self::of(schema)?;
        if OURS.iter().all(|ours| words.types.contains_key(*ours)) {
            return Err(LoadError::of(format!(
                "the schema has `{}` and `{}`: that is the service's own model, which takes no facts from files or requests \
                 (G7); serve it with `policy.directory`",
                OURS[0], OURS[1]
            )));
        }
        Ok(words)
    }

    fn of(schema: Schema) -> Result<Self, LoadError> {
        let core: &ValidatorSchema = schema.as_ref();
        let mut types = BTreeMap::new();
        for kind in schema.entity_types() {
            let name: &EntityType = kind.as_ref();
            if let Some(description) = EntityTypeDescription::new(core, name) {
                types.insert(kind.to_string(), Kind { name: name.clone(), description });
            }
        }
        let mut actions: BTreeMap<String, ActionWords> = BTreeMap::new();
        for env in schema.request_envs() {
            let name = env.action().id().unescaped().to_owned();
            let uid: &EntityUID = env.action().as_ref();
            let context = match context_schema_for_action(core, uid).map(|context| context.context_type()) {
                Some(SchemaType::Record { attrs, .. }) => {
                    attrs.into_iter().map(|(key, kind)| (key.to_string(), kind)).collect()
                }
                Some(_) | None => BTreeMap::new(),
            };
            let words = actions.entry(name.clone()).or_insert_with(|| ActionWords {
                uid: uid.clone(),
                context,
                about: BTreeSet::new(),
            });
            if words.uid != *uid {
                return Err(LoadError::of(format!(
                    "two actions are called `{name}`: requests could not tell them apart"
                )));
            }
            words.about.insert((env.principal().to_string(), env.resource().to_string()));
        }
        Ok(Self { schema, types, actions })
    }

    /// The schema as Cedar knows it.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The same, as its evaluator and its readers of JSON know it.
    pub(super) fn core(&self) -> CoreSchema<'_> {
        CoreSchema::new(self.schema.as_ref())
    }

    pub(super) fn kind(&self, name: &str) -> Option<&Kind> {
        self.types.get(name)
    }

    pub(super) fn action(&self, name: &str) -> Option<&ActionWords> {
        self.actions.get(name)
    }

    /// The actions that a subject of the one type may be asked about with a resource of the other, in the order of names.
    pub(super) fn actions_about<'a>(
        &'a self,
        subject: &str,
        resource: &str,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let about = (subject.to_owned(), resource.to_owned());
        self.actions.iter().filter(move |(_, action)| action.about.contains(&about)).map(|(name, _)| name.as_str())
    }

    /// The type of an attribute.
    pub(super) fn attribute(&self, kind: &str, attribute: &str) -> Option<SchemaType> {
        self.types.get(kind)?.description.attr_type(attribute)
    }

    pub(super) fn has_context(&self, key: &str) -> bool {
        self.actions.values().any(|action| action.context.contains_key(key))
    }

    pub(super) fn has_action_property(&self, property: &str) -> bool {
        self.actions.values().any(|action| action.property(property).is_some())
    }

    /// The actions whose context no request can complete, each with an attribute that it would need.
    pub(super) fn never_complete<'a>(
        &'a self,
        taken: &'a BTreeSet<String>,
        properties: bool,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.actions.iter().filter_map(move |(name, action)| {
            let missing = action.context.iter().find(|(key, kind)| {
                let is_taken = if key.as_str() == OF_ACTION { properties } else { taken.contains(*key) };
                kind.is_required() && !is_taken
            });
            missing.map(|(key, _)| (name.as_str(), key.as_str()))
        })
    }
}

impl Kind {
    /// The attributes without which there is no such entity.
    pub(super) fn required(&self) -> impl Iterator<Item = String> {
        self.description.required_attrs().map(|name| name.to_string()).collect::<Vec<_>>().into_iter()
    }
}

impl ActionWords {
    /// The type of one of the action's own properties.
    pub(super) fn property(&self, name: &str) -> Option<&SchemaType> {
        match self.context.get(OF_ACTION)?.schema_type() {
            SchemaType::Record { attrs, .. } => attrs.get(name).map(AttributeType::schema_type),
            SchemaType::Bool
            | SchemaType::Long
            | SchemaType::String
            | SchemaType::Set { .. }
            | SchemaType::EmptySet
            | SchemaType::Entity { .. }
            | SchemaType::Extension { .. } => None,
        }
    }
}

/// Where the first file stands that a problem names in backticks; Cedar tells no place of what several files say together.
fn place_of_name(files: &[SourceFile], message: &str) -> Option<Place> {
    let name = message.split('`').nth(1)?;
    files.iter().find_map(|file| Some(Place::of(&file.name, &file.text, file.text.find(name)?)))
}

/// A problem of one file.
pub(super) fn problem_at(file: &SourceFile, offset: usize, message: String) -> Problem {
    Problem { place: Some(Place::of(&file.name, &file.text, offset)), message, help: None }
}
