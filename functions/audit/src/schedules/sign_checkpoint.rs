//! Signs where each tenant's log has come to since its last checkpoint, after reading again what is new: the table's word
//! for it is not enough. Nor is it for which checkpoint was the last: the bucket's versions say that.

use super::Log;
use crate::{
    TamperDetected,
    walk::{self, Found, Newer, checkpoint_finding, end_finding},
};
use common::{AuditLog, Background, Delivery, Need, Result, Schedule, StoredCheckpoint, TenantId, Tick};
use ledger::Head;

#[derive(Debug)]
pub struct SignCheckpoint;

impl Background for SignCheckpoint {
    const NAME: &'static str = "sign_checkpoint";
    const SUMMARY: &'static str = "Signs where each tenant's audit log has come to";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::SignLog, Need::ListLog];
    const TIMEOUT_SECS: u16 = 300;
    const WAITS: bool = false;
    type Part = Log;

    async fn handle(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let log = cx.audit_signer();
        // In this order: what was begun before the head is read is never beyond it.
        let begun = log.begun().await?;
        let ends = Ends::of(&log).await?;
        if !ends.moved(&log) {
            return Ok(());
        }
        let (from, reached, unnoted) = match ends.join(&log).await? {
            Ok(Joined::Head { from, reached, unnoted }) => (from, reached, unnoted),
            Ok(Joined::Overtaken) => return Ok(()),
            Err(finding) => return log.raise(finding, Self::NAME, TamperDetected::from(finding)).await,
        };
        if let Some(unnoted) = unnoted {
            log.store(&unnoted).await?;
            cx.log("audit.noted", unnoted.head.size());
            if unnoted.head == reached {
                return Ok(());
            }
        }
        let unfinished = begun.size().filter(|size| (from.size() + 1..reached.size()).contains(size));
        let reached = match unfinished {
            // Another run has begun it, and may have put its note since the bucket was asked. The next run goes on from there.
            Some(size) => match walk::reach(&log, from, size).await? {
                Ok(earlier) => earlier,
                Err(finding) => return log.raise(finding, Self::NAME, TamperDetected::from(finding)).await,
            },
            None if begun.size() == Some(reached.size()) || log.begin(reached.size(), begun).await? => reached,
            None => return Ok(()),
        };
        let signed = log.sign(&reached).await?;
        if log.keep(&signed, &reached).await?.is_some() {
            // There is another checkpoint of this size in the bucket: the log has been shown as something else.
            let finding = checkpoint_finding(reached.size());
            return log.raise(finding, Self::NAME, TamperDetected::from(finding)).await;
        }
        cx.log("audit.checkpoint", reached.size());
        Ok(())
    }
}

impl Schedule for SignCheckpoint {
    const EVERY_MINUTES: u32 = 1;
    const IN_ROUNDS_OF: Option<usize> = Some(16);

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Log)>> {
        Ok(cx.tenants().await?.into_iter().map(|tenant| (tenant, Log)).collect())
    }
}

/// Where the log is signed to, and where it has come to.
#[derive(Debug)]
pub(super) struct Ends {
    checkpoint: Option<StoredCheckpoint>,
    head: Head,
}

impl Ends {
    pub(super) async fn of(log: &AuditLog<'_>) -> Result<Self> {
        // In this order: a head that is read later is never behind a checkpoint that is read before.
        let checkpoint = log.last_checkpoint().await?;
        Ok(Self { checkpoint, head: log.head().await?.head })
    }

    pub(super) fn size(&self) -> u64 {
        self.head.size()
    }

    pub(super) fn signed_size(&self) -> Option<u64> {
        self.checkpoint.as_ref().map(|checkpoint| checkpoint.head.size())
    }

    fn moved(&self, log: &AuditLog<'_>) -> bool {
        self.checkpoint.as_ref().map_or_else(|| log.beginning() != self.head, |checkpoint| checkpoint.head != self.head)
    }

    /// The head, if it is what the segments since the checkpoint make of that, and if the bucket knows of no other history.
    pub(super) async fn join(self, log: &AuditLog<'_>) -> Result<Found<Joined>> {
        let size = self.head.size();
        let signed = match walk::signed_head(log, self.checkpoint.as_ref()).await? {
            Ok(signed) => signed,
            Err(finding) => return Ok(Err(finding)),
        };
        if size < signed.size() {
            return Ok(Err(end_finding(size)));
        }
        let unnoted = match walk::newer(log, &signed, size).await? {
            Ok(Newer::Nothing) => None,
            Ok(Newer::Unnoted(unnoted)) => Some(unnoted),
            Ok(Newer::Overtaken) => return Ok(Ok(Joined::Overtaken)),
            Err(finding) => return Ok(Err(finding)),
        };
        let from = unnoted.as_ref().map_or(signed, |unnoted| unnoted.head.clone());
        Ok(match walk::reach(log, from.clone(), size).await? {
            Ok(reached) if reached == self.head => Ok(Joined::Head { from, reached, unnoted }),
            Err(finding) if finding.kind == "Segment" => Err(finding),
            _ => Err(end_finding(size)),
        })
    }
}

/// What came of reading the log on.
#[derive(Debug)]
pub(super) enum Joined {
    Head {
        /// The newest head that was signed, be it noted or not.
        from: Head,
        reached: Head,
        /// A checkpoint on the way that the bucket has and the table has not.
        unnoted: Option<Box<StoredCheckpoint>>,
    },
    /// Another run has signed meanwhile: the next one will tell.
    Overtaken,
}
