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
    const IN_ROUNDS_OF: Option<usize> = Some(64);

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

    /// An event of the tenant's outbox, the `n`th by its time.
    async fn waiting(app: &App, tenant: common::TenantId, n: usize, schema: &str) -> String {
        let at = common::Clock::now(app.clock()).plus(Duration::from_millis(n as u64));
        let id = common::EventId::new(at).to_string();
        let attributes = [("kind", "event"), ("schema", schema), ("envelope", "{}")];
        app.put_raw("LedgerTable", &format!("{tenant}#EVENTS"), &id, &attributes).await;
        id
    }

    /// The sort keys that were touched, in order.
    fn touched(app: &App) -> Vec<String> {
        app.wire().asked("UpdateItem").iter().filter_map(|call| Some(call["Key"]["sk"]["S"].as_str()?.to_owned())).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_an_outage_urgent_events_are_told_first_and_five_thousand_others_a_minute() {
        let app = App::start().await;
        let (acme, birch) = (app.tenant_id(Tenant::Acme), app.tenant_id(Tenant::Birch));
        for n in 0..5_200 {
            waiting(&app, acme, n, "shipment.status_changed").await;
        }
        let disabled = waiting(&app, acme, 5_200, "user.disabled").await;
        let theirs = waiting(&app, birch, 0, "session.ended").await;
        let told = async || {
            app.reset_calls();
            SCHEDULES[0].run(app.deps()).await.unwrap();
            touched(&app)
        };
        app.clock().advance(OVERDUE + Duration::from_secs(10));
        let first = told().await;
        let events = first.iter().filter(|sort| sort.starts_with("evt_")).count();
        let at = |id: &String| first.iter().position(|sort| sort == id).unwrap();
        assert!(at(&disabled) < 12, "{}: before all that is not urgent of its tenant", at(&disabled));
        assert!(first.contains(&theirs));
        // The audit log of each tenant is waked too.
        assert!((5_002..5_010).contains(&events), "{events}");
        // What is on its way is not told twice in two minutes; the next run has what is left.
        app.clock().advance(Duration::from_secs(60));
        let second = told().await;
        assert!((200..210).contains(&second.iter().filter(|sort| sort.starts_with("evt_")).count()), "{}", second.len());
        assert!(!second.contains(&disabled));
        app.clock().advance(OVERDUE);
        assert!(told().await.contains(&disabled), "it has not arrived: it is told again");
    }

    /// So many tenants that there are, and have nothing.
    async fn crowd(app: &App, size: usize) {
        let platform = common::TenantId::PLATFORM;
        for n in 0..size {
            let tenant = common::TenantId::from_uuid(common::Uuid::from_u128((1 << 100) + n as u128)).to_string();
            let list = format!("{platform}#TENANTS");
            let attributes = [("tenant_id", tenant.as_str()), ("ix_all", &list), ("ix_sort", &tenant)];
            app.put_raw("RecordsTable", &format!("{platform}#NAME#{n}"), "CLAIM", &attributes).await;
        }
    }

    /// The tenants whose outbox was looked into, in order, each once.
    fn looked_into(app: &App) -> Vec<String> {
        let partition = |call: &serde_json::Value| call["ExpressionAttributeValues"][":h"]["S"].as_str().map(str::to_owned);
        app.wire()
            .asked("Query")
            .iter()
            .filter_map(partition)
            .filter_map(|pk| Some(pk.strip_suffix("#AUDIT")?.to_owned()))
            .collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_that_overlap_share_the_tenants_and_one_that_is_cut_off_is_gone_on_with() {
        let app = App::start().await;
        crowd(&app, 300).await;
        app.reset_calls();
        let (one, other) = tokio::join!(SCHEDULES[0].run(app.deps()), SCHEDULES[0].run(app.deps()));
        let seen = looked_into(&app);
        let each: std::collections::BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!((seen.len(), each.len(), one.unwrap() + other.unwrap()), (303, 303, 303), "each once, by one of the two");

        // The next but one is cut off in its midst.
        let (_, polls) = testing::polls(SCHEDULES[0].run(app.deps())).await;
        app.reset_calls();
        let ended = testing::kill_after(polls / 2, SCHEDULES[0].run(app.deps())).await;
        let before: std::collections::BTreeSet<_> = looked_into(&app).into_iter().collect();
        assert!(ended.is_none() && !before.is_empty() && before.len() < 303, "{}", before.len());
        app.reset_calls();
        SCHEDULES[0].run(app.deps()).await.unwrap();
        let after: std::collections::BTreeSet<_> = looked_into(&app).into_iter().collect();
        assert!(after.is_disjoint(&before), "it goes on behind them");
        assert!(before.len() + after.len() >= 303 - 64, "all but a part of the slice that was cut off");
        app.reset_calls();
        SCHEDULES[0].run(app.deps()).await.unwrap();
        assert_eq!(looked_into(&app).len(), 303, "and the next round has them all");
    }
}
