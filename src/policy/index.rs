//! The index: for each kind of question the policies that can apply to it, found once when a bundle is loaded.
//!
//! Which policies can apply is Cedar's own answer (`get_valid_request_envs`): those whose condition is not false for
//! every request of that kind. What a policy's scope says about kinds is settled with it; the rest of its condition is
//! kept ready to evaluate. A condition whose evaluation may fail is kept wherever the scope lets it apply: one that is
//! false in the end may fail before. That this changes no answer is tested against Cedar's `Authorizer` over the whole set.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Policy, RequestEnv, Schema};
use cedar_policy_core::ast::{
    self, ActionConstraint, BinaryOp, Entity, EntityReference, Expr, ExprKind, PrincipalOrResourceConstraint, UnaryOp,
    Var,
};

use super::bundle::Effect;
use super::question::{ActionId, PrincipalKind, ResourceKind};

/// A policy, ready to be asked.
#[derive(Debug)]
pub(super) struct Applicable {
    /// Its place in the bundle.
    pub(super) policy: u16,
    pub(super) effect: Effect,
    /// What is left of its condition; none: it holds whenever the question is of this kind.
    pub(super) condition: Option<Expr>,
}

/// The policies for one kind of question.
#[derive(Debug, Default)]
pub(super) struct Kind {
    pub(super) policies: Vec<Applicable>,
    /// One of them reads the time, so that no answer of this kind can be kept (G2).
    pub(super) reads_clock: bool,
    /// The schema knows questions of this kind.
    pub(super) in_schema: bool,
}

/// An action with its groups.
#[derive(Debug)]
pub(super) struct ActionEntry {
    pub(super) entity: Arc<Entity>,
    /// Whether it is one of the verbs on diagnostic data that only read (R2).
    pub(super) is_read: bool,
    kinds: Vec<Kind>,
}

/// Every kind of question the schema knows.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) actions: Vec<ActionEntry>,
    by_name: HashMap<String, ActionId>,
}

const KINDS: usize = PrincipalKind::ALL.len() * ResourceKind::ALL.len();

impl Index {
    pub(super) fn build(schema: &Schema, policies: &[(Policy, Effect)]) -> Result<Self, String> {
        let mut index = Self { actions: Vec::new(), by_name: HashMap::new() };
        let entities = schema.action_entities().map_err(|error| error.to_string())?;
        let mut entities: Vec<_> = entities.iter().collect();
        entities.sort_by_key(|entity| entity.uid().to_string());
        for entity in entities {
            let name = entity.uid().id().unescaped().to_owned();
            let core: &Entity = entity.as_ref();
            let is_read = core.ancestors().any(|group| {
                let name: &str = group.eid().as_ref();
                name == "readDiagnosticData"
            });
            let id = ActionId(u16::try_from(index.actions.len()).map_err(|_| "too many actions".to_owned())?);
            index.by_name.insert(name, id);
            let kinds = (0..KINDS).map(|_| Kind::default()).collect();
            index.actions.push(ActionEntry { entity: Arc::new(core.clone()), is_read, kinds });
        }
        for env in schema.request_envs() {
            let types = (env.principal().to_string(), env.resource().to_string());
            if let Some(kind) = index.kind_mut(env.action().id().unescaped(), &types.0, &types.1) {
                kind.in_schema = true;
            }
        }
        for (place, (policy, effect)) in policies.iter().enumerate() {
            let place = u16::try_from(place).map_err(|_| "too many policies".to_owned())?;
            let core: &ast::Policy = policy.as_ref();
            let condition = condition(core);
            let reads_clock = core.non_scope_constraints().is_some_and(reads_clock);
            let envs: Vec<RequestEnv> = if core.non_scope_constraints().is_some_and(may_fail) {
                schema.request_envs().filter(|env| index.scope_admits(core, env)).collect()
            } else {
                policy.get_valid_request_envs(schema).collect()
            };
            for env in envs {
                let types = (env.principal().to_string(), env.resource().to_string());
                if let Some(kind) = index.kind_mut(env.action().id().unescaped(), &types.0, &types.1) {
                    let condition = condition.clone();
                    kind.policies.push(Applicable { policy: place, effect: *effect, condition });
                    kind.reads_clock |= reads_clock;
                }
            }
        }
        Ok(index)
    }

    pub(super) fn action(&self, name: &str) -> Option<ActionId> {
        self.by_name.get(name).copied()
    }

    /// The verbs on diagnostic data.
    pub(super) fn verbs(&self) -> impl Iterator<Item = &str> {
        let is_verb = |id: &ActionId| {
            let kind = self
                .entry(*id)
                .and_then(|entry| entry.kind(PrincipalKind::SupportEngineer, ResourceKind::DiagnosticData));
            kind.is_some()
        };
        self.by_name.iter().filter(move |(_, id)| is_verb(id)).map(|(name, _)| name.as_str())
    }

    #[cfg(test)]
    pub(super) fn name_of(&self, action: ActionId) -> &str {
        self.by_name.iter().find(|(_, id)| **id == action).map_or("", |(name, _)| name)
    }

    pub(super) fn entry(&self, action: ActionId) -> Option<&ActionEntry> {
        self.actions.get(usize::from(action.0))
    }

