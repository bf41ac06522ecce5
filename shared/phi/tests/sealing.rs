//! Sealed records open at their own place, whole and unaltered. Every other case gets the same error.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use phi::{BranchKey, FieldNumber, KeyVersion, OpenError, Place, SealError, SealedBytes, Zeroizing};
use proptest::prelude::*;

const PLACE: Place<'_> = Place { tenant: "ten_a", table: "shipments", record: "shp_1" };
const HEADER: usize = SealedBytes::RECORD_OVERHEAD;

fn key(version: u32, byte: u8) -> BranchKey {
    BranchKey::new(KeyVersion::new(version).unwrap(), Zeroizing::new([byte; 32]))
}

fn number(number: u16) -> FieldNumber {
    FieldNumber::new(number).unwrap()
}

fn seal(key: &BranchKey, place: &Place<'_>, fields: &[(u16, &[u8])]) -> Vec<u8> {
    let mut sealer = key.sealer(place).unwrap();
    for (field, plaintext) in fields {
        sealer.field(number(*field), plaintext).unwrap();
    }
    sealer.finish().unwrap().into_vec()
}

/// Opens every field of the record.
fn open(key: &BranchKey, place: &Place<'_>, bytes: &[u8], numbers: &[u16]) -> Result<Vec<Option<Vec<u8>>>, OpenError> {
    let sealed = SealedBytes::parse(bytes.to_vec())?;
    let opener = key.opener(place, &sealed)?;
    numbers.iter().map(|n| Ok(opener.field(number(*n))?.map(|plaintext| plaintext.to_vec()))).collect()
}

fn small() -> (BranchKey, Vec<u8>) {
    let key = key(3, 7);
    let bytes = seal(&key, &PLACE, &[(1, b"abc"), (2, b"abd"), (9, b"")]);
    (key, bytes)
}

fn refused(key: &BranchKey, place: &Place<'_>, bytes: &[u8]) -> bool {
    open(key, place, bytes, &[1, 2, 9]) == Err(OpenError)
}

/// The offsets where the fields of `small` begin, and the offset where the last ends.
fn boundaries() -> [usize; 4] {
    let field = SealedBytes::FIELD_OVERHEAD;
    [HEADER, HEADER + field + 3, HEADER + 2 * (field + 3), HEADER + 2 * (field + 3) + field]
}

#[test]
fn sealed_length_equals_the_documented_overhead() {
    let (_, bytes) = small();
    assert_eq!((HEADER, SealedBytes::FIELD_OVERHEAD), (85, 22));
    assert_eq!(bytes.len(), 85 + 3 * 22 + 6);
    assert_eq!(bytes.len(), boundaries()[3]);
}

#[test]
fn unaltered_record_opens() {
    let (key, bytes) = small();
    let opened = open(&key, &PLACE, &bytes, &[1, 2, 3, 9]).unwrap();
    assert_eq!(opened, [Some(b"abc".to_vec()), Some(b"abd".to_vec()), None, Some(vec![])]);
}

#[test]
fn sealed_values_are_equal_only_if_their_bytes_are() {
    phi::sealed_fields! {
        #[derive(Debug, Clone, PartialEq)]
        struct Note in "notes" { 1 => text: phi::ShortText }
    }
    let note = Note { text: "a".parse().unwrap() };
    let seal = || phi::Sealed::seal(&note, &key(3, 7), "ten_a", "note_1").unwrap();
    let (one, other) = (seal(), seal());
    assert_ne!(one, other, "each write has its own salt");
    assert_eq!(one, phi::Sealed::from_bytes(one.as_bytes().to_vec()).unwrap());
    let mut altered = one.as_bytes().to_vec();
    *altered.last_mut().unwrap() ^= 1;
    assert_ne!(one, phi::Sealed::from_bytes(altered).unwrap());
}

#[test]
fn record_with_any_flipped_bit_is_refused() {
    let (key, bytes) = small();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(&key, &PLACE, &flipped), "bit {bit} of {} was not detected", bytes.len() * 8);
    }
}

#[test]
fn record_truncated_anywhere_is_refused() {
    let (key, bytes) = small();
    for len in 0..bytes.len() {
        assert!(refused(&key, &PLACE, &bytes[..len]), "{len} bytes of {}", bytes.len());
    }
}

#[test]
fn record_with_trailing_bytes_is_refused() {
    let (key, bytes) = small();
    for extra in 1..64 {
        let longer = [bytes.as_slice(), &vec![0; extra]].concat();
        assert!(refused(&key, &PLACE, &longer), "{extra} bytes more");
    }
}

#[test]
fn field_moved_to_another_number_is_refused() {
    let (key, bytes) = small();
    let [first, second, third, _] = boundaries();
    let mut swapped = bytes.clone();
    let contents = second - first - 2;
    swapped[first + 2..second].copy_from_slice(&bytes[second + 2..third]);
    swapped[second + 2..second + 2 + contents].copy_from_slice(&bytes[first + 2..second]);
    assert!(SealedBytes::parse(swapped.clone()).is_ok());
    let sealed = SealedBytes::parse(swapped).unwrap();
    let opener = key.opener(&PLACE, &sealed).unwrap();
    assert_eq!(opener.field(number(1)).unwrap_err(), OpenError);
    assert_eq!(opener.field(number(2)).unwrap_err(), OpenError);
}

