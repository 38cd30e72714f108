//! Explaining an answer: what decided, what each condition came to and on which facts, and for a denial what is missing.

use serde::Serialize;
use utoipa::ToSchema;

use crate::policy::{Bundle, Effect, Place, PolicyTrace, Truth, Verdict};

/// One condition, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExplainedCondition {
    /// Its text.
    pub text: String,
    /// The line it begins at; none for what the policy's scope asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<usize>,
    /// `true`, `false`, or why it cannot be told.
    pub truth: String,
    /// The facts it read, with their values.
    pub facts: Vec<(String, String)>,
}

/// One policy, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExplainedPolicy {
    /// Its id.
    pub id: String,
    /// Permit or forbid.
    pub effect: Effect,
    /// The rules it expresses.
    pub rules: Vec<String>,
    /// Its reason, in a sentence.
    pub reason: String,
    /// Its file.
    pub file: String,
    /// The line it begins at.
    pub line: usize,
    /// Its text, as its author wrote it.
    pub source: String,
    /// Whether it holds.
    pub holds: bool,
    /// Its conditions.
    pub conditions: Vec<ExplainedCondition>,
    /// Of a permit that does not hold: the conditions that would have to be otherwise, by their place in `conditions`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<usize>,
}

/// The policies behind an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explained {
    /// The policies that made it so, and those that failed.
    pub determining: Vec<ExplainedPolicy>,
    /// For a denial: the permits that could apply, the one that lacks least first.
    pub nearest_permits: Vec<ExplainedPolicy>,
}

/// Explains an answer by what each policy came to.
#[must_use]
pub fn explain(bundle: &Bundle, verdict: &Verdict, traces: &[PolicyTrace<'_>]) -> Explained {
    let failed = |id: &str| verdict.failed.iter().any(|(failed, _)| failed == id);
    let decided = |trace: &&PolicyTrace<'_>| {
        verdict.determining(bundle).any(|policy| policy.id == trace.policy.id) || failed(&trace.policy.id)
    };
    let determining = traces.iter().filter(decided).map(|trace| explained(bundle, trace)).collect();
    let mut nearest_permits: Vec<_> = if verdict.allowed {
        Vec::new()
    } else {
        let permits = traces.iter().filter(|trace| trace.policy.effect == Effect::Permit);
        permits.map(|trace| explained(bundle, trace)).collect()
    };
    nearest_permits.sort_by_key(|permit| permit.unmet.len());
    Explained { determining, nearest_permits }
}

fn explained(bundle: &Bundle, trace: &PolicyTrace<'_>) -> ExplainedPolicy {
    let policy = trace.policy;
    let file = bundle.source().policies.iter().find(|file| file.name == policy.place.file);
    let line = |at: usize| Place::of("", file.map_or("", |file| &file.text), at).line;
    let conditions = trace.conditions.iter().map(|condition| ExplainedCondition {
        text: condition.text.clone(),
        line: condition.span.as_ref().map(|span| line(span.start)),
        truth: match &condition.truth {
            Truth::True => "true".to_owned(),
            Truth::False => "false".to_owned(),
            Truth::Failed(error) => format!("cannot be told: {error}"),
        },
        facts: condition.facts.clone(),
    });
    ExplainedPolicy {
        id: policy.id.clone(),
        effect: policy.effect,
        rules: policy.rules.clone(),
        reason: policy.reason.clone(),
        file: policy.place.file.clone(),
        line: policy.place.line,
        source: bundle.text_of(policy).to_owned(),
        holds: trace.truth == Truth::True,
        conditions: conditions.collect(),
        unmet: if policy.effect == Effect::Permit { trace.unmet.clone() } else { Vec::new() },
    }
}
