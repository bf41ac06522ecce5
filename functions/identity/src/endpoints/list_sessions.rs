use crate::account::User;
use common::{
    base::{Need, Result, SessionId, SessionKind, Timestamp},
    identity::OpenSession,
    policy::Action,
    request::{Data, Endpoint, Operation, Permit, Route, Sample, Scope},
};
use schemars::JsonSchema;
use serde::Serialize;

/// A live session.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionView {
    pub session_id: SessionId,
    pub kind: SessionKind,
    /// Whether it is the session of this request.
    pub current: bool,
    pub created_at: Timestamp,
    pub last_seen: Timestamp,
    /// The time at which it ends, even if it is used.
    pub expires_at: Timestamp,
    /// The time at which a second factor was last given in it.
    pub mfa_at: Option<Timestamp>,
    /// The address from which it was opened.
    pub ip: String,
    /// The device, as its `User-Agent` names it.
    pub user_agent: String,
}

impl SessionView {
    fn of(session: OpenSession, current: SessionId) -> Self {
        let OpenSession { session, kind, created_at, last_seen, expires_at, mfa_at, ip, user_agent } = session;
        let current = session == current;
        Self { session_id: session, kind, current, created_at, last_seen, expires_at, mfa_at, ip, user_agent }
    }
}

/// All live sessions: a user has at most twenty.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sessions {
    pub items: Vec<SessionView>,
    pub next_cursor: Option<String>,
}

/// Lists the caller's live sessions, newest first.
#[derive(Debug)]
pub struct ListSessions;

impl Operation for ListSessions {
    const NAME: &'static str = "list_sessions";
    const SUMMARY: &'static str = "List the caller's sessions, with device and address";
    const ROUTE: Route = Route::get("/v1/sessions");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Sessions];
    const SAMPLE: Sample = Sample::NONE;
    type Input = ();
    type Output = Sessions;
}

impl Endpoint for ListSessions {
    const ACTION: Action = Action("listSessions");
    type Target = User;

    async fn target(scope: &Scope<'_, Self>, (): &()) -> Result<User> {
        Ok(User::own(scope.principal()))
    }

    async fn handle(cx: &mut Permit<'_, Self>, (): ()) -> Result<Sessions> {
        let who = cx.principal();
        let sessions = cx.sessions(who.user()).await?;
        cx.touched("User", who.user());
        let items = sessions.into_iter().map(|session| SessionView::of(session, who.session())).collect();
        Ok(Sessions { items, next_cursor: None })
    }
}
