//! Policies under their own names, parsed and validated.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::bundle::{Effect, PolicyInfo};
use super::place::{LoadError, Place, Problem, place_of_policy, problems};
use super::source::SourceFile;

/// A policy under its own name.
#[derive(Debug)]
pub(super) struct NamedPolicy<'a> {
    pub(super) policy: Policy,
    pub(super) info: PolicyInfo,
    file: &'a SourceFile,
}

/// Whether policies must say what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Annotations {
    /// Each has `@id`, `@rule` and `@reason`, and a forbid `@code`.
    Required,
    /// What is missing is made up: a policy without an `@id` is called by its place.
    Optional,
}

/// Parses the policies of these files, and gives each its name, in the order of files and places.
///
/// # Errors
/// [`LoadError`] with every text that is none, template, id that is taken and annotation that is missing.
pub(super) fn parse_policies(
    files: &[SourceFile],
    annotations: Annotations,
) -> Result<Vec<NamedPolicy<'_>>, LoadError> {
    let mut found: Vec<Problem> = Vec::new();
    let mut named: BTreeMap<(usize, usize), NamedPolicy<'_>> = BTreeMap::new();
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let set = match PolicySet::from_str(&file.text) {
            Ok(set) => set,
            Err(errors) => {
                for error in errors.iter() {
                    found.extend(problems(&file.name, &file.text, error));
                }
                continue;
            }
        };
        for template in set.templates() {
            found.push(Problem {
                place: Some(Place::of(&file.name, &file.text, 0)),
                message: format!("`{}` is a template: write a policy without slots", template.id()),
                help: None,
            });
        }
        for policy in set.policies() {
            match name(file, policy, annotations) {
                Ok((offset, policy)) => {
                    let id = policy.info.id.clone();
                    if let Some(other) = places.insert(id.clone(), policy.info.place.clone()) {
                        found.push(Problem {
                            message: format!("the id `{id}` is taken by the policy at {other}"),
                            place: Some(policy.info.place.clone()),
                            help: None,
                        });
                    }
                    named.insert((number, offset), policy);
                }
                Err(problem) => found.push(problem),
            }
        }
    }
    if found.is_empty() { Ok(named.into_values().collect()) } else { Err(LoadError { problems: found }) }
}

/// Gives a policy the name in its `@id`: Cedar's parser calls policies `policy0`, `policy1` and does not look at it.
fn name<'a>(
    file: &'a SourceFile,
    policy: &Policy,
    annotations: Annotations,
) -> Result<(usize, NamedPolicy<'a>), Problem> {
    let core: &cedar_policy_core::ast::Policy = policy.as_ref();
    let offset = core.loc().map_or(0, |loc| loc.span.offset());
    let place = Place::of(&file.name, &file.text, offset);
    let annotation = |key: &str, instead: &dyn Fn() -> String| {
        let said = policy.annotation(key).map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        said.or_else(|| (annotations == Annotations::Optional).then(instead)).ok_or_else(|| {
            let help = Some(format!("write `@{key}(\"...\")` above the policy"));
            Problem { place: Some(place.clone()), message: format!("the policy has no `@{key}`"), help }
        })
    };
    let id = annotation("id", &|| place.without_folders().to_string())?;
    let rules = annotation("rule", &String::new)?;
    let reason = annotation("reason", &|| format!("the policy `{id}` decides"))?;
    let effect = match policy.effect() {
        cedar_policy::Effect::Permit => Effect::Permit,
        cedar_policy::Effect::Forbid => Effect::Forbid,
    };
    let reason_code = match effect {
        Effect::Permit => None,
        Effect::Forbid => Some(annotation("code", &|| "forbidden".to_owned())?),
    };
    let info = PolicyInfo {
        rules: rules.split_whitespace().map(ToOwned::to_owned).collect(),
        reason,
        code: reason_code,
        missing: policy.annotation("missing").map(ToOwned::to_owned),
        alone: policy.annotation("alone").is_some(),
        effect,
        place,
        id: id.clone(),
    };
    Ok((offset, NamedPolicy { policy: policy.new_id(PolicyId::new(id)), info, file }))
}

/// Checks the policies against the schema, in strict mode.
///
/// # Errors
/// [`LoadError`] with every error, or else every warning.
pub(super) fn validate(schema: &Schema, set: &PolicySet, named: &[NamedPolicy<'_>]) -> Result<(), LoadError> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let mut found = Vec::new();
    for error in result.validation_errors() {
        found.extend(problems_of(named, error.policy_id(), error));
    }
    // A policy that can never hold is not what its author meant; of a forbid it may be all that stood in the way.
    if found.is_empty() {
        for warning in result.validation_warnings() {
            found.extend(problems_of(named, warning.policy_id(), warning));
        }
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    if found.is_empty() { Ok(()) } else { Err(LoadError { problems: found }) }
}

fn problems_of(named: &[NamedPolicy<'_>], id: &PolicyId, diagnostic: &dyn miette::Diagnostic) -> Vec<Problem> {
    let Some(policy) = named.iter().find(|named| named.policy.id() == id) else {
        return vec![Problem { place: None, message: diagnostic.to_string(), help: None }];
    };
    let mut found = problems(&policy.file.name, &policy.file.text, diagnostic);
    for problem in &mut found {
        problem.place.get_or_insert_with(|| place_of_policy(&policy.file.name, &policy.file.text, id));
    }
    found
}
