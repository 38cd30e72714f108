//! Guest models: somebody else's Cedar schema, policies and entities, asked instead of the support-access model.
//!
//! What lives here: reading such a model, checking it whole, and asking it. Facts come from its file of entities; of a
//! request only what the model's manifest names is believed. The support-access model cannot be a guest (G7).

mod entities;
mod facts;
mod manifest;
mod source;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use cedar_policy::PolicySet;
use cedar_policy_core::ast;

use super::bundle::{PolicyInfo, PolicyVersion};
use super::named::{Annotations, parse_policies, validate};
use super::nesting;
use super::place::LoadError;
use crate::signing::sha256_of_texts;

use entities::Known;
use manifest::Manifest;
use words::Words;

pub use facts::{Act, GuestFacts, GuestVerdict, InvalidFact, Named, Said};
pub use source::{GuestSource, MANIFEST_FILE};

/// A good guest model: parsed, validated in strict mode, its entities as its schema wants them. Holding one proves it.
#[derive(Debug)]
pub struct GuestModel {
    version: PolicyVersion,
    manifest: Manifest,
    words: Words,
    known: Known,
    policies: Vec<(Arc<ast::Policy>, PolicyInfo)>,
}

impl GuestModel {
    /// Checks the texts and makes a model of them.
    ///
    /// # Errors
    /// [`LoadError`] with everything that is wrong and where: syntax, types against the schema (strict mode), an `@id` that
    /// is taken, a template, an entity that is not as the schema wants it or stands there twice, a manifest that names what
    /// the schema does not have, an action that no request could ask for, a text that nests too deeply, and the service's
    /// own model.
    pub fn load(source: &GuestSource) -> Result<Self, LoadError> {
        nesting::load(&source.policies, &source.schemas, || Self::checked(source))
    }

    fn checked(source: &GuestSource) -> Result<Self, LoadError> {
        let words = Words::read(&source.schemas)?;
        let named = parse_policies(&source.policies, Annotations::Optional)?;
        let set = PolicySet::from_policies(named.iter().map(|named| named.policy.clone()))
            .map_err(|error| LoadError::of(error.to_string()))?;
        validate(words.schema(), &set, &named)?;
        let manifest = Manifest::read(&source.manifest, &words)?;
        let known = Known::read(source.entities.as_ref(), &words)?;
        let core = |policy: &cedar_policy::Policy| Arc::new(AsRef::<ast::Policy>::as_ref(policy).clone());
        Ok(Self {
            version: PolicyVersion::of_digest(&sha256_of_texts(source.texts())),
            manifest,
            words,
            known,
            policies: named.into_iter().map(|named| (core(&named.policy), named.info)).collect(),
        })
    }

    /// The model's version: a digest of all of its texts, entities too.
    #[must_use]
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// What the manifest calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// Whether its answers say why. Some clients want nothing but the decision.
    #[must_use]
    pub fn explains(&self) -> bool {
        self.manifest.explain
    }

    /// Its policies, in their order.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &PolicyInfo> {
        self.policies.iter().map(|(_, info)| info)
    }

    /// The ids of the entities of this type in its file behind this one, in their order.
    pub fn ids<'a>(&'a self, kind: &str, after: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        self.known.ids(kind, after)
    }

    /// The actions that its schema has for a subject of the one type and a resource of the other, in the order of names.
    pub fn actions<'a>(&'a self, subject: &str, resource: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.words.actions_about(subject, resource)
    }
}
