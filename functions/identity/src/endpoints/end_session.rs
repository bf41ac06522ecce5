use crate::account::Session;
use common::{
    base::{Need, Result, SessionId},
    identity::EndReason,
    policy::Action,
    request::{Data, Endpoint, IdempotencyKey, Operation, Path, Permit, Route, Sample, Scope},
};

/// Ends one of the caller's own sessions, the current or another one. Its tokens become invalid at their next use, and its
/// sockets close.
#[derive(Debug)]
pub struct EndSession;

impl Operation for EndSession {
    const NAME: &'static str = "end_session";
    const SUMMARY: &'static str = "End one of the caller's sessions";
    const ROUTE: Route = Route::delete("/v1/sessions/{session_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    // Ending an ended session has no further effect, and the repetition of this request may come in the session that it ends.
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<SessionId>;
    type Output = ();
}

impl Endpoint for EndSession {
    const ACTION: Action = Action("endSession");
    type Target = Session;

    async fn target(scope: &Scope<'_, Self>, Path(id): &Self::Input) -> Result<Session> {
        Ok(Session::own(scope.principal(), *id))
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(id): Self::Input) -> Result<()> {
        cx.touched("Session", id);
        let user = cx.principal().user();
        cx.end_session_of(user, id, EndReason::EndedByOwner).await
    }
}