#[test]
fn record_without_a_sealed_field_is_refused_before_any_field_opens() {
    let (key, bytes) = small();
    let at = boundaries();
    for left_out in 0..3 {
        let without = [&bytes[..at[left_out]], &bytes[at[left_out + 1]..]].concat();
        let sealed = SealedBytes::parse(without).unwrap();
        assert_eq!(key.opener(&PLACE, &sealed).unwrap_err(), OpenError);
    }
}

#[test]
fn field_of_another_write_of_the_same_record_is_refused() {
    let (key, mut bytes) = small();
    let older = seal(&key, &PLACE, &[(1, b"xyz"), (2, b"abd"), (9, b"")]);
    let [first, second, ..] = boundaries();
    bytes[first..second].copy_from_slice(&older[first..second]);
    assert!(refused(&key, &PLACE, &bytes));
}

#[test]
fn duplicate_and_descending_field_numbers_are_refused() {
    let (key, bytes) = small();
    let [first, second, ..] = boundaries();
    let with_numbers = |one: u16, two: u16| {
        let mut altered = bytes.clone();
        altered[first..first + 2].copy_from_slice(&one.to_be_bytes());
        altered[second..second + 2].copy_from_slice(&two.to_be_bytes());
        altered
    };
    assert!(!refused(&key, &PLACE, &with_numbers(1, 2)));
    for (one, two) in [(1, 1), (2, 2), (2, 1), (9, 1), (0, 1), (1, 9)] {
        assert_eq!(SealedBytes::parse(with_numbers(one, two)), Err(OpenError), "{one}, {two}");
    }
}

#[test]
fn field_length_past_the_end_is_refused() {
    let (_, bytes) = small();
    let len_at = HEADER + 2;
    for len in [4, 0xff, 0xffff, i32::MAX as u32, u32::MAX - 16, u32::MAX] {
        let mut altered = bytes.clone();
        altered[len_at..len_at + 4].copy_from_slice(&len.to_be_bytes());
        assert_eq!(SealedBytes::parse(altered), Err(OpenError), "{len}");
    }
}

#[test]
fn another_format_version_is_refused() {
    let (key, bytes) = small();
    for version in (0..=255).filter(|version| *version != 1) {
        let mut altered = bytes.clone();
        altered[0] = version;
        assert!(refused(&key, &PLACE, &altered));
    }
}

#[test]
fn another_key_version_is_refused_in_the_key_and_in_the_record() {
    let (opener, bytes) = small();
    assert!(refused(&key(4, 7), &PLACE, &bytes));
    for version in [0, 1, 4, u32::MAX] {
        let mut altered = bytes.clone();
        altered[1..5].copy_from_slice(&u32::to_be_bytes(version));
        assert!(refused(&opener, &PLACE, &altered));
        // The right secret under the altered version fails too, because the version is an input of the derivation.
        if let Some(version) = KeyVersion::new(version) {
            let same_secret = BranchKey::new(version, Zeroizing::new([7; 32]));
            assert!(refused(&same_secret, &PLACE, &altered));
        }
    }
}

#[test]
fn another_tenant_table_or_record_is_refused() {
    let (key, bytes) = small();
    let elsewhere = [
        Place { tenant: "ten_b", ..PLACE },
        Place { table: "patients", ..PLACE },
        Place { record: "shp_2", ..PLACE },
        Place { tenant: "", ..PLACE },
        // The same bytes in the same order, split differently.
        Place { tenant: "ten_as", table: "hipments", ..PLACE },
        Place { table: "shipmentss", record: "hp_1", ..PLACE },
    ];
    for place in elsewhere {
        assert!(refused(&key, &place, &bytes), "{place:?}");
    }
}

#[test]
fn record_is_refused_under_another_key() {
    let (_, bytes) = small();
    assert!(refused(&key(3, 8), &PLACE, &bytes));
}

#[test]
fn record_with_only_another_commitment_is_refused() {
    // Without a commitment, an attacker can make a ciphertext that two GCM keys accept. Here both keys are honest and the test
    // exchanges only the commitments, so that only the commitment check differs.
    let (first, second) = (key(3, 7), key(3, 8));
    let bytes = seal(&first, &PLACE, &[]);
    let other = seal(&second, &PLACE, &[]);
    let commitment = 37..69;
    let mut mixed = bytes.clone();
    mixed[commitment.clone()].copy_from_slice(&other[commitment]);
    assert!(open(&first, &PLACE, &bytes, &[]).is_ok());
    assert_eq!(open(&first, &PLACE, &mixed, &[]), Err(OpenError));
    assert_eq!(open(&second, &PLACE, &mixed, &[]), Err(OpenError));
}

