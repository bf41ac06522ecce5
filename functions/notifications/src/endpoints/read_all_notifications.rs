//! Marks all of the caller's notifications as read, by one write for any number of them.

use super::Inbox;
use crate::{
    store::{self, State},
    view::InboxView,
};
use common::{
    base::{Need, Result},
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};

#[derive(Debug)]
pub struct ReadAllNotifications;

impl Operation for ReadAllNotifications {
    const NAME: &'static str = "read_all_notifications";
    const SUMMARY: &'static str = "Mark all of the caller's notifications as read";
    const ROUTE: Route = Route::post("/v1/notifications/read-all");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = InboxView;
}

impl Endpoint for ReadAllNotifications {
    const ACTION: Action = Action("readAllNotifications");
    type Target = Inbox;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<Inbox> {
        Ok(Inbox::of(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<InboxView> {
        let user = cx.principal().user();
        let state = State::read(cx.reader(), user).await?;
        if state.read_up_to < state.seq {
            store::mark_all_read(cx.changes(), user, &state);
            cx.changes().changed(["read_up_to"]);
        }
        Ok(InboxView { unread_count: 0, read_up_to: state.seq, latest_seq: state.seq })
    }
}
