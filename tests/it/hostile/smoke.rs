//! A short run of every target on the stable toolchain: each file of its corpus as it is, then mutations of them.

use std::path::Path;

use fastrand::Rng;

use super::targets;
use crate::support::effort::{effort, random};

/// No input is longer: what needs more is told in the tests of limits.
const LONGEST: usize = 16 * 1024;

/// What means something to one parser or another.
const WORDS: &[&str] = &[
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\r\n",
    "\0",
    "%00",
    "%2F",
    "%FF",
    "/",
    "..",
    "~",
    "=",
    "&",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551615",
    "9223372036854775808",
    "0.1",
    "ada",
    "SR-1",
    "é",
    "\u{202e}",
    "9999-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "-009999-01-02T00:00:00Z",
    "+00:00",
    "permit",
    "forbid",
    "when",
    "principal",
    "context",
    "@id(\"",
    "::",
    "type",
    "namespace",
    "!",
    "(",
    ")",
    "if ",
    "[[routes]]\n",
    "path = ",
    "pass = true\n",
    "{*item}",
    "{header:",
    "GET ",
    "x-support-request",
    "keys",
    "kid",
    "alg",
    "none",
    "HS256",
    "tid",
    "exp",
    "aud",
    "type",
    "id",
    "subject",
    "evaluations",
    "options",
    "HTTP/1.1",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\0\0\x04\x08\0\0\0\0\0",
];

macro_rules! smoke {
    ($($target:ident $usual:literal),* $(,)?) => { $(
        #[test]
        fn $target() {
            play(stringify!($target), $usual, targets::$target::run);
        }
    )* };
}

// As many mutations as take some seconds each; `TESTS_EFFORT` multiplies them. By count and not by time, so that a seed
// tries the same again.
smoke! {
    bundle 300, checks 6_000, commands 4_000, config 10_000, evaluations 4_000, guest 3_000, headers 3_000, ids 1_000,
    keys 8_000, lists 4_000, log 1_500, mapping 20_000, tokens 8_000, wire 4_000,
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn play(target: &str, usual: u64, run: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty());
    for input in &corpus {
        tried(input, run);
    }
    let mut dice = random(target);
    for _ in 0..effort(usual) {
        let mut input = dice.choice(&corpus).unwrap().clone();
        for _ in 0..dice.usize(1..6) {
            mutate(&mut input, &corpus, &mut dice);
        }
        input.truncate(LONGEST);
        tried(&input, run);
    }
}

/// Runs the target, and shows the input when something does not hold.
fn tried(input: &[u8], run: fn(&[u8])) {
    let held = std::panic::catch_unwind(|| run(input));
    if let Err(panic) = held {
        println!("the input: b\"{}\"", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Rng) {
    let at = dice.usize(..=input.len());
    let end = (at + 1 + dice.usize(..16)).min(input.len());
    match dice.u8(..8) {
        0 if at < input.len() => input[at] ^= 1 << dice.u8(..8),
        1 if at < input.len() => input[at] = dice.u8(..),
        2 => drop(input.splice(at..end, [])),
        3 => {
            let again: Vec<u8> = input[at..end].repeat(dice.usize(1..200));
            input.splice(at..at, again);
        }
        4 => {
            let other = dice.choice(corpus).unwrap();
            let from = dice.usize(..=other.len());
            let to = (from + dice.usize(..64)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        5 => input.truncate(at),
        _ => {
            let word = dice.choice(WORDS).unwrap().as_bytes().iter().copied();
            input.splice(at..if dice.bool() { at } else { end }, word);
        }
    }
}
