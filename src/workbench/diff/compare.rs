//! One kind of question after the other, under both bundles.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy::{EntityUid, Policy, RequestEnv, Schema};
use cedar_policy_symcc::CompiledPolicySet;

use super::{Change, Difference, KindDiff, Settings};
use crate::policy::{Bundle, Form, Invariant, Invariants};
use crate::workbench::environments::{Environments, meaning, name, set};
use crate::workbench::example::{Example, Replay, Wish, row};
use crate::workbench::prove::in_parallel;
use crate::workbench::solver::{Answer, Asker, Query};
use crate::workbench::suite::Expected;

/// At most so many examples of one change in one kind of question.
const MOST_EXAMPLES: usize = 3;

pub(super) struct Side<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) environments: Environments,
}

impl<'a> Side<'a> {
    fn has(&self, environment: &RequestEnv) -> bool {
        self.environments.all().iter().any(|known| name(known) == name(environment))
    }

    /// The policies that speak of it; none when there is no such question.
    fn policies(&self, environment: &RequestEnv) -> Vec<&'a Policy> {
        if self.has(environment) { self.environments.policies(self.bundle, environment) } else { Vec::new() }
    }

    /// The groups that an action stands in.
    fn groups(&self, action: &EntityUid) -> BTreeSet<String> {
        let actions = self.bundle.schema().action_entities().ok();
        let groups = actions.as_ref().and_then(|actions| actions.ancestors(action));
        groups.into_iter().flatten().map(ToString::to_string).collect()
    }
}

pub(super) struct Sides<'a> {
    pub(super) old: Side<'a>,
    pub(super) new: Side<'a>,
    /// The entities that policies name.
    pub(super) words: Vec<EntityUid>,
    pub(super) invariants: &'a Invariants,
}

impl Sides<'_> {
    pub(super) fn each_kind(&self, settings: &Settings<'_>) -> Result<Vec<KindDiff>, String> {
        let mut all: Vec<&RequestEnv> = self.new.environments.all().iter().collect();
        all.extend(self.old.environments.all().iter().filter(|environment| !self.new.has(environment)));
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut kinds = in_parallel(settings.workers, || {
            let mut asker = Asker::new(settings.solver).map_err(|error| error.to_string())?;
            let mut found = Vec::new();
            while let Some(environment) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                found.push(self.compare(environment, &mut asker));
                (settings.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, all.len());
            }
            Ok(found)
        })?;
        kinds.sort_by(|one, other| one.environment.cmp(&other.environment));
        Ok(kinds)
    }

    fn compare(&self, environment: &RequestEnv, asker: &mut Asker<'_>) -> KindDiff {
        let (in_old, in_new) = (self.old.has(environment), self.new.has(environment));
        let mut kind = KindDiff {
            environment: name(environment),
            only_in: (in_old != in_new).then_some(if in_old { "old" } else { "new" }),
            change: Change::Equal,
            notes: Vec::new(),
            newly_allowed: Vec::new(),
            newly_denied: Vec::new(),
        };
        let (old, new) = (self.old.policies(environment), self.new.policies(environment));
        if in_old && in_new && self.old.groups(environment.action()) != self.new.groups(environment.action()) {
            kind.change = Change::Unknown;
            kind.notes.push("the action stands in other groups: policies for groups mean something else".to_owned());
            return kind;
        }
        let meanings = |policies: &[&Policy]| policies.iter().map(|policy| meaning(policy)).collect::<BTreeSet<_>>();
        if meanings(&old) == meanings(&new) {
            return kind;
        }
        // The facts are the new schema's, as those are what will be served; where its words do not suffice, the old's.
        let mut schemas = vec![self.new.bundle.schema(), self.old.bundle.schema()];
        match kind.only_in {
            Some("old") => schemas.retain(|schema| std::ptr::eq(*schema, self.old.bundle.schema())),
            Some(_) => schemas.truncate(1),
            None => {}
        }
        let mut refused = None;
        for schema in schemas {
            let question = Question { sides: self, environment, schema };
            match (question.compile(&old), question.compile(&new)) {
                (Ok(compiled_old), Ok(compiled_new)) => {
                    if refused.is_some() {
                        kind.notes.push("compared over the facts that the old schema knows".to_owned());
                    }
                    question.fill(&mut kind, asker, (&old, &compiled_old), (&new, &compiled_new));
                    return kind;
                }
                (Err(error), _) | (_, Err(error)) => refused = Some(error),
            }
        }
        kind.change = Change::Unknown;
        let why = refused.unwrap_or_default();
        kind.notes.push(format!("the schemas differ so much that the two cannot be compared: {why}"));
        kind
    }
}

