//! The fast path against the plain `Authorizer` (G2): random facts, random questions, the shipped bundle and others.

use std::collections::BTreeMap;

use cedar_policy::Schema;

use super::super::*;
use super::plain::{Plain, authorizer};
use super::random::Facts;
use crate::effort::{effort, random};

/// How many questions a thread asks of one bundle before it takes another.
const ROUND: u64 = 2_500;

/// Policies that fail now and then, read the clock, name entities, or are settled by kinds alone.
const OTHERS: [&str; 9] = [
    "forbid (principal is User, action == Action::\"viewApprovedAccess\", resource is Consent)
     when { context.now + 9223372036854775807 < 0 };",
    "permit (principal is SupportEngineer, action in Action::\"readDiagnosticData\", resource is DiagnosticData)
     when { context.now + 9223372036854775798 > 0 };",
    "forbid (principal is User, action in [Action::\"viewConsent\", Action::\"revokeConsent\"], resource is Consent)
     when { resource has listedUntil && resource.listedUntil * 4611686018427387904 == 0 };",
    "forbid (principal is SupportEngineer, action == Action::\"list\", resource is DiagnosticData)
     when { context.now > 10 };",
    "permit (principal == SupportEngineer::\"vendor/bob\", action, resource == DiagnosticData::\"contoso/signInLogs\");",
    "permit (principal is SupportEngineer, action == Action::\"download\", resource is DiagnosticData)
     when { context has accessRequest && context.accessRequest.consents.resourceTenant.expired };",
    "forbid (principal is SupportEngineer, action in Action::\"writeDiagnosticData\", resource is DiagnosticData)
     when { context has supportRequest && context.supportRequest has assignee };",
    "permit (principal in AppRole::\"SupportEngineer\", action == Action::\"viewSupportRequest\", resource is SupportRequest)
     unless { resource has assignee };",
    "forbid (principal, action == Action::\"viewSupportRequest\", resource is SupportRequest)
     when { 9223372036854775807 + 1 > 0 && principal is Service };",
];

fn schema() -> Schema {
    Schema::from_cedarschema_str(&BundleSource::shipped().schema.text).unwrap().0
}

/// The shipped bundle without one policy, or with others.
fn varied(rng: &mut fastrand::Rng) -> Bundle {
    let mut source = BundleSource::shipped();
    if rng.bool() {
        let file = rng.usize(..source.policies.len());
        let text = &mut source.policies[file].text;
        let starts: Vec<usize> = text.match_indices("@id(").map(|(start, _)| start).collect();
        let dropped = rng.usize(..starts.len());
        let end = starts.get(dropped + 1).copied().unwrap_or(text.len());
        text.replace_range(starts[dropped]..end, "");
    }
    let text = (0..rng.usize(1..4)).map(|number| {
        let policy = OTHERS[rng.usize(..OTHERS.len())];
        let code = if policy.starts_with("forbid") { "@code(\"x\")" } else { "" };
        format!("@id(\"other{number}\") @rule(\"R1\") @reason(\"x\") {code}\n{policy}\n")
    });
    let file = SourceFile { name: "other.cedar".to_owned(), text: text.collect() };
    source.policies.insert(rng.usize(..=source.policies.len()), file);
    Bundle::load(&source).unwrap()
}

#[derive(Debug, Default)]
struct Tally {
    questions: u64,
    allowed: u64,
    unknown: u64,
    failed: u64,
    /// How often each policy of the shipped bundle was determining.
    determining: BTreeMap<String, u64>,
}

impl Tally {
    fn ask(&mut self, bundle: &Bundle, schema: &Schema, question: &Question<'_>) {
        let verdict = bundle.evaluate(question);
        let mut determining: Vec<_> = verdict.determining(bundle).map(|policy| policy.id.clone()).collect();
        determining.sort();
        let mut failed = verdict.failed.clone();
        failed.sort();
        self.questions += 1;
        self.allowed += u64::from(verdict.allowed);
        self.failed += u64::from(!failed.is_empty());
        let Some(plain) = authorizer(bundle, schema, question) else {
            assert_eq!(verdict, Verdict::default(), "the schema knows no such question: {question:?}");
            self.unknown += 1;
            return;
        };
        // What a failure does is our own: Cedar skips the policy, we deny.
        let expected = Plain { allowed: plain.allowed && plain.failed.is_empty(), ..plain };
        let ours = Plain { allowed: verdict.allowed, determining, failed };
        assert_eq!(ours, expected, "{question:?}");
        if self.questions.is_multiple_of(16) && ours.failed.is_empty() {
            assert_eq!(shown(bundle, question), ours.determining, "{question:?}");
        }
        for policy in ours.determining {
            *self.determining.entry(policy).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.questions += other.questions;
        self.allowed += other.allowed;
        self.unknown += other.unknown;
        self.failed += other.failed;
        for (policy, count) in other.determining {
            *self.determining.entry(policy).or_default() += count;
        }
    }
}

/// The policies that made the answer, as a look into it shows.
fn shown(bundle: &Bundle, question: &Question<'_>) -> Vec<String> {
    let traces = bundle.trace(question);
    let holds = |effect: Effect| {
        let hold = traces.iter().filter(move |trace| trace.policy.effect == effect && trace.truth == Truth::True);
        hold.map(|trace| trace.policy.id.clone()).collect::<Vec<_>>()
    };
    let forbids = holds(Effect::Forbid);
    let mut shown = if forbids.is_empty() { holds(Effect::Permit) } else { forbids };
    shown.sort();
    shown
}

/// Asks `rounds` times as many questions as one bundle is asked: every second time the shipped one.
fn compare(rng: &mut fastrand::Rng, rounds: u64) -> Tally {
    let (schema, shipped) = (schema(), Bundle::load(&BundleSource::shipped()).unwrap());
    let mut tally = Tally::default();
    for round in 0..rounds {
        let other = (round % 2 == 1).then(|| varied(rng));
        let bundle = other.as_ref().unwrap_or(&shipped);
        for _ in 0..ROUND {
            let facts = Facts::random(rng, bundle);
            facts.question(rng, bundle, |question| tally.ask(bundle, &schema, question));
        }
    }
    tally
}

#[test]
fn the_fast_path_answers_as_the_plain_authorizer_over_the_whole_set() {
    let mut rng = random("the_fast_path_answers_as_the_plain_authorizer_over_the_whole_set");
    let rounds = effort(24);
    let began = std::time::Instant::now();
    let tally = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let mut rng = rng.fork();
                scope.spawn(move || compare(&mut rng, rounds))
            })
            .collect();
        threads.into_iter().fold(Tally::default(), |mut tally, thread| {
            tally.add(thread.join().unwrap());
            tally
        })
    });
    println!("{:?}: {tally:#?}", began.elapsed());
    assert!(tally.questions - tally.unknown >= 100_000, "{tally:#?}");
    // Whoever compares denials alone compares little.
    assert!(tally.allowed * 20 > tally.questions && tally.failed > 200 && tally.unknown > 500, "{tally:#?}");
    let shipped = Bundle::load(&BundleSource::shipped()).unwrap();
    for policy in shipped.policies() {
        assert!(tally.determining.contains_key(&policy.id), "`{}` never decided anything", policy.id);
    }
}
