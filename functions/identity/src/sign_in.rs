//! What login and challenge have in common: the answers, and opening the session.

use crate::secret::Issued;
use common::{AuthFailure, Error, Membership, Public, PublicEndpoint, RefreshToken, Result, cognito::Tokens};
use schemars::JsonSchema;
use serde::Serialize;

/// The answer to a password, or to a challenge.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SignedIn {
    Tokens(TokenSet),
    Challenge(Pending),
}

/// What a caller who has signed in works with.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenSet {
    /// For `Authorization: Bearer`.
    pub access_token: Issued,
    /// Who signed in, for the client's own use. No endpoint takes it.
    pub id_token: Issued,
    /// Good for one refresh, which answers the next.
    pub refresh_token: Issued,
    /// How long the access token holds, in seconds.
    pub expires_in: i32,
    pub token_type: TokenType,
}

#[derive(Debug, Serialize, JsonSchema)]
pub enum TokenType {
    Bearer,
}

/// What is to be answered before any token is handed out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pending {
    pub challenge: ChallengeName,
    /// Names this sign-in in the answer. Good for five minutes and five tries.
    pub session: Issued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChallengeName {
    /// The password was a temporary one.
    NewPasswordRequired,
}

impl TokenSet {
    pub(crate) fn of(tokens: Tokens, refresh: &RefreshToken) -> Self {
        Self {
            access_token: Issued::new(tokens.access),
            id_token: Issued::new(tokens.id),
            refresh_token: Issued::new(refresh.to_text()),
            expires_in: tokens.expires_in,
            token_type: TokenType::Bearer,
        }
    }
}

/// Opens the session of whom Cognito has handed tokens for.
///
/// # Errors
/// 401 where they have no active membership, 403 where their tenant is not active; 503.
pub(crate) async fn open<E: PublicEndpoint>(cx: &mut Public<'_, E>, tokens: Tokens) -> Result<SignedIn> {
    let subject = tokens.subject()?;
    let member = cx.member(subject.user).await;
    let member = like_a_wrong_password(cx, member)?;
    let pool_refresh = tokens.refresh.as_deref().ok_or(Error::internal("cognito refresh token"))?;
    let refresh = cx.open_session(&member, subject.session, pool_refresh, None).await?;
    Ok(SignedIn::Tokens(TokenSet::of(tokens, &refresh)))
}

/// Somebody without a membership hears what a wrong password hears; the log knows better.
///
/// # Errors
/// Those of `member`, with [`AuthFailure::NoMembership`] turned into [`AuthFailure::InvalidCredentials`].
pub(crate) fn like_a_wrong_password<E: PublicEndpoint>(cx: &Public<'_, E>, member: Result<Membership>) -> Result<Membership> {
    member.map_err(|e| match e {
        Error::Unauthenticated(failure @ AuthFailure::NoMembership) => {
            cx.log("sign_in.refused", failure.code());
            Error::Unauthenticated(AuthFailure::InvalidCredentials)
        }
        other => other,
    })
}
