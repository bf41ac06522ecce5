//! Ends the sessions of everybody in a tenant that was suspended; their sockets close after them.

use crate::domain::OrganizationSuspended;
use common::{Background, Consumer, Delivery, EndReason, Error, Feed, Incoming, Need, Part, Queue, Result, UserId};
use std::time::Duration;

/// For so long a process may believe that the tenant is active, and let somebody sign in: sessions of that time end too, and so
/// the message comes later than that.
const GATE_IS_OLD: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub struct StopOrganization;

/// A member, whose sessions end.
#[derive(Debug)]
pub struct Member(UserId);

impl Part for Member {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl Background for StopOrganization {
    const NAME: &'static str = "stop_organization";
    const SUMMARY: &'static str = "End the sessions of a tenant that was suspended";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const TIMEOUT_SECS: u16 = 120;
    const WAITS: bool = false;
    type Part = Member;

    async fn handle(cx: &mut Delivery<'_, Self>, Member(user): &Member) -> Result<()> {
        let suspended_at = cx.envelope().ok_or(Error::internal("no envelope"))?.occurred_at;
        let ended = cx.end_sessions_before(*user, suspended_at.plus(GATE_IS_OLD), EndReason::TenantSuspended).await?;
        if ended > 0 {
            cx.touched("User", user);
            cx.changes().changed(["sessions"]);
        }
        cx.log("sessions.ended", ended);
        Ok(())
    }
}

impl Consumer for StopOrganization {
    const QUEUE: Queue = Queue { delay_secs: 6, ..Queue::new("stop-organization", Feed::Events) };
    type Message = OrganizationSuspended;

    async fn parts(cx: &Incoming<'_, Self>, _: OrganizationSuspended) -> Result<Vec<Member>> {
        cx.about("Organization", cx.tenant());
        Ok(cx.members().await?.into_iter().map(|member| Member(member.user)).collect())
    }
}
