//! Verifies Amazon Cognito access tokens, without any input or output.
//!
//! A token is checked strictly and in one order: size, shape, header, signature, claims. Only RS256 is accepted, under a key that
//! the caller fetched from the pool's own JWKS, so a token's statements about its own key or algorithm are never followed. The
//! library only verifies the signature: its checks of claims read the system clock and accept missing claims.
//!
//! Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (JWT best practices), and the page "Verifying JSON web tokens" of the Amazon
//! Cognito developer guide.
//!
//! This does NOT show that the session is still live, that the user is enabled, or to which tenant they belong.

mod members;
mod public_key;
#[cfg(test)]
pub(crate) mod test_keys;
#[cfg(test)]
mod tests;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use members::{Members, NotMembers};
pub use public_key::{KeyRefused, PublicKey};

/// The longest token that is examined, in bytes. Cognito's access tokens have about 1 KB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// How far, in seconds, the issuer's clock may be ahead of ours. It applies to `iat` and `nbf`, for a token that is used
/// immediately. It never extends `exp`.
pub const LEEWAY_SECONDS: i64 = 5;

/// Header members with which a token could bring its own key (RFC 7515, sections 4.1.2 to 4.1.8).
const EMBEDDED_KEY: [&str; 6] = ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"];

/// Header members that change how a token must be processed (RFC 7515, section 4.1.11; RFC 7797).
const CRITICAL: [&str; 2] = ["crit", "b64"];

/// Header members of encrypted, compressed or nested tokens, which we never issue (RFC 7516; RFC 7519, section 5.2).
const NESTED: [&str; 3] = ["enc", "zip", "cty"];

/// Verifies access tokens of one app client of one user pool.
#[derive(Debug, Clone)]
pub struct Verifier {
    issuer: String,
    client_id: String,
}

/// An unverified token's header. Use it only to find the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedHeader {
    /// The id of the key that allegedly signed the token.
    pub kid: String,
}

/// The claims of a verified token. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Cognito's own id of the user.
    pub sub: String,
    /// Name of the user in the pool.
    pub username: String,
    /// Id shared by every token of one sign-in, through all refreshes: the session's key.
    pub origin_jti: String,
    /// Id of this token.
    pub jti: String,
    /// The first second in which the token is no longer valid.
    pub exp: i64,
    /// When the token was issued.
    pub iat: i64,
    /// The time at which the user last entered their password, if Cognito gives it.
    pub auth_time: Option<i64>,
    /// The app client to which it was issued.
    pub client_id: String,
}

/// The reason why a token is refused. It is for logs and audit events; the caller only gets 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is too long")]
    TooLarge,
    /// It is not three base64url segments, or header or payload is not one JSON object in UTF-8.
    #[error("the token is malformed")]
    Malformed,
    /// Header or claims name a member twice.
    #[error("the token names a member twice")]
    DuplicateMember,
    /// `alg` is anything but RS256.
    #[error("the algorithm is not RS256")]
    Alg,
    /// `typ` is present and is not `JWT`.
    #[error("the type is not JWT")]
    Typ,
    /// The header requires processing that we do not support.
    #[error("the header has critical extensions")]
    Crit,
    /// The header contains a key or a URL of one.
    #[error("the header brings its own key")]
    EmbeddedKey,
    /// The header is that of an encrypted, compressed or nested token.
    #[error("the header is not that of a plain signed token")]
    Nested,
    /// The header has no key id.
    #[error("the key id is missing")]
    KidMissing,
    /// The pool has no such key, or the given key is a different one.
    #[error("the key id is unknown")]
    KidUnknown,
    /// The signature does not match this key, header and payload.
    #[error("the signature is wrong")]
    Signature,
    /// A claim is missing, empty or of the wrong type.
    #[error("the claim `{0}` is missing or malformed")]
    Claim(&'static str),
    /// Issued by another user pool.
    #[error("the token is from another issuer")]
    Issuer,
    /// Issued to another app client.
    #[error("the token is for another app client")]
    ClientId,
    /// Not an access token.
    #[error("the token is not an access token")]
    TokenUse,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInFuture,
}

impl TokenError {
    /// A code for logs and audit events that stays the same between releases.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::DuplicateMember => "duplicate_member",
            Self::Alg => "alg",
            Self::Typ => "typ",
            Self::Crit => "crit",
            Self::EmbeddedKey => "embedded_key",
            Self::Nested => "nested",
            Self::KidMissing => "kid_missing",
            Self::KidUnknown => "kid_unknown",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Issuer => "iss",
            Self::ClientId => "client_id",
            Self::TokenUse => "token_use",
            Self::Expired => "expired",
            Self::NotYetValid => "nbf",
            Self::IssuedInFuture => "iat",
        }
    }
}

