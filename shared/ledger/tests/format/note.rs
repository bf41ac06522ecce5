//! Signed notes and checkpoints, tested with the published vectors and with altered notes.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::checkpoint::{CheckpointError, Signed, Unsigned};
use ledger::note::{Note, NoteError};
use ledger::{Checkpoint, Hash, Origin, VerifierKey, Word};

// golang.org/x/mod/sumdb/note, note_test.go.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER_SIGNED: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_SIGNED: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

const TENANT: Word = Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4");
const OTHER_TENANT: Word = Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2ff");

fn key(text: &str) -> VerifierKey {
    VerifierKey::parse(text).unwrap()
}

fn open(note: &str, keys: &[VerifierKey]) -> Result<String, NoteError> {
    Note::parse(note.as_bytes())?.verify(keys).map(str::to_owned)
}

#[test]
fn published_notes_verify() {
    let both = format!("{TEXT}\n{PETER_SIGNED}{ENOCH_SIGNED}");
    assert_eq!(open(&format!("{TEXT}\n{PETER_SIGNED}"), &[key(PETER)]).unwrap(), TEXT);
    for keys in [&[key(PETER)][..], &[key(ENOCH)], &[key(ENOCH), key(PETER)], &[key(PETER), key(PETER)]] {
        assert_eq!(open(&both, keys).unwrap(), TEXT);
    }
    let repeated = format!("{TEXT}\n{PETER_SIGNED}{PETER_SIGNED}{ENOCH_SIGNED}");
    assert_eq!(open(&repeated, &[key(PETER)]).unwrap(), TEXT);
    assert_eq!(Note::parse(both.as_bytes()).unwrap().to_string(), both);
    let unknown = open(&both, &[]).unwrap_err();
    assert_eq!(unknown, NoteError::Unknown(vec!["PeterNeumann+c74f20a3".into(), "EnochRoot+af0cfe78".into()]));
    let said = "no signature by a known key; signed by `PeterNeumann+c74f20a3`, `EnochRoot+af0cfe78`";
    assert_eq!(unknown.to_string(), said);
    assert!(matches!(open(&format!("{TEXT}\n{ENOCH_SIGNED}"), &[key(PETER)]), Err(NoteError::Unknown(_))));
}

#[test]
fn published_signature_is_reproduced_from_its_key() {
    // The seed in the published signer key, type byte first. It is a public test vector and not a secret.
    let seed = "01810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173";
    let seed: Vec<u8> = (2..66).step_by(2).map(|at| u8::from_str_radix(&seed[at..at + 2], 16).unwrap()).collect();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let note = Note::sign(TEXT, &key(PETER), pair.sign(TEXT.as_bytes()).as_ref());
    assert_eq!(note.unwrap().to_string(), format!("{TEXT}\n{PETER_SIGNED}"));
}

#[test]
fn note_with_invalid_signature_by_a_known_key_is_refused() {
    let (before, after) = PETER_SIGNED.split_at(60);
    let longer = format!("{TEXT}\n{before}ABCD{after}");
    assert_eq!(open(&longer, &[key(PETER)]), Err(NoteError::BadSignature("PeterNeumann+c74f20a3".into())));
    let one_good = format!("{TEXT}\n{ENOCH_SIGNED}{before}ABCD{after}");
    assert!(matches!(open(&one_good, &[key(PETER), key(ENOCH)]), Err(NoteError::BadSignature(_))));
    let other_text = format!("{}\n{PETER_SIGNED}", TEXT.replace("answer", "problem"));
    assert!(matches!(open(&other_text, &[key(PETER)]), Err(NoteError::BadSignature(_))));
}

#[test]
fn malformed_note_is_refused() {
    let good = format!("{TEXT}\n{PETER_SIGNED}");
    let others = [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        good.trim_end().to_owned(),
        format!("\u{1}{good}"),
        format!("{TEXT}\n{}", PETER_SIGNED.replace("PeterNeumann", "Bad Name")),
        format!("{good}Unexpected line.\n"),
        format!("{good}\n"),
        good.replace("\u{2014} ", ""),
        good.replace('\u{2014}', "-"),
        good.replace("\u{2014} ", "\u{2014}"),
        good.replace('\n', "\r\n"),
        good.replace("nAM=", "nAN="),
        good.replace("nAM=", "nAM"),
        good.replace("nAM=", "nA M="),
        good.replace("PeterNeumann", "Peter+Neumann"),
        good.replace("PeterNeumann", "Peter\u{2003}Neumann"),
        good.replace("PeterNeumann ", " "),
        format!("{TEXT}\n{}", PETER_SIGNED.repeat(101)),
        format!("{}\n{PETER_SIGNED}", "x\n".repeat(40_000)),
        String::new(),
    ];
    for other in others {
        assert_eq!(open(&other, &[key(PETER)]), Err(NoteError::Malformed), "{other:?}");
    }
    assert!(matches!(Note::parse(&[b"\xff", good.as_bytes()].concat()), Err(NoteError::Malformed)));
    assert!(open(&format!("{TEXT}\n{}", PETER_SIGNED.repeat(100)), &[key(PETER)]).is_ok());
}

