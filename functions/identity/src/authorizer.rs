//! The function that API Gateway calls with every bearer token. It verifies Cognito's access tokens under the pool's own keys.

use crate::{
    jwks::{FetchError, FetchJwks, Jwks, KeyError, MAX_DOCUMENT_BYTES},
    token::{AccessClaims, TokenError, Verifier},
};
use common::{
    aws::Aws,
    base::{Config, SessionId, Timestamp},
    request::authorizer::{Authorizer, TokenRefused, VerifiedToken},
};

/// Verifies tokens of the deployment's user pool and app client.
#[derive(Debug)]
pub struct CognitoAuthorizer {
    verifier: Verifier,
    keys: Jwks<PoolKeys>,
}

impl Authorizer for CognitoAuthorizer {
    fn new(config: &Config, aws: &Aws) -> Self {
        let pool = &config.user_pool_id;
        Self {
            verifier: Verifier::new(issuer(pool, aws.region()), config.user_pool_client_id.clone()),
            keys: Jwks::new(PoolKeys { url: keys_url(pool, aws), aws: aws.clone() }),
        }
    }

    async fn verify(&self, token: &str, now: Timestamp) -> Result<VerifiedToken, TokenRefused> {
        let because = |e: TokenError| TokenRefused::Because(e.code());
        let now = now.as_secs();
        let header = self.verifier.header(token).map_err(because)?;
        let key = self.keys.key(&header.kid, now).await.map_err(|e| match e {
            KeyError::Unknown => because(TokenError::KidUnknown),
            KeyError::Unavailable => TokenRefused::Unavailable,
        })?;
        read(&self.verifier.verify(token, &key, now).map_err(because)?)
    }
}

/// Converts the claims to our own types. A pool user that we did not create has a username in another form and no tenant.
fn read(claims: &AccessClaims) -> Result<VerifiedToken, TokenRefused> {
    let user = claims.username.parse().map_err(|_| TokenRefused::Because("username"))?;
    let session = claims.origin_jti.parse().map_err(|_| TokenRefused::Because("origin_jti"))?;
    let expires_at = claims.exp.checked_mul(1000).map(Timestamp::from_millis).ok_or(TokenRefused::Because("claim"))?;
    Ok(VerifiedToken { user, session: SessionId::from_uuid(session), expires_at })
}

/// The issuer of the pool's tokens, byte by byte as in `iss`. It is always AWS's name for the pool, even if an emulator serves
/// it; then [`keys_url`] points elsewhere. A pool's id begins with its region.
///
/// Source: "Verifying JSON web tokens" in the Amazon Cognito developer guide.
fn issuer(pool: &str, region: &str) -> String {
    let region = pool.split_once('_').map_or(region, |(region, _)| region);
    format!("https://cognito-idp.{region}.amazonaws.com/{pool}")
}

/// The URL of the pool's keys: under the issuer, or under the configured endpoint of Cognito.
fn keys_url(pool: &str, aws: &Aws) -> String {
    let base = match aws.endpoint("COGNITO_IDENTITY_PROVIDER") {
        Some(endpoint) => format!("{}/{pool}", endpoint.trim_end_matches('/')),
        None => issuer(pool, aws.region()),
    };
    format!("{base}/.well-known/jwks.json")
}

/// Fetches the pool's key document, over the shared connections.
#[derive(Debug)]
struct PoolKeys {
    aws: Aws,
    url: String,
}

impl FetchJwks for PoolKeys {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        self.aws.get(&self.url, MAX_DOCUMENT_BYTES).await.map_err(|why| FetchError(why.to_owned()))
    }
}

#[cfg(test)]
mod tests;
