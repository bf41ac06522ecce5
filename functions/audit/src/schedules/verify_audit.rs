//! Reads the sealed log again, where nobody asked: the newest of it, and a few places at random, each from one signed
//! checkpoint to the next.
//!
//! A place is a sequence, so that a busy hour is as likely to be looked at as its events are many. What was altered in a
//! thousandth of a log is found by four looks an hour in ten days, on average; an auditor's verification looks at all of it.
//!
//! What was found before and is open is looked at each time: where it stands again, its finding is resolved.

use super::{
    Log,
    sign_checkpoint::{Ends, Joined},
};
use crate::{
    TamperDetected,
    walk::{self, Found, checkpoint_finding, head_finding},
};
use common::{
    AuditLog, Background, Delivery, Finding, FindingPlace, Need, OpenFinding, Result, Schedule, StoredCheckpoint, TenantId, Tick,
};

/// Places in one run.
const PLACES: u32 = 4;
/// How much farther each hour's run begins than the one before; a prime, so that every tenant is begun with.
const STRIDE: usize = 7919;

#[derive(Debug)]
pub struct VerifyAudit;

impl Background for VerifyAudit {
    const NAME: &'static str = "verify_audit";
    const SUMMARY: &'static str = "Reads samples of the sealed audit log again";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::ReadLog, Need::ListLog];
    const TIMEOUT_SECS: u16 = 300;
    const WAITS: bool = false;
    type Part = Log;

    async fn handle(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let log = cx.audit_log();
        let random = || u64::from_le_bytes(common::random::bytes());
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

    /// From another tenant on each hour: where they are too many for one run, none is left out each time.
    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Log)>> {
        let mut tenants = cx.tenants().await?;
        let hour = cx.now().as_secs().unsigned_abs() / 3600;
        let first = usize::try_from(hour).ok().and_then(|hour| hour.wrapping_mul(STRIDE).checked_rem(tenants.len()));
        tenants.rotate_left(first.unwrap_or_default());
        Ok(tenants.into_iter().map(|tenant| (tenant, Log)).collect())
    }
}

/// What a run has come to.
#[derive(Debug, Default)]
struct Verified {
    /// How many events were read again.
    events: u64,
    findings: Vec<Finding>,
    /// What was found earlier, and stands now.
    resolved: Vec<OpenFinding>,
}

impl Verified {
    /// Whether that stands.
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
            // Whoever mails looks at that.
            FindingPlace::Mailed => false,
            FindingPlace::End | FindingPlace::Newer => end_stands,
            FindingPlace::At if finding.sequence() < signed => {
                let looked = between_checkpoints(log, finding.sequence()).await?;
                verified.note(looked)
            }
            // What lies where the next segment would is not part of the log yet.
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

/// Reads on from the last checkpoint before `sequence` to the first after it, and compares what that says.
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

/// What was found, unless it is a segment that the bucket has deleted in its time: there is nothing left to be read.
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