/// A kind of question, under one of the schemas.
struct Question<'a> {
    sides: &'a Sides<'a>,
    environment: &'a RequestEnv,
    schema: &'a Schema,
}

impl Question<'_> {
    fn compile(&self, policies: &[&Policy]) -> Result<CompiledPolicySet, String> {
        CompiledPolicySet::compile(&set(policies.iter().copied())?, self.environment, self.schema)
            .map_err(|error| error.to_string())
    }

    fn fill(
        &self,
        kind: &mut KindDiff,
        asker: &mut Asker<'_>,
        old: (&[&Policy], &CompiledPolicySet),
        new: (&[&Policy], &CompiledPolicySet),
    ) {
        let more = asker.ask(Query::Implies(new.1, old.1));
        let less = asker.ask(Query::Implies(old.1, new.1));
        for answer in [&more, &less] {
            if let Answer::Unknown(why) = answer {
                kind.notes.push(why.clone());
            }
        }
        let found = |answer: &Answer| matches!(answer, Answer::Example(_) | Answer::Fails(_));
        kind.change = match (&more, &less) {
            (Answer::Unknown(_), _) | (_, Answer::Unknown(_)) => Change::Unknown,
            (Answer::Holds, Answer::Holds) => Change::Equal,
            (_, Answer::Holds) => Change::More,
            (Answer::Holds, _) => Change::Less,
            _ => Change::Both,
        };
        if found(&more) {
            kind.newly_allowed = self.examples(asker, new.0, old.1, &more, Expected::Allow);
        }
        if found(&less) {
            kind.newly_denied = self.examples(asker, old.0, new.1, &less, Expected::Deny);
        }
    }

    /// Examples of what these policies allow and the others do not, through one permit after the other.
    fn examples(
        &self,
        asker: &mut Asker<'_>,
        allowing: &[&Policy],
        denying: &CompiledPolicySet,
        first: &Answer,
        now: Expected,
    ) -> Vec<Difference> {
        let of = |effect| allowing.iter().copied().filter(move |policy| policy.effect() == effect);
        let realistic: Vec<_> = self
            .sides
            .invariants
            .all()
            .iter()
            .filter(|invariant| invariant.form == Form::Realistic)
            .map(Invariant::policy)
            .filter(|policy| self.sides.new.environments.speaks_of(policy, self.environment))
            .collect();
        let mut found = Vec::new();
        for permit in of(cedar_policy::Effect::Permit) {
            let alone: Vec<_> = std::iter::once(permit).chain(of(cedar_policy::Effect::Forbid)).collect();
            let bounded: Vec<_> = alone.iter().chain(&realistic).copied().collect();
            for (policies, realistic) in [(bounded, true), (alone, false)] {
                let Ok(compiled) = self.compile(&policies) else { continue };
                if let Answer::Example(env) = asker.ask(Query::Implies(&compiled, denying)) {
                    let through = permit.id().to_string();
                    found.extend(
                        Example::of(&env, &self.sides.words).map(|one| self.tell(&one, through, realistic, now)),
                    );
                    break;
                }
            }
            if found.len() == MOST_EXAMPLES {
                break;
            }
        }
        if let (true, Answer::Example(env)) = (found.is_empty(), first) {
            let example = Example::of(env, &self.sides.words);
            found.extend(example.map(|one| self.tell(&one, String::new(), false, now)));
        }
        found
    }

    fn tell(&self, example: &Example, through: String, realistic: bool, now: Expected) -> Difference {
        let (old, new) = (example.replay(self.sides.old.bundle), example.replay(self.sides.new.bundle));
        let says = |side: &Side<'_>, replay: &Result<Replay, String>| match replay {
            Ok(replay) => replay.told(),
            Err(_) if !side.has(self.environment) => "deny, as there is no such question".to_owned(),
            Err(error) => format!("cannot be asked: {error}"),
        };
        // A question that a bundle does not know is one that it denies.
        let decision =
            |replay: &Result<Replay, String>| replay.as_ref().map_or(Expected::Deny, |replay| replay.decision);
        let says_so =
            format!("{} {}", name(self.environment), if now == Expected::Allow { "is allowed" } else { "is denied" });
        Difference {
            through,
            realistic,
            told: example.told(),
            old: says(&self.sides.old, &old),
            new: says(&self.sides.new, &new),
            confirmed: decision(&new) == now && decision(&old) != now,
            row: row(Wish { rules: &[], says: &says_so, expect: now }, &example.question),
        }
    }
}
