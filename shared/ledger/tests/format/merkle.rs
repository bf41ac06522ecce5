//! The tree of RFC 6962, tested with the vectors that Certificate Transparency's implementations share, and its proofs, tested
//! with altered proofs.

use ledger::Hash;
use ledger::merkle::{consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency, verify_inclusion};
use proptest::prelude::*;

const INPUTS: [&[u8]; 8] = [
    &[],
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const N96A2: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const N5F08: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N6B47: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const NBC1A: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const NCA85: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N0EBC: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

fn hash(text: &str) -> Hash {
    Hash::parse(text).unwrap()
}

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| hash(text)).collect()
}

fn leaves() -> Vec<Hash> {
    INPUTS.iter().map(|input| leaf_hash(input)).collect()
}

#[test]
fn roots_match_the_vectors() {
    for (size, expected) in ROOTS.iter().enumerate() {
        assert_eq!(root(&leaves()[..size]), hash(expected), "{size}");
    }
}

#[test]
fn inclusion_proofs_match_the_vectors() {
    let cases: [(usize, usize, &[&str]); 5] = [
        (0, 1, &[]),
        (0, 8, &[N96A2, N5F08, N6B47]),
        (5, 8, &[NBC1A, NCA85, ROOTS[4]]),
        (2, 3, &[ROOTS[2]]),
        (1, 5, &[ROOTS[1], N5F08, NBC1A]),
    ];
    for (index, size, proof) in cases {
        assert_eq!(inclusion_proof(&leaves()[..size], index).unwrap(), hashes(proof), "{index} in {size}");
        assert!(verify_inclusion(leaves()[index], index as u64, size as u64, &hashes(proof), hash(ROOTS[size])));
    }
    assert_eq!(inclusion_proof(&leaves(), 8), None);
    assert_eq!(inclusion_proof(&[], 0), None);
}

#[test]
fn consistency_proofs_match_the_vectors() {
    let cases: [(usize, usize, &[&str]); 4] =
        [(1, 1, &[]), (1, 8, &[N96A2, N5F08, N6B47]), (6, 8, &[N0EBC, NCA85, ROOTS[4]]), (2, 5, &[N5F08, NBC1A])];
    for (old, new, proof) in cases {
        assert_eq!(consistency_proof(&leaves()[..new], old).unwrap(), hashes(proof), "{old} in {new}");
        assert!(verify_consistency(old as u64, hash(ROOTS[old]), new as u64, hash(ROOTS[new]), &hashes(proof)));
    }
    assert_eq!(consistency_proof(&leaves(), 9), None);
}

#[test]
fn every_proof_up_to_40_leaves_verifies_only_for_its_own_leaf_and_tree() {
    let leaves: Vec<_> = (0..40_u8).map(|n| leaf_hash(&[n])).collect();
    let other = Hash::of(b"the root of another tree");
    for size in 1..=leaves.len() {
        let tree = &leaves[..size];
        let whole = root(tree);
        for index in 0..size {
            let proof = inclusion_proof(tree, index).unwrap();
            let verifies = |leaf: usize, index: usize| verify_inclusion(leaves[leaf], index as u64, size as u64, &proof, whole);
            assert!(verifies(index, index), "{index} of {size}");
            assert!((0..size).all(|other| other == index || (!verifies(other, index) && !verifies(index, other))));
        }
        for old in 0..=size {
            let proof = consistency_proof(tree, old).unwrap();
            let old_root = root(&leaves[..old]);
            assert!(verify_consistency(old as u64, old_root, size as u64, whole, &proof), "{old} of {size}");
            assert!(!verify_consistency(old as u64, other, size as u64, whole, &proof), "{old} of {size}");
            assert!(!verify_consistency(size as u64 + 1, old_root, size as u64, whole, &proof));
            if old != size && old != 0 {
                assert!(!verify_consistency(old as u64, old_root, size as u64, other, &proof), "{old} of {size}");
            }
        }
    }
}

