//! The cache is exact and revocation is real, while everything changes at once (G1, G2, G6): readers ask all the time,
//! writers give and take away, and the history of it must be one that a service with a single state could have.

mod checker;
mod handmade;
mod history;
mod readers;
mod records;
mod stage;
mod stops;
mod writers;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stage::Stage;

use crate::support::effort::{effort, random};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_contradicts_what_was_acknowledged_before_it_was_asked() {
    let mut rng = random("no_answer_contradicts_what_was_acknowledged_before_it_was_asked");
    let rounds = effort(30);
    let stage = Stage::set().await;
    let readers: Vec<_> =
        (0..6).map(|reader| tokio::spawn(readers::read(Arc::clone(&stage), rng.fork(), reader % 2 == 0))).collect();
    let mut writers = vec![tokio::spawn(writers::reload(Arc::clone(&stage), rng.fork(), rounds / 2))];
    for case in 0..3 {
        writers.push(tokio::spawn(writers::grant(Arc::clone(&stage), case, rng.fork(), 3 * rounds)));
        writers.push(tokio::spawn(writers::take(Arc::clone(&stage), case, rng.fork(), rounds)));
        for _ in 0..2 {
            writers.push(tokio::spawn(writers::assign(Arc::clone(&stage), case, rng.fork(), rounds)));
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    stage.over.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
    let history = stage.history.lock().clone().with_closings();
    let undecided = stage.undecided.load(Ordering::Relaxed);
    let written = history.writes();
    let tally = checker::check(&history).unwrap_or_else(|wrong| panic!("{}", wrong.join("\n")));
    let remembered = records::check(&stage.house.records(), &history.reads);
    println!("{} reads, {remembered} remembered, {undecided} undecided: {written:?}, {tally:?}", history.reads.len());
    // Whoever finds nothing wrong must have looked.
    assert!(history.reads.len() as u64 > 50 * rounds && undecided < 20 + history.reads.len() as u64 / 50);
    assert!(remembered > history.reads.len() / 10, "{remembered} remembered");
    assert!(tally.had_to_allow > rounds && tally.had_to_deny > 10 * rounds && tally.either > 0, "{tally:?}");
    assert!(
        written.taken > rounds && written.given > rounds && written.reloads > 3 && written.turns > 3,
        "{written:?}"
    );
}
