use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::segment::{Breach, Broken, Segment};
use crate::{Format, Frontier, Hash, Word};

/// The end of a tenant's log. It suffices to seal the next events and to sign the existing ones, without reading old events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Text", try_from = "Text")]
pub struct Head {
    tenant_id: Word,
    last_hash: Hash,
    frontier: Frontier,
}

/// A head's text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: Format,
    tenant_id: Word,
    size: u64,
    last_hash: Hash,
    peaks: Vec<Hash>,
}

impl From<Head> for Text {
    fn from(head: Head) -> Self {
        let size = head.size();
        let Head { tenant_id, last_hash, frontier } = head;
        Self { format: Format::V1, tenant_id, size, last_hash, peaks: frontier.into_peaks() }
    }
}

impl TryFrom<Text> for Head {
    type Error = InvalidHead;

    fn try_from(Text { format: Format::V1, tenant_id, size, last_hash, peaks }: Text) -> Result<Self, InvalidHead> {
        Self::new(tenant_id, last_hash, Frontier::new(size, peaks).map_err(|_| InvalidHead)?)
    }
}

/// The text is not a head, or its parts are inconsistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the head of an audit log")]
pub struct InvalidHead;

impl Head {
    /// The head of a log without events.
    pub const fn empty(tenant_id: Word) -> Self {
        Self { tenant_id, last_hash: Hash::ZERO, frontier: Frontier::empty() }
    }

    /// # Errors
    /// [`InvalidHead`]: only a log with events has a last event, and in a log of odd size the last leaf is in the frontier.
    pub fn new(tenant_id: Word, last_hash: Hash, frontier: Frontier) -> Result<Self, InvalidHead> {
        let fits = match (frontier.size(), frontier.peaks().last()) {
            (0, _) => last_hash == Hash::ZERO,
            (size, Some(peak)) if size % 2 == 1 => *peak == last_hash,
            _ => true,
        };
        if fits { Ok(Self { tenant_id, last_hash, frontier }) } else { Err(InvalidHead) }
    }

    pub const fn tenant_id(&self) -> &Word {
        &self.tenant_id
    }

    /// Number of sealed events, which is also the sequence of the next event.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Hash of the last event; [`Hash::ZERO`] in an empty log.
    pub const fn last_hash(&self) -> Hash {
        self.last_hash
    }

    pub const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Root of the tree over all events.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The head after `segment`.
    ///
    /// # Errors
    /// [`Broken`] if the segment belongs to another tenant, begins at another sequence, or does not follow the last event.
    pub fn extend(&self, segment: &Segment) -> Result<Self, Broken> {
        let (size, first) = (self.size(), segment.first());
        let how = if segment.tenant_id() != &self.tenant_id {
            Some(Breach::Tenant)
        } else if first > size {
            Some(Breach::Missing { last: first - 1 })
        } else if first < size {
            Some(Breach::Repeated { found: first })
        } else if segment.previous_hash() != self.last_hash {
            Some(Breach::Unchained)
        } else {
            None
        };
        if let Some(how) = how {
            return Err(Broken { sequence: size, line: 1, how });
        }
        let mut frontier = self.frontier.clone();
        segment.leaves().iter().for_each(|leaf| frontier.push(*leaf));
        Ok(Self { tenant_id: self.tenant_id.clone(), last_hash: segment.last_hash(), frontier })
    }

    /// One line of canonical JSON: `format`, `last_hash`, `peaks`, `size`, `tenant_id`.
    ///
    /// # Errors
    /// [`canonical::CanonicalError`] for more than 2^53 - 1 events.
    pub fn to_text(&self) -> Result<String, canonical::CanonicalError> {
        String::from_utf8(canonical::to_vec(self)?).map_err(|_| canonical::CanonicalError::NotJson)
    }

    /// Reads the output of [`to_text`](Self::to_text).
    ///
    /// # Errors
    /// [`InvalidHead`].
    pub fn parse(text: &str) -> Result<Self, InvalidHead> {
        let head: Self = serde_json::from_str(text).map_err(|_| InvalidHead)?;
        if head.to_text().as_deref() == Ok(text) { Ok(head) } else { Err(InvalidHead) }
    }
}
