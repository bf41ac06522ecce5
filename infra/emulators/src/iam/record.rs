//! Records of evaluated calls and of used grants. Each test process writes one file, which later tools read.

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

/// An action on a resource that a role allows, in the form that all deployments share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    pub role: String,
    pub action: String,
    pub resource: String,
}

/// One question with its policies and the verdict, which is enough for a second evaluator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    pub role: String,
    pub principal: String,
    pub action: String,
    pub resource: String,
    pub context: Context,
    pub identity: Value,
    /// Null if the resource has no policy.
    pub resource_policy: Value,
    pub allowed: bool,
}

impl Judged {
    /// The kind of a question: everything but ids and values.
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

/// The directory of records: `iam` in the directory into which this program was built.
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

    /// Records a question, once per kind.
    pub(crate) fn note(&self, role: &str, ask: &Ask, allowed: bool, judged: impl FnOnce() -> Judged) {
        let kind = kind(role, &ask.action, &ask.resource, allowed, &ask.context);
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.judged.is_some() && written.kinds.insert(kind) {
            line(&mut written.judged, &judged());
        }
    }
}

impl Written {
    /// A process that cannot write its records evaluates all the same.
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
    // Without randomness the process id distinguishes the files.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}

fn line(file: &mut Option<File>, of: &impl Serialize) {
    if let Some(file) = file
        && let Ok(json) = serde_json::to_string(of)
    {
        // If the write fails, the tools that read the records report a missing grant.
        let _ = writeln!(file, "{json}");
    }
}

/// Replaces each run of at least eight hexadecimal digits and hyphens by `#`.
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
