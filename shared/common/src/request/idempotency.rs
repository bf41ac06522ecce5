//! Idempotency keys: a repeated request has no second effect, and gets the first one's answer.
//!
//! The record is committed with the change, so that neither exists without the other. If the endpoint reads a target, the record
//! is read with it; otherwise the commit's own condition finds it, and takes precedence over every other condition. The record
//! contains the sealed answer for 24 hours. An answer with a secret is not stored.
//!
//! A stored answer is returned only to a caller who could get it now. So a repeated request matches its record only if it is the
//! same request, for the same purpose of use and with the same authority: the kind of session, the roles that are valid now, an
//! API key's bounds, and the version of the membership, which covers grants, department and second factor. The policy is
//! evaluated as well, before the record is used.
//!
//! An answer with a secret cannot be repeated. The repetition gets an error that the secret was issued, with any authority, if it
//! is the same request for the same purpose.

use crate::{
    base::{Error, Principal, Purpose, Result, Timestamp, digest::hash},
    request::{
        Operation,
        headers::{Header, INVALID_KEY},
        http::{Request, Response},
        scope::Context,
    },
    store::{
        changes::{Condition, Op},
        item::{Item, Key, Row, Table},
    },
};
use phi::{FieldNumber, SealedBytes};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const LIVES: Duration = Duration::from_secs(24 * 60 * 60);
const TABLE: &str = "idempotency";
const ANSWER: FieldNumber = phi::field_number!(1);

/// The caller's key for one request, bound to tenant, principal and endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    key: Key,
    /// The hash of the request and its purpose of use.
    asked_hash: [u8; 32],
    /// The hash of these and of the caller's authority.
    request_hash: [u8; 32],
    /// The version of the caller's membership. It is not part of the hash, because a request may change it.
    membership: i64,
    /// The way for the caller to get another value that is shown once.
    issued_again: &'static str,
}

/// For endpoints that do not define it.
const ISSUED_AGAIN: &str = "the answer was shown once and is not kept: send the request again under another `Idempotency-Key`";

/// The stored parts of an answer, which make the repeated answer equal.
#[derive(Debug, Serialize, Deserialize)]
struct StoredAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// The touched and disclosed items, for the audit event of a repetition.
    resources: Vec<(String, String)>,
    disclosed: Vec<String>,
    #[serde(default)]
    redacted: Vec<String>,
}

/// The answer's headers that belong to the change and not to the individual request.
const KEPT: [&str; 3] = ["content-type", "etag", "location"];

