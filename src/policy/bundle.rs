//! Bundles: schema, role catalogue and policies, checked together before anything is asked of them (G6).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_policy::{PolicyId, PolicySet, Schema};
use serde::Serialize;
use utoipa::ToSchema;

use super::index::Index;
use super::named::{Annotations, parse_policies, validate};
use super::nesting;
use super::place::{LoadError, Place, Problem, problems};
use super::question::{ActionId, WorkflowAction};
use super::roles::{RoleCatalogue, RoleCatalogueError};
use super::slice::Words;
use super::source::{BundleSource, SourceFile};
use crate::signing::{beginning, sha256_of_texts};

/// Whether a policy permits or forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Permits.
    Permit,
    /// Forbids, whatever is permitted.
    Forbid,
}

/// What people are told of a policy that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its `@id`.
    pub id: String,
    /// The numbers in its `@rule`.
    pub rules: Vec<String>,
    /// Its `@reason`, one sentence.
    pub reason: String,
    /// A forbid's `@code`, which programs can act on.
    pub code: Option<String>,
    /// A forbid's `@missing`: the part whose consent would cure the denial (R20).
    pub missing: Option<String>,
    /// A forbid's `@alone`: whoever is denied by it is told of no other policy, nor of the facts.
    pub alone: bool,
    /// Permit or forbid.
    pub effect: Effect,
    /// Where it stands.
    pub place: Place,
}

/// Names one state of schema, role catalogue and policies: a digest of all of their texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct PolicyVersion(String);

impl PolicyVersion {
    pub(super) fn of_digest(digest: &str) -> Self {
        Self(beginning(digest))
    }

    /// 16 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A good bundle: parsed, validated in strict mode, and indexed. Holding one proves it.
#[derive(Debug)]
pub struct Bundle {
    version: PolicyVersion,
    serial: u64,
    policies: Vec<PolicyInfo>,
    roles: RoleCatalogue,
    words: Words,
    index: Index,
    schema: Schema,
    policy_set: PolicySet,
    source: BundleSource,
}

impl Bundle {
    /// Checks the texts and makes a bundle of them.
    ///
    /// # Errors
    /// [`LoadError`] with everything that is wrong and where: syntax, types against the schema (strict mode), an `@id`
    /// that is missing or taken, a missing `@rule` or `@reason`, a template, a schema without one of the actions that
    /// the service asks about, a role catalogue that is not one, a text that nests too deeply.
    pub fn load(source: &BundleSource) -> Result<Self, LoadError> {
        nesting::load(&source.policies, [&source.schema], || Self::checked(source))
    }

    fn checked(source: &BundleSource) -> Result<Self, LoadError> {
        let roles = RoleCatalogue::parse(&source.roles.text).map_err(|error| role_problem(&source.roles, &error))?;
        let (schema, _warnings) = Schema::from_cedarschema_str(&source.schema.text)
            .map_err(|error| LoadError { problems: problems(&source.schema.name, &source.schema.text, &error) })?;
        let named = parse_policies(&source.policies, Annotations::Required)?;
        let set = PolicySet::from_policies(named.iter().map(|named| named.policy.clone()))
            .map_err(|error| LoadError::of(error.to_string()))?;
        validate(&schema, &set, &named)?;
        let compiled: Vec<_> = named.iter().map(|named| (named.policy.clone(), named.info.effect)).collect();
        let index = Index::build(&schema, &compiled).map_err(LoadError::of)?;
        for action in WorkflowAction::ALL {
            if index.action(action.as_str()).is_none() {
                let message = format!("{}: the action `{}` is missing", source.schema.name, action.as_str());
                return Err(LoadError::of(message));
            }
        }
        Ok(Self {
            version: version_of(source),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            words: Words::new(&roles)?,
            roles,
            index,
            policies: named.into_iter().map(|named| named.info).collect(),
            schema,
            policy_set: set,
            source: source.clone(),
        })
    }

    /// The bundle's version.
    #[must_use]
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// Tells this bundle from every other that the process has loaded; never 0.
    #[must_use]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The role catalogue.
    #[must_use]
    pub fn roles(&self) -> &RoleCatalogue {
        &self.roles
    }

    /// Its policies, in their order.
    #[must_use]
    pub fn policies(&self) -> &[PolicyInfo] {
        &self.policies
    }

    /// The action of this name, if the schema has it.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<ActionId> {
        self.index.action(name)
    }

    /// The verbs on diagnostic data that the schema knows, for a support engineer.
    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        self.index.verbs()
    }

    /// The action of the workflow; every bundle has them all.
    #[must_use]
    pub fn workflow_action(&self, action: WorkflowAction) -> ActionId {
        self.index.action(action.as_str()).unwrap_or(ActionId(u16::MAX))
    }

    /// The action's name, to ask Cedar itself.
    #[cfg(test)]
    pub(super) fn name_of(&self, action: ActionId) -> &str {
        self.index.name_of(action)
    }

    /// Whether the action is one of the verbs that only read diagnostic data (R2).
    #[must_use]
    pub fn is_read(&self, action: ActionId) -> bool {
        self.index.entry(action).is_some_and(|entry| entry.is_read)
    }

    pub(super) fn policy(&self, place: u16) -> Option<&PolicyInfo> {
        self.policies.get(usize::from(place))
    }

    /// The policy's text with its annotations, as its author wrote it.
    #[must_use]
    pub fn text_of(&self, policy: &PolicyInfo) -> &str {
        let file = self.source.policies.iter().find(|file| file.name == policy.place.file);
        let known = self.policy_set.policy(&PolicyId::new(&policy.id));
        let text = file.zip(known).and_then(|(file, known)| {
            let core: &cedar_policy_core::ast::Policy = known.as_ref();
            let span = core.loc()?.span;
            file.text.get(span.offset()..span.offset() + span.len())
        });
        text.unwrap_or_default()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    /// The policies as Cedar knows them, each under its `@id`, for tools.
    #[must_use]
    pub fn policy_set(&self) -> &PolicySet {
        &self.policy_set
    }

    /// The schema as Cedar knows it, for tools.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The texts it was made of.
    #[must_use]
    pub fn source(&self) -> &BundleSource {
        &self.source
    }
}

fn role_problem(file: &SourceFile, error: &RoleCatalogueError) -> LoadError {
    let place = match error {
        RoleCatalogueError::Json { line, column, .. } => {
            Some(Place { file: file.name.clone(), line: *line, column: *column })
        }
        RoleCatalogueError::Duplicate(_) | RoleCatalogueError::NoAdministrator => {
            Some(Place { file: file.name.clone(), line: 1, column: 1 })
        }
    };
    LoadError { problems: vec![Problem { place, message: error.to_string(), help: None }] }
}

/// The version of the bundle that these texts make, if they make one.
pub(super) fn version_of(source: &BundleSource) -> PolicyVersion {
    PolicyVersion::of_digest(&digest_of(source))
}

/// A digest of every text, in hexadecimal digits.
pub(super) fn digest_of(source: &BundleSource) -> String {
    let files = [&source.schema, &source.roles].into_iter().chain(&source.policies);
    sha256_of_texts(files.map(|file| file.text.as_str()))
}
