//! Proofs: each invariant, for every question that the schema allows, by a solver.
//!
//! A claim is taken apart by kind of question. What a proof of one kind depends on (the policies that speak of it, the
//! schema, the invariant, the solver) has a digest, under which the proof is kept: what did not change is not proved
//! again.

pub(super) mod cache;
mod discharge;
mod markdown;
mod unreadable;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::environments::{Environments, name};
use super::example::{Example, Wish, row, words};
use super::run::cedar_request;
use super::solver::{Asker, Solver};
use super::suite::Expected;
use crate::policy::{
    Bundle, ClaimReport, ClaimStatus, Counterexample, Form, Invariants, NEVER_FAILS, PROOF_FORMAT, ProofReport, Truth,
};

use cache::Cache;
use discharge::{Finding, Outcome, Violation, Work};
pub use markdown::markdown;

/// The solver's terms are deep: a proof needs more stack than a thread has of itself.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// How to prove.
pub struct Settings<'a> {
    /// The solver.
    pub solver: &'a Solver,
    /// How many of them work at once.
    pub workers: usize,
    /// Where proofs are kept; nowhere when there is none.
    pub cache: Option<PathBuf>,
    /// Is told how many kinds of question are done, of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("solver", &self.solver).field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// Proves what can be proved, and finds counterexamples to the rest.
///
/// # Errors
/// When the invariants do not speak this bundle's schema.
pub fn prove(bundle: &Bundle, invariants: &Invariants, settings: &Settings<'_>) -> Result<ProofReport, String> {
    let started = Instant::now();
    invariants.check(bundle.schema()).map_err(|error| error.to_string())?;
    let environments = Environments::of(bundle.schema())?;
    let cache = Cache::new(settings.cache.clone(), bundle, settings.solver.version());
    let policies = bundle.policy_set().policies();
    let words = words(policies.chain(invariants.all().iter().map(crate::policy::Invariant::policy)));
    let work = Work { bundle, invariants, environments: &environments, cache: &cache, words: &words };
    let findings = each_environment(&work, settings)?;
    let mut claims = vec![never_fails(invariants)];
    claims.extend(invariants.claims().map(|claim| ClaimReport {
        id: claim.id.clone(),
        rules: claim.rules.clone(),
        says: claim.says.clone(),
        form: claim.form.as_str().to_owned(),
        digest: claim.digest.clone(),
        assuming: claim.assuming.iter().map(|id| assumption(invariants, id)).collect(),
        ..blank()
    }));
    let forms: Vec<Option<&Form>> =
        std::iter::once(None).chain(invariants.claims().map(|one| Some(&one.form))).collect();
    for (number, (claim, form)) in claims.iter_mut().zip(forms).enumerate() {
        let own = findings.iter().filter(|(of, ..)| *of == number);
        settle(claim, form, own.map(|(_, environment, finding)| (environment.as_str(), finding)), bundle);
    }
    Ok(ProofReport {
        format: PROOF_FORMAT.to_owned(),
        policy_version: bundle.version().to_string(),
        invariants_digest: invariants.digest(),
        passed: claims.iter().all(|claim| claim.status == ClaimStatus::Proved),
        program: format!("consentry {}", env!("CARGO_PKG_VERSION")),
        solver: settings.solver.version().to_owned(),
        environments: environments.all().len(),
        took_ms: millis(started.elapsed()),
        claims,
    })
}

/// What came of a claim (by its number; 0: no policy fails) in one kind of question.
type Found = (usize, String, Finding);

fn each_environment(work: &Work<'_>, settings: &Settings<'_>) -> Result<Vec<Found>, String> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all = work.environments.all();
    let worker = || -> Result<Vec<(usize, Found)>, String> {
        let mut asker = Asker::new(settings.solver).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some((at, environment)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            all.get(at).map(|environment| (at, environment))
        } {
            let name = name(environment);
            let findings = work.discharge(environment, &mut asker);
            found.extend(findings.into_iter().map(|(claim, finding)| (at, (claim, name.clone(), finding))));
            (settings.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, all.len());
        }
        Ok(found)
    };
    let mut found = in_parallel(settings.workers, worker)?;
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

/// Runs the same worker on several threads, and joins what they found.
pub(super) fn in_parallel<T: Send>(
    workers: usize,
    worker: impl Fn() -> Result<Vec<T>, String> + Sync,
) -> Result<Vec<T>, String> {
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..workers.max(1) {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, &worker);
            threads.push(thread.map_err(|error| error.to_string())?);
        }
        let mut found = Vec::new();
        for thread in threads {
            found.extend(thread.join().map_err(|_| "a proof ended before its time".to_owned())??);
        }
        Ok(found)
    })
}