#[test]
fn mangled_verifier_key_is_refused() {
    assert_eq!(key(PETER).to_string(), PETER);
    assert_eq!(format!("{:?}", key(PETER)), format!("VerifierKey({PETER})"));
    assert_eq!((key(PETER).name(), key(PETER).label().as_str()), ("PeterNeumann", "PeterNeumann+c74f20a3"));
    for from in 0..PETER.len() {
        for to in from..=PETER.len() {
            assert_eq!(VerifierKey::parse(&PETER[from..to]).is_ok(), (from, to) == (0, PETER.len()), "{from}..{to}");
        }
        let mut bytes = PETER.as_bytes().to_vec();
        bytes[from] += 1;
        assert!(VerifierKey::parse(str::from_utf8(&bytes).unwrap()).is_err(), "{from}");
    }
    for text in [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(VerifierKey::parse(text).is_err(), "{text}");
    }
    assert!(VerifierKey::new("two words", [0; 32]).is_err() && VerifierKey::new("", [0; 32]).is_err());
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn public(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key().as_ref().try_into().unwrap()
}

fn origin(tenant: Word) -> Origin {
    Origin::new("cloister.example", tenant).unwrap()
}

fn checkpoint(tenant: Word) -> Checkpoint {
    Checkpoint { origin: origin(tenant), size: 20_852_163, root: Hash::of(b"root") }
}

fn signed(tenant: Word) -> (VerifierKey, Signed) {
    let key = origin(tenant.clone()).key(public(&pair()));
    let unsigned = Unsigned::new(&checkpoint(tenant), key.clone()).unwrap();
    let signature = pair().sign(unsigned.bytes());
    (key, unsigned.sign(signature.as_ref()).unwrap())
}

#[test]
fn checkpoint_has_three_lines_and_a_signature() {
    let (key, signed) = signed(TENANT);
    let text = signed.to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[..2], ["cloister.example/ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4", "20852163"]);
    // SHA-256 of "root", in place of a tree's root.
    assert_eq!(lines[2..4], ["SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=", ""]);
    assert!(lines[4].starts_with("— cloister.example/ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4 ") && lines[5].is_empty());
    assert_eq!(lines.len(), 6);
    let read = Signed::parse(text.as_bytes()).unwrap();
    assert_eq!(read.verify(&[key], &origin(TENANT)).unwrap(), checkpoint(TENANT));
}

#[test]
fn checkpoint_is_refused_for_another_tenant_of_the_same_key() {
    let ((key, ours), (their_key, theirs)) = (signed(TENANT), signed(OTHER_TENANT));
    assert!(matches!(
        theirs.verify(std::slice::from_ref(&key), &origin(TENANT)),
        Err(CheckpointError::Note(NoteError::Unknown(_)))
    ));
    let keys = [key, their_key.clone()];
    assert!(matches!(theirs.verify(&keys, &origin(TENANT)), Err(CheckpointError::OtherOrigin(_))));
    assert!(ours.verify(&keys, &origin(TENANT)).is_ok());
    assert!(matches!(Unsigned::new(&checkpoint(TENANT), their_key), Err(CheckpointError::OtherKey(_))));
}

#[test]
fn invalid_signature_is_refused_when_it_is_added() {
    let key = origin(TENANT).key(public(&pair()));
    let unsigned = Unsigned::new(&checkpoint(TENANT), key).unwrap();
    assert!(matches!(unsigned.clone().sign(&[0; 64]), Err(NoteError::BadSignature(_))));
    assert!(matches!(unsigned.clone().sign(&[]), Err(NoteError::BadSignature(_))));
    let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap().sign(unsigned.bytes());
    assert!(matches!(unsigned.sign(other.as_ref()), Err(NoteError::BadSignature(_))));
}

#[test]
fn checkpoint_with_any_flipped_bit_is_refused() {
    let (key, signed) = signed(TENANT);
    let text = signed.to_string().into_bytes();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut altered = text.clone();
            altered[at] ^= 1 << bit;
            let believed =
                Signed::parse(&altered).ok().and_then(|read| read.verify(std::slice::from_ref(&key), &origin(TENANT)).ok());
            assert_eq!(believed, None, "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn signed_text_that_is_not_a_checkpoint_is_refused() {
    let key = origin(TENANT).key(public(&pair()));
    let text = checkpoint(TENANT).to_string();
    let root = text.lines().nth(2).unwrap().to_owned();
    let others = [
        format!("{text}extension\n"),
        text.replace("20852163", "020852163"),
        text.replace("20852163", "+20852163"),
        text.replace("20852163", "18446744073709551616"),
        text.replace("20852163", ""),
        text.replace(&root, &root[4..]),
        text.replace(&root, &root.replace('=', "")),
        text.replace("cloister.example/", ""),
        text.replace("cloister.example/", "cloister example/"),
        text.lines().take(2).map(|line| format!("{line}\n")).collect(),
    ];
    for other in others {
        let note = Note::sign(&other, &key, pair().sign(other.as_bytes()).as_ref()).unwrap().to_string();
        let refused = Signed::parse(note.as_bytes()).unwrap().verify(std::slice::from_ref(&key), &origin(TENANT));
        assert_eq!(refused, Err(CheckpointError::Malformed), "{other:?}");
    }
}

#[test]
fn origin_consists_of_deployment_and_tenant() {
    let parsed = Origin::parse("example.com/prod/ten_1").unwrap();
    assert_eq!((parsed.deployment(), parsed.tenant_id().as_str()), ("example.com/prod", "ten_1"));
    for text in ["", "/", "a", "a/", "/a", "a b/c", "a+b/c", "a/b+c", "é/a", "a/b\n"] {
        assert!(Origin::parse(text).is_err(), "`{text}`");
    }
    assert!(Origin::new("a", Word::literal("b/c")).is_err());
}

#[test]
fn key_is_read_from_the_der_of_kms() {
    let spki = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &public(&pair())].concat();
    let name = origin(TENANT).to_string();
    assert_eq!(VerifierKey::from_spki(name.as_str(), &spki).unwrap(), origin(TENANT).key(public(&pair())));
    for other in [&spki[..43], &spki[1..], &[spki.as_slice(), &[0]].concat(), &[]] {
        assert!(VerifierKey::from_spki(name.as_str(), other).is_err());
    }
}
