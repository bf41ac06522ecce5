//! MiniStack: Cognito, S3, SQS, CloudFormation and the rest, as a child process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;

use crate::{ACCOUNT, Error, REGION, Venv};

const LAUNCHER: &str = include_str!("launch.py");

/// The time limit of a start. A start on a busy machine takes a few seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long saving the state may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(10);

/// Another process may take the free port before the child listens on it.
const ATTEMPTS: usize = 3;

/// Its Python environment: `CLOISTER_VENV`, or `.cloister/venv` in the workspace.
fn environment() -> Venv {
    let dir = match std::env::var_os("CLOISTER_VENV") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cloister/venv"),
    };
    let requirements = include_str!("../../requirements.txt");
    Venv { dir, requirements, what: "the AWS emulator, 130 MB", oldest: (3, 10) }
}

/// Options of a start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of its state, which is read at the start and saved only by [`MiniStack::stop`]. Without it, no state is
    /// kept.
    pub data_dir: Option<PathBuf>,
    /// Receives the steps of a first run, a sentence each.
    pub progress: fn(&str),
}

impl Default for Options {
    /// Keeps no state, and prints progress to standard error.
    fn default() -> Self {
        Self { data_dir: None, progress: |line| eprintln!("{line}") }
    }
}

/// A running MiniStack. The process ends when this value is dropped or this process ends, for any reason.
///
/// It is less strict than AWS, so no test may rely on these: Cognito checks no secret hash, refuses no flow that the client has
/// not enabled, lets a disabled user refresh and an immutable attribute change; no IAM or bucket policy is enforced.
#[derive(Debug)]
pub struct MiniStack {
    port: u16,
    child: Child,
    /// Closing it ends the child.
    lifeline: Option<ChildStdin>,
}

impl MiniStack {
    /// Starts it on a free loopback port and waits until it answers. The first start on a machine creates its Python environment
    /// in `CLOISTER_VENV` or `.cloister/venv`, with `CLOISTER_PYTHON` or `python3`. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Setup`] if the environment cannot be created; [`Error::NotHealthy`] with the process's last output if it does not
    /// answer within a minute; [`Error::Io`] if it cannot be run.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let python = environment().python(options.progress)?;
        let mut attempt = 1;
        loop {
            match Self::launch(&python, options.data_dir.as_deref()) {
                Err(Error::NotHealthy { output, .. }) if attempt < ATTEMPTS && output.contains("already in use") => {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The URL for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The child's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Saves the state, if it is kept, and ends the process, by force after five seconds. Blocks the thread.
    ///
    /// # Errors
    /// [`Error::Io`] if the process cannot be waited for.
    pub fn stop(mut self) -> Result<(), Error> {
        let waiting = || Error::io("wait for the AWS emulator to end");
        self.lifeline.take();
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.child.try_wait().map_err(waiting())?.is_none() {
            if Instant::now() > deadline {
                self.child.kill().map_err(waiting())?;
                self.child.wait().map_err(waiting())?;
                break;
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn launch(python: &Path, data_dir: Option<&Path>) -> Result<Self, Error> {
        let port = free_port()?;
        let token = token()?;
        let mut log = log_file(data_dir)?;
        let running = || Error::io("run the AWS emulator");
        let output = || log.try_clone().map_err(running());
        let mut command = Command::new(python);
        command
            .args(["-c", LAUNCHER])
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_REGION", REGION)
            .env("MINISTACK_ACCOUNT_ID", ACCOUNT)
            .env("LOG_LEVEL", "WARNING")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            // Docker may be installed here, but the emulator must not use it.
            .env("DOCKER_HOST", "unix:///nonexistent")
            // The health answer returns it, which distinguishes our child from another process on the port.
            .env("MINISTACK_EDITION", &token)
            .env("PYTHONUNBUFFERED", "1")
            .env_remove("AWS_ENDPOINT_URL")
            .env_remove("PYTHONPATH")
            .env_remove("PYTHONHOME")
            // Ctrl-C must not reach the child: this process ends it after everything else.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output()?)
            .stderr(output()?);
        if let Some(dir) = data_dir {
            command
                .env("PERSIST_STATE", "1")
                .env("STATE_DIR", dir.join("state"))
                .env("S3_PERSIST", "1")
                .env("S3_DATA_DIR", dir.join("s3"));
        }
        let mut child = command.spawn().map_err(running())?;
        let lifeline = child.stdin.take();
        let mut started = Self { port, child, lifeline };
        match started.wait_until_healthy(&token) {
            Ok(()) => Ok(started),
            Err(message) => {
                started.stop()?;
                Err(Error::NotHealthy { message, output: tail(&mut log) })
            }
        }
    }

    fn wait_until_healthy(&mut self, token: &str) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("it ended with {status}"));
            }
            if health(self.port).is_ok_and(|answer| answer.contains(token)) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(format!("no answer within {} s", START_TIMEOUT.as_secs()))
    }
}

fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port"))
}

fn token() -> Result<String, Error> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::Setup { message: "no random bytes".to_owned(), output: String::new() })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The child's output: in the data folder, or in an unnamed file.
fn log_file(data_dir: Option<&Path>) -> Result<File, Error> {
    let opened = match data_dir {
        None => tempfile::tempfile(),
        Some(dir) => std::fs::create_dir_all(dir)
            .and_then(|()| File::options().read(true).append(true).create(true).open(dir.join("ministack.log"))),
    };
    opened.map_err(Error::io("open the AWS emulator's log"))
}

/// The last 4 KB of the log.
fn tail(log: &mut File) -> String {
    const LENGTH: i64 = 4096;
    let mut bytes = Vec::new();
    let read = log.seek(SeekFrom::End(-LENGTH)).or_else(|_| log.rewind().map(|()| 0)).and_then(|_| log.read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("(its output cannot be read: {error})"),
    }
}

fn health(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let patience = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_that_ends_at_once_is_reported_with_its_last_output() {
        // `echo` prints the launcher's text and ends.
        let error = MiniStack::launch(Path::new("echo"), None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("did not start: it ended with exit status: 0"), "{text}");
        assert!(text.contains("from ministack.app import main"), "{text}");
    }
}
