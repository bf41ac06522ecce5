use serde::Serialize;
use std::fmt;

/// The kind of a finding. Each has its own exit code, which is part of the command's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An event differs from the sealed one.
    Modified,
    /// Events are missing, while later ones are present.
    Missing,
    /// Events are present in another order.
    Reordered,
    /// Events at the end are missing, although the list or a checkpoint includes them.
    Truncated,
    /// A checkpoint is not signed by the log's key, or there is none.
    BadSignature,
    /// The bundle's own description cannot be read.
    Unreadable,
    /// A signed checkpoint does not match the tree of these events: the events were replaced and hashed again, or the log was
    /// forked.
    Inconsistent,
    /// An event or a file is present twice, or was never listed.
    Inserted,
}

impl Kind {
    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Modified => 10,
            Self::Missing => 11,
            Self::Reordered => 12,
            Self::Truncated => 13,
            Self::BadSignature => 14,
            Self::Unreadable => 15,
            Self::Inconsistent => 16,
            Self::Inserted => 17,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Modified => "modified",
            Self::Missing => "missing",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::BadSignature => "bad signature",
            Self::Unreadable => "unreadable",
            Self::Inconsistent => "inconsistent",
            Self::Inserted => "inserted",
        })
    }
}

/// A fault, and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// A path within the bundle; for a checkpoint that the auditor kept, its own name.
    pub file: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The first event concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    pub detail: String,
}

impl Finding {
    pub(crate) fn new(kind: Kind, file: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind, file: file.into(), line: None, sequence: None, detail: detail.into() }
    }

    pub(crate) fn at(self, sequence: u64) -> Self {
        Self { sequence: Some(sequence), ..self }
    }

    pub(crate) fn on_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }
}

/// `missing: segments/000000000000.jsonl, line 3, sequence 2: …`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(sequence) = self.sequence {
            write!(f, ", sequence {sequence}")?;
        }
        write!(f, ": {}", self.detail)
    }
}
