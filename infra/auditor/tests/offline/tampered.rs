use crate::made::*;
use auditor::{Directory, Kind, Listed, VerifyOptions, Writer, paths, verify};
use ledger::{Head, OccurredAt, Segment, Word};
use proptest::prelude::*;

#[test]
fn intact_bundle_is_verified() {
    let report = Bundle::new().report();
    assert_eq!(report.findings, []);
    assert_eq!((report.events, report.segments, report.checkpoints, report.signed), (25, 3, 3, Some(24)));
}

#[test]
fn altered_segment_is_written_and_reported_by_the_verifier() {
    let (dir, mut head) = (tempfile::TempDir::new().unwrap(), Head::empty(TENANT));
    let segment = seal(&mut head, events(0..3));
    let altered = String::from_utf8(segment.body().to_vec()).unwrap().replacen("evt_1", "evt_9", 1);
    let mut writer = Writer::create(dir.path(), origin(TENANT), None).unwrap();
    let listed = Listed { first: 0, events: 3, version_id: Word::literal("synthetic"), sha256: segment.sha256() };
    writer.put(listed, altered.as_bytes()).unwrap();
    writer.checkpoint(head.size(), &signed(&head, &pair())).unwrap();
    writer.key(&key(&pair(), TENANT)).unwrap();
    writer.finish(OccurredAt::parse("2026-02-01T00:00:00.000Z").unwrap()).unwrap();
    let report = verify(&mut Directory::new(dir.path()), &VerifyOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!(place(&report.findings[0]), (Kind::Modified, FIRST, Some(2), Some(1)));
}

#[test]
fn removed_line_is_missing() {
    let bundle = Bundle::new();
    bundle.reorder(SECOND, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    assert_eq!(place(&bundle.finding()), (Kind::Missing, SECOND, Some(4), Some(13)));

    let bundle = Bundle::new();
    bundle.reorder(SECOND, 1..10);
    assert_eq!(place(&bundle.finding()), (Kind::Missing, SECOND, Some(1), Some(10)));

    let bundle = Bundle::new();
    bundle.reorder(SECOND, 0..9);
    assert_eq!(place(&bundle.finding()), (Kind::Missing, SECOND, None, Some(19)));

    let bundle = Bundle::new();
    bundle.put(SECOND, "");
    assert_eq!(place(&bundle.finding()), (Kind::Missing, SECOND, None, Some(10)));
}

#[test]
fn removed_last_line_is_truncated() {
    let bundle = Bundle::new();
    bundle.reorder(LAST, 0..4);
    assert_eq!(place(&bundle.finding()), (Kind::Truncated, LAST, None, Some(24)));

    let bundle = Bundle::new();
    let body = bundle.get(LAST);
    bundle.put(LAST, &body[..body.len() - 100]);
    assert_eq!(place(&bundle.finding()), (Kind::Truncated, LAST, Some(5), Some(24)));
}

#[test]
fn swapped_pair_is_reordered() {
    let bundle = Bundle::new();
    bundle.reorder(FIRST, [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]);
    assert_eq!(place(&bundle.finding()), (Kind::Reordered, FIRST, Some(5), Some(4)));

    let bundle = Bundle::new();
    bundle.reorder(LAST, [1, 0, 2, 3, 4]);
    assert_eq!(place(&bundle.finding()), (Kind::Reordered, LAST, Some(1), Some(20)));

    let bundle = Bundle::new();
    bundle.edit(|manifest| manifest.segments.swap(0, 1));
    assert_eq!(place(&bundle.finding()), (Kind::Missing, paths::MANIFEST, None, Some(0)));

    let bundle = Bundle::new();
    bundle.edit(|manifest| manifest.segments[2].first = 10);
    assert_eq!(place(&bundle.finding()), (Kind::Reordered, paths::MANIFEST, None, Some(20)));
}

#[test]
fn removed_middle_segment_is_missing() {
    let bundle = Bundle::new();
    bundle.remove(SECOND);
    let finding = bundle.finding();
    assert_eq!(place(&finding), (Kind::Missing, SECOND, None, Some(10)));
    assert!(finding.detail.contains("10 to 19"), "{finding}");

    bundle.edit(|manifest| drop(manifest.segments.remove(1)));
    let finding = bundle.finding();
    assert_eq!(place(&finding), (Kind::Missing, paths::MANIFEST, None, Some(10)));
    assert!(finding.detail.contains("10 to 19"), "{finding}");
}

#[test]
fn removed_last_segment_is_truncated() {
    let bundle = Bundle::new();
    bundle.remove(LAST);
    assert_eq!(place(&bundle.finding()), (Kind::Truncated, LAST, None, Some(20)));

    bundle.edit(|manifest| drop(manifest.segments.pop()));
    assert_eq!(place(&bundle.finding()), (Kind::Truncated, paths::MANIFEST, None, Some(20)));

    // With an adjusted list and range, the checkpoint still shows it.
    bundle.edit(|manifest| manifest.range.to = 19);
    assert_eq!(place(&bundle.finding()), (Kind::Truncated, CHECKPOINTS[2], None, Some(20)));

    // Without that checkpoint, only a kept one does.
    let kept = bundle.get(CHECKPOINTS[2]);
    bundle.remove(CHECKPOINTS[2]);
    assert_eq!(bundle.report().findings, []);
    assert_eq!(place(&bundle.finding_of(&since(kept))), (Kind::Truncated, "kept.txt", None, Some(20)));
}

#[test]
fn repeated_line_is_inserted() {
    let bundle = Bundle::new();
    bundle.reorder(SECOND, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, SECOND, Some(4), Some(13)));

    let bundle = Bundle::new();
    bundle.reorder(SECOND, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, SECOND, Some(11), Some(20)));
}