/// The cases without a tree from the tests of transparency-dev/merkle. That library accepts any root for size 0; this one does
/// not.
#[test]
fn consistency_without_path_needs_equal_roots_and_empty_proof() {
    let (empty, one, two) = (hash(ROOTS[0]), hash(ROOTS[1]), hash(ROOTS[2]));
    /// Old size and root, new size and root, proof, and whether it verifies.
    type Case<'a> = (u64, Hash, u64, Hash, &'a [Hash], bool);
    let cases: [Case<'_>; 20] = [
        (0, empty, 0, empty, &[], true),
        (0, one, 0, one, &[], false),
        (0, Hash::ZERO, 0, Hash::ZERO, &[], false),
        (0, one, 0, empty, &[], false),
        (0, empty, 0, one, &[], false),
        (0, empty, 0, empty, &[empty], false),
        (0, one, 0, one, &[one], false),
        (0, empty, 1, one, &[], true),
        (0, empty, 8, hash(ROOTS[8]), &[], true),
        (0, one, 1, one, &[], false),
        (0, one, 1, two, &[], false),
        (0, empty, 1, one, &[one], false),
        (1, one, 1, one, &[], true),
        (1, one, 1, two, &[], false),
        (1, one, 1, one, &[one], false),
        (1, one, 2, two, &[], false),
        (1, one, 0, empty, &[], false),
        (1, empty, 0, empty, &[], false),
        (2, two, 1, one, &[], false),
        (u64::MAX, one, u64::MAX, two, &[], false),
    ];
    for (old_size, old_root, new_size, new_root, proof, stands) in cases {
        let verified = verify_consistency(old_size, old_root, new_size, new_root, proof);
        assert_eq!(verified, stands, "{old_size} {old_root} in {new_size} {new_root} by {proof:?}");
    }
}

#[test]
fn inclusion_past_the_size_is_refused_and_single_leaf_is_the_root() {
    let (empty, one, two) = (hash(ROOTS[0]), hash(ROOTS[1]), hash(ROOTS[2]));
    for (leaf, index, size, root) in
        [(empty, 0, 0, empty), (one, 0, 0, one), (one, 1, 1, one), (one, 2, 1, one), (one, 1, 0, empty)]
    {
        assert!(!verify_inclusion(leaf, index, size, &[], root), "{index} of {size}");
        assert!(!verify_inclusion(leaf, index, size, &[leaf], root), "{index} of {size}");
    }
    assert!(verify_inclusion(one, 0, 1, &[], one));
    assert!(!verify_inclusion(one, 0, 1, &[], two) && !verify_inclusion(two, 0, 1, &[], one));
    assert!(!verify_inclusion(one, u64::MAX, u64::MAX, &[], one));
}