impl From<NotMembers> for TokenError {
    fn from(why: NotMembers) -> Self {
        match why {
            NotMembers::Malformed => Self::Malformed,
            NotMembers::Duplicate => Self::DuplicateMember,
        }
    }
}

impl Verifier {
    /// `issuer` is the pool's URL, `https://cognito-idp.<region>.amazonaws.com/<pool id>`, compared byte by byte.
    pub fn new(issuer: String, client_id: String) -> Self {
        Self { issuer, client_id }
    }

    /// Reads the key id of a token, and refuses every header that would not be accepted under any key.
    pub fn header(&self, token: &str) -> Result<UnverifiedHeader, TokenError> {
        let header = Members::parse(&decode(Segments::split(token)?.header)?)?;
        if header.get("alg").and_then(|alg| alg.as_str()) != Some("RS256") {
            return Err(TokenError::Alg);
        }
        if header.get("typ").is_some_and(|typ| typ != "JWT") {
            return Err(TokenError::Typ);
        }
        if header.contains_any(&CRITICAL) {
            return Err(TokenError::Crit);
        }
        if header.contains_any(&EMBEDDED_KEY) {
            return Err(TokenError::EmbeddedKey);
        }
        if header.contains_any(&NESTED) {
            return Err(TokenError::Nested);
        }
        let kid = header.text("kid").ok_or(TokenError::KidMissing)?.to_owned();
        Ok(UnverifiedHeader { kid })
    }

    /// Verifies `token` under `key` at the time `now`, in seconds since 1970.
    ///
    /// Claims are read only after the signature is verified. `aud` is ignored, because access tokens have none.
    pub fn verify(&self, token: &str, key: &PublicKey, now: i64) -> Result<AccessClaims, TokenError> {
        if self.header(token)?.kid != key.kid() {
            return Err(TokenError::KidUnknown);
        }
        let segments = Segments::split(token)?;
        if !key.signed(segments.signed.as_bytes(), segments.signature) {
            return Err(TokenError::Signature);
        }
        let claims = Members::parse(&decode(segments.payload)?)?;
        self.check_origin(&claims)?;
        check_times(&claims, now)?;
        Ok(AccessClaims {
            sub: text(&claims, "sub")?.to_owned(),
            username: text(&claims, "username")?.to_owned(),
            origin_jti: text(&claims, "origin_jti")?.to_owned(),
            jti: text(&claims, "jti")?.to_owned(),
            exp: seconds(&claims, "exp")?,
            iat: seconds(&claims, "iat")?,
            auth_time: optional_seconds(&claims, "auth_time")?,
            client_id: self.client_id.clone(),
        })
    }

    /// Whether it is an access token, from our pool, for our client.
    fn check_origin(&self, claims: &Members) -> Result<(), TokenError> {
        if text(claims, "iss")? != self.issuer {
            return Err(TokenError::Issuer);
        }
        if text(claims, "token_use")? != "access" {
            return Err(TokenError::TokenUse);
        }
        if text(claims, "client_id")? != self.client_id {
            return Err(TokenError::ClientId);
        }
        Ok(())
    }
}

fn check_times(claims: &Members, now: i64) -> Result<(), TokenError> {
    let latest = now.saturating_add(LEEWAY_SECONDS);
    if seconds(claims, "exp")? <= now {
        return Err(TokenError::Expired);
    }
    if seconds(claims, "iat")? > latest {
        return Err(TokenError::IssuedInFuture);
    }
    if optional_seconds(claims, "nbf")?.is_some_and(|nbf| nbf > latest) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

fn text<'a>(claims: &'a Members, name: &'static str) -> Result<&'a str, TokenError> {
    claims.text(name).ok_or(TokenError::Claim(name))
}

fn seconds(claims: &Members, name: &'static str) -> Result<i64, TokenError> {
    claims.integer(name).ok_or(TokenError::Claim(name))
}

fn optional_seconds(claims: &Members, name: &'static str) -> Result<Option<i64>, TokenError> {
    claims.get(name).map(|_| seconds(claims, name)).transpose()
}

/// Base64url without padding and without unused bits, so that a value has exactly one text.
fn decode(segment: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenError::Malformed)
}

/// The compact serialization, split at its two dots (RFC 7515, section 7.1).
struct Segments<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header, dot and payload: the signed text.
    signed: &'a str,
}

impl<'a> Segments<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        Ok(Self { header, payload, signature, signed })
    }
}
