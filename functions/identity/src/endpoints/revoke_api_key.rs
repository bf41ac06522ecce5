use crate::api_keys::Stored;
use common::{
    base::{Error, Need, Result},
    identity::ApiKeyId,
    policy::Action,
    request::{Data, Endpoint, IfMatch, Operation, Path, Permit, Route, Sample, Scope},
};

/// The error for a key that is no longer valid.
pub(super) const OVER: Error = Error::conflict("api_key_over", "this key is revoked or has expired");

/// Revokes an API key. It is refused from its next request on, and stays on the list.
#[derive(Debug)]
pub struct RevokeApiKey;

impl Operation for RevokeApiKey {
    const NAME: &'static str = "revoke_api_key";
    const SUMMARY: &'static str = "Revoke an API key";
    const ROUTE: Route = Route::delete("/v1/api-keys/{key_id}");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Sessions];
    const STATUS: u16 = 204;
    const IF_MATCH: IfMatch = IfMatch::Optional;
    const SAMPLE: Sample = Sample::NONE;
    type Input = Path<ApiKeyId>;
    type Output = ();
}

impl Endpoint for RevokeApiKey {
    const ACTION: Action = Action("revokeApiKey");
    type Target = Stored;

    async fn target(scope: &Scope<'_, Self>, Path(key): &Self::Input) -> Result<Stored> {
        Stored::read(scope.reader(), *key).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Path(key): Self::Input) -> Result<()> {
        let stored = cx.target();
        cx.check_version(stored.version)?;
        if stored.revoked_at.is_some() {
            return Err(OVER);
        }
        let edit = stored.edit().text("revoked_at", cx.now());
        cx.changes().edit(edit, Error::Stale);
        cx.changes().changed(["status"]);
        cx.revoke_api_key(key).await
    }
}
