//! Signed heads, and whether they fit the tree over the lines and the tree over the hashes that were kept.

use crate::model::Timestamp;
use crate::trail::head::TreeHead;
use crate::trail::tree::{Frontier, Hash};

/// A good head, and what was found out about it.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) size: u64,
    root: Hash,
    pub(super) time: Timestamp,
    pub(super) published: bool,
    /// Whether it fits the lines; none when that could not be told.
    lines: Option<bool>,
    /// Whether it fits the hashes that were kept, where they are others than those of the lines.
    kept: Option<bool>,
}

impl Check {
    pub(super) fn of(head: &TreeHead, published: bool) -> Self {
        Self { size: head.size, root: head.root, time: head.time, published, lines: None, kept: None }
    }

    fn is_good(&self) -> bool {
        self.lines == Some(true) || self.kept == Some(true)
    }
}

/// The heads that may fall into a segment, in the order of their sizes.
#[derive(Debug)]
pub(super) struct Checks {
    sorted: Vec<Check>,
    next_lines: usize,
    next_kept: usize,
}

impl Checks {
    pub(super) fn of(mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(|check| check.size);
        Self { sorted: checks, next_lines: 0, next_kept: 0 }
    }

    /// Compares the heads of this size with the tree over the lines.
    pub(super) fn lines(&mut self, tree: &Frontier) {
        while let Some(check) = self.sorted.get_mut(self.next_lines).filter(|check| check.size <= tree.size()) {
            if check.size == tree.size() {
                check.lines = Some(check.root == tree.root());
            }
            self.next_lines += 1;
        }
    }

    /// Compares the heads of this size with the tree over the hashes that were kept.
    pub(super) fn kept(&mut self, tree: &Frontier) {
        while let Some(check) = self.sorted.get_mut(self.next_kept).filter(|check| check.size <= tree.size()) {
            if check.size == tree.size() {
                check.kept = Some(check.root == tree.root());
            }
            self.next_kept += 1;
        }
    }

    /// The two trees are different from here on.
    pub(super) fn part(&mut self) {
        self.next_kept = self.next_lines;
    }

    /// Whether the first head that covers this line fits the kept hashes, and whether it fits the lines.
    pub(super) fn judge(&self, line: u64) -> (Option<bool>, Option<bool>) {
        let known = |check: &&Check| check.size > line && (check.lines.is_some() || check.kept.is_some());
        self.sorted.iter().find(known).map_or((None, None), |check| (check.kept, check.lines))
    }

    pub(super) fn last_good(&self) -> Option<&Check> {
        self.sorted.iter().rev().find(|check| check.is_good())
    }

    pub(super) fn good_up_to(&self) -> u64 {
        self.last_good().map_or(0, |check| check.size)
    }

    /// The size of the last good head that is smaller than this.
    pub(super) fn good_before(&self, size: u64) -> u64 {
        self.sorted.iter().rev().find(|check| check.is_good() && check.size < size).map_or(0, |check| check.size)
    }

    /// The first head that fits neither.
    pub(super) fn first_bad(&self) -> Option<&Check> {
        self.sorted.iter().find(|check| check.lines == Some(false) && check.kept != Some(true))
    }

    /// Whether another head of this size says something else.
    pub(super) fn has_twin(&self, of: &Check) -> bool {
        self.sorted.iter().any(|check| check.size == of.size && check.root != of.root)
    }

    /// The largest size that one of the log's own heads has, up to this one.
    pub(super) fn own_up_to(&self, size: u64) -> u64 {
        let own = self.sorted.iter().filter(|check| !check.published && check.size <= size);
        own.map(|check| check.size).max().unwrap_or(0)
    }

    /// Those that are about more than this size.
    pub(super) fn waiting(self, size: u64) -> Vec<Check> {
        self.sorted.into_iter().filter(|check| check.size > size).collect()
    }
}
