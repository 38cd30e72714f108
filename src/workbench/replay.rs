//! Asking a bundle what the decision log says was asked before: which answers would have been others?

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Serialize;

use super::recorded::{Log, RecordedDecision};
use super::run::{Given, ask};
use super::suite::Expected;
use crate::policy::Bundle;

/// How many examples of each kind of difference are kept.
const EXAMPLES: usize = 5;

/// A decision that the bundle answers otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its id.
    pub decision_id: String,
    /// When, as RFC 3339.
    pub time: String,
    /// What was asked.
    pub asked: String,
    /// The reason that the log has.
    pub code: String,
    /// The bundle's answer.
    pub answer: Given,
}

/// Decisions that differ in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What the log says.
    pub logged: Expected,
    /// What the bundle says.
    pub answer: Expected,
    /// The reason's code in the log, and the bundle's.
    pub codes: (String, String),
    /// How many there are.
    pub decisions: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The bundle that was asked.
    pub policy_version: String,
    /// How many decisions the log holds.
    pub decisions: u64,
    /// How many of them the bundle answers as the log says, reason and all.
    pub same: u64,
    /// Those that would now be allowed, now be denied, or have another reason.
    pub differences: Vec<Difference>,
    /// Those that cannot be asked again, by why.
    pub unasked: BTreeMap<String, u64>,
}

impl Replay {
    /// How many decisions would now be allowed that were denied.
    #[must_use]
    pub fn newly_allowed(&self) -> u64 {
        self.between(Expected::Deny, Expected::Allow)
    }

    /// How many decisions would now be denied that were allowed.
    #[must_use]
    pub fn newly_denied(&self) -> u64 {
        self.between(Expected::Allow, Expected::Deny)
    }

    fn between(&self, logged: Expected, answer: Expected) -> u64 {
        let of = |difference: &&Difference| difference.logged == logged && difference.answer == answer;
        self.differences.iter().filter(of).map(|difference| difference.decisions).sum()
    }

    fn take(&mut self, bundle: &Bundle, decision: RecordedDecision) {
        self.decisions += 1;
        let asked = decision.question.as_ref().map_err(Clone::clone).and_then(|wanted| ask(bundle, wanted));
        let answer = match asked {
            Ok((verdict, _)) => Given::of(bundle, &verdict),
            Err(why) => {
                *self.unasked.entry(why).or_default() += 1;
                return;
            }
        };
        if answer.decision == decision.decision && answer.reason.code == decision.code {
            self.same += 1;
            return;
        }
        let codes = (decision.code.clone(), answer.reason.code.clone());
        let known = self
            .differences
            .iter_mut()
            .find(|known| known.logged == decision.decision && known.answer == answer.decision && known.codes == codes);
        let example = Example {
            decision_id: decision.id,
            time: decision.time.to_string(),
            asked: decision.told,
            code: decision.code,
            answer: answer.clone(),
        };
        match known {
            Some(known) => {
                known.decisions += 1;
                if known.examples.len() < EXAMPLES {
                    known.examples.push(example);
                }
            }
            None => self.differences.push(Difference {
                logged: decision.decision,
                answer: answer.decision,
                codes,
                decisions: 1,
                examples: vec![example],
            }),
        }
    }
}

/// Asks a bundle every decision of a log.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn replay<R: BufRead>(bundle: &Bundle, log: R) -> std::io::Result<Replay> {
    let mut found = Replay { policy_version: bundle.version().to_string(), ..Replay::default() };
    for decision in Log::new(log) {
        found.take(bundle, decision?);
    }
    found.differences.sort_by_key(|difference| std::cmp::Reverse(difference.decisions));
    Ok(found)
}
