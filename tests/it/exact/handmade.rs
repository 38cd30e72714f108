//! Histories made by hand: what the checker must find, and what it must let pass.

use super::checker::{Tally, check};
use super::history::{Asked, Case, Consent, History, Loaded, Read, Register, Request, Span};

const WHOLE: Consent = Consent::Approved { categories: [true; 2], until_ms: None, narrowed: false };

fn span(from: u64, to: u64) -> Span {
    Span { from, to }
}

/// Both consents are approved by calls that end at 20; the clock begins at 1,000.
fn granted() -> History {
    let case = Case {
        open: Register::holding(true),
        closed: Vec::new(),
        assignee: Register::holding(Some("vendor/ada")),
        setting: Some(Register::holding(false)),
        request: Register::holding(Some(0)),
    };
    let mut consents = vec![Register::holding(Consent::Pending); 2];
    consents[0].write(WHOLE, span(5, 10));
    consents[1].write(WHOLE, span(15, 20));
    History {
        cases: vec![case],
        requests: vec![Request { case: 0, asked: span(1, 2), consents }],
        bundle: Register::holding(0),
        loaded: vec![loaded("v0", false)],
        began_ms: 1_000,
        turns: Vec::new(),
        reads: Vec::new(),
    }
}

fn loaded(version: &str, locked: bool) -> Loaded {
    Loaded { version: version.to_owned(), locked }
}

fn read(from: u64, to: u64, allowed: bool) -> Read {
    Read {
        decision_id: String::new(),
        asked: Asked { case: 0, engineer: "vendor/ada", tenant: "fabrikam", category: 1 },
        span: span(from, to),
        batch: None,
        allowed,
        code: String::new(),
        policies: Vec::new(),
        version: "v0".to_owned(),
        revision: None,
    }
}

#[track_caller]
fn passes(history: &History, reads: &[Read]) -> Tally {
    check(&History { reads: reads.to_vec(), ..history.clone() }.with_closings()).unwrap()
}

#[track_caller]
fn fails(history: &History, reads: &[Read], because: &str) {
    let wrong = check(&History { reads: reads.to_vec(), ..history.clone() }.with_closings()).unwrap_err();
    assert!(wrong.iter().any(|wrong| wrong.starts_with(because)), "{wrong:?}");
}

/// After `taking` in [30, 40]: both are right while it runs, an allow is wrong after it, and a denial before it.
#[track_caller]
fn takes(history: &History) {
    passes(history, &[read(21, 29, true), read(25, 31, false), read(39, 50, true), read(41, 42, false)]);
    fails(history, &[read(41, 42, true)], "allowed although");
    fails(history, &[read(21, 29, false)], "denied although");
}

#[test]
fn a_grant_counts_from_its_acknowledgement_and_not_before_its_start() {
    let history = granted();
    let tally = passes(&history, &[read(3, 4, false), read(16, 17, true), read(16, 17, false), read(21, 22, true)]);
    assert_eq!(tally, Tally { allowed: 2, denied: 2, had_to_allow: 1, had_to_deny: 1, either: 2 });
    fails(&history, &[read(21, 22, false)], "denied although");
    fails(&history, &[read(11, 14, true)], "allowed although");
}

#[test]
fn every_way_of_taking_away_counts_from_its_acknowledgement() {
    let with = |change: &dyn Fn(&mut History)| {
        let mut history = granted();
        change(&mut history);
        history
    };
    takes(&with(&|history| history.requests[0].consents[1].write(Consent::Ended, span(30, 40))));
    takes(&with(&|history| history.cases[0].assignee.write(None, span(30, 40))));
    takes(&with(&|history| history.cases[0].closed.push((span(30, 40), true))));
    takes(&with(&|history| history.cases[0].request.write(None, span(30, 40))));
    let narrowed = Consent::Approved { categories: [true, false], until_ms: None, narrowed: true };
    takes(&with(&|history| history.requests[0].consents[1].write(narrowed, span(30, 40))));
    takes(&with(&|history| {
        let ends = Consent::Approved { categories: [true; 2], until_ms: Some(1_005), narrowed: true };
        history.requests[0].consents[1].write(ends, span(21, 22));
        history.turns.extend([(span(23, 24), 4), (span(30, 40), 1)]);
    }));
}

#[test]
fn an_end_is_final_even_if_the_approval_ended_later() {
    let mut history = granted();
    history.requests[0].consents[1].write(Consent::Ended, span(16, 19));
    fails(&history, &[read(21, 22, true)], "allowed although");
}

#[test]
fn a_call_that_may_have_counted_excuses_both_answers_until_one_that_did() {
    let mut history = granted();
    history.cases[0].assignee.perhaps(None, span(30, 40));
    passes(&history, &[read(41, 42, true), read(43, 44, false)]);
    history.cases[0].assignee.write(Some("vendor/ada"), span(50, 60));
    passes(&history, &[read(61, 62, true)]);
    fails(&history, &[read(61, 62, false)], "denied although");
}

#[test]
fn a_reload_takes_away_and_gives_back_and_every_answer_is_of_one_bundle() {
    let mut history = granted();
    history.loaded.extend([loaded("v1", true), loaded("v2", false)]);
    history.bundle.write(1, span(30, 40));
    history.bundle.write(2, span(60, 70));
    let by = |version: &str, policy: &str, read: Read| Read {
        version: version.to_owned(),
        policies: vec![policy.to_owned()],
        ..read
    };
    let locked = by("v1", "lock", read(41, 42, false));
    passes(&history, &[read(35, 36, true), by("v1", "lock", read(35, 36, false)), locked.clone()]);
    fails(&history, &[read(41, 42, true)], "the bundle 0 was not in force");
    fails(&history, &[by("v2", "x", read(41, 42, true))], "the bundle 2 was not in force");
    fails(&history, &[by("v9", "x", read(41, 42, true))], "nobody loaded");
    fails(&history, &[by("v1", "x", read(41, 42, false))], "not of one bundle");
    fails(&history, &[by("v1", "x", read(41, 42, true))], "not of one bundle");
    fails(&history, &[by("v2", "lock", read(71, 72, false))], "not of one bundle");
    fails(&history, &[by("v1", "lock", read(35, 36, false)), read(37, 38, true)], "went back");
}

#[test]
fn revisions_never_go_back_and_have_one_answer() {
    let at = |revision, read: Read| Read { revision: Some(revision), ..read };
    let history = granted();
    passes(&history, &[at(7, read(21, 23, true)), at(6, read(22, 24, true)), at(7, read(25, 26, true))]);
    fails(&history, &[at(7, read(21, 23, true)), at(6, read(24, 25, true))], "went back");
    fails(&history, &[at(7, read(16, 17, true)), at(7, read(16, 17, false))], "two answers");
    let expired = Read { policies: vec!["reading.expired".to_owned()], ..at(7, read(16, 17, false)) };
    passes(&history, &[at(7, read(16, 17, true)), expired]);
}

#[test]
fn the_allows_of_a_batch_hold_together() {
    let item = |revision, allowed| Read { batch: Some(1), revision: Some(revision), ..read(16, 17, allowed) };
    let history = granted();
    passes(&history, &[item(6, false), item(7, true), item(7, true)]);
    fails(&history, &[item(6, true), item(7, false)], "an allow that no longer held");
    fails(&history, &[item(6, true), item(7, true)], "an allow that no longer held");
}