#[test]
fn foreign_line_is_inserted_before_the_displaced_event() {
    let bundle = Bundle::new();
    let mut lines = bundle.lines(FIRST);
    let before = Segment::parse(lines[..4].concat()).unwrap().last_hash();
    let mut own = ledger::chain(event(TENANT, 4, "own"), 4, before).unwrap().to_json().unwrap();
    own.push(b'\n');
    lines.insert(4, own.clone());
    bundle.put(FIRST, lines.concat());
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, FIRST, Some(6), Some(5)));

    // If it replaces the event, the next event shows it.
    lines.remove(5);
    bundle.put(FIRST, lines.concat());
    assert_eq!(place(&bundle.finding()), (Kind::Modified, FIRST, Some(6), Some(5)));
}

#[test]
fn additional_event_at_the_end_is_inserted() {
    let bundle = Bundle::new();
    let mut head = Head::empty(TENANT);
    [0..10, 10..20, 20..25].into_iter().for_each(|range| drop(seal(&mut head, events(range))));
    let more = seal(&mut head, events(25..26));
    bundle.put(LAST, [bundle.get(LAST), more.body().to_vec()].concat());
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, LAST, None, Some(25)));

    let bundle = Bundle::new();
    bundle.put("segments/000000000025.jsonl", more.body());
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, "segments/000000000025.jsonl", None, Some(25)));

    let bundle = Bundle::new();
    bundle.edit(|manifest| manifest.range.to = 22);
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, paths::MANIFEST, None, Some(23)));
}

#[test]
fn another_tenants_segment_is_inserted() {
    let bundle = Bundle::new();
    let mut head = Head::empty(OTHER_TENANT);
    let theirs = seal(&mut head, (0..10).map(|n| event(OTHER_TENANT, n, "")).collect());
    bundle.put(FIRST, theirs.body());
    assert_eq!(place(&bundle.finding()), (Kind::Inserted, FIRST, Some(1), Some(0)));
}

/// The log with another thirteenth event, and all later events hashed again.
fn rewritten() -> Bundle {
    let bundle = Bundle::new();
    let mut head = Head::empty(TENANT);
    let mut listed = Vec::new();
    for (file, range) in [(FIRST, 0..10), (SECOND, 10..20), (LAST, 20..25)] {
        let mut events = events(range.clone());
        if range.contains(&13) {
            events[3] = event(TENANT, 13, "other");
        }
        let segment = seal(&mut head, events);
        bundle.put(file, segment.body());
        listed.push(segment.sha256());
    }
    bundle.edit(|manifest| manifest.segments.iter_mut().zip(listed).for_each(|(segment, sha256)| segment.sha256 = sha256));
    bundle
}

#[test]
fn fully_rewritten_log_does_not_match_its_checkpoints() {
    let bundle = rewritten();
    let finding = bundle.finding();
    assert_eq!(place(&finding), (Kind::Inconsistent, CHECKPOINTS[1], None, Some(10)));
    assert!(finding.detail.contains("from sequence 10 on"), "{finding}");
}

#[test]
fn log_forked_with_the_key_does_not_match_a_kept_checkpoint() {
    let (bundle, honest) = (rewritten(), Bundle::new());
    let mut head = Head::empty(TENANT);
    for (file, checkpoint) in [FIRST, SECOND, LAST].iter().zip(CHECKPOINTS) {
        head = head.extend(&Segment::parse(bundle.get(file)).unwrap()).unwrap();
        bundle.put(checkpoint, signed(&head, &pair()));
    }
    assert_eq!(bundle.report().findings, []);
    for (kept, from) in [(CHECKPOINTS[1], 10), (CHECKPOINTS[2], 20)] {
        let wanted = since(honest.get(kept));
        assert_eq!(place(&bundle.finding_of(&wanted)), (Kind::Inconsistent, "kept.txt", None, Some(from)));
        assert_eq!(honest.verify(&wanted).unwrap().findings, []);
    }
}

