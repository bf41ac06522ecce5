//! The cost of sealing relative to the raw cipher, measured in one run. The results are ratios, because absolute times mostly
//! describe the machine.
//!
//! Raw is AES-256-GCM of aws-lc-rs over the same bytes with a ready key, in place, without associated data or allocation. No
//! format can be faster. A ratio is raw time / our time; each time is the best of many rounds, and the two sides alternate.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot do")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use phi::{BranchKey, FieldNumber, KeyVersion, Place, SearchKey, Zeroizing};

const FIELDS: u16 = 13;
const VALUE: [u8; 64] = [0x5a; 64];
const ROUNDS: u32 = 400;
const PER_ROUND: u32 = 200;

const PLACE: Place<'_> =
    Place { tenant: "ten_01997a2e51a07cc2a3a9a1f0c7b1d2e3", table: "patients", record: "pat_01997a2e51a07cc2a3a9a1f0c7b1d2e4" };

fn main() {
    let raw = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32]).unwrap());
    let branch = BranchKey::new(KeyVersion::FIRST, Zeroizing::new([2; 32]));

    println!("{FIELDS} fields of {} bytes, key derivation included (target 0.35)", VALUE.len());
    let (ours, theirs) = race(|| seal(&branch), || raw_seal(&raw, FIELDS));
    report("seal a record", ours, theirs);
    let sealed = seal(&branch);
    let opening = raw_sealed(&raw);
    let open = || {
        let opener = branch.opener(&PLACE, &sealed).unwrap();
        let mut plaintext = Zeroizing::default();
        for n in 1..=FIELDS {
            opener.field_into(number(n), &mut plaintext).unwrap();
            black_box(&plaintext);
        }
    };
    let (ours, theirs) = race(open, || raw_open(&raw, FIELDS, &opening));
    report("open a record", ours, theirs);

    println!("one field of {} bytes, record key ready (target 0.7)", VALUE.len());
    // One sealer seals many numbers, like a record with many fields. A new sealer from time to time keeps the record small.
    let mut sealer = branch.sealer(&PLACE).unwrap();
    let mut next = 1;
    let seal_one = || {
        if next == 4096 {
            sealer = branch.sealer(&PLACE).unwrap();
            next = 1;
        }
        sealer.field(number(next), black_box(&VALUE)).unwrap();
        next += 1;
    };
    let (ours, theirs) = race(seal_one, || raw_seal(&raw, 1));
    report("seal a field", ours, theirs);
    let opener = branch.opener(&PLACE, &sealed).unwrap();
    let mut plaintext = Zeroizing::default();
    let open_into = || {
        opener.field_into(number(1), &mut plaintext).unwrap();
        black_box(plaintext.len())
    };
    let (ours, theirs) = race(open_into, || raw_open(&raw, 1, &opening));
    report("open a field", ours, theirs);
    // Opens into a vector of its own, which is wiped byte by byte when it is dropped.
    let (ours, theirs) = race(|| opener.field(number(1)), || raw_open(&raw, 1, &opening));
    report("open and wipe", ours, theirs);

    println!("search token of 18 bytes, field key ready");
    let field = SearchKey::new(KeyVersion::FIRST, Zeroizing::new([3; 32])).field(PLACE.tenant, "tracking_number");
    let mac = hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]);
    let value = "1z12345e0205271688";
    let token = || field.token(black_box(value));
    let (ours, theirs) = race(token, || hmac::sign(&mac, black_box(value.as_bytes())));
    report("token", ours, theirs);
    let text = || field.token(black_box(value)).to_string();
    let (ours, theirs) = race(text, || hmac::sign(&mac, black_box(value.as_bytes())));
    report("token as text", ours, theirs);
}

fn number(number: u16) -> FieldNumber {
    FieldNumber::new(number).unwrap()
}

fn nonce(number: u16) -> Nonce {
    let mut bytes = [0; 12];
    bytes[10..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn seal(branch: &BranchKey) -> phi::SealedBytes {
    let mut sealer = branch.sealer(&PLACE).unwrap();
    for n in 1..=FIELDS {
        sealer.field(number(n), black_box(&VALUE)).unwrap();
    }
    sealer.finish().unwrap()
}

fn raw_seal(key: &LessSafeKey, fields: u16) {
    for n in 1..=fields {
        let mut value = black_box(VALUE);
        let tag = key.seal_in_place_separate_tag(nonce(n), Aad::empty(), &mut value).unwrap();
        black_box((value, tag.as_ref()[0]));
    }
}

fn raw_sealed(key: &LessSafeKey) -> Vec<Vec<u8>> {
    let seal = |n| {
        let mut value = VALUE.to_vec();
        key.seal_in_place_append_tag(nonce(n), Aad::empty(), &mut value).unwrap();
        value
    };
    (1..=FIELDS).map(seal).collect()
}

fn raw_open(key: &LessSafeKey, fields: u16, sealed: &[Vec<u8>]) {
    for (n, sealed) in (1..=fields).zip(sealed) {
        let mut value = [0; VALUE.len() + 16];
        value.copy_from_slice(sealed);
        black_box(key.open_in_place(nonce(n), Aad::empty(), &mut value).unwrap());
    }
}

/// The best time of one call of each. The rounds alternate, so that a disturbance of the machine affects both.
fn race<A, B>(mut ours: impl FnMut() -> A, mut theirs: impl FnMut() -> B) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(time(&mut ours));
        best.1 = best.1.min(time(&mut theirs));
    }
    (best.0, best.1)
}

fn time<T>(work: &mut impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..PER_ROUND {
        black_box(work());
    }
    start.elapsed() / PER_ROUND
}

fn report(what: &str, ours: Duration, theirs: Duration) {
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("  {what:<14} {:>6} ns, raw {:>6} ns: {ratio:.2} x", ours.as_nanos(), theirs.as_nanos());
}
