use crate::api_keys::{ApiKeyView, IssuedKey, Stored};
use common::{
    base::{Error, Need, Result},
    identity::ApiKeyId,
    policy::Action,
    request::{Data, Endpoint, IfMatch, Issued, Json, Operation, Path, Permit, Route, Sample, Scope, input::Integer},
};
use std::time::Duration;

common::input! {
    /// The time for which the current text stays valid: 0 to 168 hours; if absent, a day.
    pub struct Rotation {
        optional overlap_hours: Integer<0, 168>,
    }
}

const USUAL: u32 = 24;

/// Replaces a key's text. The old text stays valid for a while, so that clients work until they use the new one. A text that an
/// earlier rotation replaced becomes invalid now.
#[derive(Debug)]
pub struct RotateApiKey;

impl Operation for RotateApiKey {
    const NAME: &'static str = "rotate_api_key";
    const SUMMARY: &'static str = "Replace an API key's text, with an overlap";
    const ROUTE: Route = Route::post("/v1/api-keys/{key_id}/rotate");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const ISSUED_AGAIN: Option<&'static str> =
        Some("the key's text was shown once and is not stored: rotate the key again, under another `Idempotency-Key`");
    const SAMPLE: Sample = Sample::body(r#"{"overlap_hours":24}"#);
    type Input = (Path<ApiKeyId>, Json<Rotation>);
    type Output = IssuedKey;
}

impl Endpoint for RotateApiKey {
    const ACTION: Action = Action("rotateApiKey");
    type Target = Stored;

    async fn target(scope: &Scope<'_, Self>, (Path(key), _): &Self::Input) -> Result<Stored> {
        Stored::read(scope.reader(), *key).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, (Path(key), Json(rotation)): Self::Input) -> Result<IssuedKey> {
        let (now, mut stored) = (cx.now(), cx.target().clone());
        cx.check_version(stored.version)?;
        let hours = rotation.overlap_hours.map_or(USUAL, Integer::get);
        if stored.revoked_at.is_some() || stored.terms.expires_at <= now {
            return Err(super::revoke_api_key::OVER);
        }
        let until = now.plus(Duration::from_secs(u64::from(hours) * 3600)).min(stored.terms.expires_at);
        if let Some((before, held)) = stored.previous
            && held > now
        {
            cx.end_api_key_secret(key, before, now);
        }
        cx.end_api_key_secret(key, stored.session, until);
        let (text, session) = cx.issue_api_key(key, stored.terms.clone())?;
        let edit = stored
            .edit()
            .text("hint", text.hint())
            .text("session_id", session)
            .text("previous_session", stored.session)
            .text("previous_until", until);
        cx.changes().edit(edit, Error::Stale);
        cx.changes().changed(["api_key"]);
        let sessions = cx.sessions(key.user()).await?;
        stored.previous = Some((stored.session, until));
        (stored.session, stored.hint, stored.version) = (session, text.hint(), stored.version.next());
        cx.etag(stored.version);
        Ok(IssuedKey { api_key: Issued::new(text.to_text()), key: ApiKeyView::of(stored, &sessions, now) })
    }
}
