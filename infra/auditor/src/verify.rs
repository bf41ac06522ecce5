use crate::source::{Source, Unreadable, paths};
use crate::{Finding, Kind, Listed, Manifest, Range, Report};
use ledger::checkpoint::{Checkpoint, Signed};
use ledger::{Breach, Broken, Head, Origin, Segment, VerifierKey};

/// The auditor's inputs.
#[derive(Debug, Default)]
pub struct VerifyOptions {
    /// The log's key from another channel than the source; without it the source's own is used.
    pub key: Option<VerifierKey>,
    /// A checkpoint from before.
    pub since: Option<EarlierCheckpoint>,
    /// Sequences that must be present and covered by a checkpoint.
    pub from: Option<u64>,
    pub to: Option<u64>,
}

/// A checkpoint that the auditor kept.
#[derive(Debug)]
pub struct EarlierCheckpoint {
    /// The auditor's name for it.
    pub name: String,
    pub signed: Vec<u8>,
}

/// Verifies `source`: every event, their order, and every checkpoint. The report contains the findings.
///
/// `progress` gets the number of events read so far, and of all.
///
/// # Errors
/// [`Unreadable`] if the source cannot be verified at all.
pub fn verify(
    source: &mut dyn Source,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Unreadable> {
    let manifest = source.manifest()?;
    let key = match &options.key {
        Some(key) => key.clone(),
        None => source_key(source)?,
    };
    let origin = Origin::new(manifest.deployment.as_str(), manifest.tenant_id.clone())
        .map_err(|_| Unreadable::Manifest(crate::InvalidManifest::Parts("deployment and tenant do not form an origin")))?;
    let report = Report::new(origin.to_string(), &manifest, key.label(), options.key.is_some());
    let present = source.segments()?;
    let head = manifest.head();
    let mut walk = Walk { source, origin, key, report, present, head, due: Vec::new(), met: None };
    walk.due = walk.checkpoints(options)?;
    match walk.all(&manifest, options, progress) {
        Ok(()) => {}
        Err(Stop::Finding(finding)) => walk.report.findings.push(*finding),
        Err(Stop::Unreadable(why)) => return Err(why),
    }
    Ok(walk.report)
}

fn source_key(source: &mut dyn Source) -> Result<VerifierKey, Unreadable> {
    let refused = || Unreadable::Key { file: paths::KEY.to_owned() };
    let line = source.key()?;
    VerifierKey::parse(line.strip_suffix('\n').ok_or_else(refused)?).map_err(|_| refused())
}

struct Walk<'a> {
    source: &'a mut dyn Source,
    origin: Origin,
    key: VerifierKey,
    report: Report,
    /// The present segments, ascending.
    present: Vec<u64>,
    /// The head after the verified events.
    head: Head,
    /// Checkpoints not reached yet, the smallest last.
    due: Vec<Due>,
    /// Size of the largest checkpoint that was reached.
    met: Option<u64>,
}

/// A checkpoint to compare with the tree at that size.
struct Due {
    size: u64,
    /// The auditor's checkpoint. The note of the source's own checkpoint is read when it is due.
    kept: Option<(String, Checkpoint)>,
}

/// Why the verification stops.
enum Stop {
    Finding(Box<Finding>),
    Unreadable(Unreadable),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Finding(Box::new(finding))
    }
}

impl From<Unreadable> for Stop {
    fn from(why: Unreadable) -> Self {
        Self::Unreadable(why)
    }
}

