use crate::{Finding, Manifest};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The result of a verification: its findings, and what it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `<deployment>/<tenant>`.
    pub origin: String,
    /// Sequence of the bundle's first event.
    pub from: u64,
    /// The number of verified events.
    pub events: u64,
    /// The number of verified segments.
    pub segments: u64,
    /// Checkpoints that are signed by the key and match the tree of these events.
    pub checkpoints: u64,
    /// Checkpoints before the first event, which cannot be verified.
    pub checkpoints_before: u64,
    /// The last sequence that a checkpoint covers.
    pub signed: Option<u64>,
    /// Size of the checkpoint that the auditor kept, if it matches.
    pub since: Option<u64>,
    /// `<name>+<id>`.
    pub key: String,
    /// Whether the auditor provided the key.
    pub pinned: bool,
    /// Empty if everything is verified.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(origin: String, manifest: &Manifest, key: String, pinned: bool) -> Self {
        Self {
            origin,
            from: manifest.range.from,
            events: 0,
            segments: 0,
            checkpoints: 0,
            checkpoints_before: 0,
            signed: None,
            since: None,
            key,
            pinned,
            findings: Vec::new(),
        }
    }

    /// 0 if everything is verified; otherwise the code of the first finding.
    pub fn exit_code(&self) -> u8 {
        self.findings.first().map_or(0, |finding| finding.kind.exit_code())
    }

    /// Sequence of the last verified event.
    fn last(&self) -> Option<u64> {
        self.events.checked_sub(1).map(|events| self.from + events)
    }

    /// Statements that an auditor might take for proven but are not.
    pub fn not_proven(&self) -> Vec<String> {
        let mut not = Vec::new();
        if !self.pinned {
            not.push(format!(
                "the signer's identity: the key `{}` came with the bundle; get it through another channel, and pass it with --key",
                self.key
            ));
        }
        if self.since.is_none() {
            not.push("that every auditor was shown the same log: pass a checkpoint that you kept with --since".to_owned());
        }
        if let (Some(last), Some(signed)) = (self.last(), self.signed)
            && last > signed
        {
            not.push(format!("sequences {} to {last}: they are chained, but no checkpoint covers them yet", signed + 1));
        }
        if self.from > 0 {
            not.push(format!("anything about the events before sequence {}", self.from));
        }
        not.push("that the events are true, and that every event was sealed".to_owned());
        not
    }

    /// The report as a JSON object, for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "verified": self.findings.is_empty(),
            "exit_code": self.exit_code(),
            "origin": self.origin,
            "from": self.from,
            "events": self.events,
            "segments": self.segments,
            "checkpoints": self.checkpoints,
            "signed_to": self.signed,
            "since": self.since,
            "key": self.key,
            "key_pinned": self.pinned,
            "findings": self.findings,
            "not_proven": self.not_proven(),
        })
    }

    /// The report for people: verified parts, findings, and what is not proven. `paint` colours a text or returns it unchanged.
    pub fn to_text(&self, paint: impl Fn(Colour, &str) -> String) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            // INVARIANT: writing to a String does not fail.
            let _ = writeln!(text, "{line}");
        };
        if self.findings.is_empty() {
            line(format!("{}  {}", paint(Colour::Green, "VERIFIED"), self.origin));
        } else {
            line(format!("{}  {}", paint(Colour::Red, "NOT VERIFIED"), self.origin));
            self.findings.iter().for_each(|finding| line(format!("  {}", paint(Colour::Red, &printable(&finding.to_string())))));
        }
        line("Proven:".to_owned());
        match self.last() {
            None => line("  nothing".to_owned()),
            Some(last) => {
                let Self { from, events, segments, .. } = self;
                line(format!(
                    "  {events} events ({segments} segments), sequence {from} to {last}: each unaltered, none missing between"
                ));
            }
        }
        if let Some(signed) = self.signed {
            line(format!(
                "  {} checkpoints signed by `{}` match the tree, the newest to sequence {signed}",
                self.checkpoints, self.key
            ));
        }
        if let Some(since) = self.since {
            line(format!("  the first {since} events are those of the checkpoint that you kept"));
        }
        line(paint(Colour::Yellow, "NOT proven:"));
        self.not_proven().into_iter().for_each(|not| line(format!("  {not}")));
        text
    }
}

/// A text of the bundle's author without control characters, which a terminal would execute.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if matches!(c, '"' | '\'' | '\\') {
            shown.push(c)
        } else {
            shown.extend(c.escape_debug())
        }
        shown
    })
}

/// The colour of a text on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Green,
    Yellow,
    Red,
}

impl Colour {
    /// By ECMA-48's SGR.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Red => 31,
        };
        format!("\x1b[1;{code}m{text}\x1b[0m")
    }
}
