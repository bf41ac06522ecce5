use std::io::{self, IsTerminal, Write};

/// The progress of a verification on standard error, if that is a terminal.
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

    /// Redraws once for each whole percent.
    pub fn at(&mut self, done: u64, of: u64) {
        let percent = done.saturating_mul(100) / of.max(1);
        if !self.tty || self.shown == Some(percent) {
            return;
        }
        self.shown = Some(percent);
        let full = (percent * WIDTH / 100).min(WIDTH) as usize;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH as usize - full));
        // Standard error may be closed.
        let _ = write!(io::stderr(), "\r{bar} {percent:>3} %  {done} of {of} events");
    }

    /// Removes the bar.
    pub fn end(&mut self) {
        if self.tty && self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
