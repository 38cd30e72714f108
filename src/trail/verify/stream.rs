//! One segment, line by line beside its kept hashes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::NotVerified;
use super::checks::Checks;
use crate::trail::diff::{Difference, differences};
use crate::trail::folder::{Opening, SegmentFile, hashes_path, removed_before};
use crate::trail::hashes::HashFile;
use crate::trail::lines::{Next, SegmentLines};
use crate::trail::report::Kind;
use crate::trail::tree::{Frontier, Hash, leaf_hash};

type Kept = HashFile<BufReader<io::Take<File>>>;

/// What one segment told.
#[derive(Default)]
pub(super) struct Streamed {
    pub(super) opening: Option<Opening>,
    /// The hash of the tree before, if that is known.
    pub(super) root_before: Option<Hash>,
    /// Before which index it says that everything was removed.
    pub(super) removed_before: u64,
    /// What is wrong already, with the first and the last line it is about.
    pub(super) problems: Vec<(Kind, (u64, u64), String)>,
    pub(super) differences: Vec<Difference>,
    /// From which tree index on lines were compared with kept hashes one by one.
    pub(super) compared_from: u64,
    /// Which line of the file that is, from 1.
    pub(super) compared_line: u64,
    /// With how many kept hashes.
    pub(super) compared_kept: usize,
    /// The tree index behind the last line.
    pub(super) lines_end: u64,
    /// The tree behind it, as far as that can be told.
    pub(super) tree: Option<Frontier>,
    pub(super) bytes: u64,
    pub(super) unfinished_bytes: u64,
    pub(super) readable: bool,
}

/// Reads a segment that ends before the index `end`, or is the last one. `before` is the tree before it, if that is known;
/// otherwise the one that is kept beside the segment is believed.
pub(super) fn stream(
    folder: &Path,
    segment: &SegmentFile,
    end: Option<u64>,
    before: Option<Frontier>,
    checks: &mut Checks,
) -> Result<Streamed, NotVerified> {
    let mut told = Streamed { readable: true, lines_end: segment.start, ..Streamed::default() };
    let (mut kept, tree) = match open_kept(folder, segment, before, &mut told) {
        Ok(found) => found,
        Err(source) => return Err(NotVerified::Unreadable { path: hashes_path(folder, segment.start), source }),
    };
    told.root_before = tree.as_ref().map(Frontier::root);
    let mut tree = tree.unwrap_or_default();
    checks.lines(&tree);
    let opened = SegmentLines::open(segment);
    let read = opened.and_then(|mut lines| {
        let read = follow(&mut lines, &mut kept, &mut tree, checks, &mut told);
        told.bytes = lines.bytes;
        read
    });
    if let Err(error) = read {
        let last = end.unwrap_or(told.lines_end + 1).max(told.lines_end + 1) - 1;
        told.problems.push((Kind::Unreadable, (told.lines_end, last), format!("they cannot be read: {error}")));
        told.readable = false;
        return Ok(told);
    }
    kept_short(end, kept.as_ref(), checks, &mut told);
    Ok(told)
}

/// The kept hashes and the tree to start from.
fn open_kept(
    folder: &Path,
    segment: &SegmentFile,
    before: Option<Frontier>,
    told: &mut Streamed,
) -> io::Result<(Option<Kept>, Option<Frontier>)> {
    let place = (segment.start, segment.start);
    let file = match File::open(hashes_path(folder, segment.start)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            told.problems.push((Kind::BadHashes, place, "the hashes beside the segment are missing".to_owned()));
            return Ok((None, before.or_else(|| (segment.start == 0).then(Frontier::default))));
        }
        Err(error) => return Err(error),
    };
    // No further than it reaches now: of a log that is being written the lines are there already, but not those to come.
    let len = file.metadata()?.len();
    let (kept, header) = HashFile::open(BufReader::new(file.take(len)), segment.start)?;
    let differs = before.as_ref().is_some_and(|before| header.as_ref() != Some(before));
    if differs || header.is_none() {
        let said = "the tree before the segment is not the one that is kept beside it";
        told.problems.push((Kind::BadHashes, place, said.to_owned()));
    }
    let tree = before.or(header);
    Ok((tree.is_some().then_some(kept), tree))
}

