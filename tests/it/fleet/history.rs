//! What was allowed, what was taken away, and when: on the one clock that all processes of this machine share, so exact.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use consentry::clock::{Clock as _, SystemClock};
use serde_json::Value;

/// The machine's uptime, in nanoseconds.
pub fn up_ns() -> u64 {
    SystemClock::new().boot().0
}

/// One answer that allowed a read.
#[derive(Debug, Clone, Copy)]
pub struct Allow {
    pub process: usize,
    pub case: usize,
    pub asked_ns: u64,
    pub answered_ns: u64,
    /// Whoever enforces drops the answer from here on: its validity, counted from before the question.
    pub good_until_ns: u64,
}

/// One case: given, and perhaps taken away.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub id: String,
    /// When the call that took access away had succeeded.
    pub taken_ns: Option<u64>,
    /// How long that call took, with all of its attempts.
    pub took_ns: u64,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct History {
    pub cases: Vec<Case>,
    pub allows: Vec<Allow>,
    /// Answers without a decision, by their code.
    pub closed: BTreeMap<String, u64>,
    pub denials: u64,
    /// Allows that were dropped, because they came after their validity.
    pub dropped: u64,
    /// By which policies it was allowed, and by which denied.
    pub versions: BTreeSet<(bool, String)>,
}

/// What a history amounts to.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub revocations: usize,
    pub allows: usize,
    pub denials: u64,
    pub closed: BTreeMap<String, u64>,
    pub dropped: u64,
    pub versions: BTreeSet<(bool, String)>,
    /// Asked after access was taken away successfully, allowed, and used.
    pub violations: usize,
    pub worst: Duration,
    /// Asked before, answered after, and still good: on their way while access was taken away.
    pub under_way: usize,
    pub under_way_worst: Duration,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
    /// By process, for whoever looks for a reason.
    pub by_process: HashMap<usize, usize>,
}

impl History {
    /// This answer decided so.
    pub fn note_version(&mut self, decision: bool, answer: &Value) {
        let version = answer["context"]["policy_version"].as_str().unwrap_or("none");
        let noted = (decision, version.to_owned());
        if !self.versions.contains(&noted) {
            self.versions.insert(noted);
        }
    }

    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            allows: self.allows.len(),
            denials: self.denials,
            closed: self.closed.clone(),
            dropped: self.dropped,
            versions: self.versions.clone(),
            ..Tally::default()
        };
        let (mut worst, mut under_way_worst) = (0, 0);
        for allow in &self.allows {
            let Some(taken) = self.cases[allow.case].taken_ns else { continue };
            let is_used = allow.answered_ns < allow.good_until_ns;
            let late = allow.answered_ns.saturating_sub(taken);
            if !is_used || late == 0 {
                continue;
            }
            if allow.asked_ns > taken {
                tally.violations += 1;
                *tally.by_process.entry(allow.process).or_default() += 1;
                worst = worst.max(late);
            } else {
                tally.under_way += 1;
                under_way_worst = under_way_worst.max(late);
            }
        }
        tally.worst = Duration::from_nanos(worst);
        tally.under_way_worst = Duration::from_nanos(under_way_worst);
        let mut took: Vec<u64> =
            self.cases.iter().filter(|case| case.taken_ns.is_some()).map(|case| case.took_ns).collect();
        took.sort_unstable();
        let at = |share: usize| {
            Duration::from_nanos(
                took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or(0),
            )
        };
        tally.revocations = took.len();
        (tally.p50, tally.p99, tally.max) = (at(50), at(99), at(100));
        tally
    }
}

/// The judge itself: what it is there to find, it finds.
#[test]
fn an_allow_after_the_success_is_found_if_it_was_used() {
    let case = Case { id: "SR-1".to_owned(), taken_ns: Some(1_000), took_ns: 10 };
    let allow =
        |asked_ns, answered_ns, good_until_ns| Allow { process: 0, case: 0, asked_ns, answered_ns, good_until_ns };
    let judged = |allows: Vec<Allow>| {
        let tally = History { cases: vec![case.clone()], allows, ..History::default() }.tally();
        (tally.violations, tally.under_way)
    };
    assert_eq!(judged(vec![allow(900, 950, 5_000)]), (0, 0));
    assert_eq!(judged(vec![allow(900, 1_001, 5_000)]), (0, 1), "asked before");
    assert_eq!(judged(vec![allow(900, 1_001, 1_001)]), (0, 0), "dropped");
    assert_eq!(judged(vec![allow(1_001, 1_002, 5_000)]), (1, 0));
    assert_eq!(judged(vec![allow(1_001, 1_002, 1_002)]), (0, 0), "dropped");
    let open = History { cases: vec![Case::default()], allows: vec![allow(1, 2, 3)], ..History::default() };
    assert_eq!(open.tally().violations, 0, "never taken away");
}
