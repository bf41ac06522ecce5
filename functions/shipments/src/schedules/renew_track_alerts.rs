//! Subscribes to the carrier's pushes for shipments, and renews each subscription before it ends after 14 days.
//!
//! A push only makes a poll come sooner. If a subscription fails, polling continues.

use crate::{
    domain::{ShipmentPhi, cadence, fair_share},
    store::{self, Alert, Stored},
};
use common::{
    background::{Background, Delivery, DueItem, Part, Schedule, Tick},
    base::{Error, Need, Result, TenantId, Timestamp},
    capabilities::{CarrierReply, Watched},
};
use phi::PhiText;
use std::time::Duration;
use ups::{Batch, Number};

#[derive(Debug)]
pub struct RenewTrackAlerts;

/// The largest number of calls to the carrier in one run.
const CALLS: u32 = 20;
/// A subscription lasts 14 days.
const RENEWED_AFTER: Duration = Duration::from_secs(12 * 24 * 60 * 60);
/// The delay before numbers that the carrier did not accept are sent again.
const OFFERED_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);

/// Shipments of one tenant that one call subscribes to.
#[derive(Debug)]
pub struct Alerts(Vec<Alert>);

impl Part for Alerts {
    fn name(&self) -> String {
        self.0.first().map(|alert| alert.id.to_string()).unwrap_or_default()
    }
}

impl Background for RenewTrackAlerts {
    const NAME: &'static str = "renew_track_alerts";
    const SUMMARY: &'static str = "Subscribe to the carrier's pushes for shipments";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::Write, Need::Seal, Need::Search, Need::Carrier, Need::Breakers];
    const TIMEOUT_SECS: u16 = 120;
    type Part = Alerts;

    async fn handle(cx: &mut Delivery<'_, Self>, Alerts(alerts): &Alerts) -> Result<()> {
        let now = cx.now();
        let mut wanted = Vec::new();
        for alert in alerts {
            match number(cx, alert).await {
                Ok(Some(number)) => wanted.push((alert, Watched { number, key: store::pushed(alert.id), list: store::POLLS })),
                Ok(None) => cx.changes().note(alert.edit(None)),
                // A retry would fail too, so this one is postponed and does not block the others.
                Err(Error::Internal { what, .. }) => {
                    cx.log("alerts.broken", what);
                    cx.changes().note(alert.edit(next(alert, now.plus(OFFERED_AGAIN))));
                }
                Err(error) => return Err(error),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let watched: Vec<_> = wanted.iter().map(|(_, watched)| watched.clone()).collect();
        let numbers: Vec<_> = watched.iter().map(|watched| watched.number.clone()).collect();
        let carrier = cx.carrier()?;
        // The watch entries are stored before the subscription, because a push may arrive before the carrier's answer.
        carrier.watch(cx.tenant(), &watched, now).await?;
        let valid = match carrier.subscribe(&numbers).await? {
            CarrierReply::Answered(answer) => answer.valid,
            CarrierReply::Shut(until) => {
                cx.log("carrier.shut_until", until);
                return Ok(());
            }
            CarrierReply::Failed(cause) => {
                cx.log("carrier.cause", cause);
                Vec::new()
            }
        };
        cx.log("alerts.asked", wanted.len());
        cx.log("alerts.taken", valid.len());
        for (alert, Watched { number, .. }) in wanted {
            let after = if valid.contains(&number) { RENEWED_AFTER } else { OFFERED_AGAIN };
            cx.changes().note(alert.edit(next(alert, now.plus(after))));
        }
        Ok(())
    }
}

impl Schedule for RenewTrackAlerts {
    const EVERY_MINUTES: u32 = 5;
    const UNDER_AGREEMENT: bool = true;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Alerts)>> {
        let calls = CALLS.min(cx.carrier_budget().await?);
        let most = u32::try_from(Batch::MAX).unwrap_or(u32::MAX);
        if calls == 0 {
            return Ok(Vec::new());
        }
        let readable = |(tenant, items): (TenantId, Vec<DueItem>)| {
            let alert = |item| Alert::of(&item).inspect_err(|error| cx.skip(tenant, error)).ok();
            (tenant, items.into_iter().filter_map(alert).collect::<Vec<_>>())
        };
        let due: Vec<_> = cx.due(store::ALERTS, calls * most).await?.into_iter().map(readable).collect();
        let batches = |items: &[_]| u32::try_from(items.len().div_ceil(Batch::MAX)).unwrap_or(u32::MAX);
        let wishes: Vec<_> = due.iter().map(|(tenant, items)| (*tenant, batches(items))).collect();
        let run = cx.now().as_secs().div_euclid(60 * i64::from(Self::EVERY_MINUTES)).unsigned_abs();
        let mut parts = Vec::new();
        for ((tenant, items), (_, share)) in due.iter().zip(fair_share(calls, run, &wishes)) {
            let chunks = items.chunks(Batch::MAX).take(usize::try_from(share).unwrap_or(usize::MAX));
            parts.extend(chunks.map(|chunk| (*tenant, Alerts(chunk.to_vec()))));
        }
        Ok(parts)
    }
}

/// The number of a shipment that still needs pushes.
async fn number(cx: &Delivery<'_, RenewTrackAlerts>, alert: &Alert) -> Result<Option<Number>> {
    let key = store::key(alert.id);
    let Some(row) = cx.reader().get(&key).await? else { return Ok(None) };
    let stored = Stored::from_row(&row)?;
    if cadence::is_final(stored.facts.status) || next(alert, cx.now()).is_none() {
        return Ok(None);
    }
    let phi: ShipmentPhi = cx.open(key.place(), &stored.sealed).await?;
    Number::parse(phi.tracking_number.as_str()).map(Some).map_err(|_| Error::internal("tracking number"))
}

/// The time `at`, or `None` if the carrier will have deleted the parcel's data by then.
fn next(alert: &Alert, at: Timestamp) -> Option<Timestamp> {
    (at.since(alert.id.created_at()) < cadence::KEPT_FOR).then_some(at)
}

#[cfg(test)]
mod tests {
    use crate::{endpoints::fixture::*, polling::fixture::*};
    use emulators::ups::{Endpoint, Fault};
    use std::time::Duration;
    use testing::{
        Fault as WireFault,
        Tenant::{Acme, Birch},
    };

