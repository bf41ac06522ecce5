use crate::made::*;
use auditor::{Directory, Kind, VerifyOptions, paths, verify};
use ledger::Head;
use tempfile::TempDir;

fn wanted(from: impl Into<Option<u64>>, to: impl Into<Option<u64>>) -> VerifyOptions {
    VerifyOptions { from: from.into(), to: to.into(), ..VerifyOptions::default() }
}

#[test]
fn key_from_the_bundle_is_reported_as_such() {
    let bundle = Bundle::new();
    assert!(bundle.report().not_proven()[0].contains("came with the bundle"));
    let pinned = VerifyOptions { key: Some(key(&pair(), TENANT)), ..VerifyOptions::default() };
    let report = bundle.verify(&pinned).unwrap();
    assert_eq!((report.exit_code(), report.pinned), (0, true));
    assert!(!report.not_proven().iter().any(|not| not.contains("came with the bundle")));
}

#[test]
fn bundle_signed_by_another_key_is_refused() {
    let bundle = Bundle::new();
    let pinned = VerifyOptions { key: Some(key(&other_pair(), TENANT)), ..VerifyOptions::default() };
    let report = bundle.verify(&pinned).unwrap();
    assert_eq!(report.findings.len(), 3);
    assert!(report.findings.iter().all(|finding| finding.kind == Kind::BadSignature));
    assert_eq!(report.signed, None);

    // The same key, but of another tenant's log.
    let theirs = VerifyOptions { key: Some(key(&pair(), OTHER_TENANT)), ..VerifyOptions::default() };
    assert_eq!(bundle.verify(&theirs).unwrap().exit_code(), 14);
}

#[test]
fn kept_checkpoint_is_verified_against_the_log() {
    let bundle = Bundle::new();
    let report = bundle.verify(&since(bundle.get(CHECKPOINTS[0]))).unwrap();
    assert_eq!((report.exit_code(), report.since, report.checkpoints), (0, Some(10), 3));
    assert!(!report.not_proven().iter().any(|not| not.contains("another log")));

    // A checkpoint that is not in the bundle, in the middle of a segment.
    let mut head = Head::empty(TENANT);
    seal(&mut head, events(0..7));
    assert_eq!(bundle.verify(&since(signed(&head, &pair()))).unwrap().since, Some(7));

    let foreign = since(signed(&head, &other_pair()));
    assert_eq!(place(&bundle.finding_of(&foreign)), (Kind::BadSignature, "kept.txt", None, None));
}

#[test]
fn range_is_complete_if_a_checkpoint_covers_it() {
    let bundle = Bundle::new();
    for range in [wanted(0, 24), wanted(7, 13), wanted(24, None), wanted(None, 0)] {
        assert_eq!(bundle.verify(&range).unwrap().exit_code(), 0, "{range:?}");
    }
    for range in [wanted(0, 25), wanted(25, None), wanted(None, u64::MAX)] {
        let finding = bundle.finding_of(&range);
        assert_eq!(place(&finding), (Kind::Truncated, CHECKPOINTS[2], None, Some(25)), "{range:?}");
    }
    bundle.remove(CHECKPOINTS[2]);
    assert_eq!(place(&bundle.finding_of(&wanted(None, 20))), (Kind::Truncated, CHECKPOINTS[1], None, Some(20)));
}

#[test]
fn events_without_a_checkpoint_are_reported() {
    let bundle = Bundle::new();
    bundle.remove(CHECKPOINTS[2]);
    let report = bundle.report();
    assert_eq!((report.exit_code(), report.events, report.signed), (0, 25, Some(19)));
    assert!(report.not_proven().iter().any(|not| not.contains("sequences 20 to 24")));

    CHECKPOINTS[..2].iter().for_each(|file| bundle.remove(file));
    assert_eq!(place(&bundle.finding()), (Kind::BadSignature, paths::CHECKPOINTS, None, None));
}

#[test]
fn bundle_may_begin_within_the_log() {
    let mut head = Head::empty(TENANT);
    seal(&mut head, events(0..10));
    let at_ten = head.clone();
    let before = signed(&at_ten, &pair());
    let dir = TempDir::new().unwrap();
    write(&dir, Some(at_ten), &[events(10..20), events(20..25)]);
    let bundle = Bundle(dir);
    let report = bundle.report();
    assert_eq!((report.exit_code(), report.from, report.events, report.signed), (0, 10, 15, Some(24)));
    assert!(report.not_proven().iter().any(|not| not.contains("before sequence 10")));
    assert_eq!(bundle.verify(&since(before)).unwrap().since, Some(10));

    assert_eq!(place(&bundle.finding_of(&wanted(9, None))), (Kind::Missing, paths::MANIFEST, None, Some(9)));
    let mut early = Head::empty(TENANT);
    seal(&mut early, events(0..4));
    let early = signed(&early, &pair());
    assert_eq!(place(&bundle.finding_of(&since(early.clone()))), (Kind::Missing, "kept.txt", None, Some(4)));
    bundle.put("checkpoints/000000000004.txt", early);
    assert_eq!(bundle.report().checkpoints_before, 1);
}

#[test]
fn bundle_that_begins_after_another_log_is_inconsistent() {
    let mut other = Head::empty(TENANT);
    seal(&mut other, (0..10).map(|n| event(TENANT, n, "other")).collect());
    let mut honest = Head::empty(TENANT);
    seal(&mut honest, events(0..10));
    let dir = TempDir::new().unwrap();
    write(&dir, Some(other.clone()), &[events(10..20)]);
    seal(&mut honest, events(10..20));
    let bundle = Bundle(dir);
    bundle.put(CHECKPOINTS[1], signed(&honest, &pair()));
    assert_eq!(place(&bundle.finding()).0, Kind::Inconsistent);
}

#[test]
fn unreadable_source_is_reported_as_unreadable() {
    let bundle = Bundle::new();
    bundle.put(paths::KEY, "not a key\n");
    assert!(bundle.is_unreadable());
    bundle.remove(paths::KEY);
    assert!(bundle.is_unreadable());

    let bundle = Bundle::new();
    let manifest = String::from_utf8(bundle.get(paths::MANIFEST)).unwrap();
    for other in [
        String::new(),
        "{}".to_owned(),
        manifest.replace(',', ", "),
        manifest.replace("\"format\":1", "\"format\":2"),
        manifest.replace("\"from\":0", "\"from\":1"),
        manifest.replace("cloister.example", "two words"),
        manifest.replace("\"to\":24", "\"to\":24,\"more\":1"),
    ] {
        assert_ne!(other, manifest);
        bundle.put(paths::MANIFEST, other);
        assert!(bundle.is_unreadable());
    }
    bundle.remove(paths::MANIFEST);
    assert!(bundle.is_unreadable());
}

#[test]
fn progress_is_reported_for_every_segment() {
    let bundle = Bundle::new();
    let mut told = Vec::new();
    verify(&mut Directory::new(bundle.0.path()), &VerifyOptions::default(), &mut |done, of| told.push((done, of))).unwrap();
    assert_eq!(told, [(10, 25), (20, 25), (25, 25)]);
}

#[test]
fn files_outside_a_bundles_layout_are_ignored() {
    let bundle = Bundle::new();
    for file in ["segments/.keep", "segments/0.jsonl", "segments/000000000010.txt", "checkpoints/README", "notes.txt"] {
        bundle.put(file, "x");
    }
    assert_eq!(bundle.report().findings, []);
}
