//! Synthetic bundles, signed by a key that is derived from a constant.

use auditor::{Directory, EarlierCheckpoint, Finding, Kind, Manifest, Report, Unreadable, VerifyOptions, Writer, paths, verify};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::checkpoint::Unsigned;
use ledger::{Checkpoint, Event, Head, OccurredAt, Origin, Segment, VerifierKey, Word};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

pub(crate) const TENANT: Word = Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2e4");
pub(crate) const OTHER_TENANT: Word = Word::literal("ten_01997a2e51a07cc2a3a9a1f0c7b1d2ff");

pub(crate) fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

pub(crate) fn other_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap()
}

pub(crate) fn origin(tenant: Word) -> Origin {
    Origin::new("cloister.example", tenant).unwrap()
}

pub(crate) fn key(pair: &Ed25519KeyPair, tenant: Word) -> VerifierKey {
    origin(tenant).key(pair.public_key().as_ref().try_into().unwrap())
}

/// The `n`th event of a log; `salt` makes different logs.
pub(crate) fn event(tenant: Word, n: u64, salt: &str) -> Event {
    let text = include_str!("../../../../shared/ledger/tests/golden.json");
    let golden = Event::parse(text.trim_end().as_bytes()).unwrap();
    Event { tenant_id: tenant, event_id: Word::parse(format!("evt_{salt}{n}")).unwrap(), ..golden }
}

pub(crate) fn events(range: std::ops::Range<u64>) -> Vec<Event> {
    range.map(|n| event(TENANT, n, "")).collect()
}

pub(crate) fn seal(head: &mut Head, events: Vec<Event>) -> Segment {
    let segment = Segment::seal(head, events).unwrap().unwrap();
    *head = head.extend(&segment).unwrap();
    segment
}

pub(crate) fn signed(head: &Head, pair: &Ed25519KeyPair) -> Vec<u8> {
    let unsigned =
        Unsigned::new(&Checkpoint::of("cloister.example", head).unwrap(), key(pair, head.tenant_id().clone())).unwrap();
    let signature = pair.sign(unsigned.bytes());
    unsigned.sign(signature.as_ref()).unwrap().to_string().into_bytes()
}

/// Segments of these lengths with a checkpoint after each, from `start` on.
pub(crate) fn write(dir: &TempDir, start: Option<Head>, segments: &[Vec<Event>]) -> Head {
    let mut head = start.clone().unwrap_or_else(|| Head::empty(segments[0][0].tenant_id.clone()));
    let mut writer = Writer::create(dir.path(), origin(head.tenant_id().clone()), start).unwrap();
    for events in segments {
        let segment = seal(&mut head, events.clone());
        writer.segment(&segment, Word::literal("3HL4kqtJlcpXroDTDmJ")).unwrap();
        writer.checkpoint(head.size(), &signed(&head, &pair())).unwrap();
    }
    writer.key(&key(&pair(), head.tenant_id().clone())).unwrap();
    writer.finish(OccurredAt::parse("2026-02-01T00:00:00.000Z").unwrap()).unwrap();
    head
}

/// A bundle of 25 events in segments of 10, 10 and 5.
pub(crate) struct Bundle(pub(crate) TempDir);

pub(crate) const FIRST: &str = "segments/000000000000.jsonl";
pub(crate) const SECOND: &str = "segments/000000000010.jsonl";
pub(crate) const LAST: &str = "segments/000000000020.jsonl";
pub(crate) const CHECKPOINTS: [&str; 3] =
    ["checkpoints/000000000010.txt", "checkpoints/000000000020.txt", "checkpoints/000000000025.txt"];

impl Bundle {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir, None, &[events(0..10), events(10..20), events(20..25)]);
        Self(dir)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn get(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }

    pub(crate) fn put(&self, file: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(file), bytes).unwrap();
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    pub(crate) fn lines(&self, file: &str) -> Vec<Vec<u8>> {
        self.get(file).split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Replaces a file's lines.
    pub(crate) fn reorder(&self, file: &str, order: impl IntoIterator<Item = usize>) {
        let lines = self.lines(file);
        self.put(file, order.into_iter().flat_map(|n| lines[n].clone()).collect::<Vec<_>>());
    }

    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Manifest)) {
        let mut manifest = Manifest::parse(&self.get(paths::MANIFEST)).unwrap();
        edit(&mut manifest);
        self.put(paths::MANIFEST, manifest.to_json().unwrap());
    }

    pub(crate) fn verify(&self, wanted: &VerifyOptions) -> Result<Report, Unreadable> {
        verify(&mut Directory::new(self.0.path()), wanted, &mut |_, _| {})
    }

    pub(crate) fn report(&self) -> Report {
        self.verify(&VerifyOptions::default()).unwrap()
    }

    /// The only finding.
    pub(crate) fn finding(&self) -> Finding {
        self.finding_of(&VerifyOptions::default())
    }

    pub(crate) fn finding_of(&self, wanted: &VerifyOptions) -> Finding {
        let report = self.verify(wanted).unwrap();
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        assert_eq!(report.exit_code(), report.findings[0].kind.exit_code());
        report.findings[0].clone()
    }

    pub(crate) fn is_unreadable(&self) -> bool {
        self.verify(&VerifyOptions::default()).is_err()
    }
}

pub(crate) fn since(signed: Vec<u8>) -> VerifyOptions {
    VerifyOptions { since: Some(EarlierCheckpoint { name: "kept.txt".to_owned(), signed }), ..VerifyOptions::default() }
}

/// Kind, file, line and sequence.
pub(crate) type Place<'a> = (Kind, &'a str, Option<usize>, Option<u64>);

pub(crate) fn place(finding: &Finding) -> Place<'_> {
    (finding.kind, &finding.file, finding.line, finding.sequence)
}
