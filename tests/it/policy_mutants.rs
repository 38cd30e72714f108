//! Every shipped policy, broken in every small way: some test must notice.
//!
//! Of each policy: removed, permitting for forbidding, with a wider scope, every clause and every condition left out and
//! turned round, what it says to programs left out. A break is noticed when the bundle does not load; when its layer alone
//! (the permits, the forbids, the guardrails) keeps the rules no longer; or when a row of the rules' tables fails.

mod breaks;
mod layers;
mod questions;
mod shipped;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};

use consentry::policy::{Bundle, BundleSource, LoadError};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, block_in_place};

use self::questions::Asked;
use self::shipped::{Kind, Layer, Mutant, Shipped, mutants, shipped, write};
use crate::rules;
use crate::rules::table::{Line, Row};

/// How many policies are broken at once.
const AT_ONCE: usize = 4;

/// The breaks that nothing can notice, and why that is no harm. An entry that something notices fails the test.
const HARMLESS: &[(&str, &str)] = &[(
    "requests.create.not-assigned: with another code",
    "who is not assigned is told that there is no such support request, before this is asked; it speaks where an \
     operator's policies let others see the support request",
)];

/// What noticed that a policy is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Notice {
    Load,
    /// These policies, alone, keep the rules no longer.
    Layer(Layer),
    Row(String),
    /// No question has another answer.
    NoDifference,
    /// Some question has, but no row asks it.
    NoRow,
}

tokio::task_local! {
    /// In here rows are expected to fail.
    static BROKEN: ();
}

#[test]
fn the_policies_and_each_layer_of_them_keep_the_rules() {
    let (shipped, questions) = (shipped(), questions::all());
    for layer in [Layer::All, Layer::PermitsAlone, Layer::ForbidsAlone, Layer::GuardrailsAlone] {
        let bundle = bundle(&shipped, layer, None).unwrap();
        let differs = layers::differs(layer, &bundle, &questions);
        assert!(differs.is_none(), "{layer:?}: {differs:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_policy_can_be_broken_unnoticed() {
    expect_failures_quietly();
    let trial = Arc::new(Trial::new());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut policies = JoinSet::new();
    for policy in 0..trial.shipped.len() {
        let (trial, places) = (Arc::clone(&trial), Arc::clone(&places));
        policies.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            BROKEN.scope((), trial.break_policy(policy)).await
        });
    }
    let mut noticed = BTreeMap::new();
    while let Some(broken) = policies.join_next().await {
        for (mutant, notice) in broken.unwrap() {
            println!("{notice:?} <- {mutant}");
            assert!(noticed.insert(mutant.clone(), notice).is_none(), "two breaks are called `{mutant}`");
        }
    }
    let count = |wanted: fn(&Notice) -> bool| noticed.values().filter(|notice| wanted(notice)).count();
    println!(
        "{} breaks of {} policies: {} do not load, {} break the rules in a layer, {} fail a row",
        noticed.len(),
        trial.shipped.len(),
        count(|notice| *notice == Notice::Load),
        count(|notice| matches!(notice, Notice::Layer(_))),
        count(|notice| matches!(notice, Notice::Row(_))),
    );
    let harmless: BTreeMap<&str, &str> = HARMLESS.iter().copied().collect();
    let unnoticed = |notice: &Notice| matches!(notice, Notice::NoDifference | Notice::NoRow);
    let new: Vec<_> = noticed
        .iter()
        .filter(|(mutant, notice)| unnoticed(notice) && !harmless.contains_key(mutant.as_str()))
        .collect();
    assert!(new.is_empty(), "nothing notices these: add a row to tests/it/rules/\n{new:#?}");
    let stale: Vec<_> = harmless.keys().filter(|mutant| !noticed.get(**mutant).is_some_and(unnoticed)).collect();
    assert!(stale.is_empty(), "something notices these, or they are no longer there: {stale:#?}");
}

/// What all breaks are tried with.
struct Trial {
    shipped: Vec<Shipped>,
    good: Bundle,
    /// By their kind.
    questions: BTreeMap<Kind, Vec<Asked>>,
    rows: Vec<Row>,
}