/// Applies the alterations from transparency-dev/merkle's tests to every proof of trees of up to 40 leaves.
#[test]
fn proof_with_one_part_changed_is_refused() {
    let leaves: Vec<_> = (0..40_u8).map(|n| leaf_hash(&[n])).collect();
    let other = Hash::of(b"the root of another tree");
    // Proofs with too many hashes, at either end, and with too few.
    let reshaped = |proof: &[Hash], extra: &[Hash]| {
        let mut all: Vec<Vec<Hash>> = Vec::new();
        for hash in extra {
            all.push([proof, &[*hash]].concat());
            all.push([&[*hash], proof].concat());
        }
        if let [_, rest @ ..] = proof {
            all.extend([rest.to_vec(), proof[..rest.len()].to_vec(), Vec::new()]);
        }
        all
    };
    for size in 1..=leaves.len() {
        let (tree, n) = (&leaves[..size], size as u64);
        let whole = root(tree);
        for (index, leaf) in tree.iter().copied().enumerate() {
            let (proof, i) = (inclusion_proof(tree, index).unwrap(), index as u64);
            let stands = |index: u64, size: u64, proof: &[Hash], leaf, root| verify_inclusion(leaf, index, size, proof, root);
            assert!(stands(i, n, &proof, leaf, whole));
            assert!([i.wrapping_sub(1), i + 1, i ^ 2, i + n].iter().all(|i| !stands(*i, n, &proof, leaf, whole)), "{i} of {n}");
            assert!(
                !stands(i, n * 2, &proof, leaf, whole) && (size == 1 || !stands(i, n / 2, &proof, leaf, whole)),
                "{i} of {n}"
            );
            assert!(!stands(i, n, &proof, other, whole) && !stands(i, n, &proof, leaf, other));
            for proof in reshaped(&proof, &[Hash::ZERO, whole, leaf]) {
                assert!(!stands(i, n, &proof, leaf, whole), "{i} of {n}: {} hashes", proof.len());
            }
        }
        for old in 0..=size {
            let (proof, was, m) = (consistency_proof(tree, old).unwrap(), root(&leaves[..old]), old as u64);
            let stands = |old: u64, size: u64, proof: &[Hash], was, whole| verify_consistency(old, was, size, whole, proof);
            assert!(stands(m, n, &proof, was, whole));
            let sizes = [(m.wrapping_sub(1), n), (m + 1, n), (m ^ 2, n)];
            assert!(sizes.iter().all(|(m, n)| !stands(*m, *n, &proof, was, whole)), "{m} in {n}");
            assert!(!stands(m, n, &proof, other, whole) && !stands(m, n, &proof, whole, was) || old == size, "{m} in {n}");
            for proof in reshaped(&proof, &[Hash::ZERO, whole, was]) {
                assert!(!stands(m, n, &proof, was, whole), "{m} in {n}: {} hashes", proof.len());
            }
            if old > 0 && old < size {
                assert!(!stands(m, n * 2, &proof, was, whole) && !stands(m, n / 2, &proof, was, whole), "{m} in {n}");
            }
        }
    }
}

proptest! {
    #[test]
    fn randomly_altered_proof_is_refused(size in 2..70_usize, index: prop::sample::Index, at: prop::sample::Index, bit in 0..256_usize) {
        let leaves: Vec<_> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let (index, whole) = (index.index(size), root(&leaves));
        let flip = |proof: &mut Vec<Hash>| {
            let at = at.index(proof.len());
            let mut bytes = *proof[at].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            proof[at] = Hash::new(bytes);
        };
        let verify = |proof: &[Hash]| verify_inclusion(leaves[index], index as u64, size as u64, proof, whole);
        let proof = inclusion_proof(&leaves, index).unwrap();
        let mut altered = proof.clone();
        flip(&mut altered);
        prop_assert!(!verify(&altered) && !verify(&proof[1..]) && !verify(&[proof.as_slice(), &[whole]].concat()));

        let old = index + 1;
        let old_root = root(&leaves[..old]);
        let verify = |proof: &[Hash]| verify_consistency(old as u64, old_root, size as u64, whole, proof);
        let proof = consistency_proof(&leaves, old).unwrap();
        prop_assert!(!verify(&[proof.as_slice(), &[whole]].concat()));
        if !proof.is_empty() {
            let mut altered = proof.clone();
            flip(&mut altered);
            prop_assert!(!verify(&altered) && !verify(&proof[1..]));
        }
    }

    #[test]
    fn arbitrary_proofs_are_refused_without_panic(
        index: u64, size: u64, old: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof: Vec<_> = proof.into_iter().map(Hash::new).collect();
        prop_assert!(!verify_inclusion(leaf_hash(b""), index, size, &proof, Hash::ZERO));
        prop_assert!(!verify_consistency(0, Hash::ZERO, 0, Hash::ZERO, &proof));
        if old != size {
            prop_assert!(!verify_consistency(old, Hash::ZERO, size, hash(N96A2), &proof));
        }
    }
}
