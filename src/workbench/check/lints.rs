//! What a reviewer would ask about a policy.

use std::collections::BTreeSet;
use std::ops::Range;

use cedar_policy::{ValidationMode, Validator};
use cedar_policy_core::ast::{self, BinaryOp, Expr, ExprKind, UnaryOp};

use super::{Finding, Severity};
use crate::policy::{Bundle, Effect, PolicyInfo, SourceFile};

/// A policy as its info, its syntax, its file and its place there.
pub(super) struct Read<'a> {
    pub(super) info: &'a PolicyInfo,
    pub(super) policy: &'a ast::Policy,
    file: &'a SourceFile,
    span: Range<usize>,
}

/// How far a policy may look from what the question names: its attributes, and no entity that those name in turn. The
/// slices hold no others: a policy that looks for one fails, and a policy that fails denies everything.
const SLICE_LEVEL: u32 = 1;

pub(super) fn check(bundle: &Bundle, rules: &BTreeSet<String>) -> Vec<Finding> {
    let policies: Vec<Read<'_>> = bundle.policies().iter().filter_map(|info| read(bundle, info)).collect();
    let mut found = Vec::new();
    for policy in &policies {
        unknown_rule(policy, rules, &mut found);
        unscoped(policy, &mut found);
        can_fail(policy, &mut found);
        unbounded(bundle, policy, &policies, &mut found);
        same_text(policy, &policies, &mut found);
    }
    found.extend(too_far(bundle, &policies));
    found
}

/// Not asked when a bundle is loaded to be served: the time this takes can double with each operator of a policy.
fn too_far(bundle: &Bundle, policies: &[Read<'_>]) -> Vec<Finding> {
    let validator = Validator::new(bundle.schema().clone());
    let result = validator.validate_with_level(bundle.policy_set(), ValidationMode::Strict, SLICE_LEVEL);
    let finding = |error: &cedar_policy::ValidationError| {
        let id = error.policy_id().to_string();
        let policy = policies.iter().find(|policy| policy.info.id == id)?;
        let finding = policy.finding(Severity::Error, "too-far", error.to_string());
        Some(finding.with_help("the service knows what the question names, and nothing of what that names in turn"))
    };
    result.validation_errors().filter_map(finding).collect()
}

pub(super) fn read<'a>(bundle: &'a Bundle, info: &'a PolicyInfo) -> Option<Read<'a>> {
    let policy: &ast::Policy = bundle.policy_set().policy(&cedar_policy::PolicyId::new(&info.id))?.as_ref();
    let file = bundle.source().policies.iter().find(|file| file.name == info.place.file)?;
    let place = policy.loc()?;
    Some(Read { info, policy, file, span: place.start()..place.end() })
}

impl Read<'_> {
    pub(super) fn finding(&self, severity: Severity, lint: &'static str, message: String) -> Finding {
        Finding::at(severity, lint, self.file, self.span.clone(), message)
    }
}

fn unknown_rule(policy: &Read<'_>, rules: &BTreeSet<String>, found: &mut Vec<Finding>) {
    for rule in policy.info.rules.iter().filter(|rule| !rules.contains(*rule)) {
        let message = format!("`{}` cites {rule}, which no rule is called", policy.info.id);
        found.push(policy.finding(Severity::Error, "unknown-rule", message).with_help("see policies/README.md"));
    }
}

fn unscoped(policy: &Read<'_>, found: &mut Vec<Finding>) {
    let any = |constraint: &ast::PrincipalOrResourceConstraint| *constraint == ast::PrincipalOrResourceConstraint::Any;
    let (principal, resource) = (policy.policy.principal_constraint(), policy.policy.resource_constraint());
    let wide: Vec<&str> = [("principal", any(principal.as_inner())), ("resource", any(resource.as_inner()))]
        .into_iter()
        .filter_map(|(name, is_any)| is_any.then_some(name))
        .collect();
    if wide.is_empty() || policy.info.effect == Effect::Forbid && wide.len() < 2 {
        return;
    }
    let message = format!("`{}` speaks of every kind of {}", policy.info.id, wide.join(" and "));
    let severity = match policy.info.effect {
        Effect::Permit => Severity::Warning,
        Effect::Forbid => Severity::Note,
    };
    found.push(policy.finding(severity, "unscoped", message).with_help("say which: `principal is User`"));
}

/// Arithmetic can overflow, and a text need not be what an extension wants: a policy that fails denies everything.
fn can_fail(policy: &Read<'_>, found: &mut Vec<Finding>) {
    let Some(condition) = policy.policy.non_scope_constraints() else { return };
    for expression in condition.subexpressions() {
        if !may_fail(expression) {
            continue;
        }
        let message = format!("`{}` can fail here, and a policy that fails denies", policy.info.id);
        let span = expression.source_loc().map_or_else(|| policy.span.clone(), |place| place.start()..place.end());
        let finding = Finding::at(Severity::Warning, "can-fail", policy.file, span, message);
        found.push(finding.with_help("compare instead of computing, or let `policy prove` show that it cannot fail"));
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of Cedar's: whatever else it is, strict validation settles it"
)]
fn may_fail(expression: &Expr) -> bool {
    match expression.expr_kind() {
        ExprKind::BinaryApp { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, .. }
        | ExprKind::UnaryApp { op: UnaryOp::Neg, .. } => true,
        // Constructors are given literal texts, which validation has parsed; what is left computes.
        ExprKind::ExtensionFunctionApp { fn_name, .. } => {
            matches!(fn_name.to_string().as_str(), "offset" | "durationSince" | "toDate" | "toTime")
        }
        _ => false,
    }
}

/// A permit to which no forbid can apply: nothing would stop it, should its own condition be wrong.
fn unbounded(bundle: &Bundle, policy: &Read<'_>, policies: &[Read<'_>], found: &mut Vec<Finding>) {
    if policy.info.effect == Effect::Forbid {
        return;
    }
    let environments = |policy: &Read<'_>| -> BTreeSet<String> {
        let policy = bundle.policy_set().policy(&cedar_policy::PolicyId::new(&policy.info.id));
        let environments = policy.into_iter().flat_map(|policy| policy.get_valid_request_envs(bundle.schema()));
        environments.map(|env| format!("{} {} {}", env.principal(), env.action(), env.resource())).collect()
    };
    let forbidden: BTreeSet<String> =
        policies.iter().filter(|other| other.info.effect == Effect::Forbid).flat_map(environments).collect();
    let free: Vec<String> = environments(policy).difference(&forbidden).cloned().collect();
    if !free.is_empty() {
        let message = format!("no forbid can apply to what `{}` permits: {}", policy.info.id, free.join(", "));
        found.push(policy.finding(Severity::Note, "unbounded-permit", message));
    }
}

/// Two policies that say the same: one of them is redundant.
fn same_text(policy: &Read<'_>, policies: &[Read<'_>], found: &mut Vec<Finding>) {
    let says = |policy: &Read<'_>| (policy.policy.effect(), policy.policy.condition().to_string());
    let twin =
        policies.iter().take_while(|other| other.info.id != policy.info.id).find(|other| says(other) == says(policy));
    if let Some(twin) = twin {
        let message = format!("`{}` says what `{}` says", policy.info.id, twin.info.id);
        found.push(policy.finding(Severity::Warning, "duplicate", message));
    }
}
