//! Looks for what the stream or a Pipe has missed: events that are still in the outbox, and audit events that nobody has
//! sealed, minutes after their commit. It touches them, and so the stream tells them again.

use common::{Background, Delivery, Need, Part, Result, Schedule, TenantId, Tick};
use std::time::Duration;

/// What is on its way is there long before.
const OVERDUE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct SweepOutbox;

/// A tenant's outbox.
#[derive(Debug)]
pub struct Outbox;

impl Part for Outbox {
    fn name(&self) -> String {
        "outbox".to_owned()
    }
}

impl Background for SweepOutbox {
    const NAME: &'static str = "sweep_outbox";
    const SUMMARY: &'static str = "Has events told again that did not come by the bus in time";
    const NEEDS: &'static [Need] = &[Need::Tenants, Need::Outbox];
    const TIMEOUT_SECS: u16 = 55;
    const WAITS: bool = false;
    type Part = Outbox;

    async fn handle(_: &mut Delivery<'_, Self>, _: &Outbox) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, _: &Outbox) -> Result<()> {
        let missed = cx.outbox().tell_again(cx.now().minus(OVERDUE)).await?;
        if missed > 0 {
            cx.log("outbox.missed", missed);
        }
        Ok(())
    }
}

impl Schedule for SweepOutbox {
    const EVERY_MINUTES: u32 = 1;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Outbox)>> {
        Ok(cx.tenants().await?.into_iter().map(|tenant| (tenant, Outbox)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{consumers::CONSUMERS, schedules::SCHEDULES};
    use common::Role;
    use testing::{App, Tenant};

    /// Two tenants' sessions that end leave events: something is in the outbox.
    async fn told(app: &App, tenant: Tenant) -> usize {
        app.domain_events(tenant).await.len()
    }

    async fn touches(app: &App) -> usize {
        app.dump("LedgerTable").await.iter().filter(|row| row.contains_key("told_again")).count()
    }

    async fn put(app: &App, tenant: Tenant) {
        let event = common::EventId::new(common::Clock::now(app.clock()));
        let tenant = app.tenant_id(tenant);
        let envelope = serde_json::json!({
            "id": event, "tenant_id": tenant, "actor": app.user_id(Tenant::Acme, Role::Viewer), "on_behalf_of": null,
            "cause": event, "correlation_id": "test", "schema": "test.happened", "version": 1,
            "occurred_at": "2026-01-01T12:00:00.000Z", "payload": {},
        });
        app.put_raw(
            "LedgerTable",
            &format!("{tenant}#EVENTS"),
            &event.to_string(),
            &[("kind", "event"), ("schema", "test.happened"), ("envelope", &envelope.to_string())],
        )
        .await;
    }

    #[tokio::test]
    async fn what_has_arrived_leaves_the_outbox_of_its_tenant_only() {
        let app = App::start().await;
        put(&app, Tenant::Acme).await;
        put(&app, Tenant::Birch).await;
        let mut deliveries = app.deliveries(CONSUMERS);
        deliveries.collect().await;
        deliveries.step().await;
        assert_eq!(told(&app, Tenant::Acme).await + told(&app, Tenant::Birch).await, 1);
        deliveries.copies(2).settle().await;
        assert_eq!(told(&app, Tenant::Acme).await + told(&app, Tenant::Birch).await, 0);
    }

    #[tokio::test]
    async fn what_has_not_arrived_in_two_minutes_is_told_again() {
        let app = App::start().await;
        put(&app, Tenant::Acme).await;
        put(&app, Tenant::Birch).await;
        SCHEDULES[0].run(app.deps()).await.unwrap();
        assert_eq!(touches(&app).await, 0);
        app.clock().advance(OVERDUE + Duration::from_secs(1));
        put(&app, Tenant::Acme).await;
        SCHEDULES[0].run(app.deps()).await.unwrap();
        assert_eq!(touches(&app).await, 2);
        assert_eq!(told(&app, Tenant::Acme).await, 2);
    }

    #[tokio::test]
    async fn an_audit_event_that_nobody_sealed_wakes_the_sealer_again() {
        let app = App::start().await;
        let wake = async || {
            let rows = app.dump("LedgerTable").await;
            let acme = format!("{}#AUDIT", app.tenant_id(Tenant::Acme));
            let mut wakes: Vec<_> =
                rows.iter().filter(|r| r["pk"].as_s().unwrap() == &acme).map(|r| r["wake"].as_s().unwrap().clone()).collect();
            wakes.sort();
            wakes
        };
        let before = wake().await;
        assert!(!before.is_empty());
        app.clock().advance(OVERDUE + Duration::from_secs(1));
        SCHEDULES[0].run(app.deps()).await.unwrap();
        let after = wake().await;
        // The oldest alone: one wake-up seals them all.
        assert_eq!(after.iter().filter(|w| !before.contains(w)).count(), 1);
    }
}
