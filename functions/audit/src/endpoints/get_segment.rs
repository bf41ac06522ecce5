//! Returns one segment of the caller's tenant's log, line by line as it is stored, for an auditor to hash.

use super::{FirstSequence, SealedLog};
use common::{
    base::{Error, Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
    store::RateLimit,
};
use schemars::JsonSchema;
use serde::Serialize;

/// A segment's text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SegmentText {
    pub first_sequence: u64,
    pub last_sequence: u64,
    /// The version of its object in the audit bucket.
    pub version_id: String,
    /// SHA-256 of the lines, each with a newline at its end, when they were sealed.
    pub sha256: String,
    /// One event each, in canonical JSON, as it was hashed.
    pub lines: Vec<String>,
}

#[derive(Debug)]
pub struct GetSegment;

impl Operation for GetSegment {
    const NAME: &'static str = "get_segment";
    const SUMMARY: &'static str = "Get a segment of the audit log";
    const ROUTE: Route = Route::get("/v1/audit/segments/{first_sequence}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::ReadLog];
    // An auditor's bundle needs every segment.
    const LIMIT: RateLimit = RateLimit::API_RELAXED;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<FirstSequence>;
    type Output = SegmentText;
}

impl Endpoint for GetSegment {
    const ACTION: Action = Action("viewAuditSegment");
    type Target = SealedLog;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<SealedLog> {
        Ok(SealedLog(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(FirstSequence(first)): Self::Input) -> Result<SegmentText> {
        let log = cx.audit_log();
        let entry = log.segment(first).await?.ok_or(Error::NotFound)?;
        cx.touched("AuditSegment", format!("{first:012}"));
        // The segment is returned as stored, valid or not, because the auditor judges it.
        let (_, bytes) = log.read(first, Some(&entry.version)).await?.ok_or(Error::internal("segment is missing"))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::internal("segment is not text"))?;
        Ok(SegmentText {
            first_sequence: entry.first,
            last_sequence: entry.last,
            version_id: entry.version.as_str().to_owned(),
            sha256: entry.sha256.to_string(),
            lines: text.split_terminator('\n').map(str::to_owned).collect(),
        })
    }
}
