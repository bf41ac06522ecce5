//! Finds what the stream or a Pipe has missed: events that are still in the outbox, and audit events that are still unsealed,
//! minutes after their commit. It rewrites these items, so that the stream emits them again.

use common::{
    background::{Background, Delivery, Part, Schedule, Tick},
    base::{Need, Result, TenantId},
};
use std::time::Duration;

/// Delivery takes much less time than this.
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
    const SUMMARY: &'static str = "Emit events again that were not delivered in time";
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
    use common::base::Role;
    use testing::{App, Tenant};

    /// Ends a session in each of two tenants, which leaves events in the outbox.
    async fn told(app: &App, tenant: Tenant) -> usize {
        app.domain_events(tenant).await.len()
    }

    async fn touches(app: &App) -> usize {
        app.dump("LedgerTable").await.iter().filter(|row| row.contains_key("told_again")).count()
    }

    async fn put(app: &App, tenant: Tenant) {
        let event = common::base::EventId::new(common::base::Clock::now(app.clock()));
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
    async fn delivered_event_is_deleted_from_its_tenants_outbox_only() {
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
    async fn event_not_delivered_in_two_minutes_is_emitted_again() {
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
    async fn unsealed_audit_event_wakes_the_sealer_again() {
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
        // Only the oldest item is rewritten: one wake-up seals all of them.
        assert_eq!(after.iter().filter(|w| !before.contains(w)).count(), 1);
    }

    /// An event in the tenant's outbox, the `n`th by time.
    async fn waiting(app: &App, tenant: common::base::TenantId, n: usize, schema: &str) -> String {
        let at = common::base::Clock::now(app.clock()).plus(Duration::from_millis(n as u64));
        let id = common::base::EventId::new(at).to_string();
        let attributes = [("kind", "event"), ("schema", schema), ("envelope", "{}")];
        app.put_raw("LedgerTable", &format!("{tenant}#EVENTS"), &id, &attributes).await;
        id
    }

    /// The sort keys of the rewritten items, in order.
    fn touched(app: &App) -> Vec<String> {
        app.wire().asked("UpdateItem").iter().filter_map(|call| Some(call["Key"]["sk"]["S"].as_str()?.to_owned())).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn urgent_events_are_emitted_first_after_an_outage() {
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
        assert!(at(&disabled) < 12, "{}: before the events of its tenant that are not urgent", at(&disabled));
        assert!(first.contains(&theirs));
        // The sealer of each tenant is woken too.
        assert!((5_002..5_010).contains(&events), "{events}");
        // An event is not emitted again within two minutes; the next run handles the rest.
        app.clock().advance(Duration::from_secs(60));
        let second = told().await;
        assert!((200..210).contains(&second.iter().filter(|sort| sort.starts_with("evt_")).count()), "{}", second.len());
        assert!(!second.contains(&disabled));
        app.clock().advance(OVERDUE);
        assert!(told().await.contains(&disabled), "the event did not arrive and is emitted again");
    }

    /// Creates this many tenants without events.
    async fn crowd(app: &App, size: usize) {
        let platform = common::base::TenantId::PLATFORM;
        for n in 0..size {
            let tenant = common::base::TenantId::from_uuid(common::base::Uuid::from_u128((1 << 100) + n as u128)).to_string();
            let list = format!("{platform}#TENANTS");
            let attributes = [("tenant_id", tenant.as_str()), ("ix_all", &list), ("ix_sort", &tenant)];
            app.put_raw("RecordsTable", &format!("{platform}#NAME#{n}"), "CLAIM", &attributes).await;
        }
        app.settle_indexes();
    }

    /// The tenants whose outbox was read, in order, each once.
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
    async fn overlapping_runs_share_tenants_and_interrupted_run_is_continued() {
        let app = App::start().await;
        crowd(&app, 300).await;
        app.reset_calls();
        let (one, other) = tokio::join!(SCHEDULES[0].run(app.deps()), SCHEDULES[0].run(app.deps()));
        let seen = looked_into(&app);
        let each: std::collections::BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(
            (seen.len(), each.len(), one.unwrap() + other.unwrap()),
            (303, 303, 303),
            "each tenant once, by one of the two runs"
        );

        // The run after next is killed in the middle.
        let (_, polls) = testing::polls(SCHEDULES[0].run(app.deps())).await;
        app.reset_calls();
        let ended = testing::kill_after(polls / 2, SCHEDULES[0].run(app.deps())).await;
        let before: std::collections::BTreeSet<_> = looked_into(&app).into_iter().collect();
        assert!(ended.is_none() && !before.is_empty() && before.len() < 303, "{}", before.len());
        app.reset_calls();
        SCHEDULES[0].run(app.deps()).await.unwrap();
        let after: std::collections::BTreeSet<_> = looked_into(&app).into_iter().collect();
        assert!(after.is_disjoint(&before), "the next run continues after them");
        assert!(before.len() + after.len() >= 303 - 64, "all except a part of the interrupted slice");
        app.reset_calls();
        SCHEDULES[0].run(app.deps()).await.unwrap();
        assert_eq!(looked_into(&app).len(), 303, "the next round covers all tenants");
    }
}
