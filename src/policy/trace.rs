//! Looking into an answer: what each condition of each policy came to, and on which facts.
//!
//! A condition is what stands between `&&`, `||`, `!` and `if` of a policy: the smallest part that is true or false by
//! itself. Evaluating goes from left to right and stops as soon as the rest cannot matter; a trace looks at every
//! condition all the same, so that people see what else is, or is not, so.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use cedar_policy_core::ast::{
    self, EntityReference, EntityUIDEntry, Expr, ExprKind, Literal, PrincipalOrResourceConstraint, Value, ValueKind,
    Var,
};
use cedar_policy_core::entities::Entities;
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use super::bundle::{Bundle, PolicyInfo};
use super::conditions::Conditions;
use super::evaluate::Verdict;
use super::question::Question;

/// What a condition, or a policy as a whole, came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told: its evaluation failed, because of this.
    Failed(String),
}

/// One condition of a policy, on the facts of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionTrace {
    /// Where it stands in its file, in bytes; none for what the policy's scope asks.
    pub span: Option<Range<usize>>,
    /// Its text, as its author wrote it.
    pub text: String,
    /// What it came to.
    pub truth: Truth,
    /// The facts it read, by their path (`context.supportRequest.open`), with their values.
    pub facts: Vec<(String, String)>,
    /// Whether the evaluation got to it.
    pub reached: bool,
    /// Whether the policy would have come to something else, had this condition alone been the other way round.
    pub decisive: bool,
}

/// A condition of a policy: where it stands in its file, in bytes (none for what the scope asks), and its text.
pub type ConditionText = (Option<Range<usize>>, String);

/// One policy, on the facts of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTrace<'a> {
    /// Which.
    pub policy: &'a PolicyInfo,
    /// Whether it holds.
    pub truth: Truth,
    /// Its conditions, in the order of the text, what its scope asks first.
    pub conditions: Vec<ConditionTrace>,
    /// Of a policy that does not hold: the fewest conditions that would have to be otherwise, by their places in
    /// `conditions`.
    pub unmet: Vec<usize>,
}

impl Bundle {
    /// Looks into the answer to a question: every policy whose scope speaks of this kind of question, in the bundle's
    /// order. Some of them cannot hold, whatever the facts; [`Bundle::evaluate`] does not even ask those.
    #[must_use]
    pub fn trace(&self, question: &Question<'_>) -> Vec<PolicyTrace<'_>> {
        let Some(action) = self.index().entry(question.action) else { return Vec::new() };
        if action.kind(question.principal.kind(), question.resource.kind()).is_none() {
            return Vec::new();
        }
        let Some(slice) = self.words().slice(question, &action.entity, true) else { return Vec::new() };
        self.trace_policies(&slice.request, &slice.entities)
    }

    /// As [`Bundle::trace`], for a question in Cedar's own terms.
    #[must_use]
    pub fn trace_request(
        &self,
        request: &cedar_policy::Request,
        entities: &cedar_policy::Entities,
    ) -> Vec<PolicyTrace<'_>> {
        self.trace_policies(request.as_ref(), entities.as_ref())
    }