#[test]
fn record_without_fields_refuses_added_fields() {
    let key = key(1, 1);
    let bytes = seal(&key, &PLACE, &[]);
    assert_eq!(bytes.len(), HEADER);
    assert_eq!(open(&key, &PLACE, &bytes, &[1]), Ok(vec![None]));
}

#[test]
fn sealer_accepts_each_field_once_and_in_order() {
    let key = key(1, 1);
    let mut sealer = key.sealer(&PLACE).unwrap();
    sealer.field(number(2), b"two").unwrap();
    assert_eq!(sealer.field(number(2), b"two"), Err(SealError::FieldOrder));
    assert_eq!(sealer.field(number(1), b"one"), Err(SealError::FieldOrder));
    sealer.field(number(u16::MAX), b"last").unwrap();
    let sealed = sealer.finish().unwrap();
    let opener = key.opener(&PLACE, &sealed).unwrap();
    assert_eq!(opener.field(number(2)).unwrap().unwrap().as_slice(), b"two");
    assert!(opener.has(number(u16::MAX)) && !opener.has(number(1)));
}

#[test]
fn empty_or_overlong_part_of_a_place_is_refused() {
    let key = key(1, 1);
    let longest = "x".repeat(Place::MAX_PART);
    let longer = "x".repeat(Place::MAX_PART + 1);
    assert!(key.sealer(&Place { tenant: &longest, table: &longest, record: &longest }).is_ok());
    for place in [Place { record: "", ..PLACE }, Place { tenant: &longer, ..PLACE }, Place { table: &longer, ..PLACE }] {
        assert_eq!(key.sealer(&place).unwrap_err(), SealError::Place);
    }
}

#[test]
fn two_writes_of_one_value_share_no_key_dependent_bytes() {
    let key = key(1, 1);
    let (one, two) = (seal(&key, &PLACE, &[(1, b"same")]), seal(&key, &PLACE, &[(1, b"same")]));
    assert_eq!(one[..5], two[..5]);
    for range in [5..37, 37..69, 69..85, 91..111] {
        assert_ne!(one[range.clone()], two[range]);
    }
}

#[test]
fn debug_of_keys_shows_no_secret() {
    assert_eq!(format!("{:?}", key(5, 0xab)), "BranchKey { version: 5, .. }");
    let (key, bytes) = small();
    let sealed = SealedBytes::parse(bytes).unwrap();
    assert_eq!(format!("{sealed:?}"), "SealedBytes(157 bytes)");
    assert_eq!(format!("{:?}", key.sealer(&PLACE).unwrap()), "RecordSealer");
    assert_eq!(format!("{:?}", key.opener(&PLACE, &sealed).unwrap()), "RecordOpener");
}

fn fields() -> impl Strategy<Value = std::collections::BTreeMap<u16, Vec<u8>>> {
    prop::collection::btree_map(1..=u16::MAX, prop::collection::vec(any::<u8>(), 0..200), 0..12)
}

proptest! {
    #[test]
    fn any_fields_open_to_the_sealed_values(
        secret: [u8; 32], version in 1..=u32::MAX, tenant in "[a-z_0-9]{1,128}", record in "\\PC{1,32}", fields in fields(),
    ) {
        let key = BranchKey::new(KeyVersion::new(version).unwrap(), Zeroizing::new(secret));
        let place = Place { tenant: &tenant, table: "t", record: &record };
        let list: Vec<_> = fields.iter().map(|(number, bytes)| (*number, bytes.as_slice())).collect();
        let bytes = seal(&key, &place, &list);
        let plain: usize = fields.values().map(Vec::len).sum();
        prop_assert_eq!(bytes.len(), 85 + 22 * fields.len() + plain);
        let sealed = SealedBytes::parse(bytes).unwrap();
        prop_assert_eq!(sealed.key_version().get(), version);
        let opener = key.opener(&place, &sealed).unwrap();
        for (n, plaintext) in &fields {
            let opened = opener.field(number(*n)).unwrap().unwrap();
            prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(&key(1, 1), &PLACE, &bytes, &[1, 2, 3]).is_err());
    }

    #[test]
    fn well_framed_arbitrary_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), HEADER..400)) {
        bytes[..5].copy_from_slice(&[1, 0, 0, 0, 1]);
        prop_assert!(open(&key(1, 1), &PLACE, &bytes[..HEADER], &[1]).is_err());
        prop_assert!(open(&key(1, 1), &PLACE, &bytes, &[1]).is_err());
    }

    #[test]
    fn record_with_any_altered_range_is_refused(at in 0..157usize, with in prop::collection::vec(any::<u8>(), 1..40)) {
        let (key, bytes) = small();
        let mut altered = bytes.clone();
        for (slot, byte) in altered[at..].iter_mut().zip(&with) {
            *slot = *byte;
        }
        prop_assume!(altered != bytes);
        prop_assert!(refused(&key, &PLACE, &altered));
    }
}
