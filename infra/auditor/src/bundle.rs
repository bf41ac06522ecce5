use crate::source::paths;
use ledger::{Hash, Head, OccurredAt, Origin, Segment, VerifierKey, Word};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A bundle's own description: `bundle.json`. It is not signed, so the verifier compares it with the signed parts where it can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: ledger::Format,
    pub deployment: String,
    pub tenant_id: Word,
    pub range: Range,
    /// When the bundle was made; not verifiable.
    pub made_at: OccurredAt,
    /// The head of the log before the bundle's first event: `null` for a bundle that begins with the log.
    pub start: Option<Head>,
    /// In the order of their events.
    pub segments: Vec<Listed>,
}

/// Sequences, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub from: u64,
    pub to: u64,
}

/// A segment of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Sequence of its first event.
    pub first: u64,
    pub events: usize,
    /// The version of the object in the bucket; not verifiable.
    pub version_id: Word,
    pub sha256: Hash,
}

/// The text is not a manifest, or its parts are inconsistent.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    #[error("not a bundle's manifest: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not in canonical JSON")]
    NotCanonical,
    #[error("not of one log: {0}")]
    Parts(&'static str),
}

impl Manifest {
    /// Reads only the output of [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// [`InvalidManifest`].
    pub fn parse(json: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest: Self = serde_json::from_slice(json)?;
        if manifest.to_json()? != json {
            return Err(InvalidManifest::NotCanonical);
        }
        if Origin::new(manifest.deployment.as_str(), manifest.tenant_id.clone()).is_err() {
            return Err(InvalidManifest::Parts("deployment and tenant do not form an origin"));
        }
        if manifest.start.as_ref().is_some_and(|start| *start.tenant_id() != manifest.tenant_id || start.size() == 0) {
            return Err(InvalidManifest::Parts("its start is of another tenant's log or has no events"));
        }
        if manifest.range.from != manifest.head().size() || manifest.range.to < manifest.range.from {
            return Err(InvalidManifest::Parts("its range does not begin at its start"));
        }
        Ok(manifest)
    }

    /// One line of canonical JSON.
    ///
    /// # Errors
    /// [`InvalidManifest::NotCanonical`] past 2^53 - 1 events.
    pub fn to_json(&self) -> Result<Vec<u8>, InvalidManifest> {
        let mut json = ledger::canonical::to_vec(self).map_err(|_| InvalidManifest::NotCanonical)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The head before the first segment.
    pub fn head(&self) -> Head {
        self.start.clone().unwrap_or_else(|| Head::empty(self.tenant_id.clone()))
    }
}

/// Writes a bundle into a directory, file by file. `bundle.json` comes last, so that an incomplete bundle has none.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    origin: Origin,
    start: Option<Head>,
    segments: Vec<Listed>,
    next: u64,
}

impl Writer {
    /// In `directory`, which is created and must be empty. `start` is the head before the first segment, `None` at the log's
    /// beginning.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn create(directory: impl Into<PathBuf>, origin: Origin, start: Option<Head>) -> io::Result<Self> {
        let directory = directory.into();
        for folder in [paths::SEGMENTS, paths::CHECKPOINTS, paths::KEYS] {
            fs::create_dir_all(directory.join(folder))?;
        }
        if directory.join(paths::MANIFEST).exists() || fs::read_dir(directory.join(paths::SEGMENTS))?.next().is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the directory has a bundle already"));
        }
        let next = start.as_ref().map_or(0, Head::size);
        Ok(Self { directory, origin, start, segments: Vec::new(), next })
    }

    /// # Errors
    /// Errors of the file system.
    pub fn segment(&mut self, segment: &Segment, version_id: Word) -> io::Result<()> {
        let listed = Listed { first: segment.first(), events: segment.len(), version_id, sha256: segment.sha256() };
        self.put(listed, segment.body())
    }

    /// A segment as received, with its description. The verifier checks both.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn put(&mut self, listed: Listed, body: &[u8]) -> io::Result<()> {
        self.write(paths::segment(listed.first), body)?;
        self.next = listed.first.saturating_add(listed.events as u64);
        self.segments.push(listed);
        Ok(())
    }

    /// `signed` is the note of a checkpoint over `size` leaves.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn checkpoint(&mut self, size: u64, signed: &[u8]) -> io::Result<()> {
        self.write(paths::checkpoint(size), signed)
    }

    /// # Errors
    /// Errors of the file system.
    pub fn key(&mut self, key: &VerifierKey) -> io::Result<()> {
        self.write(paths::KEY, format!("{key}\n").as_bytes())
    }

    /// # Errors
    /// Errors of the file system; `InvalidInput` for a bundle without events.
    pub fn finish(self, made_at: OccurredAt) -> io::Result<()> {
        let from = self.start.as_ref().map_or(0, Head::size);
        let empty = || io::Error::new(io::ErrorKind::InvalidInput, "there are no events to bundle");
        let to = self.next.checked_sub(1).filter(|_| !self.segments.is_empty()).ok_or_else(empty)?;
        let manifest = Manifest {
            format: ledger::Format::V1,
            deployment: self.origin.deployment().to_owned(),
            tenant_id: self.origin.tenant_id().clone(),
            range: Range { from, to },
            made_at,
            start: self.start,
            segments: self.segments,
        };
        fs::write(self.directory.join(paths::MANIFEST), manifest.to_json().map_err(io::Error::other)?)
    }

    fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.directory.join(path), bytes)
    }
}
