//! The tree's hashes beside a segment: first the full subtrees before it, then those that its lines complete, in order.
//!
//! Because of the first part a segment can be checked, and a proof be made of its lines, when those before are gone.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::folder::{Folder, hashes_path};
use super::tree::{Frontier, Hash, stored_count, stored_index};

const HASH_BYTES: u64 = 32;

/// One file of hashes, read from its beginning.
#[derive(Debug)]
pub struct HashFile<R> {
    reader: R,
    index: u64,
}

impl<R: Read> HashFile<R> {
    /// The file of the segment that starts there, and the tree before that segment; none when the file ends within it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(mut reader: R, start: u64) -> io::Result<(Self, Option<Frontier>)> {
        let mut subtrees = Vec::new();
        for _ in 0..start.count_ones() {
            subtrees.extend(next_hash(&mut reader)?);
        }
        Ok((Self { reader, index: start }, Frontier::of(start, subtrees)))
    }

    /// The tree index of the next leaf.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The next leaf's hash; none at the end, also where the hashes of its subtrees are not all there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_leaf(&mut self, nodes: &mut Vec<Hash>) -> io::Result<Option<Hash>> {
        nodes.clear();
        let Some(leaf) = next_hash(&mut self.reader)? else { return Ok(None) };
        for _ in 0..self.index.trailing_ones() {
            match next_hash(&mut self.reader)? {
                Some(node) => nodes.push(node),
                None => return Ok(None),
            }
        }
        self.index += 1;
        Ok(Some(leaf))
    }
}

fn next_hash(reader: &mut impl Read) -> io::Result<Option<Hash>> {
    let mut hash = Hash::default();
    match reader.read_exact(&mut hash) {
        Ok(()) => Ok(Some(hash)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// All hashes of a log, for proofs: each is read where it stands.
#[derive(Debug)]
pub struct StoredHashes {
    /// Each with the index of its segment's first line, in order.
    files: Vec<(u64, File)>,
}

impl StoredHashes {
    /// The hashes of the segments that are there.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn open(folder: &Folder) -> io::Result<Self> {
        let open = |start: u64| {
            let path: &Path = &hashes_path(&folder.path, start);
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            File::open(path).map(|file| (start, file)).map_err(named)
        };
        Ok(Self { files: folder.segments.iter().map(|segment| open(segment.start)).collect::<io::Result<_>>()? })
    }

    /// The hashes of the segments before this one.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub(crate) fn open_before(folder: &Folder, start: u64) -> io::Result<Self> {
        let mut folder = folder.clone();
        folder.segments.retain(|segment| segment.start < start);
        Self::open(&folder)
    }

    /// The tree over the first so many leaves.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn frontier(&self, size: u64) -> io::Result<Frontier> {
        let (mut at, mut subtrees) = (0, Vec::new());
        for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
            subtrees.push(self.subtree(level, at >> level)?);
            at += 1 << level;
        }
        Frontier::of(size, subtrees).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no tree"))
    }

    /// The hash of the tree over the leaves `from..to`, where `from` is where a full subtree that holds them begins.
    pub(super) fn range(&self, from: u64, to: u64) -> io::Result<Hash> {
        let (mut at, mut frontier) = (from, Vec::new());
        while at < to {
            let largest = (to - at).ilog2();
            let level = if at == 0 { largest } else { largest.min(at.trailing_zeros()) };
            frontier.push(self.subtree(level, at >> level)?);
            at += 1 << level;
        }
        Frontier::of(to - from, frontier)
            .map(|tree| tree.root())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no range of a tree"))
    }

    fn subtree(&self, level: u32, number: u64) -> io::Result<Hash> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the hashes of segments that were removed are needed");
        let Some((first, _)) = self.files.first() else { return Err(gone()) };
        let end = (number + 1) << level;
        if end <= *first {
            return self.before(*first, level, number)?.ok_or_else(gone);
        }
        let holder = self.files.partition_point(|(start, _)| *start < end).checked_sub(1);
        let (start, file) = holder.and_then(|holder| self.files.get(holder)).ok_or_else(gone)?;
        let before = stored_index(level, number) - stored_count(*start) + u64::from(start.count_ones());
        read_hash(file, before)
    }

    /// A subtree that ends before the first segment: it may be one of those that stand before its hashes.
    fn before(&self, first: u64, level: u32, number: u64) -> io::Result<Option<Hash>> {
        let from = number << level;
        let larger = if level + 1 < u64::BITS { first >> (level + 1) << (level + 1) } else { 0 };
        let is_there = first >> level & 1 == 1 && larger == from;
        let Some((_, file)) = self.files.first().filter(|_| is_there) else { return Ok(None) };
        read_hash(file, u64::from(larger.count_ones())).map(Some)
    }
}

fn read_hash(file: &File, number: u64) -> io::Result<Hash> {
    let mut hash = Hash::default();
    file.read_exact_at(&mut hash, number * HASH_BYTES)?;
    Ok(hash)
}
