//! Kinds of question: a type of principal, an action and a type of resource, as the schema joins them.

use cedar_policy::{
    ActionConstraint, Entities, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint, RequestEnv,
    ResourceConstraint, Schema,
};

use crate::policy::Bundle;

/// The kinds of question that a schema has.
#[derive(Debug)]
pub struct Environments {
    all: Vec<RequestEnv>,
    actions: Entities,
}

impl Environments {
    /// Those of this schema, in the order of their names.
    ///
    /// # Errors
    /// None for a schema that was loaded.
    pub fn of(schema: &Schema) -> Result<Self, String> {
        let mut all: Vec<_> = schema.request_envs().collect();
        all.sort_by_cached_key(name);
        all.dedup_by_key(|environment| name(environment));
        Ok(Self { all, actions: schema.action_entities().map_err(|error| error.to_string())? })
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[RequestEnv] {
        &self.all
    }

    /// Whether a policy's scope speaks of this kind of question, by action and types.
    #[must_use]
    pub fn speaks_of(&self, policy: &Policy, environment: &RequestEnv) -> bool {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
            PrincipalConstraint::Eq(uid) => is(environment.principal(), &uid),
            PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => *environment.principal() == kind,
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::In(_) => true,
            ResourceConstraint::Eq(uid) => is(environment.resource(), &uid),
            ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => *environment.resource() == kind,
        };
        let within = |group: &EntityUid| {
            group == environment.action() || self.actions.is_ancestor_of(group, environment.action())
        };
        let action = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid == *environment.action(),
            ActionConstraint::In(groups) => groups.iter().any(within),
        };
        principal && action && resource
    }

    /// The bundle's policies whose scope speaks of this kind of question: no other can matter to it.
    #[must_use]
    pub fn policies<'a>(&self, bundle: &'a Bundle, environment: &RequestEnv) -> Vec<&'a Policy> {
        bundle.policy_set().policies().filter(|policy| self.speaks_of(policy, environment)).collect()
    }
}

fn is(kind: &EntityTypeName, uid: &EntityUid) -> bool {
    kind == uid.type_name()
}

/// What people call a kind of question: `SupportEngineer read DiagnosticData`.
#[must_use]
pub fn name(environment: &RequestEnv) -> String {
    let action = environment.action().id().unescaped();
    format!("{} {action} {}", environment.principal(), environment.resource())
}

/// These policies, as a set.
///
/// # Errors
/// When two of them have one id.
pub fn set<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Result<PolicySet, String> {
    PolicySet::from_policies(policies.into_iter().cloned()).map_err(|error| error.to_string())
}

/// What a policy means, as a text: its effect, its scope and its conditions, without comments, layout and annotations.
#[must_use]
pub fn meaning(policy: &Policy) -> String {
    let core: &cedar_policy_core::ast::Policy = policy.as_ref();
    format!("{} {}", policy.effect(), core.condition())
}