#[test]
fn replaced_checkpoint_is_detected() {
    let bundle = Bundle::new();
    let mut other = Head::empty(TENANT);
    seal(&mut other, (0..20).map(|n| event(TENANT, n, "other")).collect());
    bundle.put(CHECKPOINTS[1], signed(&other, &other_pair()));
    let finding = bundle.finding();
    assert_eq!(place(&finding), (Kind::BadSignature, CHECKPOINTS[1], None, None));
    assert!(finding.detail.contains("no signature by a known key"), "{finding}");

    bundle.put(CHECKPOINTS[1], signed(&other, &pair()));
    assert_eq!(place(&bundle.finding()), (Kind::Inconsistent, CHECKPOINTS[1], None, Some(10)));

    bundle.put(CHECKPOINTS[1], bundle.get(CHECKPOINTS[0]));
    assert_eq!(place(&bundle.finding()), (Kind::Inconsistent, CHECKPOINTS[1], None, None));

    let mut theirs = Head::empty(OTHER_TENANT);
    seal(&mut theirs, (0..20).map(|n| event(OTHER_TENANT, n, "")).collect());
    bundle.put(CHECKPOINTS[1], signed(&theirs, &pair()));
    assert_eq!(place(&bundle.finding()), (Kind::BadSignature, CHECKPOINTS[1], None, None));
}

#[test]
fn list_of_other_files_is_modified() {
    let bundle = Bundle::new();
    bundle.edit(|manifest| manifest.segments[1].sha256 = manifest.segments[0].sha256);
    assert_eq!(place(&bundle.finding()), (Kind::Modified, paths::MANIFEST, None, Some(10)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn changed_byte_of_a_segment_is_located(which in 0..3_usize, at: prop::sample::Index, flip in 1..=255_u8) {
        let (bundle, file) = (Bundle::new(), [FIRST, SECOND, LAST][which]);
        let mut body = bundle.get(file);
        let at = at.index(body.len());
        let line = body[..at].iter().filter(|byte| **byte == b'\n').count();
        body[at] ^= flip;
        bundle.put(file, body);
        let finding = bundle.finding();
        prop_assert!(matches!(finding.kind, Kind::Modified | Kind::Missing | Kind::Truncated), "{finding}");
        let at = (finding.file.as_str(), finding.line, finding.sequence);
        prop_assert_eq!(at, (file, Some(line + 1), Some((which * 10 + line) as u64)));
    }

    #[test]
    fn removed_byte_of_a_segment_is_located(which in 0..3_usize, at: prop::sample::Index) {
        let (bundle, file) = (Bundle::new(), [FIRST, SECOND, LAST][which]);
        let mut body = bundle.get(file);
        let at = at.index(body.len());
        let line = body[..at].iter().filter(|byte| **byte == b'\n').count();
        body.remove(at);
        bundle.put(file, body);
        let finding = bundle.finding();
        prop_assert_eq!((finding.file.as_str(), finding.sequence), (file, Some((which * 10 + line) as u64)));
    }

    #[test]
    fn changed_byte_of_a_checkpoint_is_a_bad_signature(which in 0..3_usize, at: prop::sample::Index, flip in 1..=255_u8) {
        let (bundle, file) = (Bundle::new(), CHECKPOINTS[which]);
        let mut note = bundle.get(file);
        let at = at.index(note.len());
        note[at] ^= flip;
        bundle.put(file, note);
        let finding = bundle.finding();
        prop_assert_eq!(place(&finding), (Kind::BadSignature, file, None, None));
    }

    #[test]
    fn changed_byte_of_the_list_or_the_key_is_detected(key: bool, at: prop::sample::Index, flip in 1..=255_u8) {
        let (bundle, file) = (Bundle::new(), if key { paths::KEY } else { paths::MANIFEST });
        let mut bytes = bundle.get(file);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        // Not verifiable, and reported as such: the time of creation, and the versions of objects.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let stated = !text.contains("2026-02-01T00:00:00.000Z") || text.matches("3HL4kqtJlcpXroDTDmJ").count() < 3;
        bundle.put(file, bytes);
        let caught = bundle.verify(&VerifyOptions::default()).map_or(true, |report| report.exit_code() != 0);
        prop_assert!(caught || (stated && !key), "{}", text);
    }
}
