//! What only a solver can tell of a policy: that it can never match, always does, or changes nothing.
//!
//! Each is asked for one kind of question after the other, and given up at the first in which it is not so. Most are given
//! up at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy::{Effect, Policy, RequestEnv};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};

use super::lints::{Read, read};
use super::{Finding, Severity};
use crate::policy::Bundle;
use crate::workbench::environments::{Environments, meaning, set};
use crate::workbench::prove::cache::Cache;
use crate::workbench::prove::{Settings, in_parallel};
use crate::workbench::solver::{Answer, Asker, Query};

/// Everything that the solver finds in a bundle, in the order of its policies.
///
/// # Errors
/// When the schema cannot be taken apart, or the system has no room for the work.
pub fn solved(bundle: &Bundle, settings: &Settings<'_>) -> Result<Vec<Finding>, String> {
    let environments = Environments::of(bundle.schema())?;
    let cache = Cache::new(settings.cache.clone(), bundle, settings.solver.version());
    let turned = bundle.policy_set().policies().map(as_permit).collect::<Result<Vec<_>, _>>()?;
    let work = Work { bundle, environments: &environments, cache: &cache, turned: &turned };
    let policies: Vec<Read<'_>> = bundle.policies().iter().filter_map(|info| read(bundle, info)).collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut found = in_parallel(settings.workers, || {
        let mut asker = Asker::new(settings.solver).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some((at, policy)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            policies.get(at).map(|policy| (at, policy))
        } {
            found.extend(work.look_at(policy, &mut asker).into_iter().map(|finding| (at, finding)));
            (settings.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, policies.len());
        }
        Ok(found)
    })?;
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, finding)| finding).collect())
}

/// The policy as a permit: what it matches is then what it allows.
fn as_permit(policy: &Policy) -> Result<Policy, String> {
    let mut json = policy.to_json().map_err(|error| error.to_string())?;
    if let Some(effect) = json.get_mut("effect") {
        *effect = "permit".into();
    }
    Policy::from_json(Some(policy.id().clone()), json).map_err(|error| error.to_string())
}

/// What may be so of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It matches no question.
    Never,
    /// It matches every question that its scope names.
    Always,
    /// Whatever it matches, others of its effect match.
    Redundant,
    /// Whatever it permits is forbidden.
    Shadowed,
}

struct Work<'a> {
    bundle: &'a Bundle,
    environments: &'a Environments,
    cache: &'a Cache,
    /// All policies as permits, in the order of the set.
    turned: &'a [Policy],
}

