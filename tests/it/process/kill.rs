//! `kill -9` in the middle of the work, again and again on the same folder: what was acknowledged is there, in whole.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::Value;

use super::case::{Act, Case, People};
use crate::support::effort::{effort, random};
use crate::support::process::Site;

/// In each mode.
const KILLS: u64 = 30;
const WRITERS: usize = 4;
const READERS: usize = 2;

/// True once in `limit` times.
fn once_in(dice: &mut Rng, limit: u64) -> bool {
    dice.u64(..limit) == 0
}

/// What a case goes through.
fn script(dice: &mut Rng) -> Vec<Act> {
    let mut acts = vec![Act::Open, Act::Ask];
    let contoso = if once_in(dice, 5) { Act::ContosoRejects } else { Act::ContosoApproves };
    let fabrikam = if once_in(dice, 5) { Act::FabrikamRejects } else { Act::FabrikamApproves };
    acts.extend(if once_in(dice, 2) { [contoso, fabrikam] } else { [fabrikam, contoso] });
    acts.truncate(4 - usize::from(once_in(dice, 4)));
    if acts.contains(&Act::FabrikamApproves) && once_in(dice, 2) {
        acts.push(Act::FabrikamRevokes);
    }
    if !once_in(dice, 3) {
        acts.push(Act::Close);
    }
    acts
}

/// Decisions that were answered: the log must have every one of them, and say the same.
type Decisions = Arc<Mutex<HashMap<String, bool>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_in_the_mode_written() {
    survives("written", "what_was_acknowledged_survives_kills_in_the_mode_written").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_in_the_mode_synced() {
    survives("synced", "what_was_acknowledged_survives_kills_in_the_mode_synced").await;
}

/// Starts it and kills it before it serves: while it reads, heals, makes its files. Each time the log ends in a torn line.
fn kill_while_starting(site: &Site, dice: &mut Rng) {
    for _ in 0..dice.u64(..3) {
        let torn = br#"{"type":"decision","decision":true,"decision_id":"torn"#;
        std::fs::create_dir_all(site.file("decisions")).unwrap();
        let log = OpenOptions::new().append(true).create(true).open(site.file("decisions/00000000000000000000.jsonl"));
        log.unwrap().write_all(&torn[..dice.usize(1..torn.len())]).unwrap();
        let mut command = site.command(&["serve", "--config", "consentry.toml"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.u64(..120)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

async fn survives(mode: &str, name: &str) {
    let began = Instant::now();
    let site =
        Site::new(&format!("decision_log.mode = \"{mode}\"\npolicy = {{ directory = \"bundle\", watch = false }}"));
    site.bundle("bundle");
    let mut dice = random(name);
    let kills = effort(KILLS);
    let decisions: Decisions = Arc::default();
    let mut cases: Vec<Case> = Vec::new();
    let (mut of_last_round, mut unanswered) = (Vec::new(), Unanswered::default());
    for round in 0..kills {
        kill_while_starting(&site, &mut dice);
        let sidecar = site.start();
        let people = People::of(&site, &sidecar);
        unanswered.survived(&mut of_last_round, &people).await;
        cases.append(&mut of_last_round);
        recorded(&site.file("decisions/00000000000000000000.jsonl"), &decisions.lock());

        let after = Duration::from_millis(5 + dice.u64(..76));
        let working = work(&people, round, &mut dice, &decisions);
        tokio::time::sleep(after).await;
        if dice.bool() {
            // In the middle of a reload, too.
            sidecar.signal(Signal::HUP);
            tokio::time::sleep(Duration::from_millis(dice.u64(..30))).await;
        }
        sidecar.kill();
        for writer in working {
            of_last_round.extend(writer.await.unwrap());
        }
    }
    let sidecar = site.start();
    let people = People::of(&site, &sidecar);
    unanswered.survived(&mut of_last_round, &people).await;
    cases.append(&mut of_last_round);
    unanswered.survived(&mut cases, &people).await;
    recorded(&site.file("decisions/00000000000000000000.jsonl"), &decisions.lock());

    let acknowledged: usize = cases.iter().map(Case::acknowledged).sum();
    let (cases, decisions) = (cases.len(), decisions.lock().len());
    println!(
        "{mode}: {kills} kills in {:?}: {acknowledged} changes of {cases} cases and {decisions} decisions were acknowledged, \
         without an answer: {unanswered:?}",
        began.elapsed()
    );
    assert!(acknowledged as u64 > kills && decisions as u64 > kills, "there was no load");
    assert!(unanswered.made + unanswered.not_made > 0, "no kill hit a change");
}

/// Calls without an answer, by whether they had been made nevertheless.
#[derive(Debug, Default)]
struct Unanswered {
    made: usize,
    not_made: usize,
}

impl Unanswered {
    /// Checks these cases after a restart.
    async fn survived(&mut self, cases: &mut [Case], people: &People) {
        for case in cases {
            match case.survived(people).await {
                Some(true) => self.made += 1,
                Some(false) => self.not_made += 1,
                None => {}
            }
        }
    }
}

/// Writers that work on their own cases until the process is gone, and readers that ask about them.
fn work(people: &People, round: u64, dice: &mut Rng, decisions: &Decisions) -> Vec<tokio::task::JoinHandle<Vec<Case>>> {
    let newest = Arc::new(AtomicUsize::new(0));
    let mut working = Vec::new();
    for writer in 0..WRITERS {
        let (people, newest) = (people.clone(), Arc::clone(&newest));
        let mut dice = dice.fork();
        working.push(tokio::spawn(async move {
            let mut cases = Vec::new();
            for number in 0.. {
                let mut case = Case::new(format!("SR-{round}-{writer}-{number}"));
                newest.fetch_max(number, Ordering::Relaxed);
                let mut gone = false;
                for act in script(&mut dice) {
                    gone = case.carry_out(&people, act).await.is_err();
                    if gone {
                        break;
                    }
                }
                cases.push(case);
                if gone {
                    break;
                }
            }
            cases
        }));
    }
    for _ in 0..READERS {
        let (people, newest, decisions) = (people.clone(), Arc::clone(&newest), Arc::clone(decisions));
        let mut dice = dice.fork();
        working.push(tokio::spawn(async move {
            loop {
                let number = dice.u64(..=newest.load(Ordering::Relaxed) as u64);
                let writer = dice.u64(..WRITERS as u64);
                let Ok(reply) = people.may_read(&format!("SR-{round}-{writer}-{number}")).await else { break };
                assert_eq!(reply.status, 200, "{reply:?}");
                let id = reply.json["context"]["decision_id"].as_str().unwrap().to_owned();
                decisions.lock().insert(id, reply.decision());
            }
            Vec::new()
        }));
    }
    working
}

/// Every answered decision is in the log, once, and says what was answered; every line is whole.
pub(super) fn recorded(log: &Path, decisions: &HashMap<String, bool>) {
    let log = std::fs::read_to_string(log).unwrap();
    let mut written: HashMap<String, bool> = HashMap::new();
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let (Some(id), Some(decision)) = (record["decision_id"].as_str(), record["decision"].as_bool()) {
            assert_eq!(written.insert(id.to_owned(), decision), None, "{id} is written twice");
        }
    }
    for (id, decision) in decisions {
        assert_eq!(written.get(id), Some(decision), "decision {id} was answered");
    }
}
