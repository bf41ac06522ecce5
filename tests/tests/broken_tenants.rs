//! Broken data of one tenant stops no schedule in another tenant, and raises an alarm.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use aws_sdk_dynamodb::types::AttributeValue;
use common::{
    background::{AnySchedule, Feed},
    base::TenantId,
};
use serde_json::Value;
use std::collections::BTreeMap;
use suite::{
    samples::{World, world_in},
    state,
};
use testing::{
    App, Fault,
    Tenant::{self, Acme, Birch},
};

const TABLES: [&str; 3] = ["RecordsTable", "LedgerTable", "EphemeraTable"];

/// The part of Birch that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// Its settings are not JSON.
    Settings,
    /// Its status is not a string.
    Status,
    /// Its wrapped keys cannot be unwrapped.
    Keys,
    /// KMS refuses calls for it.
    Kms,
    /// Queries of its lists are refused.
    Lists,
    /// Every call for its items is refused, its profile included.
    Items,
    /// STS gives no session for it.
    Credentials,
    /// It has a due item that cannot be parsed.
    DueItem,
    /// The list of tenants has an entry that names no tenant.
    Entry,
}

impl Broken {
    const ALL: [Self; 9] = [
        Self::Settings,
        Self::Status,
        Self::Keys,
        Self::Kms,
        Self::Lists,
        Self::Items,
        Self::Credentials,
        Self::DueItem,
        Self::Entry,
    ];

    async fn break_it(self, app: &App) {
        let birch = app.tenant_id(Birch);
        match self {
            Self::Nothing => {}
            Self::Settings => alter(app, "RecordsTable", "#TENANT", "settings", || AttributeValue::S("{".to_owned())).await,
            Self::Status => alter(app, "RecordsTable", "#TENANT", "status", || AttributeValue::N("7".to_owned())).await,
            Self::Keys => alter(app, "KeysTable", "#KEYS", "wrapped", || AttributeValue::B(vec![7; 100].into())).await,
            Self::Kms => app.wire().fail_about("kms", birch, Fault::Refused("AccessDeniedException")),
            Self::Lists => app.wire().fail_about("Query", birch, Fault::Refused("AccessDeniedException")),
            Self::Items => {
                // Only keys of the tenant match. An item of the platform may also contain its id.
                app.wire().fail_about("dynamodb", format!("{birch}#"), Fault::Refused("AccessDeniedException"));
            }
            Self::Credentials => {
                let refused = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
                app.wire().fail_about("sts", birch, Fault::Says(403, refused));
            }
            Self::DueItem => {
                for (list, at) in due_lists(app).await {
                    let of = [("ix_due", list.as_str()), ("ix_due_at", at.as_str())];
                    app.put_raw("RecordsTable", &format!("{birch}#NONSENSE"), &list, &of).await;
                }
            }
            Self::Entry => {
                let platform = TenantId::PLATFORM;
                let of = [("ix_all", format!("{platform}#TENANTS")), ("ix_sort", "ten_0".into()), ("tenant_id", "nobody".into())];
                let of: Vec<_> = of.iter().map(|(name, value)| (*name, value.as_str())).collect();
                app.put_raw("RecordsTable", &format!("{platform}#TENANT_NAME#nobody"), "CLAIM", &of).await;
            }
        }
    }
}

/// Replaces an attribute of each of Birch's items in a partition.
async fn alter(app: &App, table: &str, partition: &str, name: &str, value: impl Fn() -> AttributeValue) {
    let pk = format!("{}{partition}", app.tenant_id(Birch));
    let rows = app.dump(table).await;
    let mut altered = 0;
    for mut row in rows.into_iter().filter(|row| row["pk"].as_s().unwrap() == &pk) {
        row.insert(name.to_owned(), value());
        let put = app.raw().put_item().table_name(&app.provisioned().tables[table]).set_item(Some(row));
        put.send().await.unwrap();
        altered += 1;
    }
    assert!(altered > 0, "no item was changed");
}

/// Birch's lists of due items, with a time before all of their entries.
async fn due_lists(app: &App) -> BTreeMap<String, String> {
    let rows = app.dump("RecordsTable").await;
    let birch = format!("{}#", app.tenant_id(Birch));
    let lists = rows.iter().filter_map(|row| row.get("ix_due")?.as_s().ok().filter(|list| list.starts_with(&birch)).cloned());
    lists.map(|list| (list, "2026-01-01T00:00:00.000Z".to_owned())).collect()
}

