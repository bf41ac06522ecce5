//! Pending sign-ins, and the sealed data from Cognito.

use crate::{
    aws::cognito::Tokens,
    base::{Error, Result, SessionId, UserId},
};

/// A secret text that is sealed like PHI. Its `Debug` is redacted.
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
    /// A refresh token's secret. It is kept for as long as its predecessor may still be exchanged for it.
    pub(crate) struct Successor in "refresh_tokens" {
        1 => secret: PoolSecret,
    }
}

phi::sealed_fields! {
    /// A sign-in that waits for the answer to a challenge.
    #[derive(Clone, Debug)]
    pub struct PendingSignIn in "pending_sign_ins" {
        /// The challenge.
        1 => challenge: PoolSecret,
        2 => user: PoolSecret,
        /// Cognito's session, if the challenge is Cognito's.
        3 => pool_session: Option<PoolSecret>,
        /// The tokens from Cognito, if the challenge is ours.
        4 => access: Option<PoolSecret>,
        5 => id: Option<PoolSecret>,
        6 => refresh: Option<PoolSecret>,
        7 => expires_in: Option<PoolSecret>,
        /// The session for enrolling a second factor.
        8 => enrolment: Option<PoolSecret>,
    }
}

impl PendingSignIn {
    /// A sign-in with a challenge of Cognito's.
    pub fn of_pool(challenge: &str, user: String, pool_session: String) -> Self {
        Self { pool_session: Some(PoolSecret(pool_session)), ..Self::empty(challenge, user) }
    }

    /// A sign-in with a challenge of ours, which keeps Cognito's tokens.
    ///
    /// # Errors
    /// Internal if Cognito issued no refresh token.
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

    /// The tokens from Cognito.
    pub fn tokens(&self) -> Option<Tokens> {
        Some(Tokens {
            access: self.access.clone()?.0,
            id: self.id.clone()?.0,
            refresh: Some(self.refresh.clone()?.0),
            expires_in: self.expires_in.as_ref()?.0.parse().ok()?,
        })
    }

    /// The session for enrolling a second factor.
    pub fn enrolment(&self) -> Option<SessionId> {
        self.enrolment.as_ref()?.0.parse().ok()
    }
}