impl Trial {
    fn new() -> Self {
        let shipped = shipped();
        let good = bundle(&shipped, Layer::All, None).unwrap();
        let mut questions: BTreeMap<Kind, Vec<Asked>> = BTreeMap::new();
        for asked in questions::all() {
            questions.entry(asked.kind()).or_default().push(asked);
        }
        Self { shipped, good, questions, rows: rules::all() }
    }

    /// Breaks one policy in every way; says of each what noticed it.
    async fn break_policy(&self, policy: usize) -> Vec<(String, Notice)> {
        let mut noticed = Vec::new();
        let policy_id = &self.shipped[policy].id;
        let mut order = order(&self.rows, policy_id);
        for mutant in mutants(&self.shipped, policy) {
            let notice = match block_in_place(|| self.notice_at_once(policy, &mutant)) {
                Some(notice) => notice,
                None if is_harmless(&mutant.name) => self.play(&mutant, &mut named(&self.rows, policy_id)).await,
                None => self.play(&mutant, &mut order).await,
            };
            noticed.push((mutant.name, notice));
        }
        noticed
    }

    /// What can be said without a running service.
    fn notice_at_once(&self, policy: usize, mutant: &Mutant) -> Option<Notice> {
        let policy = &self.shipped[policy];
        // No other kind of question can have another answer.
        let questions = || mutant.kinds.iter().filter_map(|kind| self.questions.get(kind)).flatten();
        let Ok(broken) = bundle(&self.shipped, Layer::All, Some(mutant)) else { return Some(Notice::Load) };
        let layer = match policy.is_permit {
            true => Layer::PermitsAlone,
            false if policy.id.starts_with("guardrails.") => Layer::GuardrailsAlone,
            false => Layer::ForbidsAlone,
        };
        let alone = bundle(&self.shipped, layer, Some(mutant)).unwrap();
        if layers::differs(layer, &alone, questions()).is_some() {
            return Some(Notice::Layer(layer));
        }
        let same = !questions().any(|asked| asked.tells_apart(&self.good, &broken));
        same.then_some(Notice::NoDifference)
    }

    /// Plays rows in services with the broken policy, until one fails.
    async fn play(&self, mutant: &Mutant, order: &mut [usize]) -> Notice {
        let folder = TempDir::new().unwrap();
        write(folder.path(), &self.shipped, Layer::All, Some(mutant));
        let settings = format!("policy.directory = \"{}\"", folder.path().display());
        for place in 0..order.len() {
            let row = &self.rows[order[place]];
            if rules::play(row, &settings).await.is_err() {
                // What noticed one break of a policy often notices the next.
                order[..=place].rotate_right(1);
                return Notice::Row(row.name());
            }
        }
        Notice::NoRow
    }
}

/// A layer of the policies, with this one broken.
fn bundle(all: &[Shipped], layer: Layer, mutant: Option<&Mutant>) -> Result<Bundle, LoadError> {
    let folder = TempDir::new().unwrap();
    write(folder.path(), all, layer, mutant);
    BundleSource::read(folder.path()).and_then(|source| Bundle::load(&source))
}

/// The rows in the order in which they are tried: first those that name the policy; last those of many worlds.
fn order(rows: &[Row], policy: &str) -> Vec<usize> {
    let named = named(rows, policy);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| (rows[*row].worlds().len(), !named.contains(row)));
    order
}

/// The rows that expect this policy to decide.
fn named(rows: &[Row], policy: &str) -> Vec<usize> {
    let by = format!(" by {policy}");
    let is_by = |line: &Line| matches!(line, Line::Answer(_, answer) if answer.ends_with(&by));
    (0..rows.len()).filter(|row| rows[*row].lines.iter().any(is_by)).collect()
}

fn is_harmless(mutant: &str) -> bool {
    HARMLESS.iter().any(|(harmless, _)| *harmless == mutant)
}

/// A row that fails in here is what is looked for: it is not printed, and no trace of the stack is taken.
fn expect_failures_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if BROKEN.try_with(|()| ()).is_err() {
                usual(panic);
            }
        }));
    });
}
