//! Whether durations tell what bytes do not (G5): calls whose answers are the same, measured in pairs.
//!
//! `cargo bench --bench timing -- [--pairs 2000] [--units 24] [--only WORD]`
//!
//! A row compares two groups of units. A unit is a pair of tenants that nobody else has to do with; which group it is in was
//! settled by lot when it was set up. The groups take turns, in an order that is drawn anew for each pair of calls, so that
//! whatever else the machine does meets both alike. Then the units' quantiles are compared by a randomization test
//! (`statistics.rs`): `chance` is how probable such a difference is when the groups do not matter. A row is `DIFFERENT` when
//! that is below one in a hundred for all rows together. `finds` is the smallest shift that would have been found.
//!
//! Controls tell what the method is worth today: groups that were set up alike must be found alike, and 50 us more must be
//! found. It ends with an error if a control fails or a row differs.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../fixture.rs"]
mod fixture;
#[path = "../processes.rs"]
mod processes;
mod rows;
mod stage;
mod statistics;

use std::time::{Duration, Instant};

use fastrand::Rng;

use rows::{Kind, Row, Units, rows};
use stage::{Failure, Stage};
use statistics::{Durations, Groups};

/// Turns of each unit before the first that counts.
const WARM_UP: usize = 4;
/// What the second control adds to a call.
const ADDED: Duration = Duration::from_micros(50);
/// How probable it may be that any row is called different by chance.
const FALSE_ALARM: f64 = 0.01;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).cloned()
    };
    let number = |name: &str, usual: usize| option(name).map_or(Ok(usual), |text| text.parse());
    let (pairs, units) = (number("--pairs", 2_000)?, number("--units", 24)?);
    let only = option("--only").unwrap_or_default();

    let mut stage = Stage::set()?;
    let units = Units::settle(&mut stage, units)?;
    let rows = rows(&mut stage, &units);
    #[allow(clippy::cast_precision_loss, reason = "a few dozens")]
    let alarm = FALSE_ALARM / rows.len() as f64;
    println!("{pairs} pairs of calls a row; durations in us; different where chance is below {alarm:.5}");
    println!("{:64} {:>9} {:>9} {:>7} {:>8} {:>6}", "", "median", "median", "apart", "chance", "finds");
    let mut wrong = Vec::new();
    for row in rows.iter().filter(|row| row.name.contains(&only)) {
        let groups = measure(&mut stage, row, pairs)?;
        if report(row, &groups, alarm) != (row.kind == Kind::Longer) {
            wrong.push(row.name.as_str());
        }
    }
    stage.stop()?;
    if wrong.is_empty() { Ok(()) } else { Err(format!("not as it should be: {}", wrong.join("; ")).into()) }
}

/// Which unit of a group is next: each once, in random order, then each again.
struct Turns {
    left: Vec<usize>,
    units: usize,
    cycle: usize,
}

impl Turns {
    fn next(&mut self, random: &mut Rng) -> (usize, usize) {
        if self.left.is_empty() {
            self.left = (0..self.units).collect();
            random.shuffle(&mut self.left);
            self.cycle += 1;
        }
        (self.left.pop().unwrap_or_default(), self.cycle)
    }
}

fn measure(stage: &mut Stage, row: &Row, pairs: usize) -> Result<Groups, Failure> {
    stage.connect_anew()?;
    let mut random = Rng::new();
    let groups = [&row.ours, &row.theirs];
    let mut turns = groups.map(|group| Turns { left: Vec::new(), units: group.len(), cycle: 0 });
    let mut durations: [Vec<Durations>; 2] = groups.map(|group| vec![Vec::new(); group.len()]);
    let mut answers = [Vec::new(), Vec::new()];
    let warm_up = WARM_UP * row.ours.len();
    for round in 0..warm_up + pairs {
        let first = random.usize(..2);
        for which in [first, 1 - first] {
            let (group, turns) = (groups.get(which).ok_or("no group")?, turns.get_mut(which).ok_or("no turns")?);
            let (unit, cycle) = turns.next(&mut random);
            let requests = group.get(unit).ok_or("no unit")?;
            let nth = cycle % requests.len();
            let added = if row.kind == Kind::Longer && which == 1 { dawdle() } else { 0.0 };
            let answer = stage.call(requests.get(nth).ok_or("no request")?)?;
            if round < warm_up {
                answers.get_mut(which).ok_or("no answers")?.push((nth, answer.status, answer.body.len()));
            } else {
                let durations = durations.get_mut(which).and_then(|group| group.get_mut(unit)).ok_or("no unit")?;
                durations.push(answer.micros + added);
            }
        }
    }
    let [mut ours, mut theirs] = answers;
    for answers in [&mut ours, &mut theirs] {
        answers.sort_unstable();
        answers.dedup();
    }
    if ours != theirs {
        return Err(format!("{}: the answers differ already: {ours:?}, {theirs:?}", row.name).into());
    }
    let [ours, theirs] = &durations;
    Ok(Groups::of(ours, theirs))
}

/// Takes as long as the second control adds; how long that was, in microseconds.
fn dawdle() -> f64 {
    let began = Instant::now();
    while began.elapsed() < ADDED {
        std::hint::spin_loop();
    }
    began.elapsed().as_secs_f64() * 1e6
}

/// Whether the groups differ.
fn report(row: &Row, groups: &Groups, alarm: f64) -> bool {
    let mut random = Rng::new();
    let chance = groups.chance(&mut random);
    let differ = chance < alarm;
    let finds = groups.finds(alarm, &mut random).map_or("-".to_owned(), |shift| shift.to_string());
    let ((one, other), apart) = (groups.medians(), groups.apart());
    let verdict = if differ { "DIFFERENT" } else { "alike" };
    println!("{:64} {one:9.1} {other:9.1} {apart:7.1} {chance:8.5} {finds:>6} {verdict}", row.name);
    differ
}
