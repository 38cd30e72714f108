//! The logged decisions that an edit changes: both bundles, asked what was asked before.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Serialize;

use super::tests::answer;
use crate::policy::Bundle;
use crate::workbench::recorded::{Log, RecordedDecision};
use crate::workbench::run::{Given, ask};
use crate::workbench::suite::Expected;

/// How many changed decisions are listed; all of them are counted.
const LISTED: usize = 10_000;

/// A decision of the log that the two bundles make differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedDecision {
    /// Its id.
    pub decision_id: String,
    /// When, as RFC 3339.
    pub time: String,
    /// What was asked.
    pub asked: String,
    /// What the old bundle answers.
    pub old: String,
    /// What the new one answers.
    pub new: String,
}

/// What an edit changes in the decisions of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LogChanges {
    /// How many decisions the log holds.
    pub decisions: u64,
    /// How many of them are denied by the old bundle and allowed by the new one.
    pub newly_allowed: u64,
    /// How many are allowed by the old bundle and denied by the new one.
    pub newly_denied: u64,
    /// How many denials have another reason.
    pub other_reason: u64,
    /// The changed decisions in the log's order, the first 10,000 of them.
    pub changed: Vec<ChangedDecision>,
    /// Those that cannot be asked again, by why.
    pub unasked: BTreeMap<String, u64>,
}

impl LogChanges {
    /// How many decisions change in any way.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.newly_allowed + self.newly_denied + self.other_reason
    }

    fn take(&mut self, old: &Bundle, new: &Bundle, decision: RecordedDecision) {
        self.decisions += 1;
        let given = |bundle: &Bundle| -> Result<Given, String> {
            let (verdict, _) = ask(bundle, decision.question.as_ref().map_err(Clone::clone)?)?;
            Ok(Given::of(bundle, &verdict))
        };
        let (before, after) = match (given(old), given(new)) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(why), _) | (_, Err(why)) => {
                *self.unasked.entry(why).or_default() += 1;
                return;
            }
        };
        let (was, is) = (answer(Some(&before)), answer(Some(&after)));
        if was == is {
            return;
        }
        match (before.decision, after.decision) {
            (Expected::Deny, Expected::Allow) => self.newly_allowed += 1,
            (Expected::Allow, Expected::Deny) => self.newly_denied += 1,
            (Expected::Allow, Expected::Allow) | (Expected::Deny, Expected::Deny) => self.other_reason += 1,
        }
        if self.changed.len() < LISTED {
            self.changed.push(ChangedDecision {
                decision_id: decision.id,
                time: decision.time.to_string(),
                asked: decision.told,
                old: was,
                new: is,
            });
        }
    }
}

/// Asks both bundles every decision of a log.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn logged<R: BufRead>(old: &Bundle, new: &Bundle, log: R) -> std::io::Result<LogChanges> {
    let mut found = LogChanges::default();
    for decision in Log::new(log) {
        found.take(old, new, decision?);
    }
    Ok(found)
}
