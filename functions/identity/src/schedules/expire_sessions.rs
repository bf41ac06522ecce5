//! Ends sessions that are idle or too old, and sessions of a password that an interrupted request has replaced. Each end is
//! published, so that sockets close, and audited with its reason.

use common::{
    background::{Background, Delivery, Part, Schedule, Tick},
    base::{Need, Result, SessionId, TenantId, UserId},
};

/// The number of items of one tenant that one run handles. The next run handles the rest.
const MOST: u32 = 1000;

#[derive(Debug)]
pub struct ExpireSessions;

#[derive(Debug)]
pub enum Due {
    Session(UserId, SessionId),
    /// All sessions that were opened with this user's previous password.
    Password(UserId),
}

impl Part for Due {
    fn name(&self) -> String {
        match self {
            Self::Session(_, session) => session.to_string(),
            Self::Password(user) => user.to_string(),
        }
    }
}

impl Background for ExpireSessions {
    const NAME: &'static str = "expire_sessions";
    const SUMMARY: &'static str = "End sessions that are idle or too old, and publish and audit each end";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions, Need::Tenants];
    const TIMEOUT_SECS: u16 = 120;
    // The sessions of a suspended tenant, including those of its API keys, expire as well.
    const WAITS: bool = false;
    type Part = Due;

    async fn handle(cx: &mut Delivery<'_, Self>, due: &Due) -> Result<()> {
        match due {
            Due::Session(user, session) => {
                if let Some(reason) = cx.expire_session(*user, *session).await? {
                    cx.touched("Session", session);
                    cx.log("session.ended", reason.as_str());
                }
            }
            Due::Password(user) => {
                let ended = cx.settle_password_change(*user).await?;
                cx.touched("User", user);
                cx.log("sessions.ended", ended);
            }
        }
        Ok(())
    }
}

impl Schedule for ExpireSessions {
    const EVERY_MINUTES: u32 = 1;

    async fn due(cx: &Tick<'_, Self>) -> Result<Vec<(TenantId, Due)>> {
        let passwords = cx.password_changes_due(MOST).await?.into_iter();
        let mut due: Vec<_> = passwords.map(|(tenant, user)| (tenant, Due::Password(user))).collect();
        let sessions = cx.sessions_due(MOST).await?.into_iter();
        due.extend(sessions.map(|(tenant, user, session)| (tenant, Due::Session(user, session))));
        Ok(due)
    }
}
