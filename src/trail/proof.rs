//! Proofs that stand alone: a line is in a log, and one head's log is the beginning of another's.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::{
    ConsistencyProof, InclusionProof, RootHash, indices_for_consistency_proof, indices_for_inclusion_proof,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::folder::{Folder, heads_path};
use super::hashes::StoredHashes;
use super::head::{HeadProblem, SignedHead, TreeHead, read_heads};
use super::lines::{Next, SegmentLines};
use super::tree::Hash;
use crate::signing::TrustedKeys;

/// No log has as many lines.
const MOST_LINES: u64 = 1 << 62;

/// Why there is no proof, or why a proof does not hold.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// The log could not be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// The log does not hold the line that was asked for.
    #[error("there is no such record in `{0}`")]
    NoRecord(String),
    /// No head covers it yet.
    #[error("no signed head covers it yet; ask again in a few seconds")]
    NoHead,
    /// A head is damaged or signed by somebody else.
    #[error("the head {0}")]
    Head(#[from] HeadProblem),
    /// The proof is not one of what it says.
    #[error("the proof does not hold: {0}")]
    DoesNotHold(&'static str),
}

/// A line, and the proof that a log of which a head was signed holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionFile {
    /// The line's place in the log, from 0.
    pub index: u64,
    /// The line as it stands in the log.
    pub record: String,
    /// The hashes from the line's up to the tree's, in Base64 (RFC 9162, section 2.1.3).
    pub proof: Vec<String>,
    /// The signed head.
    pub head: String,
}

/// The proof that the log of one head is the beginning of the log of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyFile {
    /// The earlier head.
    pub old: String,
    /// The later head.
    pub new: String,
    /// The hashes, in Base64 (RFC 9162, section 2.1.4).
    pub proof: Vec<String>,
}

/// The leaves under this node of a tree of so many leaves. Nodes are numbered as RFC 9420, appendix C, does it.
fn leaves_under(node: u64, size: u64) -> (u64, u64) {
    let level = node.trailing_ones();
    let from = node >> (level + 1) << level;
    (from, (from + (1 << level)).min(size))
}

fn hashes(stored: &StoredHashes, nodes: Vec<u64>, size: u64) -> io::Result<Vec<String>> {
    let range = |node| leaves_under(node, size);
    let hash = |node| stored.range(range(node).0, range(node).1).map(|hash| STANDARD.encode(hash));
    nodes.into_iter().map(hash).collect()
}

fn unpacked(proof: &[String]) -> Result<Vec<u8>, NoProof> {
    let hash = |text: &String| STANDARD.decode(text).ok().and_then(|hash| Hash::try_from(hash).ok());
    let hashes: Option<Vec<Hash>> = proof.iter().map(hash).collect();
    hashes.map(|hashes| hashes.concat()).ok_or(NoProof::DoesNotHold("it holds something that is no hash"))
}

fn root(head: &TreeHead) -> Result<RootHash<Sha256>, NoProof> {
    if head.size == 0 || head.size > MOST_LINES {
        return Err(NoProof::DoesNotHold("no log has so many lines"));
    }
    Ok(RootHash::new(head.root.into(), head.size))
}

/// Proves that the log in this folder holds a line: one by its index, or the first one that `is_it` holds of.
///
/// # Errors
/// [`NoProof`].
pub fn prove_inclusion(
    folder: &Path,
    index: Option<u64>,
    is_it: &dyn Fn(&[u8]) -> bool,
) -> Result<InclusionFile, NoProof> {
    let files = Folder::read(folder)?;
    let found = find(&files, index, is_it)?;
    let (index, record) = found.ok_or_else(|| NoProof::NoRecord(folder.display().to_string()))?;
    let head = newest_head(&files)?.filter(|head| head.head().size > index).ok_or(NoProof::NoHead)?;
    let size = head.head().size;
    let proof = hashes(&StoredHashes::open(&files)?, indices_for_inclusion_proof(size, index), size)?;
    Ok(InclusionFile { index, record, proof, head: head.note().to_owned() })
}

