//! Asking a bundle a question.

use std::collections::HashMap;

use cedar_policy_core::ast::{Literal, Value, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use super::bundle::{Bundle, Effect, PolicyInfo};
use super::question::Question;

/// A bundle's answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Whether it is permitted: some permit holds, no forbid does, and no policy failed.
    pub allowed: bool,
    /// The policies that made it so: the forbids that hold, or else the permits that do; in the bundle's order.
    determining: Vec<u16>,
    /// The policies whose evaluation failed, with the errors. Any of them denies.
    pub failed: Vec<(String, String)>,
}

impl Verdict {
    pub(super) fn new(allowed: bool, determining: Vec<u16>, failed: Vec<(String, String)>) -> Self {
        Self { allowed, determining, failed }
    }

    /// The policies that made it so, with their rules and reasons, in the bundle's order.
    pub fn determining<'a>(&'a self, bundle: &'a Bundle) -> impl Iterator<Item = &'a PolicyInfo> {
        self.determining.iter().filter_map(|policy| bundle.policy(*policy))
    }
}

impl Bundle {
    /// Answers a question. Facts outside the schema's kinds of question are denied without a determining policy (R1).
    #[must_use]
    pub fn evaluate(&self, question: &Question<'_>) -> Verdict {
        let Some(action) = self.index().entry(question.action) else { return Verdict::default() };
        let Some(kind) = action.kind(question.principal.kind(), question.resource.kind()) else {
            return Verdict::default();
        };
        let Some(slice) = self.words().slice(question, &action.entity, kind.reads_clock) else {
            let failed = vec![(String::new(), "the facts of this question contradict each other".to_owned())];
            return Verdict { failed, ..Verdict::default() };
        };
        let evaluator = Evaluator::new(slice.request, &slice.entities, Extensions::all_available());
        let no_slots = HashMap::new();
        let (mut permits, mut forbids, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for policy in &kind.policies {
            let holds = match &policy.condition {
                None => Ok(true),
                Some(condition) => match evaluator.interpret(condition, &no_slots) {
                    Ok(value) => truth(&value),
                    Err(error) => Err(error.to_string()),
                },
            };
            match (holds, policy.effect) {
                (Ok(false), _) => {}
                (Ok(true), Effect::Permit) => permits.push(policy.policy),
                (Ok(true), Effect::Forbid) => forbids.push(policy.policy),
                (Err(error), _) => {
                    let id = self.policy(policy.policy).map(|policy| policy.id.clone()).unwrap_or_default();
                    failed.push((id, error));
                }
            }
        }
        // Cedar skips a policy whose evaluation fails, even a forbid, and could then allow. A failed policy denies here.
        let allowed = forbids.is_empty() && !permits.is_empty() && failed.is_empty();
        let determining = if forbids.is_empty() { permits } else { forbids };
        Verdict { allowed, determining, failed }
    }

    /// Whether answers to this kind of question depend on nothing but the facts, so that they can be kept (G2).
    #[must_use]
    pub fn is_cacheable(&self, question: &Question<'_>) -> bool {
        let kind = self
            .index()
            .entry(question.action)
            .and_then(|action| action.kind(question.principal.kind(), question.resource.kind()));
        kind.is_none_or(|kind| !kind.reads_clock)
    }
}

fn truth(value: &Value) -> Result<bool, String> {
    if let ValueKind::Lit(Literal::Bool(truth)) = value.value_kind() {
        return Ok(*truth);
    }
    Err(format!("the condition is `{value}`, not true or false"))
}
