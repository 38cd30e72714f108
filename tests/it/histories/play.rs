//! Plays a history: to a service that remembers answers, to one that evaluates each anew, and to the oracle.

use serde_json::{Value, json};

use super::plan::{self, Plan};
use super::random::happens;
use super::site::{self, Site};
use super::step::{Deed, Step};
use crate::support::oracle::{Answer, Command, Oracle, PEOPLE, Person, name_of, name_of_request, person};

/// What was done and asked.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub histories: usize,
    pub steps: usize,
    /// Commands that were carried out, of these steps.
    pub done: usize,
    /// Questions and views, of both services.
    pub asked: usize,
    /// Reads that were allowed, in each.
    pub allowed: usize,
}

impl Tally {
    pub fn add(&mut self, more: &Self) {
        self.histories += more.histories;
        self.steps += more.steps;
        self.done += more.done;
        self.asked += more.asked;
        self.allowed += more.allowed;
    }
}

/// Where a history went another way than the oracle.
#[derive(Debug)]
pub struct Difference {
    /// The number of the step, from 0.
    pub step: usize,
    pub what: String,
}

/// Plays a history from its beginning; ends at the first difference.
pub async fn play(steps: &[Step]) -> Result<Tally, Difference> {
    let (remembering, anew) =
        tokio::join!(Site::start("remembering", ""), Site::start("anew", "decision.cache_capacity = 0"));
    let mut sites = [remembering, anew];
    let mut tally = Tally { histories: 1, ..Tally::default() };
    let mut oracle = Oracle::new(sites[0].now());
    let mut outcome = Ok(());
    for (number, step) in steps.iter().enumerate() {
        let everything = number + 1 == steps.len();
        let taken = take(step, everything, &mut sites, &mut oracle, &mut tally).await;
        tally.steps += 1;
        if let Err(what) = taken {
            outcome = Err(Difference { step: number, what });
            break;
        }
    }
    tally.allowed = oracle.reads();
    for site in sites {
        site.end().await;
    }
    outcome.map(|()| tally)
}

async fn take(
    step: &Step,
    everything: bool,
    sites: &mut [Site; 2],
    oracle: &mut Oracle,
    tally: &mut Tally,
) -> Result<(), String> {
    let before = oracle.clone();
    let expected = happens(oracle, step);
    let [first, second] = &mut *sites;
    match step {
        Step::Do(deed) => {
            let expected = expected.unwrap();
            tally.done += usize::from(expected.status < 400);
            let expected = expected.told();
            let (one, other) = tokio::join!(
                act(first, deed, &before, oracle, &expected),
                act(second, deed, &before, oracle, &expected)
            );
            one?;
            other?;
        }
        Step::Pass(_) | Step::Reach { .. } => sites.iter().for_each(|site| site.set_time(oracle.now)),
        Step::Reload | Step::Break | Step::Restart => {
            for site in &mut *sites {
                match step {
                    Step::Reload => site.reload().await?,
                    Step::Break => site.reload_broken().await?,
                    Step::Restart => site.restart().await?,
                    Step::Do(_) | Step::Pass(_) | Step::Reach { .. } => {}
                }
            }
        }
    }
    let reads_before = oracle.reads();
    let plan = Plan::after(step, oracle, everything);
    let [first, second] = sites;
    let (one, other) = tokio::join!(check(first, &plan, reads_before), check(second, &plan, reads_before));
    tally.asked += plan.size() * 2;
    let (one, other) = (one?, other?);
    // Whatever else an answer holds must not hang on whether it was remembered.
    match one.iter().zip(&other).find(|(one, other)| one != other) {
        Some((one, other)) => Err(format!("remembered: {one}\nanew:       {other}")),
        None => Ok(()),
    }
}

/// Sends a command and compares what came of it.
async fn act(site: &mut Site, deed: &Deed, before: &Oracle, after: &Oracle, expected: &Value) -> Result<(), String> {
    site.set_time(after.now);
    let answer = site.send(deed, before).await?;
    if let (Command::Ask { .. }, 201) = (&deed.command, answer.status) {
        let number = after.requests().len();
        site.meet(&answer.json["id"], name_of_request(number))?;
        meet_consents(site, after, number, &answer.json["id"]).await?;
    }
    same(site, &deed.to_string(), expected, &site.told(&answer)).map_err(|what| format!("{what}\n  {}", answer.text))
}

/// Finds out what the consents of a new access request are called, as its administrators do: from their list.
async fn meet_consents(site: &mut Site, oracle: &Oracle, number: usize, id: &Value) -> Result<(), String> {
    let Some(request) = oracle.request(number) else { return Err(format!("request {number} should not be there")) };
    for consent in oracle.consents(&request) {
        let administers = |person: &&Person| person.tenant == consent.tenant && person.is_administrator();
        let administrator = PEOPLE.iter().find(administers).unwrap();
        let list = site.person(administrator).get("/v1/consents?view=pending&limit=200").await;
        let items = list.json["items"].as_array().cloned().unwrap_or_default();
        let listed = items.iter().find(|item| item["access_request"] == *id);
        let listed = listed.ok_or_else(|| format!("{} is not listed as pending: {}", name_of(consent), list.text))?;
        site.meet(&listed["id"], name_of(consent))?;
    }
    Ok(())
}

