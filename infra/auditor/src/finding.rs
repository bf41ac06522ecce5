use serde::Serialize;
use std::fmt;

/// What is wrong. Each has an exit code of its own, which is part of the command's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An event's text is not what was sealed.
    Modified,
    /// Events are not there, while later ones are.
    Missing,
    /// Events are there, out of their order.
    Reordered,
    /// Events at the end are not there, though something says that they were.
    Truncated,
    /// A checkpoint is not signed by the log's key, or none is there.
    BadSignature,
    /// What the bundle has to say of itself cannot be read.
    Unreadable,
    /// A signed checkpoint is of another tree than that of these events: they were replaced and hashed anew, or the log was forked.
    Inconsistent,
    /// Something is there twice, or that was never listed.
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

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: Kind,
    /// Within the bundle; of a checkpoint that the auditor kept, as they named it.
    pub file: String,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The first event that is concerned.
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
