//! Queues the due shipments: as many as the carrier's quota for a minute allows, shared fairly between the tenants.

use crate::{
    consumers::POLLS,
    domain::{PollDue, fair_share},
    store,
};
use common::{
    background::{Background, Delivery, DueItem, Schedule, Tick},
    base::{Need, Result, TenantId},
    store::Envelope,
};

#[derive(Debug)]
pub struct ScheduleTracking;

impl Background for ScheduleTracking {
    const NAME: &'static str = "schedule_tracking";
    const SUMMARY: &'static str = "Queue the shipments that are due for a carrier poll";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::Enqueue, Need::Breakers];
    const TIMEOUT_SECS: u16 = 50;
    type Part = ();

    async fn handle(_: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        Ok(())
    }
}

impl Schedule for ScheduleTracking {
    const EVERY_MINUTES: u32 = 1;
    const UNDER_AGREEMENT: bool = true;

    /// Returns no work for any tenant, because it only queues messages. A shipment that is queued twice is polled once, because a
    /// poll checks the current due time.
    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, ())>> {
        let waiting = u32::try_from(cx.depth(&POLLS).await?).unwrap_or(u32::MAX);
        let quota = cx.carrier_budget().await?.saturating_sub(waiting);
        cx.log("polls.waiting", waiting);
        cx.log("polls.quota", quota);
        if quota == 0 {
            return Ok(Vec::new());
        }
        let readable = |(tenant, items): (TenantId, Vec<DueItem>)| {
            let poll = |item: DueItem| {
                let id = store::shipment_of(&item.key).inspect_err(|error| cx.skip(tenant, error)).ok()?;
                Some(PollDue { shipment_id: id, due_at: item.at })
            };
            (tenant, items.into_iter().filter_map(poll).collect::<Vec<_>>())
        };
        let due: Vec<_> = cx.due(store::POLLS, quota).await?.into_iter().map(readable).collect();
        let wishes: Vec<_> =
            due.iter().map(|(tenant, items)| (*tenant, u32::try_from(items.len()).unwrap_or(u32::MAX))).collect();
        let minute = cx.now().as_secs().div_euclid(60).unsigned_abs();
        let shares = fair_share(quota, minute, &wishes);
        let mut messages: Vec<Envelope> = Vec::new();
        cx.log("polls.tenants", due.len());
        for ((tenant, polls), (_, share)) in due.into_iter().zip(shares) {
            let polls = polls.into_iter().take(usize::try_from(share).unwrap_or(usize::MAX));
            messages.extend(polls.map(|poll| cx.message(tenant, poll)));
        }
        cx.log("polls.queued", messages.len());
        cx.enqueue(&POLLS, &messages).await?;
        Ok(Vec::new())
    }
}
