//! A policy taken apart into its conditions: what stands between `&&`, `||`, `!` and `if`, and how it is joined.

use std::ops::Range;
use std::sync::Arc;

use cedar_policy_core::ast::{self, Expr, ExprKind, Literal, UnaryOp, Var};

use super::index::scope_condition;
use super::trace::Truth;

/// A policy as its conditions, and how they are joined.
pub(super) struct Conditions {
    pub(super) all: Vec<Condition>,
    pub(super) shape: Shape,
}

pub(super) struct Condition {
    pub(super) expression: Expr,
    pub(super) span: Option<Range<usize>>,
    pub(super) text: String,
}

/// How conditions are joined; a number stands for a condition.
pub(super) enum Shape {
    /// What does not depend on the question: `true`, `false`.
    Constant(bool),
    One(usize),
    Not(Box<Shape>),
    And(Box<Shape>, Box<Shape>),
    Or(Box<Shape>, Box<Shape>),
    If(Box<Shape>, Box<Shape>, Box<Shape>),
}

impl Conditions {
    pub(super) fn of(policy: &ast::Policy) -> Self {
        let mut all = Vec::new();
        let principal = policy.principal_constraint();
        let resource = policy.resource_constraint();
        let scope = [
            scope_condition(Var::Principal, principal.as_inner()),
            scope_condition(Var::Resource, resource.as_inner()),
        ];
        let mut parts: Vec<Shape> = Vec::new();
        for expression in scope.into_iter().flatten() {
            parts.push(Shape::One(all.len()));
            all.push(Condition { text: expression.to_string(), span: None, expression });
        }
        if let Some(expression) = policy.non_scope_constraints() {
            parts.push(shape_of(expression, &mut all));
        }
        let joined = parts.into_iter().reduce(|left, right| Shape::And(Box::new(left), Box::new(right)));
        Self { all, shape: joined.unwrap_or(Shape::Constant(true)) }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an enum of Cedar's: whatever else it is, it is one condition")]
fn shape_of(expression: &Expr, all: &mut Vec<Condition>) -> Shape {
    let mut part = |expression: &Arc<Expr>| Box::new(shape_of(expression, all));
    match expression.expr_kind() {
        ExprKind::And { left, right } if !is_shorthand(expression, right) => Shape::And(part(left), part(right)),
        ExprKind::Or { left, right } => Shape::Or(part(left), part(right)),
        ExprKind::UnaryApp { op: UnaryOp::Not, arg } if !is_shorthand(expression, arg) => Shape::Not(part(arg)),
        ExprKind::If { test_expr, then_expr, else_expr } => {
            Shape::If(part(test_expr), part(then_expr), part(else_expr))
        }
        ExprKind::Lit(Literal::Bool(constant)) => Shape::Constant(*constant),
        _ => {
            let place = expression.source_loc();
            let text = place.and_then(|place| place.snippet()).map_or_else(|| expression.to_string(), one_line);
            all.push(Condition { expression: expression.clone(), span: place_of(expression), text });
            Shape::One(all.len() - 1)
        }
    }
}

/// Whether an author wrote both as one: Cedar reads `a != b` as `!(a == b)`, `a > b` as `!(a <= b)`, and `a is T in b`
/// as `a is T && a in b`. Then the part stands where the whole does. So does a `!` of `!!a`, which is none.
fn is_shorthand(whole: &Expr, part: &Expr) -> bool {
    let is_not = matches!(part.expr_kind(), ExprKind::UnaryApp { op: UnaryOp::Not, .. });
    whole.source_loc().is_some() && whole.source_loc() == part.source_loc() && !is_not
}

impl Shape {
    /// What it comes to, as Cedar evaluates: from left to right, no further than needed.
    pub(super) fn truth(&self, truths: &[Truth], reached: &mut [bool]) -> Truth {
        match self {
            Self::Constant(true) => Truth::True,
            Self::Constant(false) => Truth::False,
            Self::One(at) => {
                if let Some(reached) = reached.get_mut(*at) {
                    *reached = true;
                }
                truths.get(*at).cloned().unwrap_or(Truth::False)
            }
            Self::Not(inner) => match inner.truth(truths, reached) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                failed @ Truth::Failed(_) => failed,
            },
            Self::And(left, right) => match left.truth(truths, reached) {
                Truth::True => right.truth(truths, reached),
                settled @ (Truth::False | Truth::Failed(_)) => settled,
            },
            Self::Or(left, right) => match left.truth(truths, reached) {
                Truth::False => right.truth(truths, reached),
                settled @ (Truth::True | Truth::Failed(_)) => settled,
            },
            Self::If(test, then, other) => match test.truth(truths, reached) {
                Truth::True => then.truth(truths, reached),
                Truth::False => other.truth(truths, reached),
                failed @ Truth::Failed(_) => failed,
            },
        }
    }

    /// The fewest conditions that would have to be otherwise for it to come to `wanted`, by their numbers; none when it
    /// has come to it, or never can.
    pub(super) fn against(&self, wanted: bool, truths: &[Truth]) -> Vec<usize> {
        self.turned(wanted, truths).unwrap_or_default()
    }

    /// As [`Shape::against`]; nothing when it never can.
    fn turned(&self, wanted: bool, truths: &[Truth]) -> Option<Vec<usize>> {
        let both = |left: Option<Vec<usize>>, right: Option<Vec<usize>>| {
            let mut all = left?;
            all.extend(right?);
            Some(all)
        };
        let either = |left: Option<Vec<usize>>, right: Option<Vec<usize>>| match (left, right) {
            (Some(left), Some(right)) => Some(if right.len() < left.len() { right } else { left }),
            (left, right) => left.or(right),
        };
        match (self, wanted) {
            (Self::Constant(constant), _) => (*constant == wanted).then(Vec::new),
            (Self::One(at), _) => {
                let is_so = truths.get(*at) == Some(if wanted { &Truth::True } else { &Truth::False });
                Some(if is_so { Vec::new() } else { vec![*at] })
            }
            (Self::Not(inner), _) => inner.turned(!wanted, truths),
            (Self::And(left, right), true) | (Self::Or(left, right), false) => {
                both(left.turned(wanted, truths), right.turned(wanted, truths))
            }
            (Self::And(left, right), false) | (Self::Or(left, right), true) => {
                either(left.turned(wanted, truths), right.turned(wanted, truths))
            }
            (Self::If(test, then, other), _) => {
                let way = |truth: bool, branch: &Self| both(test.turned(truth, truths), branch.turned(wanted, truths));
                either(way(true, then), way(false, other))
            }
        }
    }
}

fn place_of(expression: &Expr) -> Option<Range<usize>> {
    expression.source_loc().map(|place| place.start()..place.end())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
