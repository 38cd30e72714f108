//! Finding out at start whether the log is the one of which the newest head was signed, from that head on.
//!
//! What stands before the newest head's segment is not read: `consentry audit verify` does that.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::binder::Resumed;
use super::error::LogError;
use super::segment::{Expected, append_to};
use crate::signing::TrustedKeys;
use crate::trail::{
    Folder, Frontier, HashFile, HeadProblem, Opening, SegmentFile, SegmentLines, SignedHead, StoredHashes, TreeHead,
    hashes_path, heads_path, leaf_hash, read_heads, verify,
};

/// The longest that a head can be which a crash tore, in bytes.
const TORN_HEAD_BYTES: u64 = 4096;

struct Newest {
    head: Option<TreeHead>,
    /// How long the last segment's file of heads is, up to the end of its last good one.
    heads_len: u64,
    /// Where a crash tore the head of the segment before, which was being closed.
    torn: Option<(PathBuf, u64)>,
}

/// Where the tree goes on, when the log fits its newest head. The segment that is written has been healed.
///
/// # Errors
/// [`LogError::Altered`] naming what does not fit; [`LogError::Open`] when a file cannot be read or mended.
pub(super) fn resume(folder: &Path, keys: &TrustedKeys) -> Result<Resumed, LogError> {
    let failed = |source| LogError::Open { path: folder.to_owned(), source };
    let altered = |told: String| LogError::Altered { path: folder.to_owned(), told };
    let files = Folder::read(folder).map_err(failed)?;
    let found = newest(&files, keys).map_err(failed)?;
    let newest = found.map_err(|why| altered(with_findings(&files.path, keys, &why)))?;
    let signed_size = newest.head.as_ref().map_or(0, |head| head.size);
    // The segment in which the head was signed; where it was signed at a segment's end, the one that follows.
    let from = files.segments.partition_point(|segment| segment.start <= signed_size).saturating_sub(1);
    if newest.head.is_none() && files.segments.len() > 1 {
        return Err(altered("none of its heads is there".to_owned()));
    }
    let mut resumed = None;
    let mut differs = false;
    // Nothing is mended before all of it is known to be good.
    for mend in [false, true] {
        if mend && !differs {
            break;
        }
        let mut tree = None;
        for segment in files.segments.iter().skip(from) {
            let before = match tree.take() {
                Some(tree) => tree,
                None => before(&files, segment.start).map_err(failed)?,
            };
            let bound = bind(folder, segment, before, newest.head.as_ref(), mend).map_err(failed)?;
            let bound = bound.map_err(|why| altered(with_findings(folder, keys, &why)))?;
            let Bound { tree: after, hashed, hashes_len, hashes_differ } = bound;
            differs |= hashes_differ;
            tree = Some(after.clone());
            resumed = Some(Resumed { tree: after, hashed, hashes_len, heads_len: newest.heads_len, signed_size });
        }
        let size = tree.map_or(0, |tree| tree.size());
        if size < signed_size {
            let why = format!("its lines {size} to {} are missing", signed_size - 1);
            return Err(altered(with_findings(folder, keys, &why)));
        }
    }
    if let Some((path, len)) = newest.torn {
        let cut = append_to(&path, Expected::There).and_then(|file| file.set_len(len));
        cut.map_err(failed)?;
    }
    resumed.ok_or_else(|| altered("it holds no segment".to_owned()))
}

/// What is wrong, as whoever verifies it would be told.
fn with_findings(folder: &Path, keys: &TrustedKeys, why: &str) -> String {
    let findings = verify(folder, keys, &[]).map(|report| report.findings).unwrap_or_default();
    findings.iter().take(3).fold(why.to_owned(), |told, finding| format!("{told}; {finding}"))
}

/// The newest head; an error when one was changed.
fn newest(files: &Folder, keys: &TrustedKeys) -> io::Result<Result<Newest, String>> {
    let mut newest = Newest { head: None, heads_len: 0, torn: None };
    for (place, segment) in files.segments.iter().rev().enumerate() {
        let path = heads_path(&files.path, segment.start);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let len = file.metadata()?.len();
        let (mut last, mut good_len): (Option<SignedHead>, u64) = (None, 0);
        for read in read_heads(BufReader::new(file)) {
            match read? {
                // A name that was torn and what follows it can make a name, too.
                (at, Ok(head)) if last.as_ref().is_some_and(|last| last.head().origin != head.head().origin) => {
                    let origin = &head.head().origin;
                    return Ok(Err(format!(
                        "`{}`: the head at byte {at} is of another log, `{origin}`",
                        path.display()
                    )));
                }
                (at, Ok(head)) => {
                    good_len = at + head.note().len() as u64 + 1;
                    last = Some(head);
                }
                // A crash came while it was written. It said nothing that another one will not say.
                (at, Err(HeadProblem::Malformed(_)))
                    if place <= 1 && len - at <= TORN_HEAD_BYTES && !head_follows(&path, at, keys)? =>
                {
                    newest.torn = Some((path.clone(), at)).filter(|_| place == 1);
                }
                (at, Err(problem)) => return Ok(Err(format!("`{}`: the head at byte {at} {problem}", path.display()))),
            }
        }
        if place == 0 {
            newest.heads_len = good_len;
        }
        if let Some(head) = last {
            if head.signed_by(keys).is_err() {
                let why = "is signed by no trusted key: name the key that was in use before in `trusted_keys`";
                return Ok(Err(format!("`{}`: the newest head {why}", path.display())));
            }
            newest.head = Some(head.head().clone());
            return Ok(Ok(newest));
        }
    }
    Ok(Ok(newest))
}

