//! Files for other tools in a running stack's data directory: `dev.json` for programs, `env` and `operator` for shells. They are
//! deleted when the stack stops, and contain only synthetic credentials.

use crate::{Error, User};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The content of `dev.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    pub base_url: String,
    /// The password of every seeded user.
    pub password: Option<String>,
    /// Tenants' ids by name, including the platform's.
    pub tenants: BTreeMap<String, String>,
    pub users: Vec<User>,
    /// A function's environment: `CLOISTER_…` and `AWS_…`.
    pub env: BTreeMap<String, String>,
    /// The environment of an operator's `cloister`, whose calls are evaluated by IAM.
    pub operator: BTreeMap<String, String>,
}

const JSON: &str = "dev.json";
const SHELL: &str = "env";
const OPERATOR: &str = "operator";

impl Handover {
    /// # Errors
    /// [`Error::Handover`] if no stack runs on `data_dir`.
    pub fn read(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(JSON);
        let wrong = |message: String| Error::Handover { path: path.clone(), message };
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(format!("{e}; is `cargo dev` running?")))?;
        serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))
    }

    /// A file for `source` in a shell.
    pub fn shell_file(data_dir: &Path) -> PathBuf {
        data_dir.join(SHELL)
    }

    /// A file for `source` in an operator's shell.
    pub fn operator_file(data_dir: &Path) -> PathBuf {
        data_dir.join(OPERATOR)
    }

    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), Error> {
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::Config(e.to_string()))?;
        write_private(&data_dir.join(JSON), &json)?;
        let lines = |env: &BTreeMap<String, String>| {
            env.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect::<String>()
        };
        write_private(&Self::shell_file(data_dir), &lines(&self.env))?;
        write_private(&Self::operator_file(data_dir), &lines(&self.operator))
    }

    pub(crate) fn remove(data_dir: &Path) {
        for name in [JSON, SHELL, OPERATOR] {
            // The file may be absent already.
            let _ = std::fs::remove_file(data_dir.join(name));
        }
    }
}

/// A quoted word of a POSIX shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Writes a file that only its owner can read; an old one is replaced completely.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let writing = || Error::io(format!("write `{}`", path.display()));
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(&fresh).map_err(writing())?;
    file.write_all(text.as_bytes()).map_err(writing())?;
    std::fs::rename(&fresh, path).map_err(writing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_in_a_value_stays_inside_its_word() {
        assert_eq!(quoted("a'b $HOME"), r"'a'\''b $HOME'");
    }
}
