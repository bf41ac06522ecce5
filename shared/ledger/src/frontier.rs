use serde::{Deserialize, Serialize};

use crate::Hash;
use crate::canonical::MAX_INTEGER;
use crate::merkle::node_hash;

/// A tree's right edge: the roots of the complete subtrees that its leaves form, largest first. It suffices to add leaves and to
/// compute the root (RFC 6962 section 2.1). It has one hash for each bit that is set in the number of leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// The serialised form from which a frontier is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    size: u64,
    peaks: Vec<Hash>,
}

/// The number of hashes does not match the bits set in the size, bytes are missing or left over, or the size is too large for a
/// log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frontier has one hash for each complete subtree of its size")]
pub struct InvalidFrontier;

impl TryFrom<Parts> for Frontier {
    type Error = InvalidFrontier;

    fn try_from(Parts { size, peaks }: Parts) -> Result<Self, InvalidFrontier> {
        Self::new(size, peaks)
    }
}

impl Frontier {
    /// The frontier of an empty tree.
    pub const fn empty() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// # Errors
    /// [`InvalidFrontier`].
    pub fn new(size: u64, peaks: Vec<Hash>) -> Result<Self, InvalidFrontier> {
        let fits = size <= MAX_INTEGER && peaks.len() == size.count_ones() as usize;
        if fits { Ok(Self { size, peaks }) } else { Err(InvalidFrontier) }
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub(crate) fn into_peaks(self) -> Vec<Hash> {
        self.peaks
    }

    /// Adds a leaf, given as its hash, on the right.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing 1 stands for a complete subtree that is now as large as the one on its right, so the two merge.
        for _ in 0..self.size.trailing_ones() {
            // INVARIANT: there is a peak for each set bit.
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves, equal to [`merkle::root`](crate::merkle::root) of them.
    pub fn root(&self) -> Hash {
        let right_to_left = self.peaks.iter().rev().copied();
        right_to_left.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| Hash::of(&[]))
    }

    /// The size in eight bytes, big-endian, then the peaks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * self.peaks.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        self.peaks.iter().for_each(|peak| bytes.extend_from_slice(peak.as_bytes()));
        bytes
    }

    /// Reads the output of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`InvalidFrontier`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidFrontier> {
        let (size, peaks) = bytes.split_first_chunk::<8>().ok_or(InvalidFrontier)?;
        let (peaks, rest) = peaks.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(InvalidFrontier);
        }
        Self::new(u64::from_be_bytes(*size), peaks.iter().copied().map(Hash::new).collect())
    }
}
