//! Stores each pipe's position in its stream: after a restart, no accepted record is sent again, and none is skipped.

use crate::{Error, handover::write_private};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const FILE: &str = "pipes.json";

/// The last sequence number that each pipe has finished, by the pipe's name.
#[derive(Debug)]
pub(crate) struct Positions {
    file: PathBuf,
    known: Mutex<BTreeMap<String, String>>,
}

impl Positions {
    /// The positions of an earlier run on `dir`, if any.
    ///
    /// # Errors
    /// [`Error::Config`] if they cannot be read: starting again would resend everything.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let file = dir.join(FILE);
        let known = match std::fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| Error::Config(format!("`{}`: {e}", file.display())))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(Error::io(format!("read `{}`", file.display()))(e)),
        };
        Ok(Self { file, known: Mutex::new(known) })
    }

    pub(crate) fn of(&self, pipe: &str) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(pipe).cloned()
    }

    /// # Errors
    /// [`Error::Io`] if it cannot be stored; it is used for this run all the same.
    pub(crate) fn advance(&self, pipe: &str, sequence_number: &str) -> Result<(), Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(pipe.to_owned(), sequence_number.to_owned());
        let text = serde_json::to_string_pretty(&*known).map_err(|e| Error::Config(e.to_string()))?;
        write_private(&self.file, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_outlives_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let first = Positions::open(dir.path()).unwrap();
        assert_eq!(first.of("a"), None);
        first.advance("a", "100000000000000000007").unwrap();
        first.advance("b", "100000000000000000009").unwrap();
        let second = Positions::open(dir.path()).unwrap();
        assert_eq!(second.of("a").as_deref(), Some("100000000000000000007"));
        assert_eq!(second.of("c"), None);
    }
}
