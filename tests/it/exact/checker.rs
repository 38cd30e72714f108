//! Whether a history is one that a service with one state could have: the pure judgement over what was recorded.

use std::collections::HashMap;

use super::history::{Asked, History, Read};

/// What a good history had in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub allowed: u64,
    pub denied: u64,
    /// Answers that could not have been another one.
    pub had_to_allow: u64,
    pub had_to_deny: u64,
    /// Answers at the moment of a change: either was right.
    pub either: u64,
}

/// Everything that is wrong with a history, at most a few of each kind; or what was in it.
pub fn check(history: &History) -> Result<Tally, Vec<String>> {
    let mut wrong = Vec::new();
    let mut tally = Tally::default();
    let places: HashMap<&str, usize> =
        history.loaded.iter().enumerate().map(|(place, loaded)| (loaded.version.as_str(), place)).collect();
    for read in &history.reads {
        let Some(&place) = places.get(read.version.as_str()) else {
            wrong.push(format!("nobody loaded the bundle of {read:?}"));
            continue;
        };
        wrong.extend(not_in_force(history, read, place));
        wrong.extend(torn(history, read, place));
        let right = history.right(read.asked, read.span, &history.loaded[place]);
        if !if read.allowed { right.allow } else { right.deny } {
            wrong.push(format!("{} although it cannot be: {read:?}", if read.allowed { "allowed" } else { "denied" }));
        }
        *if read.allowed { &mut tally.allowed } else { &mut tally.denied } += 1;
        *match (right.allow, right.deny) {
            (true, false) => &mut tally.had_to_allow,
            (false, true) => &mut tally.had_to_deny,
            _ => &mut tally.either,
        } += 1;
    }
    wrong.extend(two_answers(&history.reads));
    wrong.extend(backwards(&history.reads, |read| read.revision, |read| read.asked.case));
    wrong.extend(backwards(&history.reads, |read| places.get(read.version.as_str()).map(|place| *place as u64), |_| 0));
    wrong.extend(batches(&history.reads, &places));
    wrong.truncate(20);
    if wrong.is_empty() { Ok(tally) } else { Err(wrong) }
}

/// A decision belongs to a bundle that was in force while it was made (G6).
fn not_in_force(history: &History, read: &Read, place: usize) -> Option<String> {
    let in_force = history.bundle.possible(read.span).any(|possible| *possible == place);
    (!in_force).then(|| format!("the bundle {place} was not in force at {read:?}"))
}

/// Decision, policies and version belong together: the lock is named exactly where its bundle is (G6).
fn torn(history: &History, read: &Read, place: usize) -> Option<String> {
    let Asked { tenant, category, .. } = read.asked;
    let is_locked = history.loaded[place].locked && tenant == "fabrikam" && category == 1;
    // Who is not assigned is told that alone (R20).
    let names_it = read.policies.iter().any(|policy| policy == "lock") || read.code == "not_assigned";
    let is_torn =
        if is_locked { read.allowed || !names_it } else { read.policies.iter().any(|policy| policy == "lock") };
    is_torn.then(|| format!("not of one bundle: {read:?}"))
}

/// The same question on the same facts by the same bundle has one answer (G2), until an end time passes.
fn two_answers(reads: &[Read]) -> Vec<String> {
    let mut first: HashMap<(Asked, u64, &str), &Read> = HashMap::new();
    let mut wrong = Vec::new();
    for read in reads {
        let Some(revision) = read.revision else { continue };
        let other = first.entry((read.asked, revision, &read.version)).or_insert(read);
        let expired = |read: &Read| read.policies.iter().any(|policy| policy == "reading.expired");
        let same = (read.allowed, &read.code, &read.policies) == (other.allowed, &other.code, &other.policies);
        if !same && expired(read) == expired(other) {
            wrong.push(format!("two answers: {other:?} and {read:?}"));
        }
    }
    wrong
}

/// What a read saw, no read that started after its end sees older.
fn backwards(reads: &[Read], of: impl Fn(&Read) -> Option<u64>, among: impl Fn(&Read) -> usize) -> Vec<String> {
    let mut by_start: Vec<&Read> = reads.iter().filter(|read| of(read).is_some()).collect();
    let mut by_end = by_start.clone();
    by_start.sort_by_key(|read| read.span.from);
    by_end.sort_by_key(|read| read.span.to);
    let mut ended = by_end.into_iter().peekable();
    let mut newest: HashMap<usize, &Read> = HashMap::new();
    let mut wrong = Vec::new();
    for read in by_start {
        while let Some(before) = ended.next_if(|before| before.span.to < read.span.from) {
            let known = newest.entry(among(before)).or_insert(before);
            if of(before) > of(known) {
                *known = before;
            }
        }
        if let Some(known) = newest.get(&among(read)).filter(|known| of(known) > of(read)) {
            wrong.push(format!("went back: {read:?} after {known:?}"));
        }
    }
    wrong
}

/// All allows of one answer hold at the moment when it leaves: on the newest facts and by the newest bundle in it (G1).
fn batches(reads: &[Read], places: &HashMap<&str, usize>) -> Vec<String> {
    let mut newest: HashMap<(u64, Option<usize>), u64> = HashMap::new();
    let seen = |read: &Read| {
        let batch = read.batch?;
        let place = places.get(read.version.as_str()).copied().unwrap_or_default() as u64;
        Some([((batch, Some(read.asked.case)), read.revision), ((batch, None), Some(place))])
    };
    for (key, value) in reads.iter().filter_map(seen).flatten() {
        let newest = newest.entry(key).or_default();
        *newest = (*newest).max(value.unwrap_or_default());
    }
    let is_old = |read: &&Read| {
        let mut seen = seen(read).into_iter().flatten();
        read.allowed && seen.any(|(key, value)| value != newest.get(&key).copied())
    };
    reads
        .iter()
        .filter(is_old)
        .map(|read| format!("an allow that no longer held when its batch left: {read:?}"))
        .collect()
}