/// Goes through lines and kept hashes as long as they are the same, then through the rest of both.
fn follow(
    lines: &mut SegmentLines,
    kept: &mut Option<Kept>,
    tree: &mut Frontier,
    checks: &mut Checks,
    told: &mut Streamed,
) -> io::Result<()> {
    let (mut nodes, mut pushed) = (Vec::new(), Vec::new());
    let start = tree.size();
    loop {
        let leaf = match lines.next()? {
            Next::Line(line) => {
                if tree.size() == start {
                    opens(line, start, told);
                }
                told.removed_before = told.removed_before.max(removed_before(line).unwrap_or(0));
                Some(leaf_hash(line))
            }
            Next::Unfinished(bytes) => {
                told.unfinished_bytes = bytes;
                None
            }
            Next::End => None,
        };
        let expected = match kept {
            Some(kept) => kept.next_leaf(&mut nodes)?,
            None => None,
        };
        let Some(leaf) = leaf.filter(|leaf| expected.is_none_or(|expected| expected == *leaf)) else {
            match (leaf, expected) {
                (None, None) => break,
                (leaf, Some(expected)) => {
                    return compare(lines, kept, tree, (leaf, expected), &nodes, checks, told);
                }
                // A line is left out above only where a kept hash is another.
                (Some(_), None) => {}
            }
            break;
        };
        pushed.clear();
        tree.push(leaf, |hash| pushed.push(*hash));
        if expected.is_some() && pushed.get(1..).unwrap_or_default() != nodes {
            wrong_node(tree.size() - 1, told);
        }
        checks.lines(tree);
        told.lines_end = tree.size();
    }
    told.tree = Some(tree.clone());
    Ok(())
}

fn opens(line: &[u8], start: u64, told: &mut Streamed) {
    told.opening = Opening::parse(line);
    if told.opening.is_none() {
        told.problems.push((Kind::Changed, (start, start), "it does not open a segment".to_owned()));
    }
}

fn wrong_node(index: u64, told: &mut Streamed) {
    let said = "a hash that was kept of the tree up to here is not the tree's";
    told.problems.push((Kind::BadHashes, (index, index), said.to_owned()));
}

/// From the first difference on: takes in everything that is left of the segment, and tells the differences.
fn compare(
    lines: &mut SegmentLines,
    kept: &mut Option<Kept>,
    tree: &mut Frontier,
    first: (Option<Hash>, Hash),
    first_nodes: &[Hash],
    checks: &mut Checks,
    told: &mut Streamed,
) -> io::Result<()> {
    checks.part();
    told.compared_from = tree.size();
    told.compared_line = tree.size() - told.root_start() + 1;
    let mut kept_tree = tree.clone();
    let (mut there, mut expected) = (Vec::new(), Vec::new());
    let (mut leaf, mut nodes) = (first.0, first_nodes.to_vec());
    while let Some(hash) = leaf {
        there.push(hash);
        tree.push(hash, |_| {});
        checks.lines(tree);
        leaf = match lines.next()? {
            Next::Line(line) => {
                told.removed_before = told.removed_before.max(removed_before(line).unwrap_or(0));
                Some(leaf_hash(line))
            }
            Next::Unfinished(bytes) => {
                told.unfinished_bytes = bytes;
                None
            }
            Next::End => None,
        };
    }
    let mut next = Some(first.1);
    let mut pushed = Vec::new();
    while let Some(hash) = next {
        expected.push(hash);
        pushed.clear();
        kept_tree.push(hash, |hash| pushed.push(*hash));
        if pushed.get(1..).unwrap_or_default() != nodes {
            wrong_node(kept_tree.size() - 1, told);
        }
        checks.kept(&kept_tree);
        next = match kept {
            Some(kept) => kept.next_leaf(&mut nodes)?,
            None => None,
        };
    }
    told.differences = differences(&there, &expected);
    told.compared_kept = expected.len();
    told.lines_end = tree.size();
    // The tree that the last head fits is the one to go on from.
    let lines_are_right = checks.judge(told.compared_from).1 == Some(true);
    told.tree = Some(if lines_are_right { tree.clone() } else { kept_tree });
    Ok(())
}

impl Streamed {
    fn root_start(&self) -> u64 {
        self.opening.as_ref().map_or(self.compared_from, |opening| opening.index).min(self.compared_from)
    }
}

/// Hashes that end before the lines do: only those of the last segment may, as far as no head has been signed.
fn kept_short(end: Option<u64>, kept: Option<&Kept>, checks: &Checks, told: &mut Streamed) {
    let Some(kept) = kept.map(HashFile::index) else { return };
    let needed = end.unwrap_or_else(|| checks.own_up_to(told.lines_end)).min(told.lines_end);
    if kept < needed {
        let said = "the hashes that were kept end here".to_owned();
        told.problems.push((Kind::BadHashes, (kept, needed - 1), said));
    }
}
