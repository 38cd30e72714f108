//! Coverage: which policies have settled an answer, and which of their conditions have been seen both ways.
//!
//! A condition is covered when it has been true, has been false, and has at least once been decisive: the policy would
//! have come to something else had this condition alone been the other way round (what avionics calls MC/DC).

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use crate::policy::{Bundle, Effect, Place, PolicyTrace, Truth};

/// What has been seen of one condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionCoverage {
    /// Its text.
    pub text: String,
    /// The line it begins at; none for what the policy's scope asks.
    pub line: Option<usize>,
    /// Where it stands in its file.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
    /// How often it was reached and true.
    pub seen_true: usize,
    /// How often it was reached and false.
    pub seen_false: usize,
    /// How often it was decisive.
    pub decisive: usize,
}

impl ConditionCoverage {
    /// Whether it was seen both ways, and settled its policy at least once.
    #[must_use]
    pub const fn is_covered(&self) -> bool {
        self.seen_true > 0 && self.seen_false > 0 && self.decisive > 0
    }
}

/// What has been seen of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyCoverage {
    /// Its id.
    pub id: String,
    /// Permit or forbid.
    pub effect: Effect,
    /// Its file.
    pub file: String,
    /// The line it begins at.
    pub line: usize,
    /// How many questions it could apply to.
    pub asked: usize,
    /// How often it held.
    pub held: usize,
    /// How often it was one of the policies that made the answer what it is.
    pub determined: usize,
    /// Its conditions, in the order of the text.
    pub conditions: Vec<ConditionCoverage>,
}

/// What has been seen of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Its policies, in the bundle's order.
    pub policies: Vec<PolicyCoverage>,
}

/// How much has been seen, of how much there is to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Seen.
    pub covered: usize,
    /// There is.
    pub all: usize,
}

impl Share {
    /// In percent, rounded down: 100 only when everything was seen.
    #[must_use]
    pub const fn percent(self) -> usize {
        match (self.covered * 100).checked_div(self.all) {
            Some(percent) => percent,
            None => 100,
        }
    }
}

impl Coverage {
    /// Nothing has been seen yet of this bundle.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        let policies = bundle.conditions().map(|(policy, conditions)| PolicyCoverage {
            id: policy.id.clone(),
            effect: policy.effect,
            file: policy.place.file.clone(),
            line: policy.place.line,
            asked: 0,
            held: 0,
            determined: 0,
            conditions: conditions
                .into_iter()
                .map(|(span, text)| unseen(bundle, &policy.place.file, span, text))
                .collect(),
        });
        Self { policies: policies.collect() }
    }

    /// Takes one answer in: what each policy came to, and which of them made the answer what it is.
    pub fn take(&mut self, traces: &[PolicyTrace<'_>], determining: &[&str]) {
        let mut by_id: BTreeMap<&str, &PolicyTrace<'_>> =
            traces.iter().map(|trace| (trace.policy.id.as_str(), trace)).collect();
        for policy in &mut self.policies {
            let Some(trace) = by_id.remove(policy.id.as_str()) else { continue };
            policy.asked += 1;
            policy.held += usize::from(trace.truth == Truth::True);
            policy.determined += usize::from(determining.contains(&policy.id.as_str()));
            for (seen, condition) in policy.conditions.iter_mut().zip(&trace.conditions) {
                let reached = |truth: &Truth| usize::from(condition.reached && condition.truth == *truth);
                seen.seen_true += reached(&Truth::True);
                seen.seen_false += reached(&Truth::False);
                seen.decisive += usize::from(condition.decisive);
            }
        }
    }

    /// The policies that settled an answer.
    #[must_use]
    pub fn of_policies(&self) -> Share {
        let covered = self.policies.iter().filter(|policy| policy.determined > 0).count();
        Share { covered, all: self.policies.len() }
    }

    /// The conditions that were seen both ways and settled their policy.
    #[must_use]
    pub fn of_conditions(&self) -> Share {
        let conditions = || self.policies.iter().flat_map(|policy| &policy.conditions);
        let covered = conditions().filter(|condition| condition.is_covered()).count();
        Share { covered, all: conditions().count() }
    }

    /// The smaller of the two shares, in percent.
    #[must_use]
    pub fn percent(&self) -> usize {
        self.of_policies().percent().min(self.of_conditions().percent())
    }
}

fn unseen(bundle: &Bundle, file: &str, span: Option<Range<usize>>, text: String) -> ConditionCoverage {
    let source = bundle.source().policies.iter().find(|source| source.name == file);
    let line = |span: &Range<usize>| Place::of(file, source.map_or("", |source| &source.text), span.start).line;
    ConditionCoverage { text, line: span.as_ref().map(line), span, seen_true: 0, seen_false: 0, decisive: 0 }
}