    /// Answers a question in Cedar's own terms with Cedar's own `Authorizer`, by the same rules as
    /// [`Bundle::evaluate`].
    #[must_use]
    pub fn evaluate_request(&self, request: &cedar_policy::Request, entities: &cedar_policy::Entities) -> Verdict {
        let response = cedar_policy::Authorizer::new().is_authorized(request, self.policy_set(), entities);
        let id_of = |error: &cedar_policy::AuthorizationError| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        };
        let failed: Vec<_> = response.diagnostics().errors().map(|error| (id_of(error), error.to_string())).collect();
        let reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        let named = |policy: &PolicyInfo| reasons.contains(&policy.id);
        Verdict::new(
            response.decision() == cedar_policy::Decision::Allow && failed.is_empty(),
            (0..).zip(self.policies()).filter(|(_, policy)| named(policy)).map(|(place, _)| place).collect(),
            failed,
        )
    }

    /// The conditions of every policy, in the bundle's order: where each stands, and its text.
    pub fn conditions(&self) -> impl Iterator<Item = (&PolicyInfo, Vec<ConditionText>)> {
        self.known().map(|(info, policy)| {
            let all = Conditions::of(policy).all.into_iter();
            (info, all.map(|condition| (condition.span, condition.text)).collect())
        })
    }

    fn known(&self) -> impl Iterator<Item = (&PolicyInfo, &ast::Policy)> {
        self.policies().iter().filter_map(|info| {
            let policy = self.policy_set().policy(&cedar_policy::PolicyId::new(&info.id))?;
            Some((info, policy.as_ref()))
        })
    }

    fn trace_policies(&self, request: &ast::Request, entities: &Entities) -> Vec<PolicyTrace<'_>> {
        let evaluator = Evaluator::new(request.clone(), entities, Extensions::all_available());
        self.known()
            .filter(|(_, policy)| speaks_of(policy, request, &evaluator))
            .map(|(info, policy)| trace(info, policy, &evaluator))
            .collect()
    }
}

/// Whether a policy's scope speaks of this action, and of these types of principal and resource.
fn speaks_of(policy: &ast::Policy, request: &ast::Request, evaluator: &Evaluator<'_>) -> bool {
    let is = |constraint: &PrincipalOrResourceConstraint, asked: &EntityUIDEntry| match constraint {
        PrincipalOrResourceConstraint::Is(wanted) | PrincipalOrResourceConstraint::IsIn(wanted, _) => {
            asked.get_type() == Some(&**wanted)
        }
        PrincipalOrResourceConstraint::Eq(EntityReference::EUID(wanted)) => {
            asked.get_type() == Some(wanted.entity_type())
        }
        PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_))
        | PrincipalOrResourceConstraint::In(_)
        | PrincipalOrResourceConstraint::Any => true,
    };
    truth_of(&policy.action_constraint().as_expr(), evaluator) == Truth::True
        && is(policy.principal_constraint().as_inner(), request.principal())
        && is(policy.resource_constraint().as_inner(), request.resource())
}

fn trace<'a>(info: &'a PolicyInfo, policy: &ast::Policy, evaluator: &Evaluator<'_>) -> PolicyTrace<'a> {
    let conditions = Conditions::of(policy);
    let truths: Vec<Truth> =
        conditions.all.iter().map(|condition| truth_of(&condition.expression, evaluator)).collect();
    let mut reached = vec![false; truths.len()];
    let truth = conditions.shape.truth(&truths, &mut reached);
    let decisive = |at: usize| {
        let mut other = truths.clone();
        match other.get_mut(at) {
            Some(value @ Truth::True) => *value = Truth::False,
            Some(value @ Truth::False) => *value = Truth::True,
            Some(Truth::Failed(_)) | None => return false,
        }
        let without = conditions.shape.truth(&other, &mut vec![false; other.len()]);
        std::mem::discriminant(&without) != std::mem::discriminant(&truth)
    };
    let traced = conditions.all.iter().zip(&truths).zip(&reached).enumerate();
    let traced = traced.map(|(at, ((condition, truth), reached))| ConditionTrace {
        span: condition.span.clone(),
        text: condition.text.clone(),
        truth: truth.clone(),
        facts: facts_of(&condition.expression, evaluator),
        reached: *reached,
        decisive: *reached && decisive(at),
    });
    let unmet = if truth == Truth::True { Vec::new() } else { conditions.shape.against(true, &truths) };
    PolicyTrace { policy: info, conditions: traced.collect(), truth, unmet }
}

