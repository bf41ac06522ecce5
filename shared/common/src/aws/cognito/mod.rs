//! Cognito, which stores passwords. Only endpoints for signing in and passwords call it; the rest of a request does not depend on
//! it.

mod admin;
mod password;
mod sent;

pub(crate) use admin::IfThere;
use password::NotAPassword;
use sent::Sent;

use crate::{
    aws::errors::cause,
    base::{Config, Error, Result, SessionId, UserId, error::Cause},
};
use aws_lc_rs::hmac;
use aws_sdk_cognitoidentityprovider::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{AuthFlowType, AuthenticationResultType, ChallengeNameType},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use std::fmt;
use tokio::sync::OnceCell;

/// The field of the token of a sign-in e-mail.
pub const EMAIL_TOKEN_FIELD: &str = crate::base::config::EMAIL_FIELD;

const SERVICE: &str = "cognito";

/// The user pool, through its only app client.
pub struct Cognito {
    client: Client,
    pool: String,
    app: String,
    secret: OnceCell<String>,
}

impl fmt::Debug for Cognito {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cognito").field("pool", &self.pool).field("app", &self.app).finish_non_exhaustive()
    }
}

/// Cognito's answer to a password, or to the answer of a challenge.
#[derive(Debug)]
pub enum SignIn {
    Done(Tokens),
    /// The password was temporary. `session` belongs to the answer of the challenge.
    NewPasswordRequired {
        user: String,
        session: String,
    },
    /// Wrong, unknown, disabled or locked. The caller never learns which.
    Refused,
    /// The new password does not meet the pool's rules.
    WeakPassword,
}

/// Cognito's tokens. The refresh token is stored only in the session item, sealed.
pub struct Tokens {
    pub access: String,
    pub id: String,
    pub refresh: Option<String>,
    pub expires_in: i32,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}

/// The user and session of a token.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    pub user: UserId,
    pub session: SessionId,
}

impl Tokens {
    /// Reads the access token's claims. Cognito itself sent it over TLS in answer to our call; its signature is verified when a
    /// client presents it.
    ///
    /// # Errors
    /// Internal if the pool's users are not ours.
    pub fn subject(&self) -> Result<Subject> {
        #[derive(Deserialize)]
        struct Claims {
            username: String,
            origin_jti: String,
        }
        let read = || {
            let claims = URL_SAFE_NO_PAD.decode(self.access.split('.').nth(1)?).ok()?;
            let claims: Claims = serde_json::from_slice(&claims).ok()?;
            Some(Subject { user: claims.username.parse().ok()?, session: SessionId::from_uuid(claims.origin_jti.parse().ok()?) })
        };
        read().ok_or(Error::internal("access token"))
    }
}

impl Cognito {
    pub(crate) fn new(client: Client, config: &Config) -> Self {
        Self { client, pool: config.user_pool_id.clone(), app: config.user_pool_client_id.clone(), secret: OnceCell::new() }
    }

    /// The app client's secret, which is fetched once in a process.
    async fn secret(&self) -> Result<&str> {
        let ask = async || {
            let asked = self.client.describe_user_pool_client().user_pool_id(&self.pool).client_id(&self.app).send().await;
            let client = asked.map_err(|e| unavailable(&e))?.user_pool_client;
            client.and_then(|c| c.client_secret).ok_or(Error::internal("app client secret"))
        };
        self.secret.get_or_try_init(ask).await.map(String::as_str)
    }

