//! What a running stack tells other tools, in its data directory: `dev.json` for programs, `env` and `operator` for shells. All end with
//! the stack; all hold synthetic credentials only.

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
    /// Every seeded user's.
    pub password: Option<String>,
    /// Tenants' ids by name, the platform's among them.
    pub tenants: BTreeMap<String, String>,
    pub users: Vec<User>,
    /// What a function's environment holds: `CLOISTER_…` and `AWS_…`.
    pub env: BTreeMap<String, String>,
    /// What an operator's `cloister` is given, whose calls IAM judges.
    pub operator: BTreeMap<String, String>,
}

const JSON: &str = "dev.json";
const SHELL: &str = "env";
const OPERATOR: &str = "operator";

impl Handover {
    /// # Errors
    /// [`Error::Handover`] where no stack runs on `data_dir`.
    pub fn read(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(JSON);
        let wrong = |message: String| Error::Handover { path: path.clone(), message };
        let text = std::fs::read_to_string(&path).map_err(|e| wrong(format!("{e}; is `cargo dev` running?")))?;
        serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))
    }

    /// The file to be sourced by a shell.
    pub fn shell_file(data_dir: &Path) -> PathBuf {
        data_dir.join(SHELL)
    }

    /// The file to be sourced by who operates the stack.
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
            // What is not there need not be removed.
            let _ = std::fs::remove_file(data_dir.join(name));
        }
    }
}

/// A word of POSIX shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Writes a file that only its owner reads; an old one is replaced whole.
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
    fn a_quote_in_a_value_stays_inside_its_word() {
        assert_eq!(quoted("a'b $HOME"), r"'a'\''b $HOME'");
    }
}
