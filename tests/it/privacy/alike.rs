//! What an observer saw, with every random id replaced by the number of its first appearance.
//!
//! Which id is which still counts, within a page and across everything seen before; what the ids themselves could tell
//! is another test's business.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::support::Reply;

/// What was seen so far.
#[derive(Default)]
pub struct Sight {
    numbers: HashMap<String, usize>,
    pub seen: Vec<String>,
}

impl Sight {
    /// Notes an answer: status, every header but the time of day, every byte of the body.
    pub fn note(&mut self, what: &str, reply: &Reply) {
        let mut headers: Vec<String> = reply.headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        headers.retain(|header| !header.starts_with("date="));
        headers.sort();
        let text = format!("{what}: {} [{}] {}", reply.status, headers.join(" "), opened(&reply.text));
        self.note_text(&text);
    }

    /// Notes something that needed no asking.
    pub fn note_text(&mut self, text: &str) {
        let text = self.numbered(text);
        self.seen.push(text);
    }

    /// Puts a number in place of every random id, 32 hexadecimal digits, and of every digest of one, 64.
    fn numbered(&mut self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut run = String::new();
        for character in text.chars().chain(std::iter::once('\n')) {
            if character.is_ascii_hexdigit() {
                run.push(character);
                continue;
            }
            if matches!(run.len(), 32 | 64) {
                let next = self.numbers.len();
                let number = *self.numbers.entry(run.clone()).or_insert(next);
                result.extend(["#", &number.to_string()]);
            } else {
                result.push_str(&run);
            }
            run.clear();
            result.push(character);
        }
        result
    }
}

/// A body with its cursor decoded, or with the payload of its envelope: what they hold is seen by whoever decodes it, too.
/// A signature tells no more than the payload that it is on.
fn opened(text: &str) -> String {
    if let Some((payload, rest)) = text.split_once("\"payload\":\"").and_then(|(_, rest)| rest.split_once('"')) {
        let held = STANDARD.decode(payload).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let keyid = rest.split_once("\"sig\":").unwrap().0;
        return format!("<{}>{keyid}", held.unwrap_or_else(|_| panic!("what envelope is this? {text}")));
    }
    let Some((before, rest)) = text.split_once("\"next_cursor\":\"") else { return text.to_owned() };
    let (cursor, after) = rest.split_once('"').unwrap();
    let held = URL_SAFE_NO_PAD.decode(cursor).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    format!("{before}\"next_cursor\":<{}>{after}", held.unwrap_or_else(|_| panic!("what cursor is this? {cursor}")))
}

/// The worlds look the same; panics with the first difference.
pub fn assert_alike(ours: &Sight, theirs: &Sight, story: &dyn Fn() -> String) {
    for (number, (one, other)) in ours.seen.iter().zip(&theirs.seen).enumerate() {
        let differs = one.chars().zip(other.chars()).position(|(one, other)| one != other);
        let near =
            |text: &str| text.chars().skip(differs.unwrap_or(0).saturating_sub(400)).take(800).collect::<String>();
        assert!(
            one == other,
            "\nobservation {number} tells the worlds apart: {}\n  ...{}...\n  ...{}...\n{}",
            one.chars().take(200).collect::<String>(),
            near(one),
            near(other),
            story()
        );
    }
    assert_eq!(ours.seen.len(), theirs.seen.len(), "one world showed more: {}", story());
}
