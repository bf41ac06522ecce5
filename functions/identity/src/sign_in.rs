//! The common parts of login and challenge: the answers, and opening the session.

use common::{
    aws::cognito::Tokens,
    base::{AuthFailure, Error, Refusal, Result, Timestamp},
    identity::{Membership, PendingSignIn, RefreshToken},
    request::{Issued, Public, PublicEndpoint, SignInStep},
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

/// The tokens of a signed-in caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TokenSet {
    /// For `Authorization: Bearer`.
    pub access_token: Issued,
    /// Identifies the user, for the client's own use. No endpoint accepts it.
    pub id_token: Issued,
    /// Valid for one refresh, which returns the next one.
    pub refresh_token: Issued,
    /// The lifetime of the access token, in seconds.
    pub expires_in: i32,
    pub token_type: TokenType,
}

#[derive(Debug, Serialize, JsonSchema)]
pub enum TokenType {
    Bearer,
}

/// A challenge to answer before tokens are issued.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pending {
    pub challenge: ChallengeName,
    /// Identifies this sign-in in the answer. Valid for five minutes and five tries; to enrol a second factor, for ten minutes.
    pub session: Issued,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChallengeName {
    /// The password was temporary: choose a new one.
    NewPasswordRequired,
    /// A code of the authenticator, or a recovery code, is required.
    Totp,
    /// A second factor is required and does not exist: enrol one, with `session` as the bearer token.
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

/// Continues a sign-in after the right password: signs the user in, requests their second factor, or lets them enrol one. No
/// tokens are returned before.
///
/// # Errors
/// 401 without an active membership, 403 if the user may not sign in now or from this network; 503.
pub(crate) async fn after_password<E: PublicEndpoint>(cx: &mut Public<'_, E>, tokens: Tokens) -> Result<SignedIn> {
    let member = member(cx, &tokens).await?;
    match cx.may_open_session(&member, None).await? {
        SignInStep::Open => Box::pin(open(cx, &member, tokens, None)).await,
        SignInStep::AfterSecondFactor => {
            let pending = PendingSignIn::of_tokens(ChallengeName::Totp.as_str(), member.user, tokens)?;
            Ok(ChallengeName::Totp.answer(Box::pin(cx.suspend(&pending)).await?))
        }
        SignInStep::AfterEnrolment => {
            let pending = PendingSignIn::of_tokens(ChallengeName::MfaSetup.as_str(), member.user, tokens)?;
            Ok(ChallengeName::MfaSetup.answer(Box::pin(cx.suspend_to_enrol(&member, pending)).await?))
        }
    }
}

/// The member to whom Cognito issued tokens.
///
/// # Errors
/// As [`after_password`].
pub(crate) async fn member<E: PublicEndpoint>(cx: &mut Public<'_, E>, tokens: &Tokens) -> Result<Membership> {
    let member = cx.member(tokens.subject()?.user).await;
    like_a_wrong_password(cx, member)
}

/// Opens the session of a member who has passed all challenges.
///
/// # Errors
/// 403 if the policy nevertheless denies it; 503.
pub(crate) async fn open<E: PublicEndpoint>(
    cx: &mut Public<'_, E>,
    member: &Membership,
    tokens: Tokens,
    mfa_at: Option<Timestamp>,
) -> Result<SignedIn> {
    if cx.may_open_session(member, mfa_at).await? != SignInStep::Open {
        return Err(Error::Forbidden(Refusal::SignIn));
    }
    let session = tokens.subject()?.session;
    let pool_refresh = tokens.refresh.as_deref().ok_or(Error::internal("cognito refresh token"))?;
    let refresh = cx.open_session(member, session, pool_refresh, mfa_at).await?;
    Ok(SignedIn::Tokens(TokenSet::of(tokens, &refresh)))
}

/// A user without a membership gets the answer of a wrong password; the log has the real reason.
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
