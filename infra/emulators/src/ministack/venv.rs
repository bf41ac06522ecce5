//! The Python environment that MiniStack runs in: made once, from pinned and hashed packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};

use crate::{DirLock, Error};

const REQUIREMENTS: &str = include_str!("../../requirements.txt");

/// Written last, and holds what the environment was made from: without it the environment is half made or out of date.
const MARKER: &str = "made-from";

/// The oldest Python that the pinned packages are for.
const OLDEST: (u32, u32) = (3, 10);

/// The environment's interpreter. Makes the environment first where it is missing or outdated, which takes up to a minute;
/// another process that wants the same waits for it.
pub(super) fn python(progress: fn(&str)) -> Result<PathBuf, Error> {
    let dir = folder();
    let python = dir.join("bin").join("python");
    if is_current(&dir) {
        return Ok(python);
    }
    let parent = dir.parent().unwrap_or(Path::new("."));
    let _held = DirLock::take(parent)?;
    if !is_current(&dir) {
        make(&dir, &python, progress)?;
    }
    Ok(python)
}

/// `CLOISTER_VENV`, or `.cloister/venv` in the workspace.
fn folder() -> PathBuf {
    match std::env::var_os("CLOISTER_VENV") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cloister/venv"),
    }
}

fn is_current(dir: &Path) -> bool {
    fs::read_to_string(dir.join(MARKER)).is_ok_and(|made_from| made_from == fingerprint())
}

fn fingerprint() -> String {
    let hash = digest(&SHA256, REQUIREMENTS.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn make(dir: &Path, python: &Path, progress: fn(&str)) -> Result<(), Error> {
    let system = std::env::var("CLOISTER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    check_version(&system)?;
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(Error::io(format!("remove `{}`", dir.display())))?;
    }
    progress(&format!("first run: making a Python environment in {}", dir.display()));
    run(Command::new(&system).args(["-m", "venv"]).arg(dir), "making the Python environment")?;
    let list = dir.join("requirements.txt");
    let marker = dir.join(MARKER);
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(Error::io(format!("write `{}`", path.display())));
    write(&list, REQUIREMENTS)?;
    progress("first run: installing the AWS emulator, 130 MB");
    run(
        Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--require-hashes", "-r"])
            .arg(&list),
        "installing the AWS emulator",
    )?;
    write(&marker, &fingerprint())?;
    progress("first run: the AWS emulator is installed");
    Ok(())
}

fn check_version(python: &str) -> Result<(), Error> {
    let print = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let output =
        run(Command::new(python).args(["-c", print]), &format!("running `{python}` (name another with CLOISTER_PYTHON)"))?;
    let mut numbers = output.split_whitespace().map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST {
        return Ok(());
    }
    Err(Error::Setup {
        message: format!(
            "`{python}` is Python {}.{}, and {}.{} or newer is needed (name another with CLOISTER_PYTHON)",
            version.0, version.1, OLDEST.0, OLDEST.1
        ),
        output: String::new(),
    })
}

/// Runs a step to its end; answers what it printed.
fn run(command: &mut Command, step: &str) -> Result<String, Error> {
    let failed = |how: String, output: String| Error::Setup { message: format!("{step}: {how}"), output };
    let output = command.output().map_err(|error| failed(error.to_string(), String::new()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(stdout)
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(failed(output.status.to_string(), format!("{stdout}{stderr}")))
    }
}
