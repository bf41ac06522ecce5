//! Warns tenants that their business associate agreement ends: 30 days before, 7 days before, and when it has ended. Each warning
//! is sent once a term. If an agreement is recorded late, the missed warnings become one immediate warning; the others follow at
//! their times.

use crate::{
    domain::BaaExpiring,
    store::{self, Stored},
};
use common::{
    background::{Background, CONTENDED, Delivery, Part, Schedule, Tick},
    base::{Need, Result, TenantId, Timestamp},
    identity::BAA_WARNINGS,
};

const DAY_SECS: u64 = 24 * 60 * 60;

#[derive(Debug)]
pub struct WarnBaa;

/// The time at which the warning was due.
#[derive(Debug)]
pub struct Due(Timestamp);

impl Part for Due {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl Background for WarnBaa {
    const NAME: &'static str = "warn_baa";
    const SUMMARY: &'static str = "Warn tenants whose business associate agreement ends";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Tenants];
    const TIMEOUT_SECS: u16 = 120;
    type Part = Due;

    async fn handle(cx: &mut Delivery<'_, Self>, Due(at): &Due) -> Result<()> {
        let (id, now) = (cx.tenant(), cx.now());
        let stored = Stored::read(cx.reader(), id).await?;
        // The list may be stale: another run may have sent the warning and moved the due time.
        let Some(term) = stored.tenant.baa.filter(|_| stored.warned_at == Some(*at)) else { return Ok(()) };
        let days = u32::try_from(term.expires_at.since(now).as_secs().div_ceil(DAY_SECS)).unwrap_or(u32::MAX);
        cx.touched("Organization", id);
        cx.log("baa.days", u64::from(days));
        let changes = cx.changes();
        changes.edit(store::told(term, *at, term.warned_after(now)), CONTENDED);
        changes.emit(BaaExpiring { days }.into());
        Ok(())
    }
}

impl Schedule for WarnBaa {
    const EVERY_MINUTES: u32 = 60;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Due)>> {
        let due = cx.due(BAA_WARNINGS, 1).await?;
        Ok(due.into_iter().flat_map(|(tenant, items)| items.into_iter().map(move |item| (tenant, Due(item.at)))).collect())
    }
}
