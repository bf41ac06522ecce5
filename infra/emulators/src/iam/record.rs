//! What was judged, and which grants served: written while the tests run, one file a process, for whoever asks afterwards.

use super::{Ask, Context};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// An action on a resource that a role allows, as they are the same in every deployment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    pub role: String,
    pub action: String,
    pub resource: String,
}

/// One question, its policies and the verdict: enough for another evaluator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    pub role: String,
    pub principal: String,
    pub action: String,
    pub resource: String,
    pub context: Context,
    pub identity: Value,
    /// Null where the resource has none.
    pub resource_policy: Value,
    pub allowed: bool,
}

impl Judged {
    /// What questions of the same kind have in common: all but ids and values.
    #[must_use]
    pub fn kind(&self) -> String {
        kind(&self.role, &self.action, &self.resource, self.allowed, &self.context)
    }
}

fn kind(role: &str, action: &str, resource: &str, allowed: bool, context: &Context) -> String {
    let keys: Vec<_> = context.iter().map(|(key, values)| format!("{key}={}", values.len().min(2))).collect();
    format!("{role} {action} {allowed} {} {}", without_ids(resource), keys.join(" "))
}

/// The records of this process.
#[derive(Clone, Debug)]
pub struct Records(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    grants: Option<File>,
    judged: Option<File>,
    seen: BTreeSet<Grant>,
    kinds: BTreeSet<String>,
}

/// Where records are kept: `iam` in the directory that this program was built into.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let built = |dir: &&Path| dir.join(".rustc_info.json").exists();
    program.ancestors().find(built).map(|target| target.join("iam"))
}

impl Records {
    pub(crate) fn shared() -> Self {
        static SHARED: OnceLock<Records> = OnceLock::new();
        SHARED.get_or_init(|| Self(Arc::new(Mutex::new(Written::open())))).clone()
    }

    pub(crate) fn used(&self, grant: &Grant) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !written.seen.contains(grant) {
            written.seen.insert(grant.clone());
            line(&mut written.grants, grant);
        }
    }

    /// Notes a question, once of a kind.
    pub(crate) fn note(&self, role: &str, ask: &Ask, allowed: bool, judged: impl FnOnce() -> Judged) {
        let kind = kind(role, &ask.action, &ask.resource, allowed, &ask.context);
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.judged.is_some() && written.kinds.insert(kind) {
            line(&mut written.judged, &judged());
        }
    }
}

impl Written {
    /// A process that cannot write its records judges all the same.
    fn open() -> Self {
        let Some(directory) = directory().filter(|directory| fs::create_dir_all(directory).is_ok()) else {
            return Self::default();
        };
        let name = format!("{}-{}", std::process::id(), uuid::Uuid::from_bytes(random()).simple());
        let file = |end: &str| File::create(directory.join(format!("{name}.{end}.jsonl"))).ok();
        Self { grants: file("grants"), judged: file("judged"), ..Self::default() }
    }
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness the process's number tells the files apart.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}

fn line(file: &mut Option<File>, of: &impl Serialize) {
    if let Some(file) = file
        && let Ok(json) = serde_json::to_string(of)
    {
        // What is not written is found missing by whoever reads the records.
        let _ = writeln!(file, "{json}");
    }
}

/// A text with each run of hexadecimal digits and hyphens, of eight at least, as one `#`.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for char in text.chars().chain(['\0']) {
        if char.is_ascii_hexdigit() || char == '-' {
            run.push(char);
            continue;
        }
        out.push_str(if run.len() >= 8 { "#" } else { &run });
        run.clear();
        out.extend(Some(char).filter(|char| *char != '\0'));
    }
    out
}
