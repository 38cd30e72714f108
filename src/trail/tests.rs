//! Small logs, and everything that can be done to them.

use std::ops::Range;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::folder::removed_line;
use super::*;
use crate::model::Timestamp;
use crate::signing::{SigningKey, TrustedKeys};

mod proofs;
mod tampering;

const ORIGIN: &str = "consentry.example/decisions/1";

/// A log as the service would have written it.
struct Written {
    folder: TempDir,
    key: SigningKey,
    /// The lines of each segment, the opening first.
    segments: Vec<(u64, Vec<String>)>,
    /// Every head that was signed.
    heads: Vec<SignedHead>,
}

fn time(second: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + i64::try_from(second).unwrap() * 1_000)
}

/// How many lines each segment has, and after how many lines of the whole log a head is signed. A head is signed at the
/// end of each segment, too.
fn written(lines: &[u64], heads: &[u64]) -> Written {
    written_by(SigningKey::generate().unwrap(), ORIGIN, "", lines, heads)
}

fn written_by(key: SigningKey, origin: &str, salt: &str, lines: &[u64], heads: &[u64]) -> Written {
    let folder = TempDir::new().unwrap();
    let (mut tree, mut segments, mut signed) = (Frontier::default(), Vec::new(), Vec::new());
    for count in lines {
        let start = tree.size();
        let mut hashes = tree.subtrees().concat();
        let (mut there, mut notes) = (Vec::new(), String::new());
        for index in start..start + count {
            let line = if index == start {
                let root_before = tree.root();
                Opening { origin: origin.to_owned(), index, root_before, time: time(index) }.to_line()
            } else {
                format!("{{\"type\":\"decision\",\"decision_id\":\"{index:032x}{salt}\"}}")
            };
            tree.push(leaf_hash(line.as_bytes()), |hash| hashes.extend_from_slice(hash));
            there.push(line);
            let size = tree.size();
            if heads.contains(&size) || size == start + count {
                let head = TreeHead { origin: origin.to_owned(), size, root: tree.root(), time: time(size) };
                let head = head.sign(&key).unwrap();
                notes = notes + head.note() + "\n";
                signed.push(head);
            }
        }
        let path = folder.path();
        std::fs::write(plain_path(path, start), there.join("\n") + "\n").unwrap();
        std::fs::write(hashes_path(path, start), hashes).unwrap();
        std::fs::write(heads_path(path, start), notes).unwrap();
        segments.push((start, there));
    }
    Written { folder, key, segments, heads: signed }
}