fn find(files: &Folder, index: Option<u64>, is_it: &dyn Fn(&[u8]) -> bool) -> io::Result<Option<(u64, String)>> {
    let holder = index.map(|index| files.segments.partition_point(|segment| segment.start <= index).saturating_sub(1));
    for segment in files.segments.iter().skip(holder.unwrap_or(0)) {
        let mut lines = SegmentLines::open(segment)?;
        let mut at = segment.start;
        while let Next::Line(line) = lines.next()? {
            if index.map_or_else(|| is_it(line), |index| index == at) {
                return Ok(Some((at, String::from_utf8_lossy(line).into_owned())));
            }
            at += 1;
        }
        if holder.is_some() {
            break;
        }
    }
    Ok(None)
}

/// The head that was signed last.
fn newest_head(files: &Folder) -> io::Result<Option<SignedHead>> {
    for segment in files.segments.iter().rev() {
        let file = match std::fs::File::open(heads_path(&files.path, segment.start)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut newest = None;
        for head in read_heads(io::BufReader::new(file)) {
            newest = head?.1.ok().or(newest);
        }
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

/// Proves that the log of the old head is the beginning of the log of the new one, from the hashes in this folder.
///
/// # Errors
/// [`NoProof`]; when the heads are not of one log there is no such proof, and what comes out does not hold.
pub fn prove_consistency(folder: &Path, old: &SignedHead, new: &SignedHead) -> Result<ConsistencyFile, NoProof> {
    let (from, to) = (old.head().size, new.head().size);
    if from == 0 || from > to || to > MOST_LINES {
        return Err(NoProof::DoesNotHold("the first head must be of a log with lines, and not of a longer one"));
    }
    let files = Folder::read(folder)?;
    let nodes = if from == to { Vec::new() } else { indices_for_consistency_proof(from, to - from) };
    let proof = hashes(&StoredHashes::open(&files)?, nodes, to)?;
    Ok(ConsistencyFile { old: old.note().to_owned(), new: new.note().to_owned(), proof })
}

impl InclusionFile {
    /// The head under which the line was signed by one of these keys.
    ///
    /// # Errors
    /// [`NoProof`] when it was not.
    pub fn check(&self, keys: &TrustedKeys) -> Result<TreeHead, NoProof> {
        let head = SignedHead::parse(&self.head)?;
        head.signed_by(keys)?;
        let head = head.head().clone();
        let proof = InclusionProof::try_from_bytes(unpacked(&self.proof)?)
            .map_err(|_| NoProof::DoesNotHold("it holds something that is no hash"))?;
        root(&head)?
            .verify_inclusion(&self.record, self.index, &proof)
            .map_err(|_| NoProof::DoesNotHold("the head does not cover this record at this place"))?;
        Ok(head)
    }
}

impl ConsistencyFile {
    /// The two heads, when one of these keys has signed both, and the first one's log is the beginning of the second's.
    ///
    /// # Errors
    /// [`NoProof`] when that is not so.
    pub fn check(&self, keys: &TrustedKeys) -> Result<(TreeHead, TreeHead), NoProof> {
        let (old, new) = (SignedHead::parse(&self.old)?, SignedHead::parse(&self.new)?);
        old.signed_by(keys)?;
        new.signed_by(keys)?;
        let (old, new) = (old.head().clone(), new.head().clone());
        if old.origin != new.origin {
            return Err(NoProof::DoesNotHold("the heads are of two logs"));
        }
        let proof = ConsistencyProof::try_from_bytes(unpacked(&self.proof)?)
            .map_err(|_| NoProof::DoesNotHold("it holds something that is no hash"))?;
        root(&new)?
            .verify_consistency(&root(&old)?, &proof)
            .map_err(|_| NoProof::DoesNotHold("the second head's log does not begin with the first one's"))?;
        Ok((old, new))
    }
}
