//! Python environments for tools: each is created once, from pinned and hashed packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use crate::{DirLock, Error};

/// The installation of this process: one environment is created at a time.
static AT: Mutex<At> = Mutex::new(At::Rest);

enum At {
    Rest,
    /// A running step, by its process id.
    Step(u32),
    /// No further step may start.
    Abandoned,
}

/// Written last, with the inputs of the environment: without it the environment is incomplete or out of date.
const MARKER: &str = "made-from";

/// An environment, which may not exist yet.
#[derive(Debug, Clone)]
pub struct Venv {
    pub dir: PathBuf,
    /// The packages with their versions and hashes, in pip's format.
    pub requirements: &'static str,
    /// A description of the packages.
    pub what: &'static str,
    /// The oldest Python that the pinned packages support.
    pub oldest: (u32, u32),
}

impl Venv {
    /// The environment's interpreter. Creates the environment first if it is missing or outdated, with `CLOISTER_PYTHON` or
    /// `python3`, which takes up to a minute. Another process that needs the same waits for it. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Setup`] if it cannot be created.
    pub fn python(&self, progress: fn(&str)) -> Result<PathBuf, Error> {
        let python = self.dir.join("bin").join("python");
        if self.is_current() {
            return Ok(python);
        }
        let parent = self.dir.parent().unwrap_or(Path::new("."));
        let _held = DirLock::take(parent)?;
        if !self.is_current() {
            self.make(&python, progress)?;
        }
        Ok(python)
    }

    /// Ends this process's installation when the process is interrupted: waiting callers get an error, and the next call starts
    /// again.
    pub fn abandon() {
        let mut at = AT.lock().unwrap_or_else(PoisonError::into_inner);
        if let At::Step(child) = *at {
            let _ = Command::new("kill").arg(child.to_string()).status();
        }
        *at = At::Abandoned;
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(self.dir.join(MARKER)).is_ok_and(|made_from| made_from == self.fingerprint())
    }

    fn fingerprint(&self) -> String {
        let hash = digest(&SHA256, self.requirements.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn make(&self, python: &Path, progress: fn(&str)) -> Result<(), Error> {
        let Self { dir, what, .. } = self;
        let system = std::env::var("CLOISTER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        check_version(&system, self.oldest)?;
        if dir.exists() {
            fs::remove_dir_all(dir).map_err(Error::io(format!("remove `{}`", dir.display())))?;
        }
        progress(&format!("first run: creating a Python environment in {}", dir.display()));
        run(Command::new(&system).args(["-m", "venv"]).arg(dir), "creating the Python environment")?;
        let list = dir.join("requirements.txt");
        let marker = dir.join(MARKER);
        let write = |path: &Path, text: &str| fs::write(path, text).map_err(Error::io(format!("write `{}`", path.display())));
        write(&list, self.requirements)?;
        progress(&format!("first run: installing {what}"));
        run(
            Command::new(python)
                .args(["-m", "pip", "install", "--quiet", "--no-input"])
                .args(["--disable-pip-version-check", "--require-hashes", "-r"])
                .arg(&list),
            &format!("installing {what}"),
        )?;
        write(&marker, &self.fingerprint())?;
        progress(&format!("first run: {what} is installed"));
        Ok(())
    }
}

fn check_version(python: &str, oldest: (u32, u32)) -> Result<(), Error> {
    let print = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let output =
        run(Command::new(python).args(["-c", print]), &format!("running `{python}` (name another with CLOISTER_PYTHON)"))?;
    let mut numbers = output.split_whitespace().map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= oldest {
        return Ok(());
    }
    Err(Error::Setup {
        message: format!(
            "`{python}` is Python {}.{}, and {}.{} or newer is needed (name another with CLOISTER_PYTHON)",
            version.0, version.1, oldest.0, oldest.1
        ),
        output: String::new(),
    })
}

/// Runs a step to its end. Returns its output.
fn run(command: &mut Command, step: &str) -> Result<String, Error> {
    let failed = |how: String, output: String| Error::Setup { message: format!("{step}: {how}"), output };
    let told = |error: std::io::Error| failed(error.to_string(), String::new());
    let child = {
        let mut at = AT.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*at, At::Abandoned) {
            return Err(failed("interrupted".to_owned(), String::new()));
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(told)?;
        *at = At::Step(child.id());
        child
    };
    let output = child.wait_with_output();
    let mut at = AT.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*at, At::Step(_)) {
        *at = At::Rest;
    }
    let output = output.map_err(told)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(stdout)
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(failed(output.status.to_string(), format!("{stdout}{stderr}")))
    }
}