/// The effects for a tenant so far.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Work {
    rows: Vec<String>,
    queued: usize,
    mails: usize,
    objects: usize,
}

impl Work {
    async fn of(app: &App, tenant: Tenant, queued: &[String]) -> Self {
        let id = app.tenant_id(tenant).to_string();
        let domain = format!("@{}.example", tenant.name());
        Self {
            rows: state::of(app, app.tenant_id(tenant), &TABLES).await,
            queued: queued.iter().filter(|body| body.contains(&id)).count(),
            mails: app.mails().iter().filter(|mail| mail.to_string().contains(&domain)).count(),
            objects: app.objects().iter().filter(|(key, _)| key.contains(&id)).map(|(_, versions)| versions.len()).sum(),
        }
    }

    /// The increase of each since `before`.
    fn since(&self, before: &Self) -> [usize; 4] {
        let rows = state::difference(&before.rows, &self.rows).len();
        [rows, self.queued - before.queued, self.mails - before.mails, self.objects - before.objects]
    }
}

/// The messages that functions have sent to each other's queues since the last call.
async fn queued(app: &App) -> Vec<String> {
    let mut queues = app.deliveries(registry::consumers().filter(|consumer| consumer.queue.feed == Feed::Direct));
    queues.collect().await;
    std::iter::from_fn(|| queues.take()).map(|(_, event)| event.records[0].body.clone().unwrap()).collect()
}

/// The effects of one run of a schedule for each tenant.
async fn run(schedule: &AnySchedule, broken: Broken) -> ([[usize; 4]; 2], World) {
    let world = world_in(schedule.name, &[Acme, Birch]).await.afresh();
    broken.break_it(&world.app).await;
    let app = &world.app;
    // The schedule runs a while after the work became due.
    app.settle_indexes();
    let _ = queued(app).await;
    let before = [Work::of(app, Acme, &[]).await, Work::of(app, Birch, &[]).await];
    app.forget_log_lines();
    // The run may return an error because of Birch.
    let _ = schedule.run(app.deps()).await;
    app.wire().heal();
    let queued = queued(app).await;
    let done = [Work::of(app, Acme, &queued).await.since(&before[0]), Work::of(app, Birch, &queued).await.since(&before[1])];
    (done, world)
}

/// The log lines with an error: those that an alarm counts, and those that state the failure.
fn lines_about(app: &App, tenant: Option<TenantId>) -> Vec<Value> {
    let tenant = tenant.map_or(Value::Null, |tenant| tenant.to_string().into());
    app.log_lines().into_iter().filter(|line| line["level"] == "error" && line["tenant.id"] == tenant).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_tenant_is_skipped_with_an_alarm_and_others_are_served() {
    let mut skipped = 0;
    for schedule in registry::schedules() {
        let (healthy, world) = run(schedule, Broken::Nothing).await;
        assert!(healthy.iter().all(|done| done.iter().sum::<usize>() > 0), "{}: it does nothing: {healthy:?}", schedule.name);
        assert!(world.app.log_lines().iter().all(|line| line["level"] != "error"), "{}", schedule.name);
        for broken in Broken::ALL {
            let (done, world) = run(schedule, broken).await;
            let what = format!("{} with broken {broken:?}", schedule.name);
            assert_eq!(done[0], healthy[0], "{what}: the effects for Acme");
            let birch = (broken != Broken::Entry).then(|| world.app.tenant_id(Birch));
            let lines = lines_about(&world.app, birch);
            assert!(done[1] == healthy[1] || !lines.is_empty(), "{what}: no log line says that Birch was skipped");
            assert!(lines_about(&world.app, Some(world.app.tenant_id(Acme))).is_empty(), "{what}");
            skipped += lines.iter().filter(|line| line["event"] == "tenant.skipped").count();
        }
    }
    assert!(skipped > 20, "{skipped} tenants were skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_can_read_no_tenant_fails() {
    for schedule in registry::schedules().filter(|schedule| schedule.waits) {
        let world = world_in(schedule.name, &[Acme]).await.afresh();
        world.app.wire().fail_about("GetItem", "PROFILE", Fault::Refused("AccessDeniedException"));
        assert!(schedule.run(world.app.deps()).await.is_err(), "{}", schedule.name);
        world.app.wire().heal();
        world.app.wire().fail_about("Query", "#TENANTS", Fault::Refused("AccessDeniedException"));
        assert!(schedule.run(world.app.deps()).await.is_err(), "{}", schedule.name);
    }
}
