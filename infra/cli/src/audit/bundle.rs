//! Fetches a log into a directory. The files are written as received and not trusted: the verifier checks them.

use super::Remote;
use auditor::{Listed, Progress, Writer};
use common::base::{Clock, SystemClock};
use ledger::{Hash, OccurredAt, Origin, VerifierKey, Word};
use serde::Deserialize;
use std::{fmt, io, path::Path};

/// The part of `GET /v1/audit/checkpoint` that a bundle needs.
#[derive(Deserialize)]
struct Checkpoint {
    checkpoint: Option<String>,
    size: u64,
    public_key: String,
}

/// `GET /v1/audit/segments`.
#[derive(Deserialize)]
struct Page {
    items: Vec<Entry>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    first_sequence: u64,
    events: usize,
    version_id: String,
    sha256: String,
}

/// `GET /v1/audit/segments/{first_sequence}`.
#[derive(Deserialize)]
struct Text {
    lines: Vec<String>,
}

/// The summary of a fetched log, for the user.
#[derive(Debug)]
pub(super) struct Fetched {
    events: u64,
    segments: usize,
    signed: u64,
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events in {} segments, of which a checkpoint covers {}.", self.events, self.segments, self.signed)
    }
}

/// The checkpoint is fetched first, so that the segments contain at least its events.
pub(super) async fn fetch(endpoint: &str, out: &Path) -> Result<Fetched, String> {
    let remote = Remote::new(endpoint)?;
    eprintln!("Fetching the log of {endpoint} …");
    let Checkpoint { checkpoint, size, public_key } = remote.get("/v1/audit/checkpoint").await?;
    let key = VerifierKey::parse(&public_key).map_err(|e| format!("the deployment's verifier key: {e}"))?;
    let note = checkpoint.ok_or("no checkpoint exists yet: the first is signed within a minute of the first sealed event")?;
    let origin = Origin::parse(key.name()).map_err(|e| format!("the verifier key's name: {e}"))?;

    let io = |e: io::Error| format!("`{}`: {e}", out.display());
    let mut writer = Writer::create(out, origin, None).map_err(io)?;
    writer.checkpoint(size, note.as_bytes()).map_err(io)?;
    writer.key(&key).map_err(io)?;
    let mut fetched = Fetched { events: 0, segments: 0, signed: size };
    let mut progress = Progress::new(true);
    let mut cursor = String::new();
    loop {
        let page: Page = remote.get(&format!("/v1/audit/segments?limit=100{cursor}")).await?;
        for Entry { first_sequence, events, version_id, sha256 } in page.items {
            let sha256 = Hash::parse(&sha256).map_err(|_| format!("the list of segments has no SHA-256 for {first_sequence}"))?;
            let text: Text = remote.get(&format!("/v1/audit/segments/{first_sequence}")).await?;
            let body: String = text.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            let listed = Listed { first: first_sequence, events, version_id: Word::clean(&version_id), sha256 };
            writer.put(listed, body.as_bytes()).map_err(io)?;
            fetched.segments += 1;
            fetched.events += events as u64;
            progress.at(fetched.events, size.max(fetched.events));
        }
        match page.next_cursor {
            // Cursors are base64url, which needs no percent-encoding.
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    progress.end();
    let now = OccurredAt::from_unix_millis(SystemClock.now().as_millis()).map_err(|e| e.to_string())?;
    writer.finish(now).map_err(io)?;
    Ok(fetched)
}
