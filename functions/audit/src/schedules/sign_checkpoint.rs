//! Signs a checkpoint of each tenant's log, if it has grown. It reads the new segments again instead of trusting the table, and
//! takes the last checkpoint from the bucket's versions for the same reason.

use super::Log;
use crate::{
    TamperDetected,
    walk::{self, Found, Newer, checkpoint_finding, end_finding},
};
use common::{
    background::{Background, Delivery, Schedule, Tick},
    base::{Need, Result, TenantId},
    capabilities::{AuditLog, StoredCheckpoint},
};
use ledger::Head;

#[derive(Debug)]
pub struct SignCheckpoint;

impl Background for SignCheckpoint {
    const NAME: &'static str = "sign_checkpoint";
    const SUMMARY: &'static str = "Sign a checkpoint of each tenant's audit log";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::SignLog];
    const TIMEOUT_SECS: u16 = 300;
    const WAITS: bool = false;
    type Part = Log;

    async fn handle(cx: &mut Delivery<'_, Self>, _: &Log) -> Result<()> {
        let log = cx.audit_signer();
        // Read in this order: a checkpoint that was begun before the head is read never exceeds it.
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
            // Another run has begun it, and may have stored its note since the bucket was read. The next run continues from
            // there.
            Some(size) => match walk::reach(&log, from, size).await? {
                Ok(earlier) => earlier,
                Err(finding) => return log.raise(finding, Self::NAME, TamperDetected::from(finding)).await,
            },
            None if begun.size() == Some(reached.size()) || log.begin(reached.size(), begun).await? => reached,
            None => return Ok(()),
        };
        let signed = log.sign(&reached).await?;
        if log.keep(&signed, &reached).await?.is_some() {
            // The bucket has another checkpoint of this size, so two different logs were signed.
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

/// The last signed checkpoint, and the head of the log.
#[derive(Debug)]
pub(super) struct Ends {
    checkpoint: Option<StoredCheckpoint>,
    head: Head,
}

impl Ends {
    pub(super) async fn of(log: &AuditLog<'_>) -> Result<Self> {
        // Read in this order: a head that is read later is never behind a checkpoint that was read before.
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

    /// The head, if the segments since the checkpoint lead to it, and the bucket contains no other history.
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

/// The result of reading the log on from the last checkpoint.
#[derive(Debug)]
pub(super) enum Joined {
    Head {
        /// The newest signed head, whether or not the table has it.
        from: Head,
        reached: Head,
        /// A checkpoint that the bucket has and the table does not.
        unnoted: Option<Box<StoredCheckpoint>>,
    },
    /// Another run has signed in the meantime; the next run continues.
    Overtaken,
}
