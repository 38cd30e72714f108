//! The log as consecutive blocks of about 64 KiB, and in which of them each tenant's allowed reads stand (R22).

use std::collections::HashMap;

use super::pending::ReadNote;
use crate::model::TenantId;

/// A block ends with the first line that reaches this size: where it ends depends on the lines alone, so that an
/// index built live and one built from the file are the same.
pub(super) const BLOCK_BYTES: u64 = 64 * 1024;

/// From where to where a block reaches, in bytes of the log, and how many of the tenant's reads there are up to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) reads_through: u64,
}

/// A block that holds allowed reads of a tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TenantBlock {
    block: u32,
    reads_before: u64,
}

/// Where one tenant's allowed reads stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct TenantBlocks {
    /// Ascending.
    blocks: Vec<TenantBlock>,
    /// How many reads there are in all of them.
    reads: u64,
}

/// The blocks so far and who is in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Blocks {
    /// Where the blocks after the first start; the first starts at 0.
    starts: Vec<u64>,
    by_tenant: HashMap<TenantId, TenantBlocks, ahash::RandomState>,
}

impl Blocks {
    /// Blocks of a log from which so many reads of each tenant have gone already.
    pub(super) fn behind(removed: impl IntoIterator<Item = (TenantId, u64)>) -> Self {
        let of_tenant = |(tenant, reads)| (tenant, TenantBlocks { blocks: Vec::new(), reads });
        Self { starts: Vec::new(), by_tenant: removed.into_iter().map(of_tenant).collect() }
    }

    /// Takes in whole lines that stand at `base`, directly behind those before, and the allowed reads among them.
    pub(super) fn extend(&mut self, base: u64, bytes: &[u8], notes: &[ReadNote]) {
        let mut notes = notes.iter().peekable();
        loop {
            let full_at = self.starts.last().copied().unwrap_or(0) + BLOCK_BYTES;
            let cut = line_end_from(bytes, full_at.saturating_sub(base));
            let end = cut.unwrap_or(bytes.len());
            while let Some(note) = notes.next_if(|note| note.end <= end) {
                self.note(&note.tenant);
            }
            match cut {
                Some(end) => self.starts.push(base + end as u64),
                None => return,
            }
        }
    }

    fn note(&mut self, tenant: &TenantId) {
        // A log of 2^32 blocks would be 256 TiB long.
        let block = u32::try_from(self.starts.len()).unwrap_or(u32::MAX);
        if !self.by_tenant.contains_key(tenant) {
            self.by_tenant.insert(tenant.clone(), TenantBlocks::default());
        }
        let Some(of_tenant) = self.by_tenant.get_mut(tenant) else { return };
        if of_tenant.blocks.last().is_none_or(|last| last.block != block) {
            of_tenant.blocks.push(TenantBlock { block, reads_before: of_tenant.reads });
        }
        of_tenant.reads += 1;
    }

    /// The tenant's blocks that hold a read numbered below `before` (the tenant's first read has number 1), newest
    /// first, at most `most`. The log ends at `log_end`.
    pub(super) fn of(&self, tenant: &TenantId, before: u64, most: usize, log_end: u64) -> Vec<Block> {
        let Some(of_tenant) = self.by_tenant.get(tenant) else { return Vec::new() };
        let blocks = of_tenant.blocks.as_slice();
        let older = blocks.partition_point(|block| block.reads_before + 1 < before);
        let through = blocks.iter().skip(1).map(|next| next.reads_before).chain([of_tenant.reads]);
        let found = blocks.iter().zip(through).take(older).collect::<Vec<_>>();
        found.into_iter().rev().take(most).map(|(block, through)| self.block(*block, through, log_end)).collect()
    }

    fn block(&self, block: TenantBlock, reads_through: u64, log_end: u64) -> Block {
        let index = block.block as usize;
        let start = index.checked_sub(1).and_then(|before| self.starts.get(before)).copied().unwrap_or(0);
        let end = self.starts.get(index).copied().unwrap_or(log_end);
        Block { start, end, reads_through }
    }
}

/// The first line end at or behind `from` bytes, if there is one.
fn line_end_from(bytes: &[u8], from: u64) -> Option<usize> {
    let from = usize::try_from(from.saturating_sub(1)).ok()?;
    let rest = bytes.get(from..)?;
    rest.iter().position(|byte| *byte == b'\n').map(|at| from + at + 1)
}
