//! Checking a log from its files and a public key: what is wrong, and with which lines.
//!
//! Segment by segment, in memory that does not depend on how long the log is. Lines are hashed and compared with the
//! hashes that were kept, and the trees over both with every signed head: where a line is not as it was kept, the heads
//! tell which of the two is right.

mod checks;
mod stream;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use self::checks::{Check, Checks};
use self::stream::{Streamed, stream};
use super::diff::Difference;
use super::folder::{Folder, Opening, SegmentFile, heads_path, hold};
use super::head::{SignedHead, read_heads};
use super::lines::{Next, SegmentLines};
use super::report::{Finding, Kind, Report};
use super::tree::Frontier;
use crate::signing::TrustedKeys;

/// The log could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    /// A file could not be read, or went away: a log that is being written may remove a segment meanwhile.
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no segment in the folder.
    #[error("`{}` holds no segment of a log", .0.display())]
    NoLog(PathBuf),
}

/// Checks one log: its own heads must be signed by one of these keys, and so must those that were published. Published
/// heads of other logs are left out.
///
/// # Errors
/// [`NotVerified`]; what is wrong with the log is in the report.
pub fn verify(folder: &Path, keys: &TrustedKeys, published: &[SignedHead]) -> Result<Report, NotVerified> {
    let unreadable = |source| NotVerified::Unreadable { path: folder.to_owned(), source };
    let files = Folder::read(folder).map_err(unreadable)?;
    let Some(first) = files.segments.first() else { return Err(NotVerified::NoLog(folder.to_owned())) };
    let origin = files.segments.iter().find_map(origin_of);
    let report = Report {
        folder: folder.display().to_string(),
        log: origin,
        first: first.start,
        segments: files.segments.len() as u64,
        hold: hold(folder),
        ..Report::default()
    };
    let mut verifier =
        Verifier { keys, report, tree: None, believed_from: 0, broken: false, waiting: Vec::new(), removed_before: 0 };
    verifier.publish(published);
    let ends = files.segments.iter().skip(1).map(|next| Some(next.start)).chain([None]);
    for (segment, end) in files.segments.iter().zip(ends) {
        verifier.segment(&files.path, segment, end)?;
    }
    Ok(verifier.conclude(&files))
}

/// The log's name, as the segment's first line says.
fn origin_of(segment: &SegmentFile) -> Option<String> {
    match SegmentLines::open(segment).ok()?.next() {
        Ok(Next::Line(line)) => Opening::parse(line).map(|opening| opening.origin),
        Ok(Next::Unfinished(_) | Next::End) | Err(_) => None,
    }
}

struct Verifier<'a> {
    keys: &'a TrustedKeys,
    report: Report,
    /// The tree over everything before the segment that comes next; none when that is not known.
    tree: Option<Frontier>,
    /// Heads that are about more than has been looked at.
    waiting: Vec<Check>,
    /// Before which index the log says that everything was removed.
    removed_before: u64,
    /// From which index on the tree is not yet known to be wrong.
    believed_from: u64,
    /// The tree is not the one that was signed, and this has been told.
    broken: bool,
}

