//! Closes a return thirty days after its parcel came back.

use super::file_return::RETURNS;
use common::{
    background::{Background, CONTENDED, Delivery, DueItem, Part, Schedule, Tick},
    base::{Need, Result, TenantId},
    store::{Condition, Edit},
};

/// Items of one tenant that one run closes at most.
const MOST: u32 = 100;

#[derive(Debug)]
pub struct CloseReturns;

#[derive(Debug)]
pub struct DueReturn(DueItem);

impl Part for DueReturn {
    fn name(&self) -> String {
        self.0.key.place().to_owned()
    }
}

impl Background for CloseReturns {
    const NAME: &'static str = "close_returns";
    const SUMMARY: &'static str = "Close returns after thirty days";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::Write];
    type Part = DueReturn;

    async fn handle(cx: &mut Delivery<'_, Self>, DueReturn(item): &DueReturn) -> Result<()> {
        let unchanged = Condition::Is("ix_due_at", item.at.to_string());
        cx.changes().edit(Edit::of(item.key.clone()).not_due().when(unchanged), CONTENDED);
        Ok(())
    }
}

impl Schedule for CloseReturns {
    const EVERY_MINUTES: u32 = 10;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, DueReturn)>> {
        let mut parts = Vec::new();
        for (tenant, items) in cx.due(RETURNS, MOST).await? {
            parts.extend(items.into_iter().map(|item| (tenant, DueReturn(item))));
        }
        Ok(parts)
    }
}