fn same(site: &Site, what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let mut place = String::new();
    let (expected, found) = first_difference(expected, found, &mut place);
    Err(format!("{what}\n  at `{place}`\n  the oracle:  {expected}\n  the service: {found} ({})", site.name))
}

/// The smallest parts that differ first, and where they are.
fn first_difference<'a>(expected: &'a Value, found: &'a Value, place: &mut String) -> (&'a Value, &'a Value) {
    let parts: Vec<(String, &Value, &Value)> = match (expected, found) {
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().map(|(number, (one, other))| (number.to_string(), one, other)).collect()
        }
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().zip(other.values()).map(|((name, one), other)| (name.clone(), one, other)).collect()
        }
        _ => return (expected, found),
    };
    match parts.into_iter().find(|(_, one, other)| one != other) {
        Some((name, one, other)) => {
            place.push('/');
            place.push_str(&name);
            first_difference(one, other, place)
        }
        None => (expected, found),
    }
}

/// Asks and looks at everything of the plan. Gives what answers about reads say besides.
async fn check(site: &mut Site, plan: &Plan, reads_before: usize) -> Result<Vec<Value>, String> {
    let mut reads = reads_before;
    let mut besides = Vec::new();
    let questions: Vec<Value> = plan.reads.iter().map(|(question, _)| site::wire(question)).collect();
    // The second time they are remembered, and must be the same to the letter.
    for _ in 0..2 {
        for (wires, expected) in questions.chunks(1_000).zip(plan.reads.chunks(1_000)) {
            let answers = site.ask(person("tooling"), wires).await?;
            for ((wire, answer), (_, expected)) in wires.iter().zip(answers).zip(expected) {
                besides.push(compare(site, wire, expected, answer, &mut reads)?);
            }
        }
    }
    let (first, second) = besides.split_at(questions.len());
    if let Some((one, other)) = first.iter().zip(second).find(|(one, other)| one != other) {
        return Err(format!("asked twice ({}): {one}\nand: {other}", site.name));
    }
    for (by, question, expected) in &plan.singles {
        let wire = site::wire(question);
        let answer = site.ask_one(by, &wire).await;
        compare(site, &wire, expected, answer, &mut reads)?;
    }
    for (who, view, expected) in &plan.views {
        let seen = site.look(who, *view).await;
        same(site, &format!("{} looks at {view:?}", who.name), expected, &seen)?;
    }
    for (who, asked) in &plan.may {
        let wires: Vec<Value> = asked.iter().map(|(question, _)| plan::wire(who, *question, site)).collect();
        for (wires, asked) in wires.chunks(1_000).zip(asked.chunks(1_000)) {
            let answers = site.ask(who, wires).await?;
            for (answer, (question, expected)) in answers.iter().zip(asked) {
                let what = format!("{} asks: may I {question:?}", who.name);
                same(
                    site,
                    &what,
                    &told(expected),
                    &json!([answer["decision"], answer["context"]["reason"]["code"], []]),
                )?;
            }
        }
    }
    for besides in &mut besides {
        // The number of a commit; a second one that came to nothing is not counted the same.
        besides.as_object_mut().unwrap().remove("facts_revision");
    }
    Ok(besides)
}

fn told(answer: &Answer) -> Value {
    json!([answer.decision, answer.code, answer.missing_consents])
}

/// Compares an answer about a read, and takes it down if it was allowed. Gives the rest of what it says.
fn compare(
    site: &mut Site,
    wire: &Value,
    expected: &Answer,
    mut answer: Value,
    reads: &mut usize,
) -> Result<Value, String> {
    let mut context = answer["context"].take();
    let missing = context["reason"]["missing_consents"].as_array().cloned().unwrap_or_default();
    let found = json!([answer["decision"], context["reason"]["code"], missing]);
    same(site, &wire.to_string(), &told(expected), &found)?;
    let version = &context["policy_version"];
    let tells_facts = !context["facts_revision"].is_null();
    let policies = context["policies"].as_array().map_or(0, Vec::len);
    // R20: who is not assigned is told of one policy and of no facts.
    let fits = match expected.code {
        "not_assigned" => policies == 1 && !tells_facts,
        "not_permitted" => policies == 0,
        _ => policies > 0 && tells_facts,
    };
    if *version != site.policy_version || !fits {
        return Err(format!("{wire}: {context} ({}), policies are {}", site.name, site.policy_version));
    }
    let id = context.as_object_mut().and_then(|context| context.remove("decision_id"));
    if expected.decision {
        let id = id.ok_or_else(|| format!("an answer without an id: {context}"))?;
        site.meet(&id, format!("read {reads}"))?;
        *reads += 1;
    }
    Ok(context)
}