impl Verifier<'_> {
    fn find(&mut self, kind: Kind, lines: (u64, u64), file: &Path, told: impl Into<String>) {
        let file = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.report.findings.push(Finding { kind, first: lines.0, last: lines.1, file, told: told.into() });
    }

    fn segment(&mut self, folder: &Path, segment: &SegmentFile, end: Option<u64>) -> Result<(), NotVerified> {
        self.arrive(segment);
        let mut checks = self.heads(folder, segment)?;
        let streamed = stream(folder, segment, end, self.tree.take(), &mut checks)?;
        self.opening(segment, &streamed);
        self.report.bytes += streamed.bytes;
        self.removed_before = self.removed_before.max(streamed.removed_before);
        for (kind, lines, told) in &streamed.problems {
            self.find(*kind, *lines, &segment.path, told.clone());
        }
        let explained = self.differences(segment, end, &streamed, &checks);
        self.unexplained(segment, &checks, &explained);
        self.go_on(segment, end, streamed, checks);
        Ok(())
    }

    /// Segments follow each other without a hole.
    fn arrive(&mut self, segment: &SegmentFile) {
        let Some(before) = self.tree.as_ref().map(Frontier::size) else { return };
        let start = segment.start;
        if start > before {
            self.find(Kind::Removed, (before, start - 1), &segment.path, "the lines before this segment are missing");
        } else if start < before {
            self.find(Kind::Inserted, (start, before - 1), &segment.path, "more lines stand before this segment");
        }
        if self.tree.take_if(|tree| tree.size() != start).is_some() {
            self.believed_from = start;
        }
    }

    /// The heads that belong here: those of the segment's file, and those that still wait.
    fn heads(&mut self, folder: &Path, segment: &SegmentFile) -> Result<Checks, NotVerified> {
        let path = heads_path(folder, segment.start);
        let named = |source| NotVerified::Unreadable { path: path.clone(), source };
        let mut found = std::mem::take(&mut self.waiting);
        let file = match std::fs::File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(named(error)),
        };
        for read in file.into_iter().flat_map(|file| read_heads(io::BufReader::new(file))) {
            let (at, head) = read.map_err(named)?;
            match head.and_then(|head| head.signed_by(self.keys).map(|_| ()).map(|()| head)) {
                Ok(head) => self.take_head(&head, false, &path, &mut found),
                Err(problem) => {
                    let told = format!("the head at byte {at} {problem}");
                    self.find(Kind::BadHead, (segment.start, segment.start), &path, told);
                }
            }
        }
        Ok(Checks::of(found))
    }

    fn take_head(&mut self, head: &SignedHead, published: bool, file: &Path, found: &mut Vec<Check>) {
        let head = head.head();
        let origin = self.report.log.get_or_insert_with(|| head.origin.clone());
        if *origin != head.origin {
            let told = format!("the head of size {} is of another log, `{}`", head.size, head.origin);
            self.find(Kind::Mixed, (head.size, head.size), file, told);
            return;
        }
        self.report.heads += 1;
        found.push(Check::of(head, published));
    }

    /// The first line says which log and which place this is. The first segment names the log, and then the heads that
    /// were published of it count.
    fn opening(&mut self, segment: &SegmentFile, streamed: &Streamed) {
        let Some(opening) = &streamed.opening else { return };
        let origin = self.report.log.get_or_insert_with(|| opening.origin.clone()).clone();
        let place = (segment.start, segment.start);
        if origin != opening.origin {
            self.find(Kind::Mixed, place, &segment.path, format!("it is of another log, `{}`", opening.origin));
        } else if opening.index != segment.start {
            let told = format!("its first line says that it begins with line {}", opening.index);
            self.find(Kind::Mixed, place, &segment.path, told);
        } else if streamed.root_before.is_some_and(|root| root != opening.root_before) {
            let told = "what stands before it is not what its first line says";
            self.find(Kind::Mixed, place, &segment.path, told);
        }
    }

    /// Lines that are not as their hashes were kept. Gives the indexes of those for which that is told.
    fn differences(
        &mut self,
        segment: &SegmentFile,
        end: Option<u64>,
        streamed: &Streamed,
        checks: &Checks,
    ) -> BTreeSet<u64> {
        let mut explained = BTreeSet::new();
        for difference in &streamed.differences {
            let Difference { kind, kept, lines } = difference;
            let index = |place: usize| streamed.compared_from + place as u64;
            let (first, last) = (index(kept.start), index(kept.end.max(kept.start + 1) - 1));
            explained.insert(first);
            let line = streamed.compared_line + lines.start as u64;
            let said = match checks.judge(first) {
                (_, Some(true)) => {
                    let told = "the lines are as they were signed, but not the hashes that were kept of them";
                    self.find(Kind::BadHashes, (first, last), &segment.path, told);
                    continue;
                }
                (Some(true), _) => "a signed head covers what was there",
                (Some(false), _) => "and the hashes that were kept are not those that were signed",
                (None, _) => "no signed head covers what was there",
            };
            let at_the_end = end.is_none() && *kind == Kind::Removed && kept.end == streamed.compared_kept;
            let kind = if at_the_end { Kind::Truncated } else { *kind };
            self.find(kind, (first, last), &segment.path, format!("at line {line} of the file; {said}"));
        }
        explained
    }

    /// Heads that do not fit, where every line fits the hashes that were kept: both were changed.
    fn unexplained(&mut self, segment: &SegmentFile, checks: &Checks, explained: &BTreeSet<u64>) {
        let good_before = self.report.signed_size;
        let good = checks.good_up_to().max(good_before);
        let Some(bad) = checks.first_bad().filter(|bad| !explained.iter().any(|index| *index < bad.size)) else {
            return;
        };
        let from = checks.good_before(bad.size).max(good_before).max(self.believed_from).max(self.report.first);
        let lines = (from.min(bad.size.saturating_sub(1)), bad.size.saturating_sub(1));
        let fits_ours = checks.has_twin(bad) || (bad.published && good >= bad.size);
        if fits_ours {
            let told = format!("two heads of size {} cannot both be; one was signed at {}", bad.size, bad.time);
            self.find(Kind::Forked, lines, &segment.path, told);
        } else {
            let told = format!("they are not what was signed at {}, and neither are the hashes kept of them", bad.time);
            self.find(Kind::Changed, lines, &segment.path, told);
            self.broken = true;
        }
    }

    fn go_on(&mut self, segment: &SegmentFile, end: Option<u64>, streamed: Streamed, checks: Checks) {
        if let Some(good) = checks.last_good() {
            self.report.signed_size = good.size;
            self.report.signed_at = Some(good.time.to_string());
        }
        self.report.unfinished_bytes = streamed.unfinished_bytes;
        self.report.size = streamed.lines_end;
        let explained = !streamed.differences.is_empty();
        if let Some(end) = end.filter(|end| *end != streamed.lines_end && !explained && streamed.readable) {
            if streamed.lines_end < end {
                let told = "they are missing at the segment's end";
                self.find(Kind::Removed, (streamed.lines_end, end - 1), &segment.path, told);
            } else {
                let told = "the segment holds more lines than it had";
                self.find(Kind::Inserted, (end, streamed.lines_end - 1), &segment.path, told);
            }
        }
        // What was not signed is nothing to go on from: the next segment says what stood before it.
        let broken = std::mem::take(&mut self.broken);
        self.believed_from = end.filter(|_| broken).unwrap_or(self.believed_from);
        self.tree = streamed.tree.filter(|_| !broken);
        self.waiting = checks.waiting(end.unwrap_or(streamed.lines_end));
    }

    /// Heads of this log that were published count as its own do.
    fn publish(&mut self, published: &[SignedHead]) {
        let mut found = Vec::new();
        let log = self.report.log.clone();
        for head in published.iter().filter(|head| log.as_ref().is_none_or(|log| *log == head.head().origin)) {
            match head.signed_by(self.keys) {
                Ok(_) => self.take_head(head, true, Path::new("published"), &mut found),
                Err(problem) => {
                    let size = head.head().size;
                    let told = format!("the published head {problem}");
                    self.find(Kind::BadHead, (size, size), Path::new("published"), told);
                }
            }
        }
        self.waiting = found;
    }

    /// What can be said only at the end.
    fn conclude(mut self, files: &Folder) -> Report {
        let last = files.segments.last().map(|segment| segment.path.clone()).unwrap_or_default();
        let size = self.report.size;
        let beyond = self.waiting.iter().filter(|check| check.size > size).max_by_key(|check| check.size).cloned();
        if let Some(head) = beyond {
            let is_told = |finding: &Finding| finding.kind == Kind::Truncated;
            let from = self.report.findings.iter().filter(|found| is_told(found)).map(|found| found.first).min();
            self.report.findings.retain(|finding| !is_told(finding));
            let told = format!("there were {} lines when a head was signed at {}", head.size, head.time);
            self.find(Kind::Truncated, (from.unwrap_or(size).min(size), head.size - 1), &last, told);
        }
        let first = self.report.first;
        if first > 0 && self.removed_before < first {
            let told = "they are missing, and the log does not say that they were to be removed";
            let file = files.segments.first().map(|segment| segment.path.clone()).unwrap_or_default();
            self.find(Kind::Removed, (0, first - 1), &file, told);
        }
        self.report
    }
}
