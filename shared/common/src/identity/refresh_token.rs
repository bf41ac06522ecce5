//! Refresh tokens: single-use, stored as hashes, each replaced by its successor.
//!
//! A browser's tabs share one token, and answers may be lost. So a token that is presented within thirty seconds of its use, from
//! the device that signed in, is exchanged for the token that is valid now. For that time the valid token is stored sealed beside
//! its hash. Of concurrent requests with one token, one wins, and the others get an error to retry (409 `refresh_in_progress`). A
//! token that is presented later was probably copied, so it ends its session.

use crate::{
    base::{AuthFailure, Error, Result, SessionId, TenantId, Timestamp, UserId, digest::hash},
    identity::session,
    store::{
        dynamodb::{Db, Update},
        item::Table,
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::time::Duration;

/// The time after its use for which a token is exchanged for the valid one.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// Deletes the sealed token after the grace period.
pub(crate) async fn forget_successor(db: &Db, tenant: TenantId, session: SessionId, now: Timestamp) -> Result<()> {
    let update = Update {
        expression: "REMOVE successor",
        condition: Some("attribute_exists(successor) AND rotated_at < :before"),
        values: vec![(":before", AttributeValue::N(now.minus(GRACE).as_millis().to_string()))],
        ..Update::default()
    };
    db.update(tenant, Table::Ephemera, &session::refresh_key(session), update).await.map(drop)
}

/// The API's refresh token. It is opaque to its holder and contains the place of its session.
#[derive(Clone)]
pub struct RefreshToken {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) secret: [u8; 32],
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshToken({})", self.session)
    }
}

impl RefreshToken {
    const BYTES: usize = 16 * 3 + 32;

    pub(crate) fn new(tenant: TenantId, user: UserId, session: SessionId) -> Self {
        Self { tenant, user, session, secret: crate::base::random::bytes() }
    }

    pub fn to_text(&self) -> String {
        let bytes =
            [self.tenant.uuid().as_bytes(), self.user.uuid().as_bytes(), self.session.uuid().as_bytes(), &self.secret[..]]
                .concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn secret_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.secret)
    }

    /// # Errors
    /// 401 if the text is not a refresh token of ours.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|b| b.len() == Self::BYTES)?;
            let uuid = |i: usize| crate::base::id::Uuid::from_slice(&bytes[i * 16..(i + 1) * 16]).ok();
            let secret = bytes[48..].try_into().ok()?;
            Some(Self {
                tenant: TenantId::from_uuid(uuid(0)?),
                user: UserId::from_uuid(uuid(1)?),
                session: SessionId::from_uuid(uuid(2)?),
                secret,
            })
        };
        read().ok_or(Error::Unauthenticated(AuthFailure::InvalidRefreshToken))
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(&[&self.secret])
    }
}
