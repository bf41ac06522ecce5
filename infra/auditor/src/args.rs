use crate::report::{Colour, printable};
use crate::source::{Directory, Source, Unreadable};
use crate::{EarlierCheckpoint, Finding, Kind, Progress, Report, VerifyOptions, verify};
use clap::Args;
use ledger::VerifierKey;
use ledger::note::Note;
use serde_json::json;
use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The exit code of an invalid command, which is clap's too.
const USAGE: u8 = 2;

/// `verify`, of a bundle on disk.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct VerifyArgs {
    /// The bundle's directory
    #[arg(long, value_name = "DIR")]
    pub offline: PathBuf,
    #[command(flatten)]
    pub checks: Checks,
}

/// The exit codes in the command's help.
pub const EXIT_CODES: &str = "Exit codes: 0 verified, 2 not understood, 10 modified, 11 missing, 12 reordered, 13 truncated, \
    14 bad signature, 15 unreadable, 16 inconsistent with a signed checkpoint, 17 inserted.";

/// The options of a verification, for any source.
#[derive(Debug, Default, Args)]
pub struct Checks {
    /// A checkpoint that you kept: verify that this is the same log
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// The log's verifier key, which you got through another channel than this log
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// First sequence of a range that must be complete
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    /// Last sequence of a range that must be complete
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Checks {
    /// Reads the given files.
    fn wanted(&self) -> Result<VerifyOptions, String> {
        let &Self { from, to, .. } = self;
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(format!("--from {from} is after --to {to}"));
        }
        let key = self.key.as_deref().map(key).transpose()?;
        let kept = |path: &PathBuf| {
            Ok::<_, String>(EarlierCheckpoint { name: path.display().to_string(), signed: as_signed(read(path)?) })
        };
        let since = self.since.as_ref().map(kept).transpose()?;
        Ok(VerifyOptions { key, since, from, to })
    }
}

fn key(path: &Path) -> Result<VerifierKey, String> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    VerifierKey::parse(text.trim_end()).map_err(|why| format!("`{}`: {why}", path.display()))
}

/// A signed note, also if it was pasted from a mail: with other line ends, and blank lines around it.
fn as_signed(kept: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(kept) {
        Ok(text) => format!("{}\n", text.replace("\r\n", "\n").trim()).into_bytes(),
        Err(other) => other.into_bytes(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(Note::MAX_LEN as u64 + 1).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|why| format!("`{}`: {why}", path.display()))
}

/// The command, of a bundle on disk.
pub fn run(args: &VerifyArgs) -> ExitCode {
    verify_source(&mut Directory::new(&args.offline), &args.checks)
}

/// Verifies any source, prints the report, and returns the exit code.
pub fn verify_source(source: &mut dyn Source, checks: &Checks) -> ExitCode {
    let wanted = match checks.wanted() {
        Ok(wanted) => wanted,
        Err(why) => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "error: {why}");
            return ExitCode::from(USAGE);
        }
    };
    let mut progress = Progress::new(!checks.json);
    let report = verify(source, &wanted, &mut |done, of| progress.at(done, of));
    progress.end();
    let (text, code) = match report {
        Ok(report) => (print(&report, checks.json), report.exit_code()),
        Err(why) => (unreadable(&why, checks.json), Kind::Unreadable.exit_code()),
    };
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::from(code)
}

fn print(report: &Report, json: bool) -> String {
    if json {
        return format!("{}\n", report.to_json());
    }
    let colours = io::stdout().is_terminal();
    report.to_text(|colour: Colour, text| if colours { colour.paint(text) } else { text.to_owned() })
}

fn unreadable(why: &Unreadable, json: bool) -> String {
    if json {
        let finding = Finding::new(Kind::Unreadable, why.file(), why.to_string());
        let code = Kind::Unreadable.exit_code();
        format!("{}\n", json!({"verified": false, "exit_code": code, "findings": [finding]}))
    } else {
        format!("NOT VERIFIED\n  unreadable: {}\n", printable(&why.to_string()))
    }
}
