//! Asking a guest model: its own facts, with what of a request it believes laid over them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{Context, Eid, Entity, EntityUID, PartialValue, Request, RestrictedExpr, Value};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::entities::conformance::{
    typecheck_restricted_expr_against_schematype, validate_euids_in_partial_value,
};
use cedar_policy_core::entities::json::err::JsonDeserializationErrorContext;
use cedar_policy_core::entities::json::{SchemaType, ValueParser};
use cedar_policy_core::evaluator::{Evaluator, RestrictedEvaluator};
use cedar_policy_core::extensions::Extensions;
use serde_json::Map;
use smol_str::SmolStr;

use super::super::bundle::{Effect, PolicyInfo};
use super::GuestModel;
use super::words::OF_ACTION;

/// What a request says of something, by name.
pub type Said = Map<String, serde_json::Value>;

/// A subject or a resource, as a request names it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// `subject` or `resource`.
    pub part: &'static str,
    /// Its type.
    pub kind: &'a str,
    /// Its id.
    pub id: &'a str,
    /// What the request says of it.
    pub properties: &'a Said,
}

/// A part of a request that a model believes, and that is not what its schema wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidFact {
    /// The member, such as `resource.properties.status`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// It is not there at all.
    pub missing: bool,
}

impl InvalidFact {
    /// It is there, and not what it should be.
    #[must_use]
    pub fn wrong(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), missing: false }
    }

    /// It is not there.
    #[must_use]
    pub fn missing(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), missing: true }
    }
}

/// What somebody wants to do, under which circumstances.
#[derive(Debug)]
pub struct Act {
    uid: EntityUID,
    context: Context,
    believed: Said,
}

impl Act {
    /// What was believed of the request's context, with the properties of the action as `action`.
    #[must_use]
    pub fn believed(&self) -> &Said {
        &self.believed
    }
}

/// A model's facts for one question or one search.
#[derive(Debug)]
pub struct GuestFacts<'a> {
    model: &'a GuestModel,
    entities: Cow<'a, Entities>,
    /// What was believed of each part.
    believed: BTreeMap<&'static str, Said>,
    described: Vec<EntityUID>,
}

/// A guest model's answer.
#[derive(Debug, Default)]
pub struct GuestVerdict<'a> {
    /// Some permit holds, no forbid does, and no policy failed.
    pub allowed: bool,
    /// The forbids that hold, or else the permits that do, in the model's order.
    pub determining: Vec<&'a PolicyInfo>,
    /// The policies whose evaluation failed, with the errors. Any of them denies.
    pub failed: Vec<(&'a PolicyInfo, String)>,
}

