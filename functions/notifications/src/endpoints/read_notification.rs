//! Marks one of the caller's notifications as read. Repeating it changes nothing.

use super::Inbox;
use crate::{
    domain::NotificationId,
    store::{self, State},
    view::NotificationView,
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Path, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct ReadNotification;

impl Operation for ReadNotification {
    const NAME: &'static str = "read_notification";
    const SUMMARY: &'static str = "Mark a notification as read";
    const ROUTE: Route = Route::post("/v1/notifications/{notification_id}/read");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write];
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<NotificationId>;
    type Output = NotificationView;
}

impl Endpoint for ReadNotification {
    const ACTION: Action = Action("readNotification");
    type Target = Inbox;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<Inbox> {
        Ok(Inbox::of(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(id): Self::Input) -> Result<NotificationView> {
        let (user, now) = (cx.principal().user(), cx.now());
        let mut notification = store::find(cx.reader(), user, id).await?;
        cx.touched("Notification", id);
        let State { read_up_to, .. } = State::read(cx.reader(), user).await?;
        if notification.read_at.is_none() && notification.seq() > read_up_to {
            store::mark_read(cx.changes(), user, notification.seq(), now);
            cx.changes().changed(["read_at"]);
            notification.read_at = Some(now);
        }
        Ok(NotificationView::of(notification, read_up_to))
    }
}
