//! Idempotency keys: a request that is repeated does nothing twice, and its twin gets the winner's answer.
//!
//! The record is committed with the change, so that the two cannot part. Where the endpoint reads a target, the record is
//! read with it; where it reads none, the commit's own condition finds it, and wins over every other. It holds the answer,
//! sealed, and lives for 24 hours. An answer that shows a secret is not in it.
//!
//! A stored answer is given only to a caller who could get it now. So a repeated request matches its record only if it is the same
//! request, for the same purpose of use and on the same authority: the kind of session, the roles that hold now, an API key's
//! bounds, and the version of the membership, which stands for grants, department and whether there is a second factor. The policy
//! is asked besides, before the record is looked at.
//!
//! Of an answer that showed a secret there is nothing to give. Whoever asked for it hears that it was issued, on whichever authority they
//! ask again, if it is the same request for the same purpose.

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
    /// Of the request and its purpose of use.
    asked_hash: [u8; 32],
    /// The same, and its caller's authority.
    request_hash: [u8; 32],
    /// The version of the caller's membership. It is no part of the hash, because a request may change it.
    membership: i64,
    /// How the caller gets another of what is shown once.
    issued_again: &'static str,
}

/// For endpoints that do not say how.
const ISSUED_AGAIN: &str = "the answer was shown once and is not kept: send the request again under another `Idempotency-Key`";

/// What is kept of an answer: what makes a twin's the same.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    /// What a twin's audit event says was touched and disclosed.
    resources: Vec<(String, String)>,
    disclosed: Vec<String>,
    #[serde(default)]
    redacted: Vec<String>,
}

/// The answer's headers that belong to the change, not to the request that asked for it.
const KEPT: [&str; 3] = ["content-type", "etag", "location"];

impl Claim {
    /// The claim of a request's `Idempotency-Key`, where it has one.
    ///
    /// # Errors
    /// 400 where the key is empty, longer than 255 or not printable ASCII.
    pub(crate) fn of<E: Operation>(request: &Request, who: &Principal, purpose: Option<Purpose>) -> Result<Option<Self>> {
        let Some(value) = request.headers.value(Header::IdempotencyKey) else { return Ok(None) };
        let key = value.as_bytes();
        if !(1..=255).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
            return Err(INVALID_KEY);
        }
        let name = hash(&[who.user().to_string().as_bytes(), E::NAME.as_bytes(), key]);
        let path: Vec<_> = request.path.iter().flat_map(|(k, v)| [k.as_bytes(), v.as_bytes()]).collect();
        let body = request.body.as_deref().unwrap_or_default();
        // None and an empty one are two requests, of which the second is refused.
        let if_match: Vec<_> = request.headers.value(Header::IfMatch).into_iter().map(http::HeaderValue::as_bytes).collect();
        let mut roles: Vec<_> = who.roles().iter().map(|role| role.as_str()).collect();
        roles.sort_unstable();
        roles.dedup();
        let bounds = serde_json::to_vec(&who.bounds).map_err(|_| Error::internal("bounds"))?;
        let purpose = purpose.map_or("", Purpose::as_str).as_bytes();
        let authority =
            [purpose, who.kind.as_str().as_bytes(), &hash(&roles.iter().map(|r| r.as_bytes()).collect::<Vec<_>>()), &bounds];
        let request_hash = hash(&[&authority[..], &path, &if_match, &[body]].concat());
        // A list for each, so that what one of them lacks is not found in the next.
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
    /// When a record that is written now may be forgotten.
    pub(crate) fn until(&self, now: Timestamp) -> Timestamp {
        now.plus(LIVES)
    }

    /// The operation that stores the answer. It must be the commit's last. `changes_membership` says that the caller's own
    /// membership has its next version then.
    pub(crate) async fn store(&self, context: &Context<'_>, response: &Response, changes_membership: bool) -> Result<Op> {
        let now = context.now;
        let item = Item::new(self.key.clone())
            .bytes("request_hash", self.request_hash)
            .number("membership", self.membership)
            .number("membership_after", self.membership + i64::from(changes_membership))
            .number("expires_at", self.until(now).as_secs());
        // What is shown once is kept nowhere: that there was an answer is all that is said of it.
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
        let answer = Answer {
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

    /// Whether `row` is of this request and authority. A record that says nothing of a membership was written by an older version,
    /// whose hash did not cover purpose and authority: nobody can tell whether its answer may be given.
    fn is_of(&self, row: &Row) -> Result<bool> {
        let range = row.maybe_number("membership").zip(row.maybe_number("membership_after"));
        let same_membership = range.is_some_and(|(from, to)| (from..=to).contains(&self.membership));
        Ok(same_membership && row.bytes("request_hash")? == self.request_hash)
    }

    /// The answer that `row` holds, if it is this request's and has not expired. The request's trace becomes that of the
    /// first: whatever this one did is not going to happen.
    ///
    /// # Errors
    /// 422 `idempotency_mismatch` where the key was used for another request, purpose or authority; 409 `already_issued` where the
    /// answer showed something that is shown once.
    pub(crate) async fn replay(&self, context: &Context<'_>, row: &Row) -> Result<Option<Response>> {
        let (deps, tenant, now) = (context.deps, context.principal.tenant(), context.now);
        if row.number("expires_at")? < now.as_secs() {
            return Ok(None);
        }
        // Functions of before did not note what was asked for apart from the authority.
        let issued = row.maybe_bytes("asked_hash").is_some_and(|asked| asked == self.asked_hash);
        if !issued && !self.is_of(row)? {
            return Err(Error::IdempotencyMismatch);
        }
        let Some(sealed) = row.maybe_bytes("sealed") else { return Err(Error::conflict("already_issued", self.issued_again)) };
        let sealed = SealedBytes::parse(sealed.to_vec()).map_err(|_| Error::internal("idempotency"))?;
        let bytes = deps.keyring.of(tenant).open_bytes(TABLE, self.key.place(), ANSWER, &sealed).await?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| Error::internal("idempotency"))?;
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
