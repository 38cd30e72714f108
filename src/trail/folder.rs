//! The files of a log: which segments there are, what stands beside them, and how a segment opens.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::tree::Hash;
use crate::model::Timestamp;

/// Whoever writes the log holds a lock on this file.
pub(crate) const LOCK_FILE: &str = "lock";
/// While this file is there no segment is removed; it says why.
pub(crate) const HOLD_FILE: &str = "hold";

/// How much of the reason of a hold is told.
const LONGEST_REASON: usize = 200;

const PLAIN: &str = ".jsonl";
const PACKED: &str = ".jsonl.zst";

/// A segment of a log, as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// The tree index of its first line.
    pub start: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is compressed.
    pub packed: bool,
}

/// The segments of a log, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Its segments. One that is there compressed and not stands here as it was before it was compressed.
    pub segments: Vec<SegmentFile>,
}

impl Folder {
    /// Looks which segments there are.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name();
            let Some((start, packed)) = name.to_str().and_then(segment_name) else { continue };
            segments.push(SegmentFile { start, path: path.join(&name), packed });
        }
        segments.sort_by_key(|segment| (segment.start, segment.packed));
        segments.dedup_by_key(|segment| segment.start);
        Ok(Self { path: path.to_owned(), segments })
    }
}

/// The start of the segment that a file of this name is, and whether it is compressed.
fn segment_name(name: &str) -> Option<(u64, bool)> {
    let (number, packed) = match name.strip_suffix(PACKED) {
        Some(number) => (number, true),
        None => (name.strip_suffix(PLAIN)?, false),
    };
    let digits = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse().ok()).flatten().map(|start| (start, packed))
}

/// Where the segment is that starts there.
pub(crate) fn plain_path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{PLAIN}"))
}

/// Where it is once it is compressed.
pub(crate) fn packed_path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{PACKED}"))
}

/// Where the tree's hashes of its lines are.
pub(crate) fn hashes_path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}.hashes"))
}

/// Where the heads are that were signed while it was written.
pub(crate) fn heads_path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}.heads"))
}

/// Why nothing of this log may be removed, if that is so. A hold that cannot be read holds all the same.
#[must_use]
pub fn hold(folder: &Path) -> Option<String> {
    match std::fs::read(folder.join(HOLD_FILE)) {
        Ok(reason) => {
            let reason = String::from_utf8_lossy(&reason);
            let told: String = reason.trim().chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect();
            Some(if told.is_empty() { "it does not say why".to_owned() } else { told })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("`{HOLD_FILE}` cannot be read: {error}")),
    }
}

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The log's name.
    pub origin: String,
    /// The tree index of this line.
    pub index: u64,
    /// The hash of the tree over all lines before.
    pub root_before: Hash,
    /// When the segment was begun.
    pub time: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningLine {
    r#type: String,
    log: String,
    index: u64,
    root_before: String,
    time: String,
}

impl Opening {
    /// As a line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let line = OpeningLine {
            r#type: "segment".to_owned(),
            log: self.origin.clone(),
            index: self.index,
            root_before: STANDARD.encode(self.root_before),
            time: self.time.to_string(),
        };
        // Strings and numbers serialise.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// The opening that this line is, if it is one.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line: OpeningLine =
            serde_json::from_slice(line).ok().filter(|line: &OpeningLine| line.r#type == "segment")?;
        let root_before = STANDARD.decode(&line.root_before).ok()?.try_into().ok()?;
        let time = line.time.parse().ok()?;
        Some(Self { origin: line.log, index: line.index, root_before, time })
    }
}

#[derive(Serialize, Deserialize)]
struct RemovedLine {
    r#type: String,
    before: u64,
    because: String,
    time: String,
}

/// The line that says that everything before this index is being removed, without its end.
pub(crate) fn removed_line(before: u64, because: &str, time: Timestamp) -> String {
    let line =
        RemovedLine { r#type: "removed".to_owned(), before, because: because.to_owned(), time: time.to_string() };
    // Strings and numbers serialise.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Before which index everything was removed, when this line says so.
pub(super) fn removed_before(line: &[u8]) -> Option<u64> {
    if !line.starts_with(b"{\"type\":\"removed\",") {
        return None;
    }
    serde_json::from_slice::<RemovedLine>(line).ok().map(|line| line.before)
}