    /// Proves to Cognito that the caller is the app client: base64(HMAC-SHA-256(secret, username ‖ client id)).
    async fn secret_hash(&self, username: &str) -> Result<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret().await?.as_bytes());
        Ok(STANDARD.encode(hmac::sign(&key, format!("{username}{}", self.app).as_bytes())))
    }

    /// Tries the prepared password and, if that differs, the password as it was given: the pool contains
    /// passwords from before the preparation in their typed form.
    ///
    /// # Errors
    /// 503 if Cognito does not answer.
    pub async fn password(&self, email: &str, given: &str) -> Result<SignIn> {
        match password::prepared(given) {
            Ok(prepared) if prepared.as_str() == given => self.try_password(email, given).await,
            Ok(prepared) => match self.try_password(email, &prepared).await? {
                SignIn::Refused => self.try_password(email, given).await,
                said => Ok(said),
            },
            Err(NotAPassword) => self.try_password(email, given).await,
        }
    }

    async fn try_password(&self, email: &str, password: &str) -> Result<SignIn> {
        let sent = self
            .client
            .admin_initiate_auth()
            .user_pool_id(&self.pool)
            .client_id(&self.app)
            .auth_flow(AuthFlowType::AdminUserPasswordAuth)
            .auth_parameters("USERNAME", email)
            .auth_parameters("PASSWORD", password)
            .auth_parameters("SECRET_HASH", self.secret_hash(email).await?)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                outcome(answer.authentication_result, answer.challenge_name, answer.session, answer.challenge_parameters)
            }
            Err(e) => refused_or_unavailable(&e),
        }
    }

    /// # Errors
    /// 503 if Cognito does not answer.
    pub async fn new_password(&self, user: &str, session: &str, given: &str) -> Result<SignIn> {
        let Ok(password) = password::prepared(given) else { return Ok(SignIn::WeakPassword) };
        let sent = self
            .client
            .admin_respond_to_auth_challenge()
            .user_pool_id(&self.pool)
            .client_id(&self.app)
            .challenge_name(ChallengeNameType::NewPasswordRequired)
            .session(session)
            .challenge_responses("USERNAME", user)
            .challenge_responses("NEW_PASSWORD", password.as_str())
            .challenge_responses("SECRET_HASH", self.secret_hash(user).await?)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                outcome(answer.authentication_result, answer.challenge_name, answer.session, answer.challenge_parameters)
            }
            Err(e) => refused_or_unavailable(&e),
        }
    }

    /// New access and id tokens of the same `origin_jti`.
    ///
    /// # Errors
    /// 503 if Cognito does not answer.
    pub async fn refresh(&self, user: UserId, refresh: &str) -> Result<SignIn> {
        let user = user.to_string();
        let sent = self
            .client
            .admin_initiate_auth()
            .user_pool_id(&self.pool)
            .client_id(&self.app)
            .auth_flow(AuthFlowType::RefreshTokenAuth)
            .auth_parameters("REFRESH_TOKEN", refresh)
            .auth_parameters("SECRET_HASH", self.secret_hash(&user).await?)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                outcome(answer.authentication_result, answer.challenge_name, answer.session, answer.challenge_parameters)
            }
            Err(e) => refused_or_unavailable(&e),
        }
    }

    /// Whether it is the user's password. The tokens that Cognito issues for it are revoked.
    ///
    /// # Errors
    /// 503 if Cognito does not answer.
    pub async fn is_password(&self, user: UserId, password: &str) -> Result<bool> {
        let SignIn::Done(tokens) = self.password(&user.to_string(), password).await? else { return Ok(false) };
        if let Some(token) = tokens.refresh {
            let revoke = self.client.revoke_token().client_id(&self.app).client_secret(self.secret().await?).token(token);
            revoke.send().await.map_err(|e| unavailable(&e))?;
        }
        Ok(true)
    }

    /// Sets a user's password; false if it does not meet the pool's rules.
    ///
    /// # Errors
    /// 503 if Cognito does not answer.
    pub async fn set_password(&self, user: UserId, given: &str) -> Result<bool> {
        let Ok(password) = password::prepared(given) else { return Ok(false) };
        let set = self.client.admin_set_user_password().user_pool_id(&self.pool).username(user.to_string());
        let (set, sent) = (set.password(password.as_str()).permanent(true).customize(), Sent::default());
        let Err(e) = set.interceptor(sent.clone()).send().await else { return Ok(true) };
        let refused = refused_or_unavailable(&e)?;
        // If a retry is refused, the first attempt may have set the password, which is then in the history. The refusal of the
        // first attempt is final; otherwise the current password would count as a new one.
        if sent.more_than_once() && self.is_password(user, given).await? {
            return Ok(true);
        }
        match refused {
            SignIn::WeakPassword => Ok(false),
            _ => Err(Error::Unauthenticated(crate::base::AuthFailure::NoMembership)),
        }
    }
}

fn outcome(
    tokens: Option<AuthenticationResultType>,
    challenge: Option<ChallengeNameType>,
    session: Option<String>,
    parameters: Option<std::collections::HashMap<String, String>>,
) -> Result<SignIn> {
    match (tokens, challenge, session) {
        (Some(tokens), ..) => {
            let (Some(access), Some(id)) = (tokens.access_token, tokens.id_token) else {
                return Err(Error::internal("cognito tokens"));
            };
            Ok(SignIn::Done(Tokens { access, id, refresh: tokens.refresh_token, expires_in: tokens.expires_in }))
        }
        (None, Some(ChallengeNameType::NewPasswordRequired), Some(session)) => {
            let user = parameters.and_then(|p| p.get("USER_ID_FOR_SRP").cloned()).unwrap_or_default();
            Ok(SignIn::NewPasswordRequired { user, session })
        }
        (None, Some(other), _) => Err(Error::internal_because("cognito challenge", Cause::code(other.as_str()))),
        _ => Err(Error::internal("cognito answer")),
    }
}

fn refused_or_unavailable<E: ProvideErrorMetadata, R>(e: &SdkError<E, R>) -> Result<SignIn> {
    let code = match e {
        SdkError::ServiceError(e) => e.err().code(),
        _ => None,
    };
    match code {
        Some(
            "NotAuthorizedException"
            | "UserNotFoundException"
            | "UserNotConfirmedException"
            | "PasswordResetRequiredException"
            | "CodeMismatchException"
            | "ExpiredCodeException"
            | "InvalidParameterException",
        ) => Ok(SignIn::Refused),
        Some("InvalidPasswordException" | "PasswordHistoryPolicyViolationException") => Ok(SignIn::WeakPassword),
        _ => Err(unavailable(e)),
    }
}

fn unavailable<E: ProvideErrorMetadata, R>(e: &SdkError<E, R>) -> Error {
    Error::Unavailable { service: SERVICE, cause: cause(e) }
}
