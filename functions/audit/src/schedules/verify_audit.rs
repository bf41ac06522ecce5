//! Reads the sealed log again, where nobody asked: the newest of it, and a few places at random, each from one signed
//! checkpoint to the next.
//!
//! A place is a sequence, so that a busy hour is as likely to be looked at as its events are many. What was altered in a
//! thousandth of a log is found by four looks an hour in ten days, on average; an auditor's verification looks at all of it.

use super::{Log, sign_checkpoint::Ends};
use crate::{
    TamperDetected,
    walk::{self, Found, head_finding, segment_finding},
};
use common::{AuditLog, Background, Delivery, Need, Result, Schedule, TenantId, Tick};

/// Places in one run.
const PLACES: u32 = 4;
/// How much farther each hour's run begins than the one before; a prime, so that every tenant is begun with.
const STRIDE: usize = 7919;

#[derive(Debug)]
pub struct VerifyAudit;

impl Background for VerifyAudit {
    const NAME: &'static str = "verify_audit";
    const SUMMARY: &'static str = "Reads samples of the sealed audit log again";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::ReadLog];
    const TIMEOUT_SECS: u16 = 300;
    const WAITS: bool = false;
    type Part = Log;

    async fn handle(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let log = cx.audit_log();
        let random = || u64::from_le_bytes(common::random::bytes());
        match verify(&log, random).await? {
            Ok(verified) => cx.log("audit.verified", verified),
            Err(finding) => log.raise(finding, Self::NAME, TamperDetected::from(finding)).await?,
        }
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

/// How many events were read again.
async fn verify(log: &AuditLog<'_>, random: impl Fn() -> u64) -> Result<Found<u64>> {
    if let Err(finding) = Ends::of(log).await?.join(log).await? {
        return Ok(Err(finding));
    }
    let last = log.head().await?.last;
    let mut verified = 0;
    if let Some(last) = &last {
        match walk::segment(log, last).await? {
            Ok(segment) => verified += segment.len() as u64,
            Err(finding) => return Ok(Err(finding)),
        }
    }
    let signed = log.last_checkpoint().await?.map_or(0, |checkpoint| checkpoint.head.size());
    for _ in 0..if signed == 0 { 0 } else { PLACES } {
        match between_checkpoints(log, random() % signed).await? {
            Ok(events) => verified += events,
            Err(finding) => return Ok(Err(finding)),
        }
    }
    Ok(Ok(verified))
}

/// Reads on from the last checkpoint before `sequence` to the first after it, and compares what that says.
async fn between_checkpoints(log: &AuditLog<'_>, sequence: u64) -> Result<Found<u64>> {
    let Some(after) = log.checkpoint_after(sequence).await? else { return Ok(Err(segment_finding(sequence))) };
    let (from, to) = match walk::signed_head(log, log.checkpoint_up_to(sequence).await?.as_ref()).await? {
        Ok(from) => (from, walk::signed_head(log, Some(&after)).await?),
        Err(finding) => return Ok(Err(finding)),
    };
    let to = match to {
        Ok(to) => to,
        Err(finding) => return Ok(Err(finding)),
    };
    let first = from.size();
    Ok(match walk::reach(log, from, to.size()).await? {
        Ok(reached) if reached == to => Ok(to.size() - first),
        Ok(_) => Err(head_finding(to.size())),
        Err(finding) => Err(finding),
    })
}
