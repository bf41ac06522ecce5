//! Verifies samples of the sealed log: the newest part, and a few random places, each from one signed checkpoint to the next.
//!
//! A place is a sequence, so that the probability of a time range depends on its number of events. On average, four places an
//! hour find an alteration of a thousandth of a log in ten days; an auditor's verification reads all of it.
//!
//! Open findings are checked in each run. If the data is valid again, the finding is resolved.

use super::{
    Log,
    sign_checkpoint::{Ends, Joined},
};
use crate::{
    TamperDetected,
    walk::{self, Found, checkpoint_finding, head_finding},
};
use common::{
    background::{Background, Delivery, Schedule, Tick},
    base::{Need, Result, TenantId},
    capabilities::{AuditLog, Finding, FindingPlace, OpenFinding, StoredCheckpoint},
};

/// The number of places in one run.
const PLACES: u32 = 4;
/// The distance between the first tenants of consecutive runs. It is a prime, so that every tenant comes first at some time.
const STRIDE: usize = 7919;

#[derive(Debug)]
pub struct VerifyAudit;

impl Background for VerifyAudit {
    const NAME: &'static str = "verify_audit";
    const SUMMARY: &'static str = "Verify samples of the sealed audit log";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::ReadLog];
    const TIMEOUT_SECS: u16 = 300;
    const WAITS: bool = false;
    type Part = Log;

    async fn handle(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let log = cx.audit_log();
        let random = || u64::from_le_bytes(common::base::random::bytes());
        let Verified { events, findings, resolved } = verify(&log, random).await?;
        for finding in &findings {
            log.raise(*finding, Self::NAME, TamperDetected::from(*finding)).await?;
        }
        for finding in &resolved {
            log.resolve(finding, Self::NAME).await?;
        }
        cx.log("audit.verified", events);
        cx.log("audit.findings", findings.len());
        Ok(())
    }
}

impl Schedule for VerifyAudit {
    const EVERY_MINUTES: u32 = 60;

    /// Each hour begins with another tenant, so that no tenant is left out each time if there are too many for one run.
    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Log)>> {
        let mut tenants = cx.tenants().await?;
        let hour = cx.now().as_secs().unsigned_abs() / 3600;
        let first = usize::try_from(hour).ok().and_then(|hour| hour.wrapping_mul(STRIDE).checked_rem(tenants.len()));
        tenants.rotate_left(first.unwrap_or_default());
        Ok(tenants.into_iter().map(|tenant| (tenant, Log)).collect())
    }
}

/// The progress of a run.
#[derive(Debug, Default)]
struct Verified {
    /// The number of verified events.
    events: u64,
    findings: Vec<Finding>,
    /// Earlier findings whose data is valid now.
    resolved: Vec<OpenFinding>,
}

impl Verified {
    /// Records the result; returns whether the data is valid.
    fn note(&mut self, looked: Found<u64>) -> bool {
        match looked {
            Ok(events) => {
                self.events += events;
                true
            }
            Err(finding) => {
                if self.findings.iter().all(|known| known.key() != finding.key()) {
                    self.findings.push(finding);
                }
                false
            }
        }
    }
}

async fn verify(log: &AuditLog<'_>, random: impl Fn() -> u64) -> Result<Verified> {
    let mut verified = Verified::default();
    let open = log.open_findings().await?;
    let ends = Ends::of(log).await?;
    let (size, signed) = (ends.size(), ends.signed_size().unwrap_or_default());
    let joined = ends.join(log).await?;
    let end_stands = matches!(joined, Ok(Joined::Head { .. }));
    verified.note(joined.map(|_| 0));
    if let Some(last) = &log.head().await?.last {
        let looked = walk::segment(log, last).await?.map(|segment| segment.len() as u64);
        verified.note(unless_expired(log, log.last_checkpoint().await?.as_ref(), looked).await?);
    }
    for finding in open {
        let stands = match finding.place {
            // The schedule that mails checkpoints checks these.
            FindingPlace::Mailed => false,
            FindingPlace::End | FindingPlace::Newer => end_stands,
            FindingPlace::At if finding.sequence() < signed => {
                let looked = between_checkpoints(log, finding.sequence()).await?;
                verified.note(looked)
            }
            // An object at the key of the next segment is not part of the log yet.
            FindingPlace::At => finding.sequence() < size && end_stands,
        };
        if stands {
            verified.resolved.push(finding);
        }
    }
    for _ in 0..if signed == 0 { 0 } else { PLACES } {
        let looked = between_checkpoints(log, random() % signed).await?;
        verified.note(looked);
    }
    Ok(verified)
}

/// Reads from the last checkpoint before `sequence` to the first after it, and compares the result with that one.
async fn between_checkpoints(log: &AuditLog<'_>, sequence: u64) -> Result<Found<u64>> {
    let Some(after) = log.checkpoint_after(sequence).await? else {
        return Ok(Err(checkpoint_finding(sequence + 1)));
    };
    let (from, to) = match walk::signed_head(log, log.checkpoint_up_to(sequence).await?.as_ref()).await? {
        Ok(from) => (from, walk::signed_head(log, Some(&after)).await?),
        Err(finding) => return Ok(Err(finding)),
    };
    let to = match to {
        Ok(to) => to,
        Err(finding) => return Ok(Err(finding)),
    };
    let first = from.size();
    let looked = match walk::reach(log, from, to.size()).await? {
        Ok(reached) if reached == to => Ok(to.size() - first),
        Ok(_) => Err(head_finding(to.size())),
        Err(finding) => Err(finding),
    };
    unless_expired(log, Some(&after), looked).await
}

/// The finding, unless the bucket has deleted the segment at the end of its retention; then nothing can be read.
async fn unless_expired(log: &AuditLog<'_>, covered_by: Option<&StoredCheckpoint>, looked: Found<u64>) -> Result<Found<u64>> {
    Ok(match (looked, covered_by) {
        (Err(finding), Some(checkpoint))
            if finding.reason == walk::segment_finding(0).reason && walk::has_expired(log, checkpoint, finding.at).await? =>
        {
            Ok(0)
        }
        (looked, _) => looked,
    })
}