    const DAYS: fn(u64) -> Duration = |n| Duration::from_secs(24 * 3600 * n);

    async fn alert_due(world: &World, id: &str) -> Option<common::base::Timestamp> {
        let alert = world.item(id, "ALERT").await.unwrap();
        alert.get("ix_due_at").map(|at| at.as_str().unwrap().parse().unwrap())
    }

    fn subscribed(world: &World) -> usize {
        world.ups.packages().iter().filter(|p| p.subscribed).count()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_tenant_is_subscribed_by_one_call_and_renewed_in_time() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        for n in 2..=5 {
            world.shipment(Acme, n).await;
        }
        world.shipment(Birch, 6).await;
        assert_eq!(world.run("renew_track_alerts").await, Ok(2));
        assert_eq!((world.ups.statistics().calls(Endpoint::Subscribe), subscribed(&world)), (2, 6));
        // Nothing is due until day 12.
        world.wait(DAYS(11));
        assert_eq!(world.run("renew_track_alerts").await, Ok(0));
        world.wait(DAYS(1));
        assert_eq!(world.run("renew_track_alerts").await, Ok(2));
        assert_eq!(alert_due(&world, &id).await, Some(now(&world.app).plus(DAYS(12))));
        // Renewals are bookkeeping and are not audited.
        assert!(world.app.audit(Acme).await.iter().all(|e| e["type"] != "job.renew_track_alerts"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn shipment_that_does_not_open_does_not_block_subscriptions() {
        let world = world().await;
        let (broken, whole) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
        world.break_seal(&broken).await;
        assert_eq!(world.run("renew_track_alerts").await, Ok(1));
        assert_eq!((world.ups.statistics().calls(Endpoint::Subscribe), subscribed(&world)), (1, 1));
        assert_eq!(alert_due(&world, &whole).await, Some(now(&world.app).plus(DAYS(12))));
        assert_eq!(alert_due(&world, &broken).await, Some(now(&world.app).plus(super::OFFERED_AGAIN)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn final_shipment_is_not_subscribed_to() {
        let world = world().await;
        let (arrived, voided) = (world.shipment(Acme, 1).await, world.shipment(Acme, 2).await);
        world.scan(1, "DELIVERED");
        world.round().await;
        assert_eq!(void(&world.app, &voided).await.status, 200);
        assert_eq!(alert_due(&world, &voided).await, None);
        world.run("renew_track_alerts").await.unwrap();
        assert_eq!((world.ups.statistics().calls(Endpoint::Subscribe), alert_due(&world, &arrived).await), (0, None));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn batch_refused_as_too_large_is_split_in_halves() {
        let world = world().await;
        for n in 1..=5 {
            world.shipment(Acme, n).await;
        }
        let too_many = r#"{"response":{"errors":[{"code":"VSS220","message":"x"}]}}"#;
        world.app.wire().fail("subscribe", 0, 2, WireFault::Says(400, too_many));
        world.run("renew_track_alerts").await.unwrap();
        assert_eq!(subscribed(&world), 5);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn refused_subscriptions_do_not_block_polling() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        world.app.wire().fail(
            "subscribe",
            0,
            1,
            WireFault::Says(403, r#"{"response":{"errors":[{"code":"10403","message":"x"}]}}"#),
        );
        world.run("renew_track_alerts").await.unwrap();
        world.round().await;
        assert_eq!(get(&world.app, Acme, &id).await.json["status"], "LABEL_CREATED");
        let again = alert_due(&world, &id).await.unwrap();
        assert!(again > now(&world.app) && again <= now(&world.app).plus(DAYS(1)));
        world.wait(DAYS(1));
        world.ups.faults().next(1, Endpoint::Subscribe, Fault::RateLimited { retry_after: Some(5) });
        world.run("renew_track_alerts").await.unwrap();
        world.wait(Duration::from_secs(10));
        world.run("renew_track_alerts").await.unwrap();
        assert_eq!(subscribed(&world), 1);
    }
}
