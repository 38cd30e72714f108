//! Finding one decision's record by its id. Ids tell no time, so the search is bounded: it looks through the end of the
//! log, or through what stands there from about a given time on.

use std::io::{self, BufRead, BufReader};

use serde::Deserialize;

use super::parts::Parts;
use super::scan::{BUFFER_BYTES, Stretch};
use crate::model::Timestamp;

/// How much of the log one search looks through.
pub(super) const LOOKED_THROUGH_BYTES: u64 = 64 * 1024 * 1024;

/// Records of one moment stand in the order in which they were appended, which may be a little later.
pub(super) const DISORDER_MS: i64 = 2_000;

/// Where a search for a time is near enough.
const STEP_BYTES: u64 = 64 * 1024;

/// The line that records this decision, without its end; none when it is not where it was looked for.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn find(parts: &Parts, log_end: u64, id: &str, near: Option<Timestamp>) -> io::Result<Option<String>> {
    let from = match near {
        Some(near) => before(parts, log_end, near.plus_millis(-DISORDER_MS))?,
        None => log_end.saturating_sub(LOOKED_THROUGH_BYTES).max(parts.first()),
    };
    // What every record of a decision begins with; see `entry.rs`.
    let head = format!("{{\"type\":\"decision\",\"decision_id\":\"{id}\",");
    let mut lines = Lines::after(parts, from, log_end)?;
    while lines.at < from + LOOKED_THROUGH_BYTES
        && let Some(line) = lines.next()?
    {
        if line.starts_with(head.as_bytes()) {
            return Ok(Some(String::from_utf8_lossy(line).trim_end().to_owned()));
        }
    }
    Ok(None)
}

/// A place in the log before which every line is earlier than this time.
fn before(parts: &Parts, log_end: u64, time: Timestamp) -> io::Result<u64> {
    let (mut low, mut high) = (parts.first(), log_end);
    while high - low > STEP_BYTES {
        let middle = low + (high - low) / 2;
        match first_time(parts, middle, high)? {
            Some(first) if first < time => low = middle,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// The time of the first line that begins behind `from` and before `to`, and has one.
fn first_time(parts: &Parts, from: u64, to: u64) -> io::Result<Option<Timestamp>> {
    #[derive(Deserialize)]
    struct Timed<'a> {
        #[serde(borrow)]
        time: std::borrow::Cow<'a, str>,
    }
    let mut lines = Lines::after(parts, from, to)?;
    while let Some(line) = lines.next()? {
        let timed = serde_json::from_slice::<Timed<'_>>(line).ok();
        if let Some(time) = timed.and_then(|timed| timed.time.parse().ok()) {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

/// The whole lines of a stretch of the log.
struct Lines<'a> {
    reader: BufReader<Stretch<'a>>,
    line: Vec<u8>,
    /// Where the next line begins.
    at: u64,
}

impl<'a> Lines<'a> {
    /// The lines that begin at or behind `from`, which may stand within one.
    fn after(parts: &'a Parts, from: u64, to: u64) -> io::Result<Self> {
        let start = from.saturating_sub(1).max(parts.first());
        let reader = BufReader::with_capacity(BUFFER_BYTES, Stretch { parts, at: start, end: to });
        let mut lines = Self { reader, line: Vec::new(), at: start };
        if from > start {
            lines.next()?;
        }
        Ok(lines)
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line)?;
        self.at += read as u64;
        Ok((read > 0).then_some(self.line.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + second * 1_000)
    }

    /// A log in which decision `n` was recorded in second `n`, with a mark of the log's own after each tenth.
    fn log(decisions: i64, padding: usize) -> (File, u64) {
        let mut file = tempfile::tempfile().unwrap();
        let padding = "x".repeat(padding);
        for n in 0..decisions {
            writeln!(
                file,
                "{{\"type\":\"decision\",\"decision_id\":\"{n:032x}\",\"time\":\"{}\",\"item\":\"{padding}\"}}",
                at(n)
            )
            .unwrap();
            if n % 10 == 0 {
                writeln!(file, "{{\"type\":\"gap\",\"lost\":1,\"since\":\"{0}\",\"time\":\"{0}\"}}", at(n)).unwrap();
            }
        }
        let len = file.metadata().unwrap().len();
        (file, len)
    }

    fn holds(found: Option<&String>, n: i64) -> bool {
        found.is_some_and(|line| line.contains(&format!("{n:032x}")) && line.ends_with('}'))
    }

    #[test]
    fn a_decision_is_found_with_and_without_its_time() {
        let (file, len) = log(3_000, 200);
        let file = Parts::of(file);
        for n in [0, 1, 2, 1_234, 2_998, 2_999] {
            for near in [None, Some(at(n)), Some(at(n + 1))] {
                let found = find(&file, len, &format!("{n:032x}"), near).unwrap();
                assert!(holds(found.as_ref(), n), "{n} near {near:?}: {found:?}");
            }
        }
        assert_eq!(find(&file, len, &format!("{:032x}", 3_000), None).unwrap(), None);
        // Behind the watermark nothing is read.
        assert_eq!(find(&file, len - 1_000, &format!("{:032x}", 2_999), None).unwrap(), None);
    }

    #[test]
    fn what_stands_before_the_bound_is_found_by_its_time_alone() {
        let (file, len) = log(70, 1024 * 1024);
        let file = Parts::of(file);
        assert!(len > LOOKED_THROUGH_BYTES + 4 * 1024 * 1024);
        let id = format!("{:032x}", 1);
        assert_eq!(find(&file, len, &id, None).unwrap(), None);
        assert!(holds(find(&file, len, &id, Some(at(1))).unwrap().as_ref(), 1));
        // And so is what stands at the end, from a time at the beginning: not within the bound.
        assert_eq!(find(&file, len, &format!("{:032x}", 69), Some(at(0))).unwrap(), None);
    }
}
