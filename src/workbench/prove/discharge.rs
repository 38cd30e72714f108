//! One kind of question: everything that is claimed of it, put to the solver.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use cedar_policy::{EntityUid, Policy, PolicyId, RequestEnv};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};

use super::cache::{Cache, Key};
use super::unreadable::unreadable;
use crate::policy::{Bundle, Form, Invariant, Invariants};
use crate::workbench::environments::{Environments, meaning, name, set};
use crate::workbench::example::Example;
use crate::workbench::solver::{Answer, Asker, Query};

/// What came of one query.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) outcome: Outcome,
    /// Whether an earlier run had proved it.
    pub(super) cached: bool,
    pub(super) took: Duration,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Proved,
    Violated(Violation),
    Unknown(String),
}

/// How a claim does not hold.
#[derive(Debug)]
pub(super) struct Violation {
    /// In words.
    pub(super) what: String,
    /// The policies it is about, where it is about some.
    pub(super) policies: Vec<String>,
    /// A question of which it does not hold, or why there is none to show.
    pub(super) example: Result<Example, String>,
    /// Whether its facts are as the service always has them.
    pub(super) realistic: bool,
}

/// What all kinds of question share.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) invariants: &'a Invariants,
    pub(super) environments: &'a Environments,
    pub(super) cache: &'a Cache,
    /// The entities that policies name.
    pub(super) words: &'a [EntityUid],
}

/// One kind of question at work.
struct Kind<'a, 'b> {
    work: &'a Work<'a>,
    environment: &'a RequestEnv,
    policies: Vec<&'a Policy>,
    realistic: Vec<&'a Policy>,
    compiled: OnceCell<CompiledPolicySet>,
    asker: &'a mut Asker<'b>,
}

impl Work<'_> {
    /// Puts every claim that speaks of this kind of question to the solver. Claims are numbered in their order, from 1;
    /// 0 is that no policy fails.
    pub(super) fn discharge(&self, environment: &RequestEnv, asker: &mut Asker<'_>) -> Vec<(usize, Finding)> {
        let speaks = |policy: &Policy| self.environments.speaks_of(policy, environment);
        let policies = self.environments.policies(self.bundle, environment);
        let spoken: Vec<_> = self.invariants.all().iter().filter(|invariant| speaks(invariant.policy())).collect();
        let realistic = spoken.iter().filter(|one| one.form == Form::Realistic).map(|one| one.policy()).collect();
        let mut kind = Kind { work: self, environment, policies, realistic, compiled: OnceCell::new(), asker };
        let mut findings = Vec::new();
        let stated = spoken.iter().filter(|one| one.form != Form::Realistic).map(|one| one.policy());
        for policy in kind.policies.clone().into_iter().chain(stated) {
            findings.push((0, kind.never_fails(policy)));
        }
        for (number, claim) in (1..).zip(self.invariants.claims()) {
            if speaks(claim.policy()) {
                findings.extend(kind.claim(claim).into_iter().map(|finding| (number, finding)));
            }
        }
        findings
    }
}

/// The two sides of a claim of sets: does the first allow no more than the second?
struct Sides<'a> {
    left: Vec<&'a Policy>,
    right: Vec<&'a Policy>,
    disjoint: bool,
    what: &'a str,
    policies: Vec<String>,
}