    /// Whether the kinds of this policy's scope are those of a question of this kind.
    fn scope_admits(&self, policy: &ast::Policy, env: &RequestEnv) -> bool {
        let Some(action) = self.action(env.action().id().unescaped()).and_then(|action| self.entry(action)) else {
            return false;
        };
        let one_of = |named: &ast::EntityUID| named == action.entity.uid() || action.entity.is_descendant_of(named);
        let action_admits = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(named) => **named == *action.entity.uid(),
            ActionConstraint::In(named) => named.iter().any(|named| one_of(named)),
        };
        action_admits
            && kind_admits(policy.principal_constraint().as_inner(), &env.principal().to_string())
            && kind_admits(policy.resource_constraint().as_inner(), &env.resource().to_string())
    }

    fn kind_mut(&mut self, action: &str, principal: &str, resource: &str) -> Option<&mut Kind> {
        let action = self.by_name.get(action)?;
        let principal = PrincipalKind::ALL.into_iter().find(|kind| kind.type_name() == principal)?;
        let resource = ResourceKind::ALL.into_iter().find(|kind| kind.type_name() == resource)?;
        self.actions.get_mut(usize::from(action.0))?.kinds.get_mut(slot(principal, resource))
    }
}

impl ActionEntry {
    /// The policies for this action, asked by this kind of principal about this kind of resource.
    pub(super) fn kind(&self, principal: PrincipalKind, resource: ResourceKind) -> Option<&Kind> {
        self.kinds.get(slot(principal, resource)).filter(|kind| kind.in_schema)
    }
}

const fn slot(principal: PrincipalKind, resource: ResourceKind) -> usize {
    principal as usize * ResourceKind::ALL.len() + resource as usize
}

/// What a policy still asks once the kinds of principal, action and resource are known: the entities its scope names,
/// then its own conditions, in Cedar's order.
fn condition(policy: &ast::Policy) -> Option<Expr> {
    let principal = policy.principal_constraint();
    let resource = policy.resource_constraint();
    [
        scope_condition(Var::Principal, principal.as_inner()),
        scope_condition(Var::Resource, resource.as_inner()),
        policy.non_scope_constraints().cloned(),
    ]
    .into_iter()
    .flatten()
    .reduce(Expr::and)
}

pub(super) fn scope_condition(variable: Var, constraint: &PrincipalOrResourceConstraint) -> Option<Expr> {
    let entity = |reference: &EntityReference| match reference {
        EntityReference::EUID(uid) => Some(Expr::val(Arc::clone(uid))),
        // The bundle refuses templates.
        EntityReference::Slot(_) => None,
    };
    match constraint {
        PrincipalOrResourceConstraint::Any | PrincipalOrResourceConstraint::Is(_) => None,
        PrincipalOrResourceConstraint::In(group) | PrincipalOrResourceConstraint::IsIn(_, group) => {
            entity(group).map(|group| Expr::is_in(Expr::var(variable), group))
        }
        PrincipalOrResourceConstraint::Eq(one) => entity(one).map(|one| Expr::is_eq(Expr::var(variable), one)),
    }
}

fn kind_admits(constraint: &PrincipalOrResourceConstraint, kind: &str) -> bool {
    match constraint {
        PrincipalOrResourceConstraint::Any
        | PrincipalOrResourceConstraint::In(_)
        | PrincipalOrResourceConstraint::Eq(EntityReference::Slot(_)) => true,
        PrincipalOrResourceConstraint::Is(named) | PrincipalOrResourceConstraint::IsIn(named, _) => {
            named.to_string() == kind
        }
        PrincipalOrResourceConstraint::Eq(EntityReference::EUID(one)) => one.entity_type().to_string() == kind,
    }
}

/// Whether the evaluation of a validated condition can fail: numbers can grow too large, and extension functions refuse
/// what they cannot read. Nothing else fails (Cedar's validation is sound).
fn may_fail(condition: &Expr) -> bool {
    condition.subexpressions().any(|expression| {
        matches!(
            expression.expr_kind(),
            ExprKind::BinaryApp { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, .. }
                | ExprKind::UnaryApp { op: UnaryOp::Neg, .. }
                | ExprKind::ExtensionFunctionApp { .. }
        )
    })
}

/// Whether a condition reads `context.now`, or takes the context as a whole so that it could.
fn reads_clock(condition: &Expr) -> bool {
    let is_context = |expression: &Expr| matches!(expression.expr_kind(), ExprKind::Var(Var::Context));
    let (mut mentioned, mut by_attribute) = (0, 0);
    for expression in condition.subexpressions() {
        if is_context(expression) {
            mentioned += 1;
        }
        let (ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr }) = expression.expr_kind() else {
            continue;
        };
        if is_context(expr) {
            if attr.as_str() == "now" {
                return true;
            }
            by_attribute += 1;
        }
    }
    mentioned > by_attribute
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_of_question_has_a_place_of_its_own() {
        let pairs = PrincipalKind::ALL.into_iter().flat_map(|who| ResourceKind::ALL.map(|what| slot(who, what)));
        assert_eq!(pairs.collect::<HashSet<_>>(), (0..KINDS).collect());
    }
}
