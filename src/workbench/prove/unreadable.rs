//! Which facts a policy can read at all: the ground of claims about two worlds.
//!
//! A policy reads what it reaches by attributes from the principal, the resource and the context, and the entities that
//! it names. Where no way leads to an entity of some type, two worlds that differ in such entities alone have the same
//! answers: a claim about two runs, shown without running any.

use std::collections::BTreeSet;

use cedar_policy::{Policy, RequestEnv, Schema};
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::{EntityKind, Type};

/// Shows that policies asked this kind of question read no entity of this type but the one that is asked about.
pub(super) fn unreadable(
    schema: &Schema,
    environment: &RequestEnv,
    policies: &[&Policy],
    kind: &str,
) -> Result<(), String> {
    let known: &ValidatorSchema = schema.as_ref();
    let wanted: EntityType = kind.parse().map_err(|_| format!("`{kind}` is no name of a type"))?;
    if known.get_entity_type(&wanted).is_none() {
        return Err(format!("the schema has no type `{kind}`"));
    }
    for policy in policies {
        if let Some(uid) = policy.entity_literals().iter().find(|uid| uid.type_name().to_string() == kind) {
            return Err(format!("`{}` names {uid}", policy.id()));
        }
    }
    if environment.principal().to_string() == kind {
        return Err(format!("the principal is a {kind}"));
    }
    let mut seen = BTreeSet::new();
    let mut open: Vec<(String, EntityType)> = Vec::new();
    if let Some(context) = known.context_type(environment.action().as_ref()) {
        types("context", context, &mut open)?;
    }
    for (path, entity) in [("principal", environment.principal()), ("resource", environment.resource())] {
        // What is asked about may be of the type; the way on from it may not.
        attributes(known, path, entity.as_ref(), &mut open)?;
    }
    while let Some((path, entity)) = open.pop() {
        if entity == wanted {
            return Err(format!("a policy can read `{path}`, a {kind}"));
        }
        if seen.insert(entity.to_string()) {
            attributes(known, &path, &entity, &mut open)?;
        }
    }
    Ok(())
}

fn attributes(
    schema: &ValidatorSchema,
    path: &str,
    entity: &EntityType,
    open: &mut Vec<(String, EntityType)>,
) -> Result<(), String> {
    let Some(known) = schema.get_entity_type(entity) else { return Ok(()) };
    for (name, attribute) in known.attributes().iter() {
        types(&format!("{path}.{name}"), &attribute.attr_type, open)?;
    }
    match known.tag_type() {
        Some(tags) => types(&format!("{path}.tags"), tags, open),
        None => Ok(()),
    }
}

/// The entity types in a type, each with the way to it.
fn types(path: &str, of: &Type, open: &mut Vec<(String, EntityType)>) -> Result<(), String> {
    match of {
        Type::Entity(EntityKind::Entity(union)) => match union.get_single_entity() {
            Some(entity) => open.push((path.to_owned(), entity.clone())),
            None => return Err(format!("`{path}` may be an entity of several types")),
        },
        Type::Entity(EntityKind::AnyEntity) => return Err(format!("`{path}` may be any entity")),
        Type::Record { attrs, .. } => {
            for (name, attribute) in attrs.iter() {
                types(&format!("{path}.{name}"), &attribute.attr_type, open)?;
            }
        }
        Type::Set { element_type: Some(element) } => types(path, element, open)?,
        Type::Set { element_type: None }
        | Type::Never
        | Type::Bool(_)
        | Type::Long
        | Type::String
        | Type::ExtensionType { .. } => {}
    }
    Ok(())
}
