//! Sign-ins that wait for an answer, and what of Cognito's is kept sealed.

use crate::{
    aws::cognito::Tokens,
    base::{Error, Result, SessionId, UserId},
};

/// A secret text of ours that is sealed like PHI: it prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PoolSecret(pub String);

impl std::fmt::Debug for PoolSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> serde::Deserialize<'de> for PoolSecret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self)
    }
}

impl phi::PhiValue for PoolSecret {
    fn serialize_plain<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

phi::sealed_fields! {
    /// Cognito's refresh token.
    pub(crate) struct PoolToken in "sessions" {
        1 => token: PoolSecret,
    }
}

phi::sealed_fields! {
    /// A refresh token's secret, while whoever shows its predecessor is answered it.
    pub(crate) struct Successor in "refresh_tokens" {
        1 => secret: PoolSecret,
    }
}

phi::sealed_fields! {
    /// A sign-in that waits for the answer to a challenge.
    #[derive(Clone, Debug)]
    pub struct PendingSignIn in "pending_sign_ins" {
        /// What it waits for.
        1 => challenge: PoolSecret,
        2 => user: PoolSecret,
        /// Cognito's own, where it is Cognito that waits.
        3 => pool_session: Option<PoolSecret>,
        /// What Cognito handed out, where it is we who wait.
        4 => access: Option<PoolSecret>,
        5 => id: Option<PoolSecret>,
        6 => refresh: Option<PoolSecret>,
        7 => expires_in: Option<PoolSecret>,
        /// The session that is there to enrol a second factor.
        8 => enrolment: Option<PoolSecret>,
    }
}

impl PendingSignIn {
    /// It waits for Cognito.
    pub fn of_pool(challenge: &str, user: String, pool_session: String) -> Self {
        Self { pool_session: Some(PoolSecret(pool_session)), ..Self::empty(challenge, user) }
    }

    /// It waits for us, and keeps what Cognito handed out.
    ///
    /// # Errors
    /// Internal where Cognito handed out no refresh token.
    pub fn of_tokens(challenge: &str, user: UserId, tokens: Tokens) -> Result<Self> {
        let refresh = tokens.refresh.ok_or(Error::internal("cognito refresh token"))?;
        Ok(Self {
            access: Some(PoolSecret(tokens.access)),
            id: Some(PoolSecret(tokens.id)),
            refresh: Some(PoolSecret(refresh)),
            expires_in: Some(PoolSecret(tokens.expires_in.to_string())),
            ..Self::empty(challenge, user.to_string())
        })
    }

    fn empty(challenge: &str, user: String) -> Self {
        Self {
            challenge: PoolSecret(challenge.to_owned()),
            user: PoolSecret(user),
            pool_session: None,
            access: None,
            id: None,
            refresh: None,
            expires_in: None,
            enrolment: None,
        }
    }

    /// What Cognito handed out.
    pub fn tokens(&self) -> Option<Tokens> {
        Some(Tokens {
            access: self.access.clone()?.0,
            id: self.id.clone()?.0,
            refresh: Some(self.refresh.clone()?.0),
            expires_in: self.expires_in.as_ref()?.0.parse().ok()?,
        })
    }

    /// The session that is there to enrol a second factor.
    pub fn enrolment(&self) -> Option<SessionId> {
        self.enrolment.as_ref()?.0.parse().ok()
    }
}