impl<'a> Kind<'a, '_> {
    fn never_fails(&mut self, policy: &Policy) -> Finding {
        let key = self.work.cache.key(self.environment, "never-fails", &[&[meaning(policy)]]);
        let id = policy.id().to_string();
        self.timed(&key, &id, |kind| {
            let compiled = CompiledPolicy::compile(policy, kind.environment, kind.work.bundle.schema())
                .map_err(|error| error.to_string())?;
            Ok(match kind.asker.ask(Query::NeverFails(&compiled)) {
                Answer::Holds => Outcome::Proved,
                Answer::Example(env) => Outcome::Violated(Violation {
                    what: format!("`{id}` fails"),
                    policies: vec![id.clone()],
                    example: Example::of(&env, kind.work.words),
                    realistic: false,
                }),
                Answer::Fails(error) => Outcome::Violated(Violation {
                    what: format!("`{id}` fails"),
                    policies: vec![id.clone()],
                    example: Err(error),
                    realistic: false,
                }),
                Answer::Unknown(error) => return Err(format!("`{id}`: {error}")),
            })
        })
    }

    fn claim(&mut self, claim: &'a Invariant) -> Vec<Finding> {
        let assumed: Vec<&Policy> = self
            .work
            .invariants
            .all()
            .iter()
            .filter(|other| claim.assuming.contains(&other.id))
            .map(Invariant::policy)
            .filter(|policy| self.work.environments.speaks_of(policy, self.environment))
            .collect();
        let bounded = |policies: &[&'a Policy]| policies.iter().copied().chain(assumed.iter().copied()).collect();
        match &claim.form {
            Form::AtMost => {
                let what = "allowed, and the invariant does not allow it";
                let (left, right) = (bounded(&self.policies), vec![claim.policy()]);
                vec![self.sides(claim, &Sides { left, right, disjoint: false, what, policies: Vec::new() })]
            }
            Form::Never => {
                let Ok(everything) =
                    Policy::parse(Some(PolicyId::new("everything")), "permit(principal, action, resource);")
                else {
                    return vec![unknown("no policy permits everything".to_owned())];
                };
                let what = "allowed, and the invariant says never";
                let (left, right) = (bounded(&self.policies), vec![&everything, claim.policy()]);
                vec![self.sides(claim, &Sides { left, right, disjoint: false, what, policies: Vec::new() })]
            }
            Form::AtLeast => {
                let what = "denied, and the invariant says that it is allowed";
                let (left, right) = (bounded(&[claim.policy()]), self.policies.clone());
                vec![self.sides(claim, &Sides { left, right, disjoint: false, what, policies: Vec::new() })]
            }
            Form::Disjoint(names) => self.disjoint(claim, names, &assumed),
            Form::Unreadable(kind) => {
                let started = Instant::now();
                let outcome = match unreadable(self.work.bundle.schema(), self.environment, &self.policies, kind) {
                    Ok(()) => Outcome::Proved,
                    Err(why) => Outcome::Violated(Violation {
                        what: why,
                        policies: Vec::new(),
                        example: Err("this is shown by the schema, not by an example".to_owned()),
                        realistic: false,
                    }),
                };
                vec![Finding { outcome, cached: false, took: started.elapsed() }]
            }
            Form::Assumption | Form::Realistic => Vec::new(),
        }
    }

    fn disjoint(&mut self, claim: &'a Invariant, names: &[String], assumed: &[&'a Policy]) -> Vec<Finding> {
        let mut found: Vec<&'a Policy> = Vec::new();
        for id in names {
            match self.work.bundle.policy_set().policy(&PolicyId::new(id)) {
                None => return vec![unknown(format!("`{id}` in `@of` is no policy of this bundle"))],
                Some(policy) if policy.effect() == cedar_policy::Effect::Forbid => {
                    return vec![unknown(format!("`{id}` in `@of` is a forbid; only permits can be disjoint"))];
                }
                Some(policy) => found.push(policy),
            }
        }
        found.retain(|policy| self.work.environments.speaks_of(policy, self.environment));
        let mut findings = Vec::new();
        for (at, one) in found.iter().enumerate() {
            for other in found.iter().skip(at + 1) {
                let policies = vec![one.id().to_string(), other.id().to_string()];
                let what = format!("`{}` both hold", policies.join("` and `"));
                let left = std::iter::once(*one).chain(assumed.iter().copied()).collect();
                let sides = Sides { left, right: vec![*other], disjoint: true, what: &what, policies };
                findings.push(self.sides(claim, &sides));
            }
        }
        if findings.is_empty() {
            findings.push(Finding { outcome: Outcome::Proved, cached: false, took: Duration::ZERO });
        }
        findings
    }

    fn sides(&mut self, claim: &Invariant, sides: &Sides<'_>) -> Finding {
        let meanings = |policies: &[&Policy]| policies.iter().map(|policy| meaning(policy)).collect::<Vec<_>>();
        let form = claim.form.as_str();
        let key = self.work.cache.key(self.environment, form, &[&meanings(&sides.left), &meanings(&sides.right)]);
        self.timed(&key, &claim.id, |kind| {
            let right = kind.compile(&sides.right)?;
            let left = kind.compile(&sides.left)?;
            let mut violation = Violation {
                what: sides.what.to_owned(),
                policies: sides.policies.clone(),
                example: Err("the solver's example cannot be told".to_owned()),
                realistic: false,
            };
            match kind.ask(&left, &right, sides.disjoint) {
                Answer::Holds => return Ok(Outcome::Proved),
                Answer::Example(env) => violation.example = Example::of(&env, kind.work.words),
                Answer::Fails(error) => violation.example = Err(error),
                Answer::Unknown(error) => return Err(error),
            }
            // The claim is refuted; now for facts as people know them.
            if kind.realistic.is_empty() {
                violation.realistic = true;
            } else {
                let bounded: Vec<&Policy> = sides.left.iter().chain(&kind.realistic).copied().collect();
                let left = kind.compile(&bounded)?;
                if let Answer::Example(env) = kind.ask(&left, &right, sides.disjoint) {
                    violation.example = Example::of(&env, kind.work.words);
                    violation.realistic = true;
                }
            }
            Ok(Outcome::Violated(violation))
        })
    }

    fn ask(&mut self, left: &CompiledPolicySet, right: &CompiledPolicySet, disjoint: bool) -> Answer {
        self.asker.ask(if disjoint { Query::Disjoint(left, right) } else { Query::Implies(left, right) })
    }

    /// Compiles a set; the bundle's own once.
    fn compile(&self, policies: &[&Policy]) -> Result<CompiledPolicySet, String> {
        let fresh = || {
            CompiledPolicySet::compile(&set(policies.iter().copied())?, self.environment, self.work.bundle.schema())
                .map_err(|error| error.to_string())
        };
        let own = policies.len() == self.policies.len()
            && policies.iter().zip(&self.policies).all(|(one, other)| std::ptr::eq(*one, *other));
        match (own, self.compiled.get()) {
            (true, Some(compiled)) => Ok(compiled.clone()),
            (true, None) => {
                let compiled = fresh()?;
                Ok(self.compiled.get_or_init(|| compiled).clone())
            }
            (false, _) => fresh(),
        }
    }

    /// Looks for a kept proof, or makes one and keeps it.
    fn timed(&mut self, key: &Key, what: &str, make: impl FnOnce(&mut Self) -> Result<Outcome, String>) -> Finding {
        let started = Instant::now();
        if self.work.cache.knows(key) {
            return Finding { outcome: Outcome::Proved, cached: true, took: Duration::ZERO };
        }
        let outcome = make(self).unwrap_or_else(Outcome::Unknown);
        if matches!(outcome, Outcome::Proved) {
            self.work.cache.keep(key, &format!("{what}, {}", name(self.environment)));
        }
        Finding { outcome, cached: false, took: started.elapsed() }
    }
}

fn unknown(why: String) -> Finding {
    Finding { outcome: Outcome::Unknown(why), cached: false, took: Duration::ZERO }
}