impl GuestModel {
    /// The facts that questions about these are answered on.
    ///
    /// # Errors
    /// [`InvalidFact`] when a property that the model believes is not of its type.
    pub fn facts(&self, parts: &[Named<'_>]) -> Result<GuestFacts<'_>, InvalidFact> {
        let mut laid_over = Vec::new();
        let mut believed = BTreeMap::new();
        for part in parts {
            let (entity, said) = self.described(part)?;
            laid_over.extend(entity.map(Arc::new));
            if !said.is_empty() {
                believed.insert(part.part, said);
            }
        }
        let described = laid_over.iter().map(|entity| entity.uid().clone()).collect();
        let entities = if laid_over.is_empty() {
            Cow::Borrowed(&self.known.all)
        } else {
            Cow::Owned(self.known.with(&laid_over).map_err(|message| InvalidFact::wrong("subject", message))?)
        };
        Ok(GuestFacts { model: self, entities, believed, described })
    }

    /// An entity with what is believed of it. None where nothing is, and where it would lack what such an entity has.
    fn described(&self, part: &Named<'_>) -> Result<(Option<Entity>, Said), InvalidFact> {
        let Some((kind, names)) = self.words.kind(part.kind).zip(self.manifest.properties.get(part.kind)) else {
            return Ok((None, Said::new()));
        };
        let uid = EntityUID::from_components(kind.name.clone(), Eid::new(part.id), None);
        let before = self.known.get(&uid);
        let mut attributes: BTreeMap<SmolStr, PartialValue> =
            before.into_iter().flat_map(Entity::attrs).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut said = Said::new();
        // `null` is as good as nothing (AuthZEN 1.0, section 12.6).
        for (name, json) in part.properties.iter().filter(|(name, json)| names.contains(*name) && !json.is_null()) {
            let Some(expected) = self.words.attribute(part.kind, name) else { continue };
            let invalid = |message: String| InvalidFact::wrong(format!("{}.properties.{name}", part.part), message);
            let value = self.value(json, &expected).map_err(invalid)?;
            attributes.insert(SmolStr::new(name), PartialValue::Value(value));
            said.insert(name.clone(), json.clone());
        }
        let is_whole = kind.required().all(|name| attributes.contains_key(name.as_str()));
        if said.is_empty() || !is_whole {
            return Ok((None, said));
        }
        let parents: HashSet<_> = before.into_iter().flat_map(Entity::parents).cloned().collect();
        let ancestors = before.into_iter().flat_map(Entity::ancestors).filter(|one| !parents.contains(*one));
        let ancestors = ancestors.cloned().collect();
        let tags: Vec<_> =
            before.into_iter().flat_map(Entity::tags).map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok((Some(Entity::new_with_attr_partial_value(uid, attributes, ancestors, parents, tags)), said))
    }

    /// What somebody wants to do; none when the schema has no such action.
    ///
    /// # Errors
    /// [`InvalidFact`] when a part of the context that the model believes is not of its type, or one that the action needs
    /// is missing.
    pub fn act(&self, action: &str, properties: &Said, context: &Said) -> Result<Option<Act>, InvalidFact> {
        let Some(words) = self.words.action(action) else { return Ok(None) };
        let mut fields: BTreeMap<SmolStr, Value> = BTreeMap::new();
        let mut believed = Said::new();
        for (key, json) in context.iter().filter(|(key, json)| self.manifest.context.contains(*key) && !json.is_null())
        {
            let Some(expected) = words.context.get(key) else { continue };
            let invalid = |message: String| InvalidFact::wrong(format!("context.{key}"), message);
            fields.insert(SmolStr::new(key), self.value(json, expected.schema_type()).map_err(invalid)?);
            believed.insert(key.clone(), json.clone());
        }
        let mut of_action = Said::new();
        for (name, json) in
            properties.iter().filter(|(name, json)| self.manifest.action.contains(*name) && !json.is_null())
        {
            if words.property(name).is_some() {
                of_action.insert(name.clone(), json.clone());
            }
        }
        if let Some(expected) = words.context.get(OF_ACTION).filter(|kind| kind.is_required() || !of_action.is_empty())
        {
            if of_action.is_empty() {
                return Err(InvalidFact::missing(
                    "action.properties",
                    format!("is missing: the action `{action}` needs it"),
                ));
            }
            let invalid = |message: String| InvalidFact::wrong("action.properties", message);
            let json = serde_json::Value::Object(of_action.clone());
            fields.insert(SmolStr::new(OF_ACTION), self.value(&json, expected.schema_type()).map_err(invalid)?);
            believed.insert(OF_ACTION.to_owned(), json);
        }
        let missing = words.context.iter().find(|(key, kind)| kind.is_required() && !fields.contains_key(key.as_str()));
        if let Some((key, _)) = missing {
            let message = format!("is missing: the action `{action}` needs it");
            return Err(InvalidFact::missing(format!("context.{key}"), message));
        }
        Ok(Some(Act { uid: words.uid.clone(), context: Context::Value(Arc::new(fields)), believed }))
    }

    /// What a request's context says that the model takes, of whatever action.
    #[must_use]
    pub fn taken(&self, context: &Said) -> Said {
        let taken = context.iter().filter(|(key, _)| self.manifest.context.contains(*key));
        taken.map(|(key, json)| (key.clone(), json.clone())).collect()
    }

    /// A value of a request, if it is of this type.
    fn value(&self, json: &serde_json::Value, expected: &SchemaType) -> Result<Value, String> {
        let extensions = Extensions::all_available();
        let place = || JsonDeserializationErrorContext::Context;
        let parsed: RestrictedExpr = ValueParser::new(extensions)
            .val_into_restricted_expr(json.clone(), Some(expected), &place)
            .map_err(|error| error.to_string())?;
        typecheck_restricted_expr_against_schematype(parsed.as_borrowed(), expected, extensions)
            .map_err(|error| error.to_string())?;
        // This refuses what has no value yet, which Cedar would otherwise take for any type.
        let value =
            RestrictedEvaluator::new(extensions).interpret(parsed.as_borrowed()).map_err(|error| error.to_string())?;
        validate_euids_in_partial_value(&self.words.core(), &PartialValue::Value(value.clone()))
            .map_err(|error| error.to_string())?;
        Ok(value)
    }
}

impl<'a> GuestFacts<'a> {
    /// What was believed of subject and resource.
    #[must_use]
    pub fn believed(&self) -> &BTreeMap<&'static str, Said> {
        &self.believed
    }

    /// Whether there is such an entity: in the model's file, or told of by the request.
    #[must_use]
    pub fn knows(&self, kind: &str, id: &str) -> bool {
        let uid =
            self.model.words.kind(kind).map(|kind| EntityUID::from_components(kind.name.clone(), Eid::new(id), None));
        uid.is_some_and(|uid| self.model.known.get(&uid).is_some() || self.described.contains(&uid))
    }

    /// Asks the policies. What the schema does not know is denied without a determining policy.
    #[must_use]
    pub fn ask(&self, subject: (&str, &str), act: &Act, resource: (&str, &str)) -> GuestVerdict<'a> {
        let model = self.model;
        let uid = |(kind, id): (&str, &str)| {
            let kind = model.words.kind(kind)?;
            Some((EntityUID::from_components(kind.name.clone(), Eid::new(id), None), None))
        };
        let Some((principal, resource)) = uid(subject).zip(uid(resource)) else { return GuestVerdict::default() };
        let extensions = Extensions::all_available();
        let schema = AsRef::<cedar_policy_core::validator::ValidatorSchema>::as_ref(model.words.schema());
        let request =
            Request::new(principal, (act.uid.clone(), None), resource, act.context.clone(), Some(schema), extensions);
        let Ok(request) = request else { return GuestVerdict::default() };
        let evaluator = Evaluator::new(request, &self.entities, extensions);
        let (mut permits, mut forbids, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for (policy, info) in &model.policies {
            match (evaluator.evaluate(policy), info.effect) {
                (Ok(false), _) => {}
                (Ok(true), Effect::Permit) => permits.push(info),
                (Ok(true), Effect::Forbid) => forbids.push(info),
                (Err(error), _) => failed.push((info, error.to_string())),
            }
        }
        // Cedar skips a policy whose evaluation fails, even a forbid, and could then allow. A failed policy denies here.
        let allowed = forbids.is_empty() && !permits.is_empty() && failed.is_empty();
        GuestVerdict { allowed, determining: if forbids.is_empty() { permits } else { forbids }, failed }
    }
}
