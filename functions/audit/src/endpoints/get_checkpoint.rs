//! Shows the last signed checkpoint of the caller's tenant's log, and the events that it does not cover yet.

use super::SealedLog;
use common::{
    base::{Need, Result, Timestamp},
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The signed state of the log. An auditor keeps it, and can prove later events from it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckpointView {
    /// The signed note (C2SP tlog-checkpoint); null if nothing is signed yet.
    pub checkpoint: Option<String>,
    /// The number of events that it covers.
    pub size: u64,
    /// The root of the tree over them, in hexadecimal.
    pub root: Option<String>,
    pub signed_at: Option<Timestamp>,
    /// The number of sealed events.
    pub head_size: u64,
    /// The time of the oldest unsealed event; null if all are sealed.
    pub unsealed_since: Option<Timestamp>,
    /// The age of that event. Unsealed events are not covered by any proof yet.
    pub lag_seconds: u64,
    /// The verifier key of the notes. Get it by another way too before you trust it.
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
        // Read in this order, so that the shown head is never behind the checkpoint.
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
