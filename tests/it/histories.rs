//! Histories of commands by many people, played to the service and to the oracle: after every step what the service says
//! must be what the oracle says, to the cached and to the uncached service alike (R1-R23, G2).
//!
//! A history that goes wrong is shrunk and printed as text. Such a text, put into `histories/corpus/` as a file, is played at
//! each run.

mod plan;
mod play;
mod random;
mod shrink;
mod site;
mod step;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::play::{Tally, play};
use self::step::Step;
use crate::support::effort;

/// How many histories are played at once, each to two services of its own.
const AT_ONCE: usize = 2;

/// The texts of the corpus, by their names.
fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/histories/corpus");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

/// Plays these histories; tells of the first that goes wrong, as short as it can be made.
async fn play_all(histories: impl Iterator<Item = (String, Vec<Step>)>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    let mut tally = Tally::default();
    for (name, steps) in histories {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        while let Some(played) = playing.try_join_next() {
            finish(played.unwrap(), &mut tally).await;
        }
        playing.spawn(async move {
            let played = play(&steps).await;
            drop(place);
            (name, steps, played)
        });
    }
    while let Some(played) = playing.join_next().await {
        finish(played.unwrap(), &mut tally).await;
    }
    println!("{tally:?}");
    assert!(tally.done > 0 && tally.allowed > 0, "the test has stopped seeing anything: {tally:?}");
}

async fn finish((name, steps, played): (String, Vec<Step>, Result<Tally, play::Difference>), tally: &mut Tally) {
    match played {
        Ok(more) => {
            tally.add(&more);
            // Of a long run one wants to know how far it is.
            if tally.histories.is_multiple_of(50) {
                println!("{tally:?}");
            }
        }
        Err(difference) => {
            println!("{name} went wrong after {:?}, and is being shrunk: {}", tally, difference.what);
            let (steps, difference) = shrink::shrink(&steps, difference).await;
            panic!("{name}: {}\n\nThis goes into histories/corpus:\n\n{}", difference.what, step::text(&steps));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_histories_of_the_corpus_go_as_the_oracle_says() {
    let corpus = corpus().into_iter().map(|(name, text)| (name, step::history(&text)));
    Box::pin(play_all(corpus)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_go_as_the_oracle_says() {
    let mut random = effort::random("random_histories_go_as_the_oracle_says");
    let histories = (0..effort::effort(4)).map(|number| {
        let length = random.usize(30..60);
        (format!("history {number}"), random::history(&mut random, length))
    });
    Box::pin(play_all(histories)).await;
}

#[test]
fn a_history_is_read_as_it_is_written() {
    let mut random = effort::random("a_history_is_read_as_it_is_written");
    for _ in 0..effort::effort(50) {
        let steps = random::history(&mut random, 60);
        assert_eq!(step::history(&step::text(&steps)), steps);
    }
    for (name, text) in corpus() {
        let kept = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(kept.collect::<Vec<_>>(), step::text(&step::history(&text)).lines().collect::<Vec<_>>(), "{name}");
    }
}
