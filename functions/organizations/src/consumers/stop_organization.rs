//! Ends all sessions in a suspended tenant. Their sockets close afterwards.

use crate::domain::OrganizationSuspended;
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Part, Queue},
    base::{Error, Need, Result, UserId},
    identity::EndReason,
};
use std::time::Duration;

/// The time for which a process may still consider the tenant active and let a user sign in. The message is handled after that
/// time, so that it also ends these sessions.
const GATE_IS_OLD: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub struct StopOrganization;

/// A member whose sessions are ended.
#[derive(Debug)]
pub struct Member(UserId);

impl Part for Member {
    fn name(&self) -> String {
        self.0.to_string()
    }
}

impl Background for StopOrganization {
    const NAME: &'static str = "stop_organization";
    const SUMMARY: &'static str = "End the sessions of a suspended tenant";
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