fn blank() -> ClaimReport {
    ClaimReport {
        id: String::new(),
        rules: Vec::new(),
        says: String::new(),
        form: String::new(),
        digest: String::new(),
        assuming: Vec::new(),
        status: ClaimStatus::Proved,
        why: Vec::new(),
        environments: 0,
        queries: 0,
        cached: 0,
        took_ms: 0,
        counterexamples: Vec::new(),
    }
}

/// The claim that needs no file: nothing that follows means anything where a policy can fail.
fn never_fails(invariants: &Invariants) -> ClaimReport {
    ClaimReport {
        id: NEVER_FAILS.to_owned(),
        rules: vec!["R1".to_owned()],
        says: "no policy can fail, nor can an invariant".to_owned(),
        form: "never-fails".to_owned(),
        digest: invariants.digest(),
        ..blank()
    }
}

fn assumption(invariants: &Invariants, id: &str) -> String {
    let known = invariants.all().iter().find(|invariant| invariant.id == id);
    known.map_or_else(|| id.to_owned(), |known| format!("{id}: {}", known.says))
}

/// Adds up what came of a claim in every kind of question.
fn settle<'a>(
    claim: &mut ClaimReport,
    form: Option<&Form>,
    findings: impl Iterator<Item = (&'a str, &'a Finding)>,
    bundle: &Bundle,
) {
    let mut took = Duration::ZERO;
    let mut environments = std::collections::BTreeSet::new();
    let (mut violated, mut unknown) = (false, false);
    for (environment, finding) in findings {
        environments.insert(environment);
        claim.queries += 1;
        claim.cached += usize::from(finding.cached);
        took += finding.took;
        match &finding.outcome {
            Outcome::Proved => {}
            Outcome::Violated(violation) => {
                violated = true;
                match &violation.example {
                    Ok(example) => {
                        let told = counterexample(claim, form, environment, violation, example, bundle);
                        claim.counterexamples.push(told);
                    }
                    Err(error) => claim.why.push(format!("{environment}: {}, but {error}", violation.what)),
                }
            }
            Outcome::Unknown(why) => {
                unknown = true;
                claim.why.push(format!("{environment}: {why}"));
            }
        }
    }
    claim.environments = environments.len();
    claim.took_ms = millis(took);
    claim.status = match (violated, unknown || environments.is_empty()) {
        (true, _) => ClaimStatus::Violated,
        (false, true) => ClaimStatus::NotProved,
        (false, false) => ClaimStatus::Proved,
    };
    if environments.is_empty() {
        claim.why.push("it speaks of no kind of question that this schema has".to_owned());
    }
}

fn counterexample(
    claim: &ClaimReport,
    form: Option<&Form>,
    environment: &str,
    violation: &Violation,
    example: &Example,
    bundle: &Bundle,
) -> Counterexample {
    let replay = example.replay(bundle);
    let expect = match form {
        Some(Form::AtMost | Form::Never) => Some(Expected::Deny),
        Some(Form::AtLeast) => Some(Expected::Allow),
        // A failing policy is what such a row finds fault with, whatever the answer.
        None => replay.as_ref().ok().map(|replay| replay.decision),
        Some(Form::Disjoint(_) | Form::Unreadable(_) | Form::Assumption | Form::Realistic) => None,
    };
    let confirmed = match (&replay, form) {
        (Ok(replay), None) => replay.failed.iter().any(|(id, _)| violation.policies.contains(id)),
        (Ok(_), Some(Form::Disjoint(_))) => both_hold(bundle, example, &violation.policies),
        (Ok(replay), Some(_)) => expect.is_some_and(|expect| expect != replay.decision),
        (Err(_), _) => false,
    };
    let wish = expect.map(|expect| Wish { rules: &claim.rules, says: &claim.says, expect });
    Counterexample {
        environment: environment.to_owned(),
        realistic: violation.realistic,
        confirmed,
        answer: replay.as_ref().map_or_else(Clone::clone, super::example::Replay::told),
        because: replay.map(|replay| replay.because).unwrap_or_default(),
        told: std::iter::once(format!("found    {}", violation.what)).chain(example.told()).collect(),
        row: wish.map(|wish| format!("# {}: {environment}\n{}", claim.id, row(wish, &example.question))),
    }
}

fn both_hold(bundle: &Bundle, example: &Example, policies: &[String]) -> bool {
    let Ok((request, entities)) = cedar_request(bundle, &example.question) else { return false };
    let traces = bundle.trace_request(&request, &entities);
    policies.iter().all(|id| traces.iter().any(|trace| trace.policy.id == *id && trace.truth == Truth::True))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
