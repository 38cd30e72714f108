//! Examples: a question that a solver found, made readable, asked of the real engine, and written as a policy test row.

mod names;
mod text;
mod toml;

use cedar_policy::EntityUid;
use cedar_policy_symcc::Env;
use serde::Serialize;

use super::run::cedar_request;
use super::suite::{Expected, RawEntry};
use crate::policy::Bundle;

pub use toml::{Wish, row, suite};

/// What the real engine answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// Allowed or not.
    pub decision: Expected,
    /// The policies that made it so, with their places.
    pub because: Vec<String>,
    /// The policies that failed, with their errors.
    pub failed: Vec<(String, String)>,
}

impl Replay {
    /// As people read it: `allow, by ...`.
    #[must_use]
    pub fn told(&self) -> String {
        let word = match self.decision {
            Expected::Allow => "allow",
            Expected::Deny => "deny",
        };
        let by = match (self.because.as_slice(), self.failed.as_slice()) {
            ([], []) => "as no policy permits it".to_owned(),
            ([], [(id, error), ..]) => format!("as {id} failed: {error}"),
            (because, _) => format!("by {}", because.join(", ")),
        };
        format!("{word}, {by}")
    }
}

/// A question with all of its facts.
#[derive(Debug, Clone)]
pub struct Example {
    /// In Cedar's own terms.
    pub question: RawEntry,
}

impl Example {
    /// Makes a solver's example readable: tenants, people and things get the names that the product's documents use,
    /// and what no policy can see of it is left out. The words of policies keep theirs.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn of(env: &Env, words: &[EntityUid]) -> Result<Self, String> {
        let uid = |uid: Option<&EntityUid>| uid.cloned().ok_or("the example is not complete");
        let context = match env.request.context() {
            Some(context) => {
                let context: &cedar_policy_core::ast::Context = context.as_ref();
                context.to_json_value().map_err(|error| error.to_string())?
            }
            None => serde_json::Value::Object(serde_json::Map::new()),
        };
        let entities = env.entities.to_json_value().map_err(|error| error.to_string())?;
        let entities = entities.as_array().cloned().unwrap_or_default();
        let (principal, action) = (uid(env.request.principal())?, uid(env.request.action())?);
        let resource = uid(env.request.resource())?;
        let found = names::Found { principal, action, resource, context, entities };
        Ok(Self { question: names::readable(found, words) })
    }

    /// Asks the real engine.
    ///
    /// # Errors
    /// When this bundle's schema does not allow the question.
    pub fn replay(&self, bundle: &Bundle) -> Result<Replay, String> {
        let (request, entities) = cedar_request(bundle, &self.question)?;
        let verdict = bundle.evaluate_request(&request, &entities);
        let decision = if verdict.allowed { Expected::Allow } else { Expected::Deny };
        // Of a failure, a permit that holds is not the reason.
        let counts = verdict.allowed || verdict.failed.is_empty();
        let determining = verdict.determining(bundle).filter(|_| counts);
        let because = determining.map(|policy| format!("{} ({})", policy.id, policy.place)).collect();
        Ok(Replay { decision, because, failed: verdict.failed })
    }

    /// Who asks what about what, on which facts, line by line.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        text::told(&self.question)
    }
}

/// Every entity that the policies of these bundles name.
pub fn words<'a>(policies: impl IntoIterator<Item = &'a cedar_policy::Policy>) -> Vec<EntityUid> {
    let mut words: Vec<_> = policies.into_iter().flat_map(cedar_policy::Policy::entity_literals).collect();
    words.sort();
    words.dedup();
    words
}
