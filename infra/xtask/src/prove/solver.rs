//! Finds cvc5: the command of `CVC5`, else the Python package in `.cloister/cvc5`, else the one on the `PATH`.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::Command,
};

/// The path of the Python package, if it is installed.
const PACKAGE: &str = ".cloister/cvc5";

const MISSING: &str = "cvc5 is missing, the solver that proves. One of these brings it:
  python3 -m venv .cloister/cvc5 && .cloister/cvc5/bin/pip install --require-hashes -r infra/prove/requirements.txt
  your system's package, as in `apt-get install cvc5`
  an executable from its makers, with its path in the variable `CVC5`";

#[derive(Debug)]
pub(super) struct Solver {
    /// The command that runs it, without options.
    pub(super) command: Vec<OsString>,
    pub(super) version: String,
}

impl Solver {
    /// # Errors
    /// Names the missing part, and how to install it.
    pub(super) fn find(root: &Path) -> Result<Self, String> {
        if let Some(named) = std::env::var_os("CVC5") {
            return Self::running(vec![named.clone()]).ok_or_else(|| format!("`CVC5` is {}, which is not cvc5", named.display()));
        }
        let python = root.join(PACKAGE).join("bin/python");
        let package = python.exists().then(|| vec![python.into(), root.join("infra/prove/solver.py").into()]);
        let found = package.into_iter().chain([vec![OsString::from("cvc5")]]).find_map(Self::running);
        found.ok_or_else(|| MISSING.to_owned())
    }

    /// The solver that this command runs, if it is cvc5.
    fn running(mut command: Vec<OsString>) -> Option<Self> {
        let (program, arguments) = command.split_first_mut()?;
        // It runs in another folder. A name without a folder is looked up on the PATH.
        if Path::new(program).components().count() > 1 {
            *program = std::path::absolute(&program).ok()?.into();
        }
        let output = Command::new(&program).args(arguments.iter().map(OsStr::new)).arg("--version").output().ok()?;
        let version = version(&String::from_utf8_lossy(&output.stdout))?.to_owned();
        output.status.success().then_some(Self { command, version })
    }
}

/// The version in the output of `cvc5 --version`: `This is cvc5 version 1.3.1 [git …]`.
fn version(said: &str) -> Option<&str> {
    said.split_once("cvc5 version ")?.1.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_version_is_what_it_says() {
        assert_eq!(version("This is cvc5 version 1.3.1 [git tag 1.3.1 branch HEAD]\ncompiled with"), Some("1.3.1"));
        assert_eq!(version("This is cvc5 version 1.0.3\ncompiled with GCC"), Some("1.0.3"));
        assert_eq!(version("Z3 version 4.13.0"), None);
        assert_eq!(version("cvc5 version "), None);
    }

    #[test]
    fn program_other_than_cvc5_is_refused() {
        assert!(Solver::running(vec!["true".into()]).is_none());
        assert!(Solver::running(vec!["./no-such-program".into()]).is_none());
        assert!(Solver::running(Vec::new()).is_none());
    }
}