impl Work<'_> {
    fn look_at(&self, policy: &Read<'_>, asker: &mut Asker<'_>) -> Vec<Finding> {
        let id = &policy.info.id;
        let Some(own) = self.turned.iter().find(|turned| turned.id().to_string() == *id) else { return Vec::new() };
        let is_permit = policy.info.effect == crate::policy::Effect::Permit;
        let mut standing = vec![Claim::Never, Claim::Redundant];
        if policy.policy.non_scope_constraints().is_some() {
            standing.push(Claim::Always);
        }
        if is_permit {
            standing.push(Claim::Shadowed);
        }
        let mut unknown = None;
        let mut spoken = 0;
        for environment in self.environments.all().iter().filter(|one| self.environments.speaks_of(own, one)) {
            spoken += 1;
            let mut left = Vec::new();
            for claim in standing {
                match self.holds(claim, own, environment, asker) {
                    Ok(true) => left.push(claim),
                    Ok(false) => {}
                    Err(why) => unknown = Some(why),
                }
            }
            standing = left;
            if standing.is_empty() {
                break;
            }
        }
        // A policy that no kind of question is about is what strict validation refuses.
        if spoken == 0 {
            return Vec::new();
        }
        let mut found: Vec<Finding> = unknown
            .map(|why| {
                policy.finding(Severity::Note, "not-settled", format!("the solver cannot tell of `{id}`: {why}"))
            })
            .into_iter()
            .collect();
        let told = [Claim::Never, Claim::Always, Claim::Shadowed, Claim::Redundant];
        if let Some(claim) = told.into_iter().find(|claim| standing.contains(claim)) {
            found.push(self.tell(claim, policy, own, is_permit, asker));
        }
        found
    }

    fn tell(&self, claim: Claim, policy: &Read<'_>, own: &Policy, is_permit: bool, asker: &mut Asker<'_>) -> Finding {
        let id = &policy.info.id;
        let (lint, message, help) = match claim {
            Claim::Never => (
                "never-matches",
                format!("`{id}` matches no question that there is"),
                "take it out, or put right which of its conditions exclude each other",
            ),
            Claim::Always => (
                "always-matches",
                format!("`{id}` matches every question that its scope names, whatever its conditions ask"),
                "leave the conditions out if that is meant, or put them right",
            ),
            Claim::Shadowed => (
                "shadowed",
                format!("whatever `{id}` permits, forbids forbid: it never allows anything"),
                "take it out, or narrow the forbids",
            ),
            Claim::Redundant => {
                let alone = self.alone(own, asker);
                let by = if alone.is_empty() { "others together".to_owned() } else { alone.join(", ") };
                let verb = if is_permit { "permits" } else { "forbids" };
                let message = format!("whatever `{id}` {verb}, {by} {}", verb.trim_end_matches('s'));
                ("redundant", message, "take it out, unless its own reason is what people are to be told")
            }
        };
        policy.finding(Severity::Warning, lint, message).with_help(help)
    }

    /// The policies each of which makes this one redundant by itself.
    fn alone(&self, own: &Policy, asker: &mut Asker<'_>) -> Vec<String> {
        let mut spoken = self.environments.all().iter().filter(|one| self.environments.speaks_of(own, one));
        let mut others: Vec<&Policy> = match spoken.next() {
            Some(environment) => self.others(own, environment, self.effect_of(own)),
            None => Vec::new(),
        };
        for environment in self.environments.all().iter().filter(|one| self.environments.speaks_of(own, one)) {
            others.retain(|other| self.implied(own, &[*other], environment, asker) == Ok(true));
        }
        others.iter().map(|other| format!("`{}`", other.id())).collect()
    }

    /// Whether it is so in this kind of question; an error when the solver does not know.
    fn holds(
        &self,
        claim: Claim,
        own: &Policy,
        environment: &RequestEnv,
        asker: &mut Asker<'_>,
    ) -> Result<bool, String> {
        match claim {
            Claim::Never => self.matches(own, environment, "never-matches", asker),
            Claim::Always => self.matches(own, environment, "always-matches", asker),
            Claim::Redundant => {
                let others = self.others(own, environment, self.effect_of(own));
                self.implied(own, &others, environment, asker)
            }
            Claim::Shadowed => {
                let forbids = self.others(own, environment, Some(Effect::Forbid));
                self.implied(own, &forbids, environment, asker)
            }
        }
    }

    fn matches(
        &self,
        own: &Policy,
        environment: &RequestEnv,
        form: &str,
        asker: &mut Asker<'_>,
    ) -> Result<bool, String> {
        self.kept(environment, form, &[&[meaning(own)]], || {
            let compiled = CompiledPolicy::compile(own, environment, self.bundle.schema());
            let compiled = compiled.map_err(|error| error.to_string())?;
            Ok(asker.ask(match form {
                "never-matches" => Query::NeverMatches(&compiled),
                _ => Query::AlwaysMatches(&compiled),
            }))
        })
    }

    /// Whether others match whatever this one matches. Where there are none, nothing may match.
    fn implied(
        &self,
        own: &Policy,
        others: &[&Policy],
        environment: &RequestEnv,
        asker: &mut Asker<'_>,
    ) -> Result<bool, String> {
        if others.is_empty() {
            return self.matches(own, environment, "never-matches", asker);
        }
        let meanings: Vec<String> = others.iter().map(|other| meaning(other)).collect();
        self.kept(environment, "matches-imply", &[&[meaning(own)], &meanings], || {
            let compile = |policies: &[&Policy]| {
                CompiledPolicySet::compile(&set(policies.iter().copied())?, environment, self.bundle.schema())
                    .map_err(|error| error.to_string())
            };
            Ok(asker.ask(Query::Implies(&compile(&[own])?, &compile(others)?)))
        })
    }

    fn others(&self, own: &Policy, environment: &RequestEnv, effect: Option<Effect>) -> Vec<&Policy> {
        let is_other = |other: &&Policy| {
            other.id() != own.id() && self.effect_of(other) == effect && self.environments.speaks_of(other, environment)
        };
        self.turned.iter().filter(is_other).collect()
    }

    /// The effect that a policy has in the bundle.
    fn effect_of(&self, turned: &Policy) -> Option<Effect> {
        self.bundle.policy_set().policy(turned.id()).map(Policy::effect)
    }

    /// The answer as it was kept, or as it is found now and kept.
    fn kept(
        &self,
        environment: &RequestEnv,
        form: &str,
        parts: &[&[String]],
        ask: impl FnOnce() -> Result<Answer, String>,
    ) -> Result<bool, String> {
        let key = self.cache.key(environment, form, parts);
        if let Some(known) = self.cache.answer(&key) {
            return Ok(known);
        }
        let holds = match ask()? {
            Answer::Holds => true,
            Answer::Example(_) | Answer::Fails(_) => false,
            Answer::Unknown(why) => return Err(why),
        };
        self.cache.keep_answer(&key, holds, form);
        Ok(holds)
    }
}
