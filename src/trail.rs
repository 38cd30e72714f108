//! The tamper-evident form of a log: segments of lines, one Merkle tree over all of them, signed tree heads, proofs.
//!
//! What lives here: how the files of a log look, and everything that can be found out from them alone, by whoever has the
//! public key. What does not: writing a log while decisions are made, and what its lines say; that is `audit`'s.
//!
//! A log is a folder. `00000000000000000000.jsonl` is a segment: its name is the tree index of its first line, and that
//! line says so too ([`Opening`]). Beside it stand the tree's hashes (`.hashes`) and its signed heads (`.heads`). Every
//! line of every segment is a leaf, without its line break, as in RFC 6962 and RFC 9162.

mod diff;
mod folder;
mod hashes;
mod head;
mod lines;
mod packed;
mod proof;
mod report;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

pub use folder::{Folder, Opening, SegmentFile, hold};
pub(crate) use folder::{LOCK_FILE, hashes_path, heads_path, packed_path, plain_path, removed_line};
pub use hashes::{HashFile, StoredHashes};
pub use head::{HeadProblem, SignedHead, TreeHead, is_key_name, read_heads};
pub(crate) use lines::SegmentLines;
pub use lines::{LogLines, open_lines};
pub(crate) use packed::{PackedFile, pack};
pub use proof::{ConsistencyFile, InclusionFile, NoProof, prove_consistency, prove_inclusion};
pub use report::{Finding, Kind, Report};
pub use tree::{Frontier, Hash, leaf_hash, stored_count};
pub use verify::{NotVerified, verify};
