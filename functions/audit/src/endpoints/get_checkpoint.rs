//! Shows the last signed checkpoint of the caller's tenant's log, and what is not under it yet.

use super::SealedLog;
use common::{Action, Data, Endpoint, Need, Operation, Permit, Result, Route, Sample, Scope, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// What the log is known to be: an auditor keeps it, and can prove from it all that comes later.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckpointView {
    /// The signed note (C2SP tlog-checkpoint); `null` while nothing is signed.
    pub checkpoint: Option<String>,
    /// How many events it covers.
    pub size: u64,
    /// Root of the tree over them, in hexadecimal.
    pub root: Option<String>,
    pub signed_at: Option<Timestamp>,
    /// How many events are sealed.
    pub head_size: u64,
    /// When the oldest event happened that is not sealed yet; `null` where all are.
    pub unsealed_since: Option<Timestamp>,
    /// How long ago that was. Events that are not sealed are under no proof yet.
    pub lag_seconds: u64,
    /// The verifier key of the notes. Whoever trusts it has it from elsewhere too.
    pub public_key: String,
}

#[derive(Debug)]
pub struct GetCheckpoint;

impl Operation for GetCheckpoint {
    const NAME: &'static str = "get_checkpoint";
    const SUMMARY: &'static str = "Show the audit log's last signed checkpoint";
    const ROUTE: Route = Route::get("/v1/audit/checkpoint");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::ReadLog];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = CheckpointView;
}

impl Endpoint for GetCheckpoint {
    const ACTION: Action = Action("viewAuditCheckpoint");
    type Target = SealedLog;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<SealedLog> {
        Ok(SealedLog(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<CheckpointView> {
        let log = cx.audit_log();
        // In this order, so that the head is never shown behind the checkpoint.
        let stored = log.last_checkpoint().await?;
        let head = log.head().await?.head;
        let unsealed_since = log.unsealed_since().await?;
        let public_key = log.verifier_key().await?.to_string();
        Ok(CheckpointView {
            size: stored.as_ref().map_or(0, |stored| stored.head.size()),
            root: stored.as_ref().map(|stored| stored.head.root().to_string()),
            signed_at: stored.as_ref().map(|stored| stored.signed_at),
            checkpoint: stored.map(|stored| stored.note),
            head_size: head.size(),
            unsealed_since,
            lag_seconds: unsealed_since.map_or(0, |since| cx.now().since(since).as_secs()),
            public_key,
        })
    }
}
