//! The Merkle tree of RFC 6962 (section 2.1) as it grows: leaf by leaf, in constant memory.
//!
//! Its hashes are stored in the order in which they become final: a leaf, then the subtrees that it completes. So they
//! can be appended to a file, and each has a place that can be computed.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash of the tree.
pub type Hash = [u8; 32];

/// The hash of a leaf that holds these bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// The hash of a node over these two.
pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    let (_, children) = bytes.split_at_mut(1);
    children.iter_mut().zip(left.iter().chain(right)).for_each(|(to, from)| *to = *from);
    Sha256::digest(bytes).into()
}

/// How many hashes are stored for a tree of so many leaves.
#[must_use]
pub const fn stored_count(leaves: u64) -> u64 {
    2 * leaves - leaves.count_ones() as u64
}

/// Where the hash of the full subtree of `2^level` leaves, the `number`th of its level, stands among the stored hashes.
pub(super) const fn stored_index(level: u32, number: u64) -> u64 {
    let last_leaf = ((number + 1) << level) - 1;
    stored_count(last_leaf) + level as u64
}

/// A tree up to its newest leaf, as the full subtrees that it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// The largest first; one for each bit of the size.
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// The tree of this size that consists of these full subtrees, the largest first; none when their number is wrong.
    #[must_use]
    pub fn of(size: u64, subtrees: Vec<Hash>) -> Option<Self> {
        (subtrees.len() as u64 == u64::from(size.count_ones())).then_some(Self { size, subtrees })
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The full subtrees that it consists of, the largest first.
    #[must_use]
    pub fn subtrees(&self) -> &[Hash] {
        &self.subtrees
    }

    /// Adds a leaf by its hash, and hands out every hash that is to be stored for it, in order.
    pub fn push(&mut self, leaf: Hash, mut store: impl FnMut(&Hash)) {
        store(&leaf);
        let mut hash = leaf;
        let mut number = self.size;
        while number & 1 == 1
            && let Some(left) = self.subtrees.pop()
        {
            hash = node_hash(&left, &hash);
            store(&hash);
            number >>= 1;
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The hash of the whole tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        let right_to_left = self.subtrees.iter().rev().copied();
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| Sha256::digest([]).into())
    }
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    fn hex(hash: &Hash) -> String {
        hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        // The vectors of the reference implementation (certificate-transparency, `merkle_tree_test`).
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Frontier::default();
        assert_eq!(hex(&tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in leaves.into_iter().zip(roots) {
            tree.push(leaf_hash(leaf), |_| {});
            assert_eq!(hex(&tree.root()), root);
        }
    }

    #[test]
    fn stored_hashes_stand_where_they_are_computed_to_stand() {
        let (mut tree, mut stored) = (Frontier::default(), Vec::new());
        let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for number in 0..300_u64 {
            let leaf = number.to_string().into_bytes();
            tree.push(leaf_hash(&leaf), |hash| stored.push(*hash));
            oracle.push(leaf);
            assert_eq!(stored.len() as u64, stored_count(number + 1));
            assert_eq!(tree.root().as_slice(), oracle.root().as_bytes().as_slice(), "of {} leaves", number + 1);
            assert_eq!(Frontier::of(tree.size(), tree.subtrees().to_vec()), Some(tree.clone()));
        }
        for level in 0..6_u32 {
            for number in 0..(300_u64 >> level) {
                let mut subtree = Frontier::default();
                for leaf in number << level..(number + 1) << level {
                    subtree.push(leaf_hash(leaf.to_string().as_bytes()), |_| {});
                }
                assert_eq!(stored[usize::try_from(stored_index(level, number)).unwrap()], subtree.root());
            }
        }
    }
}
