//! Presenting and rotating a refresh token.

use crate::{
    audit::event::Record,
    audit::session_end,
    base::{AuthFailure, Error, Result, SessionId, TenantId, Timestamp, UserId, need::needs},
    identity::{
        EndReason, RefreshToken, membership,
        pending_sign_in::{PoolSecret, PoolToken, Successor},
        refresh_token::GRACE,
        session,
    },
    request::{Public, PublicEndpoint, public::KnownMember},
    store::{
        changes::Ending,
        dynamodb::{Outcome, Update},
        item::{Row, Table},
        transaction::Unit,
    },
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use phi::{Sealed, SealedFields};

/// The number of used tokens that a session stores, so that the reuse of an old one is recognised.
const USED_KEPT: usize = 64;
/// The number of tokens whose time of use is stored: as many as may be used within the grace, at 60 a minute and as many at once.
const RECENT_KEPT: usize = 96;
/// A hash, and the time in milliseconds at which its token was used.
const RECENT: usize = 32 + 8;

/// The error for a request with a token that a concurrent request used.
const IN_PROGRESS: Error = Error::conflict(
    "refresh_in_progress",
    "another request has just used this refresh token: use the token from its answer, or repeat this request",
);

/// The state of a token in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It never belonged to this session.
    Unknown,
    /// It is valid.
    Current,
    /// It was used within the grace.
    Recent,
    /// It was used.
    Used,
}

fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// The state of the token with hash `given` in a session whose refresh item is `row`.
fn standing(row: &Row, given: &[u8; 32], now: Timestamp) -> Standing {
    let is = |name: &str| row.maybe_bytes(name).is_some_and(|stored| same(stored, given));
    let in_grace = |at: i64| at >= now.minus(GRACE).as_millis();
    let recent = recent(row).iter().any(|(hash, at)| same(hash, given) && in_grace(*at));
    // The form of older versions.
    let previous = is("previous_hash");
    if is("refresh_hash") {
        Standing::Current
    } else if recent || previous && row.maybe_number("rotated_at").is_some_and(in_grace) {
        Standing::Recent
    } else if previous || row.maybe_bytes("used_hashes").is_some_and(|used| used.chunks_exact(32).any(|hash| same(hash, given))) {
        Standing::Used
    } else {
        Standing::Unknown
    }
}

/// Recently used tokens and their times, oldest first.
fn recent(row: &Row) -> Vec<([u8; 32], i64)> {
    let read = |entry: &[u8]| {
        let (hash, at) = entry.split_at(32);
        Some((hash.try_into().ok()?, i64::from_be_bytes(at.try_into().ok()?)))
    };
    row.maybe_bytes("recent").unwrap_or_default().chunks_exact(RECENT).filter_map(read).collect()
}

/// The tokens of `row` that are still within the grace, and `one`.
fn recent_with(row: &Row, one: [u8; 32], now: Timestamp) -> Vec<u8> {
    let in_grace = recent(row).into_iter().filter(|(_, at)| *at >= now.minus(GRACE).as_millis());
    let all: Vec<_> = in_grace.chain([(one, now.as_millis())]).collect();
    let kept = all.iter().skip(all.len().saturating_sub(RECENT_KEPT));
    kept.flat_map(|(hash, at)| hash.iter().copied().chain(at.to_be_bytes())).collect()
}

/// The last `kept` of `all` and `one`, each of `width` bytes.
fn with_last(all: Option<&[u8]>, one: &[u8], width: usize, kept: usize) -> Vec<u8> {
    let mut all = [all.unwrap_or_default(), one].concat();
    all.drain(..all.len().saturating_sub(kept * width));
    all
}