fn truth_of(expression: &Expr, evaluator: &Evaluator<'_>) -> Truth {
    match evaluator.interpret(expression, &HashMap::new()) {
        Ok(value) => match value.value_kind() {
            ValueKind::Lit(Literal::Bool(true)) => Truth::True,
            ValueKind::Lit(Literal::Bool(false)) => Truth::False,
            ValueKind::Lit(_) | ValueKind::Set(_) | ValueKind::Record(_) | ValueKind::ExtensionValue(_) => {
                Truth::Failed(format!("it is `{value}`, not true or false"))
            }
        },
        Err(error) => Truth::Failed(error.to_string()),
    }
}

/// The facts that an expression reads: the longest paths from `principal`, `resource` and `context` in it.
fn facts_of(expression: &Expr, evaluator: &Evaluator<'_>) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    collect_facts(expression, evaluator, &mut found);
    found.into_iter().collect()
}

fn collect_facts(expression: &Expr, evaluator: &Evaluator<'_>, found: &mut BTreeMap<String, String>) {
    if let Some(path) = path_of(expression) {
        let value = match evaluator.interpret(expression, &HashMap::new()) {
            Ok(value) => shown(&value),
            Err(_) => "absent".to_owned(),
        };
        found.insert(path, value);
        return;
    }
    match expression.expr_kind() {
        ExprKind::HasAttr { expr, attr } => {
            presence(&Expr::get_attr(Expr::clone(expr), attr.clone()), evaluator, found);
        }
        ExprKind::ExtHasAttr { expr, attrs } => {
            let whole = attrs.iter().fold(Expr::clone(expr), |whole, attr| Expr::get_attr(whole, attr.clone()));
            presence(&whole, evaluator, found);
        }
        ExprKind::UnaryApp { arg, .. } => collect_facts(arg, evaluator, found),
        ExprKind::BinaryApp { arg1, arg2, .. } => {
            collect_facts(arg1, evaluator, found);
            collect_facts(arg2, evaluator, found);
        }
        ExprKind::And { left, right } | ExprKind::Or { left, right } => {
            collect_facts(left, evaluator, found);
            collect_facts(right, evaluator, found);
        }
        ExprKind::If { test_expr, then_expr, else_expr } => {
            for part in [test_expr, then_expr, else_expr] {
                collect_facts(part, evaluator, found);
            }
        }
        ExprKind::GetAttr { expr, .. } | ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => {
            collect_facts(expr, evaluator, found);
        }
        ExprKind::Set(items) | ExprKind::ExtensionFunctionApp { args: items, .. } => {
            for item in items.iter() {
                collect_facts(item, evaluator, found);
            }
        }
        ExprKind::Record(fields) => {
            for field in fields.values() {
                collect_facts(field, evaluator, found);
            }
        }
        ExprKind::Lit(_) | ExprKind::Var(_) | ExprKind::Slot(_) | ExprKind::Unknown(_) => {}
    }
}

/// Of an attribute that is asked for, not read, whether it is there is all that counts.
fn presence(attribute: &Expr, evaluator: &Evaluator<'_>, found: &mut BTreeMap<String, String>) {
    if let Some(path) = path_of(attribute) {
        let is_there = evaluator.interpret(attribute, &HashMap::new()).is_ok();
        found.insert(path, if is_there { "present" } else { "absent" }.to_owned());
    }
}

/// `context.supportRequest.open` for an expression that only follows attributes; a bare variable is a path, except the
/// context, which is all of it.
#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of Cedar's: no other kind is a path")]
fn path_of(expression: &Expr) -> Option<String> {
    match expression.expr_kind() {
        ExprKind::Var(Var::Context | Var::Action) => None,
        ExprKind::Var(variable) => Some(variable.to_string()),
        ExprKind::GetAttr { expr, attr } => match expr.expr_kind() {
            ExprKind::Var(variable) => Some(format!("{variable}.{attr}")),
            _ => path_of(expr).map(|path| format!("{path}.{attr}")),
        },
        _ => None,
    }
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests;