/// Whether a good head stands somewhere behind this place: a crash tears what was written last, and nothing before it.
fn head_follows(path: &Path, at: u64, keys: &TrustedKeys) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut rest = Vec::new();
    file.take(TORN_HEAD_BYTES).read_to_end(&mut rest)?;
    // What was put in its place need not end where a line does.
    for from in 1..rest.len() {
        if let Some(Ok((_, Ok(head)))) = read_heads(rest.get(from..).unwrap_or_default()).next()
            && head.signed_by(keys).is_ok()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The tree before a segment, as it is kept beside it; where that is gone, as it is kept beside the one before.
fn before(files: &Folder, start: u64) -> io::Result<Frontier> {
    let kept = match File::open(hashes_path(&files.path, start)) {
        Ok(file) => HashFile::open(BufReader::new(file), start)?.1,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match kept {
        Some(tree) => Ok(tree),
        None => StoredHashes::open_before(files, start)?.frontier(start),
    }
}

/// A segment whose lines are in the tree.
struct Bound {
    tree: Frontier,
    /// How many bytes of lines that were.
    hashed: u64,
    /// How many bytes of the hashes beside it are good.
    hashes_len: u64,
    /// They are not those of the lines, or not all.
    hashes_differ: bool,
}

/// Takes a segment's lines into the tree, compares it with the newest head, and mends the hashes that are kept beside
/// the lines: those that the lines have, when a head that is good covers them, or none does.
fn bind(
    folder: &Path,
    segment: &SegmentFile,
    before: Frontier,
    newest: Option<&TreeHead>,
    mend: bool,
) -> io::Result<Result<Bound, String>> {
    let path = hashes_path(folder, segment.start);
    let mut lines = SegmentLines::open(segment)?;
    let mut hashes = Rebuilt::open(&path, &before, mend)?;
    let mut tree = before;
    if newest.is_some_and(|head| head.size == tree.size() && head.root != tree.root()) {
        return Ok(Err(format!("what stands before line {} is not what was signed", tree.size())));
    }
    while let Some(line) = lines.next_whole()? {
        if tree.size() == segment.start {
            let opening = Opening::parse(line).filter(|opening| opening.index == segment.start);
            if opening.is_none_or(|opening| opening.root_before != tree.root()) {
                return Ok(Err(format!("line {} does not say what stood before it", tree.size())));
            }
        }
        tree.push(leaf_hash(line), |hash| hashes.push(hash));
        hashes.flush()?;
        if newest.is_some_and(|head| head.size == tree.size() && head.root != tree.root()) {
            return Ok(Err("its lines up to the newest head are not what was signed".to_owned()));
        }
    }
    let hashed = lines.bytes_of_lines();
    let (hashes_len, hashes_differ) = hashes.finish()?;
    Ok(Ok(Bound { tree, hashed, hashes_len, hashes_differ }))
}

/// The hashes that a segment's lines have, and whether the file beside it holds the same. From the first one on that it
/// does not, it is written anew.
struct Rebuilt {
    path: PathBuf,
    kept: Option<BufReader<File>>,
    /// How many bytes are as they should be.
    good: u64,
    waiting: Vec<u8>,
    to: Option<File>,
    mend: bool,
    differs: bool,
}

impl Rebuilt {
    fn open(path: &Path, before: &Frontier, mend: bool) -> io::Result<Self> {
        let kept = match File::open(path) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut rebuilt =
            Self { path: path.to_owned(), kept, good: 0, waiting: Vec::new(), to: None, mend, differs: false };
        before.subtrees().iter().for_each(|hash| rebuilt.push(hash));
        rebuilt.flush()?;
        Ok(rebuilt)
    }

    fn push(&mut self, hash: &[u8]) {
        self.waiting.extend_from_slice(hash);
    }

    fn flush(&mut self) -> io::Result<()> {
        use std::io::Write as _;
        if let Some(kept) = &mut self.kept {
            let mut there = vec![0; self.waiting.len()];
            if kept.read_exact(&mut there).is_ok() && there == self.waiting {
                self.good += self.waiting.len() as u64;
                self.waiting.clear();
                return Ok(());
            }
            self.kept = None;
        }
        self.differs = true;
        if !self.mend {
            self.waiting.clear();
            return Ok(());
        }
        if self.to.is_none() {
            let path = self.path.display();
            tracing::info!(log.hashes = %path, from_bytes = self.good, "hashes of the decision log are made from its lines");
            let file = append_to(&self.path, Expected::Either)?;
            file.set_len(self.good)?;
            self.to = Some(file);
        }
        let Some(to) = &mut self.to else { return Ok(()) };
        to.write_all(&self.waiting)?;
        self.good += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// How long the file is now, as far as it is good, and whether it was not.
    fn finish(self) -> io::Result<(u64, bool)> {
        if let Some(to) = &self.to {
            to.sync_data()?;
        }
        Ok((self.good, self.differs))
    }
}
