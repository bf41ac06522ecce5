use std::io::{self, IsTerminal, Write};

/// How far a walk is, on standard error, for who looks at a terminal; nothing otherwise.
#[derive(Debug)]
pub struct Progress {
    shown: Option<u64>,
    tty: bool,
}

const WIDTH: u64 = 40;

impl Progress {
    /// Shown when standard error is a terminal and `wanted`.
    pub fn new(wanted: bool) -> Self {
        Self { shown: None, tty: wanted && io::stderr().is_terminal() }
    }

    /// Drawn once for each whole percent.
    pub fn at(&mut self, done: u64, of: u64) {
        let percent = done.saturating_mul(100) / of.max(1);
        if !self.tty || self.shown == Some(percent) {
            return;
        }
        self.shown = Some(percent);
        let full = (percent * WIDTH / 100).min(WIDTH) as usize;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH as usize - full));
        // Where nobody reads, nothing is left to be said.
        let _ = write!(io::stderr(), "\r{bar} {percent:>3} %  {done} of {of} events");
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if self.tty && self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
