//! Lists the caller's notifications, newest first: all, or the unread ones.

use super::Inbox;
use crate::{
    store::{self, State},
    view::{NotificationPage, NotificationView},
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Limit, Operation, Permit, Query, Route, Sample, Scope},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::borrow::Cow;

#[derive(Debug)]
pub struct ListNotifications;

common::input! {
    /// The notifications to list.
    pub struct NotificationFilters {
        /// Only unread ones.
        optional unread: Flag,
        optional limit: Limit,
        optional cursor: String,
    }
}

/// `true` or `false`, as text in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Cow::<str>::deserialize(d)?.as_ref() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(D::Error::custom("expected `true` or `false`")),
        }
    }
}

impl JsonSchema for Flag {
    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "boolean"})
    }
}

impl Operation for ListNotifications {
    const NAME: &'static str = "list_notifications";
    const SUMMARY: &'static str = "List the caller's notifications, newest first";
    const ROUTE: Route = Route::get("/v1/notifications");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Read, Need::Search];
    const SAMPLE: Sample = Sample::query(&[("unread", "true"), ("limit", "10")]);
    type Input = Query<NotificationFilters>;
    type Output = NotificationPage;
}

impl Endpoint for ListNotifications {
    const ACTION: Action = Action("listNotifications");
    type Target = Inbox;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Inbox> {
        Ok(Inbox::of(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Query(filters): Self::Input) -> Result<NotificationPage> {
        let user = cx.principal().user();
        let unread = filters.unread == Some(Flag(true));
        let query = if unread { store::list_unread(user) } else { store::list(user) };
        // The list is read before the count, so that the count is never lower than the number of listed notifications.
        let (rows, mut next_cursor) =
            cx.reader().page(&query.limit(filters.limit.unwrap_or_default().0), filters.cursor.as_deref()).await?;
        let State { seq, unread: unread_count, read_up_to, .. } = State::read(cx.reader(), user).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            // Newest first: everything after the first notification below the watermark is read too.
            if unread && store::seq(row)? <= read_up_to {
                next_cursor = None;
                break;
            }
            let view = store::notification(row)?.map(|notification| NotificationView::of(notification, read_up_to));
            items.extend(view.filter(|view| !(unread && view.read)));
        }
        cx.log("notifications.count", items.len());
        Ok(NotificationPage { items, next_cursor, unread_count, latest_seq: seq })
    }
}