impl Claim {
    /// The claim of a request's `Idempotency-Key`, if it has one.
    ///
    /// # Errors
    /// 400 if the key is empty, longer than 255 characters or not printable ASCII.
    pub(crate) fn of<E: Operation>(request: &Request, who: &Principal, purpose: Option<Purpose>) -> Result<Option<Self>> {
        let Some(value) = request.headers.value(Header::IdempotencyKey) else { return Ok(None) };
        let key = value.as_bytes();
        if !(1..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            return Err(INVALID_KEY);
        }
        let name = hash(&[who.user().to_string().as_bytes(), E::NAME.as_bytes(), key]);
        let path: Vec<_> = request.path.iter().flat_map(|(k, v)| [k.as_bytes(), v.as_bytes()]).collect();
        let body = request.body.as_deref().unwrap_or_default();
        // A missing and an empty `If-Match` are different requests; the second is refused.
        let if_match: Vec<_> = request.headers.value(Header::IfMatch).into_iter().map(http::HeaderValue::as_bytes).collect();
        let mut roles: Vec<_> = who.roles().iter().map(|role| role.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        let bounds = serde_json::to_vec(&who.bounds).map_err(|_| Error::internal("bounds"))?;
        let purpose = purpose.map_or("", Purpose::as_str).as_bytes();
        let authority =
            [purpose, who.kind.as_str().as_bytes(), &hash(&roles.iter().map(|r| r.as_bytes()).collect::<Vec<_>>()), &bounds];
        let request_hash = hash(&[&authority[..], &path, &if_match, &[body]].concat());
        // Each part is hashed separately, so that text cannot move between parts.
        let asked_hash = hash(&[purpose, &hash(&path), &hash(&if_match), body]);
        let (membership, issued_again) = (who.membership_version, E::ISSUED_AGAIN.unwrap_or(ISSUED_AGAIN));
        Ok(Some(Self { key: named(&name), asked_hash, request_hash, membership, issued_again }))
    }

    /// The claim of the `index`th item of a batch.
    pub(crate) fn item(&self, index: usize) -> Self {
        let name = hash(&[self.key.place().as_bytes(), index.to_string().as_bytes()]);
        Self { key: named(&name), ..self.clone() }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }
    pub(crate) fn request_hash(&self) -> [u8; 32] {
        self.request_hash
    }
    pub(crate) fn membership(&self) -> i64 {
        self.membership
    }
    /// The expiry of a record that is written now.
    pub(crate) fn until(&self, now: Timestamp) -> Timestamp {
        now.plus(LIVES)
    }

    /// The operation that stores the answer. It must be the commit's last. `changes_membership` means that the commit increases
    /// the version of the caller's own membership.
    pub(crate) async fn store(&self, context: &Context<'_>, response: &Response, changes_membership: bool) -> Result<Op> {
        let now = context.now;
        let item = Item::new(self.key.clone())
            .bytes("request_hash", self.request_hash)
            .number("membership", self.membership)
            .number("membership_after", self.membership + i64::from(changes_membership))
            .number("expires_at", self.until(now).as_secs());
        // A value that is shown once is not stored; the record only shows that there was an answer.
        let item = if response.issues {
            item.bytes("asked_hash", self.asked_hash)
        } else {
            item.bytes("sealed", self.seal(context, response).await?)
        };
        Ok(Op::Put { table: Table::Ephemera, item, condition: Some(Condition::AbsentOrExpired { now_secs: now.as_secs() }) })
    }

    async fn seal(&self, context: &Context<'_>, response: &Response) -> Result<Vec<u8>> {
        let (deps, tenant) = (context.deps, context.principal.tenant());
        let headers = KEPT.iter().filter_map(|name| response.headers.get(*name).map(|v| (*name, v)));
        let answer = StoredAnswer {
            status: response.status,
            headers: headers.filter_map(|(name, v)| Some((name.to_owned(), v.to_str().ok()?.to_owned()))).collect(),
            body: String::from_utf8(response.body.clone()).map_err(|_| Error::internal("idempotency"))?,
            resources: context.trace.with(|t| t.aimed_at.iter().chain(&t.touched).cloned().collect()),
            disclosed: context.trace.with(|t| t.disclosed.iter().map(ToString::to_string).collect()),
            redacted: context.trace.with(|t| t.redacted.iter().map(ToString::to_string).collect()),
        };
        let bytes = serde_json::to_vec(&answer).map_err(|_| Error::internal("idempotency"))?;
        deps.keyring.of(tenant).seal_bytes(TABLE, self.key.place(), ANSWER, &bytes).await
    }

    /// Whether `row` belongs to this request and authority. A record without a membership version was written by an older version
    /// of the code, whose hash did not cover purpose and authority, so its answer must not be returned.
    fn is_of(&self, row: &Row) -> Result<bool> {
        let range = row.maybe_number("membership").zip(row.maybe_number("membership_after"));
        let same_membership = range.is_some_and(|(from, to)| (from..=to).contains(&self.membership));
        Ok(same_membership && row.bytes("request_hash")? == self.request_hash)
    }

    /// The answer in `row`, if it belongs to this request and has not expired. The request's trace becomes that of the first
    /// request, because this one's own work is discarded.
    ///
    /// # Errors
    /// 422 `idempotency_mismatch` if the key was used for another request, purpose or authority; 409 `already_issued` if the
    /// answer contained a value that is shown once.
    pub(crate) async fn replay(&self, context: &Context<'_>, row: &Row) -> Result<Option<Response>> {
        let (deps, tenant, now) = (context.deps, context.principal.tenant(), context.now);
        if row.number("expires_at")? < now.as_secs() {
            return Ok(None);
        }
        // Older versions did not store the hash of the request without the authority.
        let issued = row.maybe_bytes("asked_hash").is_some_and(|asked| asked == self.asked_hash);
        if !issued && !self.is_of(row)? {
            return Err(Error::IdempotencyMismatch);
        }
        let Some(sealed) = row.maybe_bytes("sealed") else { return Err(Error::conflict("already_issued", self.issued_again)) };
        let sealed = SealedBytes::parse(sealed.to_vec()).map_err(|_| Error::internal("idempotency"))?;
        let bytes = deps.keyring.of(tenant).open_bytes(TABLE, self.key.place(), ANSWER, &sealed).await?;
        let answer: StoredAnswer = serde_json::from_slice(&bytes).map_err(|_| Error::internal("idempotency"))?;
        context.trace.with(|t| {
            t.aimed_at.clear();
            t.touched = answer.resources;
            t.disclosed = answer.disclosed.into_iter().map(Into::into).collect();
            t.redacted = answer.redacted.into_iter().map(Into::into).collect();
        });
        let mut response = Response::json(answer.status, answer.body.into_bytes());
        for (name, value) in answer.headers {
            if let Some(name) = KEPT.iter().find(|k| **k == name) {
                response.set(name, &value);
            }
        }
        response.set("idempotency-replayed", "true");
        Ok(Some(response))
    }
}

fn named(hash: &[u8; 32]) -> Key {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    Key::new(format!("IDEMPOTENCY#{}", URL_SAFE_NO_PAD.encode(hash)), "ANSWER")
}
