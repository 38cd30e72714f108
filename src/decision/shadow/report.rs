//! What the shadow bundle would have decided otherwise: numbers, kinds of difference, and the latest of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// The form of reports that this program reads and writes.
pub const SHADOW_FORMAT: &str = "consentry-shadow-1";

/// Kinds of difference that are told apart, examples of each, and decisions that are listed.
const MOST_KINDS: usize = 200;
const MOST_EXAMPLES: usize = 5;
const MOST_LATEST: usize = 500;

/// A bundle's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowAnswer {
    /// Allowed or not.
    pub allowed: bool,
    /// The reason's code.
    pub code: String,
    /// The policies that made it so.
    pub because: Vec<String>,
    /// The bundle's version.
    pub policy_version: String,
}

/// A decision that the shadow bundle would have made otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowExample {
    /// Its id in the decision log.
    pub decision_id: String,
    /// When, as RFC 3339.
    pub time: String,
    /// What was asked.
    pub asked: String,
    /// The answer that was given.
    pub live: ShadowAnswer,
    /// The shadow bundle's.
    pub shadow: ShadowAnswer,
}

/// Decisions that differ in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowDifference {
    /// Whether they were allowed, and whether the shadow bundle allows them.
    pub allowed: (bool, bool),
    /// The reason's code, and the shadow bundle's.
    pub codes: (String, String),
    /// How many there are.
    pub decisions: u64,
    /// The first of them.
    pub examples: Vec<ShadowExample>,
}

/// What came of asking a shadow bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// [`SHADOW_FORMAT`].
    pub format: String,
    /// The shadow bundle's version; none while there is no good one.
    pub shadow_version: Option<String>,
    /// Why the shadow bundle's files were refused, if they were.
    pub refused: Option<String>,
    /// Since when, as RFC 3339.
    pub since: Option<String>,
    /// Answered alike, for the same reason.
    pub same: u64,
    /// Denied, and the shadow bundle would allow.
    pub newly_allowed: u64,
    /// Allowed, and the shadow bundle would deny.
    pub newly_denied: u64,
    /// Answered alike, for another reason.
    pub other_reason: u64,
    /// Not asked, for want of time.
    pub dropped: u64,
    /// The kinds of difference; at most 200 are told apart.
    pub differences: Vec<ShadowDifference>,
    /// The latest decisions that differ, oldest first; at most 500.
    pub latest: VecDeque<ShadowExample>,
}

impl Default for ShadowReport {
    fn default() -> Self {
        Self {
            format: SHADOW_FORMAT.to_owned(),
            shadow_version: None,
            refused: None,
            since: None,
            same: 0,
            newly_allowed: 0,
            newly_denied: 0,
            other_reason: 0,
            dropped: 0,
            differences: Vec::new(),
            latest: VecDeque::new(),
        }
    }
}

impl ShadowReport {
    pub(super) fn of(version: String, now: Timestamp) -> Self {
        Self { shadow_version: Some(version), since: Some(now.to_string()), ..Self::default() }
    }

    /// Takes in one decision. `told` gives its id, its time and its question.
    pub(super) fn take(
        &mut self,
        live: ShadowAnswer,
        shadow: ShadowAnswer,
        told: impl FnOnce() -> (String, String, String),
    ) {
        if live.allowed == shadow.allowed && live.code == shadow.code {
            self.same += 1;
            return;
        }
        match (live.allowed, shadow.allowed) {
            (false, true) => self.newly_allowed += 1,
            (true, false) => self.newly_denied += 1,
            (true, true) | (false, false) => self.other_reason += 1,
        }
        let allowed = (live.allowed, shadow.allowed);
        let codes = (live.code.clone(), shadow.code.clone());
        let (decision_id, time, asked) = told();
        let example = ShadowExample { decision_id, time, asked, live, shadow };
        let is_room = self.differences.len() < MOST_KINDS;
        match self.differences.iter_mut().find(|known| known.allowed == allowed && known.codes == codes) {
            Some(known) => {
                known.decisions += 1;
                if known.examples.len() < MOST_EXAMPLES {
                    known.examples.push(example.clone());
                }
            }
            None if is_room => {
                let examples = vec![example.clone()];
                self.differences.push(ShadowDifference { allowed, codes, decisions: 1, examples });
            }
            None => {}
        }
        if self.latest.len() == MOST_LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(example);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(allowed: bool, code: &str) -> ShadowAnswer {
        ShadowAnswer { allowed, code: code.to_owned(), because: Vec::new(), policy_version: "v".to_owned() }
    }

    #[test]
    fn everything_is_counted_and_no_list_grows_for_ever() {
        let mut report = ShadowReport::default();
        let mut take = |number: usize, live, shadow| {
            report.take(live, shadow, || (number.to_string(), String::new(), String::new()));
        };
        for number in 0..2_000 {
            let code = format!("code-{number}");
            take(number, answer(false, &code), answer(true, "permitted"));
            take(number, answer(true, "permitted"), answer(true, "permitted"));
            take(number, answer(true, "permitted"), answer(false, "frozen"));
            take(number, answer(false, "a"), answer(false, "b"));
        }
        assert_eq!(
            (report.same, report.newly_allowed, report.newly_denied, report.other_reason),
            (2_000, 2_000, 2_000, 2_000)
        );
        assert_eq!((report.differences.len(), report.latest.len()), (MOST_KINDS, MOST_LATEST));
        assert!(report.differences.iter().all(|one| one.examples.len() <= MOST_EXAMPLES));
        let frozen = report.differences.iter().find(|one| one.codes.1 == "frozen").unwrap();
        assert_eq!(frozen.decisions, 2_000);
        assert_eq!(report.latest.back().unwrap().decision_id, "1999");
    }
}
