//! Lists the segments of the caller's tenant's log, oldest first. An auditor's bundle consists of them.

use super::{SealedLog, SegmentView};
use common::{
    base::{Need, Result},
    capabilities::Direction,
    policy::Action,
    request::{Data, Endpoint, Limit, Operation, Permit, Query, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The list's name in its cursors.
const LIST: &str = "segments";

common::input! {
    /// The segments to list.
    pub struct SegmentFilters {
        optional limit: Limit,
        optional cursor: String,
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SegmentPage {
    pub items: Vec<SegmentView>,
    pub next_cursor: Option<String>,
}

#[derive(Debug)]
pub struct ListSegments;

impl Operation for ListSegments {
    const NAME: &'static str = "list_segments";
    const SUMMARY: &'static str = "List the audit log's segments, oldest first";
    const ROUTE: Route = Route::get("/v1/audit/segments");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::ReadLog, Need::Search];
    const SAMPLE: Sample = Sample::query(&[("limit", "100")]);
    type Input = Query<SegmentFilters>;
    type Output = SegmentPage;
}

impl Endpoint for ListSegments {
    const ACTION: Action = Action("listAuditSegments");
    type Target = SealedLog;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<SealedLog> {
        Ok(SealedLog(scope.tenant()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Query(filters): Self::Input) -> Result<SegmentPage> {
        let from = match &filters.cursor {
            Some(cursor) => cx.audit_position(LIST, cursor).await?,
            None => 0,
        };
        let limit = filters.limit.unwrap_or_default().0;
        // One more than is shown, to know whether there is a next page.
        let found = cx.audit_log().segments(from, Direction::Oldest, limit + 1).await?;
        let shown = limit as usize;
        let next_cursor = match found.get(shown) {
            Some(next) => Some(cx.audit_cursor(LIST, next.first).await?),
            None => None,
        };
        Ok(SegmentPage { items: found.iter().take(shown).map(SegmentView::from).collect(), next_cursor })
    }
}