impl Walk<'_> {
    fn checkpoints(&mut self, options: &VerifyOptions) -> Result<Vec<Due>, Unreadable> {
        let mut due: Vec<_> = self.source.checkpoints()?.into_iter().map(|size| Due { size, kept: None }).collect();
        if let Some(EarlierCheckpoint { name, signed }) = &options.since
            && let Some(checkpoint) = self.open(name, signed)
        {
            due.push(Due { size: checkpoint.size, kept: Some((name.clone(), checkpoint)) });
        }
        due.sort_by_key(|due| std::cmp::Reverse(due.size));
        Ok(due)
    }

    /// A checkpoint's contents, if the log signed it. Otherwise it is a finding, and the verification continues.
    fn open(&mut self, file: &str, signed: &[u8]) -> Option<Checkpoint> {
        let verified = Signed::parse(signed).map_err(Into::into);
        match verified.and_then(|signed| signed.verify(std::slice::from_ref(&self.key), &self.origin)) {
            Ok(checkpoint) => Some(checkpoint),
            Err(why) => {
                self.report.findings.push(Finding::new(Kind::BadSignature, file, why.to_string()));
                None
            }
        }
    }

    fn all(&mut self, manifest: &Manifest, options: &VerifyOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Stop> {
        let start = self.head.size();
        self.before(start)?;
        self.meet_all(&self.head.frontier().clone())?;
        let Range { from, to } = manifest.range;
        let mut body = Vec::new();
        for (n, listed) in manifest.segments.iter().enumerate() {
            let later = manifest.segments.get(n + 1..).unwrap_or_default();
            let last = !later.iter().any(|listed| self.is_present(listed));
            body = self.segment(listed, last, body)?;
            progress(self.head.size() - start, to.saturating_sub(from).saturating_add(1));
        }
        self.ends(manifest)?;
        self.ahead()?;
        self.covers(start, options)
    }

    fn is_present(&self, listed: &Listed) -> bool {
        self.present.binary_search(&listed.first).is_ok()
    }

    /// Checkpoints before the first event cannot be verified.
    fn before(&mut self, start: u64) -> Result<(), Stop> {
        while let Some(due) = self.due.pop_if(|due| due.size < start) {
            if let Some((name, _)) = due.kept {
                let detail = format!("it is of {} events; the bundle begins at sequence {start}, after it", due.size);
                return Err(Finding::new(Kind::Missing, name, detail).at(due.size).into());
            }
            self.report.checkpoints_before += 1;
        }
        Ok(())
    }

    /// Reads and verifies the next segment. Returns `body` for reuse.
    fn segment(&mut self, listed: &Listed, last: bool, mut body: Vec<u8>) -> Result<Vec<u8>, Stop> {
        let (file, due) = (paths::segment(listed.first), self.head.size());
        let end = listed.first.saturating_add(listed.events as u64).saturating_sub(1);
        if listed.first > due {
            let detail = format!("no segment is listed for sequences {due} to {}", listed.first - 1);
            return Err(Finding::new(Kind::Missing, paths::MANIFEST, detail).at(due).into());
        }
        if listed.first < due {
            let detail = format!("the segment of sequence {} is listed after that of {}", listed.first, due - 1);
            return Err(Finding::new(Kind::Reordered, paths::MANIFEST, detail).at(due).into());
        }
        let gone = if last { Kind::Truncated } else { Kind::Missing };
        if !self.is_present(listed) {
            let detail = format!("the file with sequences {due} to {end} is missing");
            return Err(Finding::new(gone, file, detail).at(due).into());
        }
        self.source.segment(listed.first, &mut body)?;
        if body.is_empty() {
            return Err(Finding::new(gone, file, format!("sequences {due} to {end} are missing")).at(due).into());
        }
        let segment = Segment::parse_after(&self.head, body).map_err(|broken| named(&file, last, &broken))?;
        self.extend(&file, &segment)?;
        if segment.len() < listed.events {
            let detail = format!("sequences {} to {end} are missing", segment.next());
            return Err(Finding::new(gone, file, detail).at(segment.next()).into());
        }
        if segment.len() > listed.events {
            let detail = format!("it has {} events, of which {} lists {}", segment.len(), paths::MANIFEST, listed.events);
            return Err(Finding::new(Kind::Inserted, file, detail).at(end + 1).into());
        }
        if segment.sha256() != listed.sha256 {
            let detail = format!("it lists another SHA-256 for {file}, whose events are intact");
            return Err(Finding::new(Kind::Modified, paths::MANIFEST, detail).at(due).into());
        }
        self.report.segments += 1;
        Ok(segment.into_body())
    }

    /// Adds a segment's leaves, and compares the tree with each checkpoint at its size.
    fn extend(&mut self, file: &str, segment: &Segment) -> Result<(), Stop> {
        let mut frontier = self.head.frontier().clone();
        for leaf in segment.leaves() {
            frontier.push(*leaf);
            if self.due.last().is_some_and(|due| due.size == frontier.size()) {
                self.meet_all(&frontier)?;
            }
        }
        self.report.events += segment.len() as u64;
        let head = Head::new(self.head.tenant_id().clone(), segment.last_hash(), frontier);
        self.head = head.map_err(|why| Finding::new(Kind::Modified, file, why.to_string()).at(segment.first()))?;
        Ok(())
    }

    /// Compares the tree with all checkpoints of its size.
    fn meet_all(&mut self, tree: &ledger::Frontier) -> Result<(), Stop> {
        while let Some(due) = self.due.pop_if(|due| due.size == tree.size()) {
            let Some((file, checkpoint)) = self.read(due)? else { continue };
            if checkpoint.root != tree.root() {
                let from = self.met.unwrap_or_default();
                let what = "it is signed, but of another tree: events were replaced and hashed again, or the log was forked";
                let detail = format!("{what}, from sequence {from} on");
                return Err(Finding::new(Kind::Inconsistent, file, detail).at(from).into());
            }
            self.met = Some(checkpoint.size);
            self.report.signed = checkpoint.size.checked_sub(1);
        }
        Ok(())
    }

    /// A due checkpoint with its file, unless its signature is a finding.
    fn read(&mut self, due: Due) -> Result<Option<(String, Checkpoint)>, Stop> {
        if let Some((name, checkpoint)) = due.kept {
            self.report.since = Some(checkpoint.size);
            return Ok(Some((name, checkpoint)));
        }
        let file = paths::checkpoint(due.size);
        let signed = self.source.checkpoint(due.size)?;
        let Some(checkpoint) = self.open(&file, &signed) else { return Ok(None) };
        if checkpoint.size != due.size {
            let detail = format!("it is the checkpoint of {} events", checkpoint.size);
            return Err(Finding::new(Kind::Inconsistent, file, detail).into());
        }
        self.report.checkpoints += 1;
        Ok(Some((file, checkpoint)))
    }

    /// Whether the events end where the bundle says, and no other file is present.
    fn ends(&mut self, manifest: &Manifest) -> Result<(), Stop> {
        let (size, to) = (self.head.size(), manifest.range.to);
        if size <= to {
            let detail = format!("the bundle's range ends with {to}, its segments with {}", size.saturating_sub(1));
            return Err(Finding::new(Kind::Truncated, paths::MANIFEST, detail).at(size).into());
        }
        if size - 1 > to {
            let detail = format!("the bundle's range ends with {to}, its segments with {}", size - 1);
            return Err(Finding::new(Kind::Inserted, paths::MANIFEST, detail).at(to + 1).into());
        }
        // Both are ascending, and every listed segment is present.
        let listed = |first: &u64| manifest.segments.binary_search_by_key(first, |listed| listed.first).is_ok();
        match self.present.iter().find(|first| !listed(first)) {
            None => Ok(()),
            Some(first) => {
                let detail = format!("{} does not list it", paths::MANIFEST);
                Err(Finding::new(Kind::Inserted, paths::segment(*first), detail).at(*first).into())
            }
        }
    }

    /// Checkpoints of more events than are present.
    fn ahead(&mut self) -> Result<(), Stop> {
        let (size, mut newest) = (self.head.size(), None);
        while let Some(due) = self.due.pop() {
            newest = self.read(due)?.or(newest);
        }
        match newest {
            None => Ok(()),
            Some((file, checkpoint)) => {
                let detail = format!("it is signed and of {} events, but there are {size}", checkpoint.size);
                Err(Finding::new(Kind::Truncated, file, detail).at(size).into())
            }
        }
    }

    /// Whether a checkpoint covers the requested range.
    fn covers(&mut self, start: u64, options: &VerifyOptions) -> Result<(), Stop> {
        if let Some(from) = options.from.filter(|from| *from < start) {
            let detail = format!("the bundle begins with sequence {start}");
            return Err(Finding::new(Kind::Missing, paths::MANIFEST, detail).at(from).into());
        }
        let signed = self.met.filter(|size| *size > start).map(|size| size - 1);
        let Some(signed) = signed else {
            if self.report.findings.is_empty() {
                let detail = "there is no checkpoint of these events: nothing binds them to the log's key";
                return Err(Finding::new(Kind::BadSignature, paths::CHECKPOINTS, detail).into());
            }
            return Ok(());
        };
        let beyond = options.from.max(options.to).filter(|to| *to > signed);
        if let Some(to) = beyond {
            let detail = format!("the newest checkpoint reaches to sequence {signed}, not to {to}");
            return Err(Finding::new(Kind::Truncated, paths::checkpoint(signed + 1), detail).at(signed + 1).into());
        }
        Ok(())
    }
}

/// The kind of finding if a segment is damaged. `last`: no later one is present.
fn named(file: &str, last: bool, broken: &Broken) -> Finding {
    let kind = match &broken.how {
        Breach::CutOff if last => Kind::Truncated,
        Breach::CutOff | Breach::Missing { .. } => Kind::Missing,
        Breach::Size | Breach::Leaf(_) | Breach::Unchained => Kind::Modified,
        Breach::Tenant | Breach::Repeated { .. } => Kind::Inserted,
        Breach::Reordered { .. } => Kind::Reordered,
    };
    Finding::new(kind, file, broken.how.to_string()).at(broken.sequence).on_line(broken.line)
}
