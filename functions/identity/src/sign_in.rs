//! What login and challenge have in common: the answers, and opening the session.

use common::{
    AuthFailure, Error, Issued, Leave, Membership, PendingSignIn, Public, PublicEndpoint, RefreshToken, Refusal, Result,
    Timestamp, cognito::Tokens,
};
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
    /// Names this sign-in in the answer. Good for five minutes and five tries; to enrol a second factor, for ten minutes.
    pub session: Issued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChallengeName {
    /// The password was a temporary one: choose another.
    NewPasswordRequired,
    /// A code of the authenticator, or a recovery code.
    Totp,
    /// There is no second factor, and there must be one: enrol one, with `session` as the bearer token.
    MfaSetup,
}

impl ChallengeName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
            Self::Totp => "TOTP",
            Self::MfaSetup => "MFA_SETUP",
        }
    }

    pub(crate) fn answer(self, handle: String) -> SignedIn {
        SignedIn::Challenge(Pending { challenge: self, session: Issued::new(handle) })
    }
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

/// Goes on with somebody who has said the right password: signs them in, or asks for their second factor, or has them enrol
/// one. No token leaves before.
///
/// # Errors
/// 401 where they have no active membership, 403 where they may not sign in now, or from here; 503.
pub(crate) async fn after_password<E: PublicEndpoint>(cx: &mut Public<'_, E>, tokens: Tokens) -> Result<SignedIn> {
    let member = member(cx, &tokens).await?;
    match cx.may_open_session(&member, None).await? {
        Leave::Open => Box::pin(open(cx, &member, tokens, None)).await,
        Leave::AfterSecondFactor => {
            let pending = PendingSignIn::of_tokens(ChallengeName::Totp.as_str(), member.user, tokens)?;
            Ok(ChallengeName::Totp.answer(Box::pin(cx.suspend(&pending)).await?))
        }
        Leave::AfterEnrolment => {
            let pending = PendingSignIn::of_tokens(ChallengeName::MfaSetup.as_str(), member.user, tokens)?;
            Ok(ChallengeName::MfaSetup.answer(Box::pin(cx.suspend_to_enrol(&member, pending)).await?))
        }
    }
}

/// The member whom Cognito has handed tokens for.
///
/// # Errors
/// As [`after_password`].
pub(crate) async fn member<E: PublicEndpoint>(cx: &mut Public<'_, E>, tokens: &Tokens) -> Result<Membership> {
    let member = cx.member(tokens.subject()?.user).await;
    like_a_wrong_password(cx, member)
}

/// Opens the session of a member who has said, and given, all that they must.
///
/// # Errors
/// 403 where the policy does not let them in all the same; 503.
pub(crate) async fn open<E: PublicEndpoint>(
    cx: &mut Public<'_, E>,
    member: &Membership,
    tokens: Tokens,
    mfa_at: Option<Timestamp>,
) -> Result<SignedIn> {
    if cx.may_open_session(member, mfa_at).await? != Leave::Open {
        return Err(Error::Forbidden(Refusal::SignIn));
    }
    let session = tokens.subject()?.session;
    let pool_refresh = tokens.refresh.as_deref().ok_or(Error::internal("cognito refresh token"))?;
    let refresh = cx.open_session(member, session, pool_refresh, mfa_at).await?;
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