impl<E: PublicEndpoint> Public<'_, E> {
    /// The session of a refresh token, if the token is valid, or was used within the last thirty seconds and comes from the same
    /// device.
    ///
    /// # Errors
    /// 401. A token that was used before ends its session, and causes a security event in the audit log.
    pub async fn present(&mut self, token: &RefreshToken) -> Result<Presented> {
        needs!(E, Sessions, Read, Seal);
        let refused = || Error::Unauthenticated(AuthFailure::InvalidRefreshToken);
        let RefreshToken { tenant, user, session, .. } = *token;
        // Invented tenants must not cause calls to STS for tenant credentials.
        match membership::tenant_of(&self.deps.db, user).await {
            Ok(home) if home == tenant => {}
            Ok(_) | Err(Error::Unauthenticated(_)) => return Err(refused()),
            Err(error) => return Err(error),
        }
        let row = self.deps.db.get(tenant, Table::Ephemera, &session::refresh_key(session)).await?.ok_or_else(refused)?;
        let standing = standing(&row, &token.hash(), self.now());
        if standing == Standing::Unknown {
            return Err(refused());
        }
        let live = self.deps.db.get(tenant, Table::Ephemera, &session::key(user, session)).await?.ok_or_else(refused)?;
        let grants = live.listed("grants")?;
        self.member = Some(KnownMember { tenant, user, session: Some(session), grants });
        let repeated = standing == Standing::Recent && same(row.bytes("device_hash")?, &self.device());
        // Before checking whether the session is live: if its end succeeded and the event failed, the next attempt still writes
        // the event.
        if standing != Standing::Current && !repeated {
            if !session::has_ended(&live)? {
                self.end_for_reuse(token).await?;
            }
            return Err(Error::Unauthenticated(AuthFailure::RefreshTokenReused));
        }
        let gate = self.deps.gates.of(tenant).await?;
        if let Some(failure) = session::ended(&live, gate.settings.idle(self.deps.config.session_idle), self.now())? {
            return Err(Error::Unauthenticated(failure));
        }
        gate.enter()?;
        membership::active(&self.deps.db, tenant, user).await?;
        let pool: PoolToken = self.open_beside(token, row.bytes("pool_token")?).await?;
        let successor = match row.maybe_bytes("successor").filter(|_| repeated) {
            Some(sealed) => {
                let Successor { secret } = self.open_beside(token, sealed).await?;
                let secret = URL_SAFE_NO_PAD.decode(secret.0).ok().and_then(|bytes| bytes.try_into().ok());
                let successor = RefreshToken { secret: secret.ok_or(Error::internal("successor"))?, ..token.clone() };
                // An older version may have replaced the token since, and left this attribute unchanged.
                Some(successor).filter(|successor| row.maybe_bytes("refresh_hash").is_some_and(|h| same(h, &successor.hash())))
            }
            None => None,
        };
        Ok(Presented { tenant, user, session, pool_refresh: pool.token.0, row, successor })
    }

    /// The next valid token: for a token that was just replaced its successor, otherwise a new one. It also stores the pool's own
    /// token, if the pool returned another. Of concurrent requests, one wins.
    ///
    /// # Errors
    /// 409 if the token was replaced meanwhile, 401 if the session is over.
    pub async fn rotate(&mut self, presented: &Presented, pool_refresh: Option<&str>) -> Result<RefreshToken> {
        needs!(E, Sessions);
        let Presented { tenant, user, session, row, successor, .. } = presented;
        let (key, old) = (session::refresh_key(*session), row.bytes("refresh_hash")?);
        session::used(&self.deps.db, *tenant, *user, *session, self.now()).await?;
        let bytes = |b: &[u8]| AttributeValue::B(Blob::new(b));
        let mut values = vec![(":old", bytes(old))];
        let mut set = Vec::new();
        if let Some(pool_refresh) = pool_refresh {
            let sealed = self.seal_beside(*tenant, *session, &PoolToken { token: PoolSecret(pool_refresh.to_owned()) }).await?;
            set.push("pool_token = :pool");
            values.push((":pool", bytes(&sealed)));
        }
        let token = match successor {
            // It may have been used during the call to the pool.
            Some(successor) if set.is_empty() => {
                let row = self.deps.db.get(*tenant, Table::Ephemera, &key).await?;
                let still = row.as_ref().and_then(|row| row.maybe_bytes("refresh_hash")).is_some_and(|hash| same(hash, old));
                return if still { Ok(successor.clone()) } else { Err(IN_PROGRESS) };
            }
            Some(successor) => successor.clone(),
            None => {
                let token = RefreshToken::new(*tenant, *user, *session);
                let sealed = self.seal_beside(*tenant, *session, &Successor { secret: PoolSecret(token.secret_text()) }).await?;
                let now = self.now().as_millis();
                let used = old.try_into().map_err(|_| Error::internal("refresh item"))?;
                set.extend(["refresh_hash = :new", "successor = :successor", "recent = :recent", "used_hashes = :used"]);
                // For older versions that run concurrently.
                set.extend(["previous_hash = :old", "rotated_at = :now"]);
                values.extend([
                    (":new", bytes(&token.hash())),
                    (":successor", bytes(&sealed)),
                    (":recent", bytes(&recent_with(row, used, self.now()))),
                    (":used", bytes(&with_last(row.maybe_bytes("used_hashes"), old, 32, USED_KEPT))),
                    (":now", AttributeValue::N(now.to_string())),
                ]);
                token
            }
        };
        let expression = format!("SET {}", set.join(", "));
        let update = Update { expression: &expression, condition: Some("refresh_hash = :old"), names: &[], values };
        match self.deps.db.update(*tenant, Table::Ephemera, &key, update).await? {
            Outcome::Done(_) => Ok(token),
            Outcome::Refused(Some(_)) => Err(IN_PROGRESS),
            Outcome::Refused(None) => Err(Error::Unauthenticated(AuthFailure::InvalidRefreshToken)),
        }
    }

    /// Ends the session of a reused token, whatever the result of this request.
    async fn end_for_reuse(&self, token: &RefreshToken) -> Result<()> {
        let RefreshToken { tenant, user, session, .. } = *token;
        let cause = Record { tenant, ..Record::of(&self.activity, E::NAME, self.known_user()) };
        let mut unit = Unit::default();
        let ending = Ending::of(user, session, EndReason::RefreshTokenReuse);
        session_end::end(&mut unit, tenant, vec![(ending, Error::internal("session"))], &cause)?;
        Ok(unit.commit(&self.deps.db, self.activity.deadline).await?)
    }

    async fn open_beside<T: SealedFields>(&self, token: &RefreshToken, sealed: &[u8]) -> Result<T> {
        let sealed = Sealed::from_bytes(sealed.to_vec()).map_err(|_| Error::internal("refresh item"))?;
        self.deps.keyring.of(token.tenant).open(session::refresh_key(token.session).place(), &sealed).await
    }

    async fn seal_beside<T: SealedFields>(&self, tenant: TenantId, session: SessionId, fields: &T) -> Result<Vec<u8>> {
        Ok(self.deps.keyring.of(tenant).seal(session::refresh_key(session).place(), fields).await?.into_bytes())
    }
}

/// The session of a presented refresh token.
#[derive(Debug)]
pub struct Presented {
    pub tenant: TenantId,
    pub user: UserId,
    pub session: SessionId,
    pool_refresh: String,
    row: Row,
    /// The token's successor, if it was just used.
    successor: Option<RefreshToken>,
}

impl Presented {
    /// The pool's own refresh token.
    pub fn pool_refresh(&self) -> &str {
        &self.pool_refresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_used_tokens_are_kept_up_to_the_limit() {
        let used = (0..=255_u8).fold(Vec::new(), |used, n| with_last(Some(&used), &[n; 32], 32, USED_KEPT));
        assert_eq!((used.len(), used[0], used[used.len() - 1]), (USED_KEPT * 32, 192, 255));
    }
}
