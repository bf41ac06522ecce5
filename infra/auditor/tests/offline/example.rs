//! Tests `tests/example`, the bundle of docs/audit-format.md: its bytes and its verification must never change.

use crate::made::*;
use auditor::{Directory, VerifyOptions, paths, verify};
use std::{fs, path::Path};
use tempfile::TempDir;

const FILES: [&str; 6] = [
    paths::MANIFEST,
    paths::KEY,
    "segments/000000000000.jsonl",
    "segments/000000000002.jsonl",
    "checkpoints/000000000002.txt",
    "checkpoints/000000000003.txt",
];

#[test]
fn example_bundle_is_written_and_verified_unchanged() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/example");
    let made = TempDir::new().unwrap();
    write(&made, None, &[events(0..2), events(2..3)]);
    for file in FILES {
        assert_eq!(
            fs::read_to_string(example.join(file)).unwrap(),
            fs::read_to_string(made.path().join(file)).unwrap(),
            "{file}"
        );
    }
    let wanted = VerifyOptions { key: Some(key(&pair(), TENANT)), ..since(fs::read(example.join(FILES[4])).unwrap()) };
    let report = verify(&mut Directory::new(example), &wanted, &mut |_, _| {}).unwrap();
    assert_eq!((report.exit_code(), report.events, report.since), (0, 3, Some(2)));
}
