//! Colours on a terminal: not in a pipe or file, and not under `NO_COLOR` (no-color.org).

use std::{fmt::Display, io::IsTerminal};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn of_stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()))
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.with("2", text)
    }
    pub(crate) fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.with("31", text)
    }
    pub(crate) fn odd(self, text: impl Display) -> String {
        self.with("33", text)
    }
    pub(crate) fn link(self, text: impl Display) -> String {
        self.with("36", text)
    }

    /// The colour of a status: success, refused or failed.
    pub(crate) fn status(self, status: u16) -> String {
        match status {
            0..400 => self.good(status),
            400..500 => self.odd(status),
            _ => self.bad(status),
        }
    }

    fn with(self, code: &str, text: impl Display) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}