impl Written {
    fn keys(&self) -> TrustedKeys {
        TrustedKeys(vec![self.key.public()])
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn report(&self) -> Report {
        self.report_with(&[])
    }

    fn report_with(&self, published: &[SignedHead]) -> Report {
        verify(self.path(), &self.keys(), published).unwrap()
    }

    fn segment(&self, number: usize) -> PathBuf {
        plain_path(self.path(), self.segments[number].0)
    }

    /// Puts other lines into a segment's file, and finds out what is said of it; then puts the file right again.
    fn with_lines(&self, number: usize, lines: &[String]) -> Vec<Finding> {
        let before = std::fs::read(self.segment(number)).unwrap();
        let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        std::fs::write(self.segment(number), text).unwrap();
        let found = self.report().findings;
        std::fs::write(self.segment(number), before).unwrap();
        found
    }

    fn pack(&self, number: usize) {
        let start = self.segments[number].0;
        let mut packed = std::fs::File::create(packed_path(self.path(), start)).unwrap();
        pack(std::fs::File::open(self.segment(number)).unwrap(), &mut packed).unwrap();
        std::fs::remove_file(self.segment(number)).unwrap();
    }

    fn remove(&self, number: usize) {
        let start = self.segments[number].0;
        let named: [fn(&Path, u64) -> PathBuf; 4] = [plain_path, packed_path, hashes_path, heads_path];
        for path in named.map(|path| path(self.path(), start)) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Appends a line as the service does, with its hashes and a head.
    fn append(&mut self, line: String) {
        let start = self.segments.last().unwrap().0;
        let size = start + self.segments.last().unwrap().1.len() as u64;
        let stored = StoredHashes::open(&Folder::read(self.path()).unwrap()).unwrap();
        let mut tree = stored.frontier(size).unwrap();
        let mut hashes = std::fs::read(hashes_path(self.path(), start)).unwrap();
        tree.push(leaf_hash(line.as_bytes()), |hash| hashes.extend_from_slice(hash));
        std::fs::write(hashes_path(self.path(), start), hashes).unwrap();
        let head = TreeHead { origin: ORIGIN.to_owned(), size: size + 1, root: tree.root(), time: time(size + 1) };
        let head = head.sign(&self.key).unwrap();
        let heads = std::fs::read_to_string(heads_path(self.path(), start)).unwrap();
        std::fs::write(heads_path(self.path(), start), format!("{heads}{}\n", head.note())).unwrap();
        let lines = std::fs::read_to_string(plain_path(self.path(), start)).unwrap();
        std::fs::write(plain_path(self.path(), start), format!("{lines}{line}\n")).unwrap();
        self.heads.push(head);
        self.segments.last_mut().unwrap().1.push(line);
    }
}

/// The findings, as kinds with the lines they are about.
fn told(findings: &[Finding]) -> Vec<(Kind, Range<u64>)> {
    findings.iter().map(|finding| (finding.kind, finding.first..finding.last + 1)).collect()
}

#[test]
fn a_log_that_is_as_it_was_written_is_good() {
    for lines in [&[1][..], &[2], &[7], &[4, 1, 6], &[8, 8, 8], &[5, 9, 3, 1, 1]] {
        for heads in [&[][..], &[1, 2, 3, 5, 8, 13], &[4]] {
            let log = written(lines, heads);
            let report = log.report_with(&log.heads);
            assert_eq!(report.findings, [], "{lines:?} {heads:?}");
            let size: u64 = lines.iter().sum();
            assert_eq!((report.first, report.size, report.signed_size), (0, size, size));
            assert_eq!((report.heads, report.log.as_deref()), (2 * log.heads.len() as u64, Some(ORIGIN)));
            assert_eq!(report.segments, lines.len() as u64);
        }
    }
}

#[test]
fn compressed_segments_are_read_as_the_others_are() {
    let log = written(&[5, 6, 7], &[3, 9]);
    let before: String = std::io::read_to_string(open_lines(log.path()).unwrap()).unwrap();
    log.pack(0);
    log.pack(1);
    assert_eq!(log.report().findings, []);
    assert_eq!(std::io::read_to_string(open_lines(log.path()).unwrap()).unwrap(), before);
    // One that is there twice, because the service was stopped between the two steps.
    std::fs::write(log.segment(1), log.segments[1].1.join("\n") + "\n").unwrap();
    assert_eq!(log.report().findings, []);
}

#[test]
fn what_is_left_after_segments_were_removed_is_good_when_the_log_says_so() {
    let mut log = written(&[5, 6, 7], &[3, 9, 13]);
    let heads: Vec<_> = log.heads.clone();
    log.append(removed_line(11, "older than 30 days", time(99)));
    log.remove(0);
    assert_eq!(log.report_with(&heads).findings, []);
    log.remove(1);
    let report = log.report_with(&heads);
    assert_eq!((report.findings.as_slice(), report.first, report.size), ([].as_slice(), 11, 19));
    // It does not say so of the next one.
    let mut log = written(&[5, 6, 7], &[]);
    log.append(removed_line(5, "older than 30 days", time(99)));
    log.remove(0);
    log.remove(1);
    assert_eq!(told(&log.report().findings), [(Kind::Removed, 0..11)]);
}

#[test]
fn a_hold_is_told_with_its_reason() {
    let log = written(&[3], &[]);
    assert_eq!(log.report().hold, None);
    std::fs::write(log.path().join("hold"), "case 4711\n").unwrap();
    assert_eq!(log.report().hold.as_deref(), Some("case 4711"));
    std::fs::write(log.path().join("hold"), "").unwrap();
    assert_eq!(log.report().hold.as_deref(), Some("it does not say why"));
}
