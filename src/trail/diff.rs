//! What became of the lines of a segment, told by their hashes and by those that were kept.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::report::Kind;
use super::tree::Hash;

/// Lines that are not as they were kept. Both ranges count from the beginning of what was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) kind: Kind,
    /// Which of the kept hashes; where it is empty, lines were inserted before that one.
    pub(super) kept: Range<usize>,
    /// Which lines.
    pub(super) lines: Range<usize>,
}

/// The differences, in order. The fewest that come to the same are not looked for: those that are found are true.
pub(super) fn differences(lines: &[Hash], kept: &[Hash]) -> Vec<Difference> {
    let mut places: HashMap<&Hash, Vec<usize>> = HashMap::new();
    for (place, hash) in kept.iter().enumerate() {
        places.entry(hash).or_default().push(place);
    }
    let blocks = blocks(lines, kept, &places);
    let gone: HashSet<&Hash> = blocks.iter().filter_map(|block| kept.get(block.1.clone())).flatten().collect();
    let new: HashSet<&Hash> = blocks.iter().filter_map(|block| lines.get(block.0.clone())).flatten().collect();
    let moved = |hash: &Hash| gone.contains(hash) && new.contains(hash);
    let mut found = Vec::new();
    for (new, old) in blocks {
        let pairs = new.len().min(old.len());
        for pair in 0..pairs {
            let place = old.start + pair;
            let is_moved = kept.get(place).is_some_and(moved) || lines.get(new.start + pair).is_some_and(moved);
            let kind = if is_moved { Kind::Reordered } else { Kind::Changed };
            let line = new.start + pair;
            found.push(Difference { kind, kept: place..place + 1, lines: line..line + 1 });
        }
        for place in old.start + pairs..old.end {
            let kind = if kept.get(place).is_some_and(moved) { Kind::Reordered } else { Kind::Removed };
            found.push(Difference { kind, kept: place..place + 1, lines: new.end..new.end });
        }
        for line in new.start + pairs..new.end {
            // One that is moved has been told of, where it stood.
            if !lines.get(line).is_some_and(moved) {
                found.push(Difference { kind: Kind::Inserted, kept: old.end..old.end, lines: line..line + 1 });
            }
        }
    }
    joined(found)
}

/// Stretches of lines that stand where stretches of kept ones should, between lines that are as they were.
fn blocks(lines: &[Hash], kept: &[Hash], places: &HashMap<&Hash, Vec<usize>>) -> Vec<(Range<usize>, Range<usize>)> {
    let (mut blocks, mut line, mut place) = (Vec::new(), 0, 0);
    loop {
        let same = lines.iter().skip(line).zip(kept.iter().skip(place)).take_while(|(one, other)| one == other).count();
        line += same;
        place += same;
        if line >= lines.len() && place >= kept.len() {
            return blocks;
        }
        let mut best: Option<(usize, usize)> = None;
        for (ahead, hash) in lines.iter().skip(line).enumerate() {
            if best.is_some_and(|(line_step, place_step)| ahead >= line_step + place_step) {
                break;
            }
            let found = places.get(hash).map(Vec::as_slice).unwrap_or_default();
            let next = found.get(found.partition_point(|found| *found < place));
            if let Some(next) = next
                && best.is_none_or(|(line_step, place_step)| ahead + next - place < line_step + place_step)
            {
                best = Some((ahead, next - place));
            }
        }
        let (line_step, place_step) = best.unwrap_or((lines.len() - line, kept.len() - place));
        blocks.push((line..line + line_step, place..place + place_step));
        line += line_step;
        place += place_step;
    }
}

/// Neighbours of one kind as one.
fn joined(differences: Vec<Difference>) -> Vec<Difference> {
    let mut joined: Vec<Difference> = Vec::new();
    for next in differences {
        match joined.last_mut() {
            Some(last) if last.kind == next.kind && last.kept.end == next.kept.start => {
                last.kept.end = next.kept.end;
                last.lines.end = last.lines.end.max(next.lines.end);
            }
            Some(_) | None => joined.push(next),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::{effort, random};

    fn hashes(letters: &str) -> Vec<Hash> {
        letters.bytes().map(|byte| [byte; 32]).collect()
    }

    fn told(lines: &str, kept: &str) -> Vec<(Kind, Range<usize>)> {
        differences(&hashes(lines), &hashes(kept)).into_iter().map(|found| (found.kind, found.kept)).collect()
    }

    #[test]
    fn each_kind_of_change_is_told_where_it_is() {
        assert_eq!(told("abcd", "abcd"), []);
        assert_eq!(told("abXd", "abcd"), [(Kind::Changed, 2..3)]);
        assert_eq!(told("aXYd", "abcd"), [(Kind::Changed, 1..3)]);
        assert_eq!(told("abd", "abcd"), [(Kind::Removed, 2..3)]);
        assert_eq!(told("ab", "abcd"), [(Kind::Removed, 2..4)]);
        assert_eq!(told("abXcd", "abcd"), [(Kind::Inserted, 2..2)]);
        assert_eq!(told("abcdX", "abcd"), [(Kind::Inserted, 4..4)]);
        assert_eq!(told("bacd", "abcd"), [(Kind::Reordered, 0..1)]);
        assert_eq!(told("XYZ", "abcd"), [(Kind::Changed, 0..3), (Kind::Removed, 3..4)]);
    }

    #[test]
    fn whatever_was_done_something_is_found_where_it_was_done() {
        let mut random = random("differences");
        for _ in 0..effort(3_000) {
            let kept: Vec<Hash> = (0..random.u8(1..30)).map(|n| [n; 32]).collect();
            let mut lines = kept.clone();
            let at = random.usize(..lines.len());
            match random.u8(..4) {
                0 => lines[at] = [200; 32],
                1 => drop(lines.remove(at)),
                2 => lines.insert(at, [200; 32]),
                _ => lines.swap(at, kept.len() / 2),
            }
            let found = differences(&lines, &kept);
            assert_eq!(found.is_empty(), lines == kept);
            // A line that is said to be as it was is: what is not told of is the same, in the same order.
            let outside = |len: usize, range: &dyn Fn(&Difference) -> Range<usize>| -> Vec<usize> {
                (0..len).filter(|n| !found.iter().any(|found| range(found).contains(n))).collect()
            };
            if found.iter().all(|found| found.kind != Kind::Reordered) {
                let same = outside(kept.len(), &|found| found.kept.clone());
                let there = outside(lines.len(), &|found| found.lines.clone());
                assert!(same.iter().map(|n| kept[*n]).eq(there.iter().map(|n| lines[*n])), "{found:?}");
            }
        }
    }
}
