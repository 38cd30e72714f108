//! Words of the schema that no policy uses.

use std::collections::BTreeSet;

use cedar_policy::SchemaFragment;
use cedar_policy_core::ast::{self, ExprKind};
use serde_json::Value;

use super::{Finding, Severity};
use crate::policy::{Bundle, Effect};

pub(super) fn check(bundle: &Bundle) -> Vec<Finding> {
    let mut found = Vec::new();
    let read = attributes_read(bundle);
    for attribute in attributes(&bundle.source().schema.text).difference(&read) {
        let message = format!("no policy reads the attribute `{attribute}`");
        found.extend(in_schema(bundle, &format!("\"{attribute}\""), "unused-attribute", message));
    }
    for action in actions_without_permit(bundle) {
        let message = format!("no policy permits the action `{action}`");
        found.extend(in_schema(bundle, &format!("\"{action}\""), "never-permitted", message));
    }
    found
}

fn in_schema(bundle: &Bundle, word: &str, lint: &'static str, message: String) -> Option<Finding> {
    let file = &bundle.source().schema;
    let start = file.text.find(word)?;
    Some(Finding::at(Severity::Note, lint, file, start..start + word.len(), message))
}

/// Every attribute that some policy reads or asks for.
fn attributes_read(bundle: &Bundle) -> BTreeSet<String> {
    let mut read = BTreeSet::new();
    for policy in bundle.policy_set().policies() {
        let policy: &ast::Policy = policy.as_ref();
        for expression in policy.non_scope_constraints().into_iter().flat_map(ast::Expr::subexpressions) {
            #[expect(clippy::wildcard_enum_match_arm, reason = "an enum of Cedar's: nothing else names attributes")]
            match expression.expr_kind() {
                ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => {
                    read.insert(attr.to_string());
                }
                ExprKind::ExtHasAttr { attrs, .. } => read.extend(attrs.iter().map(ToString::to_string)),
                _ => {}
            }
        }
    }
    read
}

/// Every attribute that the schema declares.
fn attributes(schema: &str) -> BTreeSet<String> {
    let mut declared = BTreeSet::new();
    let fragment = SchemaFragment::from_cedarschema_str(schema).ok();
    if let Some(json) = fragment.and_then(|(fragment, _)| fragment.to_json_value().ok()) {
        collect(&json, &mut declared);
    }
    declared
}

fn collect(json: &Value, declared: &mut BTreeSet<String>) {
    match json {
        Value::Object(fields) => {
            if let Some(Value::Object(attributes)) = fields.get("attributes") {
                declared.extend(attributes.keys().cloned());
            }
            fields.values().for_each(|value| collect(value, declared));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, declared)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The actions that appear in requests, and that no permit can apply to.
fn actions_without_permit(bundle: &Bundle) -> BTreeSet<String> {
    let name = |uid: &cedar_policy::EntityUid| uid.id().unescaped().to_owned();
    let mut actions: BTreeSet<String> = bundle.schema().request_envs().map(|env| name(env.action())).collect();
    for info in bundle.policies().iter().filter(|info| info.effect == Effect::Permit) {
        let policy = bundle.policy_set().policy(&cedar_policy::PolicyId::new(&info.id));
        for env in policy.into_iter().flat_map(|policy| policy.get_valid_request_envs(bundle.schema())) {
            actions.remove(&name(env.action()));
        }
    }
    actions
}
