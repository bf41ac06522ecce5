//! The carrier's pushes, and the items that wait for them.
//!
//! UPS's Track Alert has no signature and, in version 2, no destination that could identify the tenant: one account has one
//! webhook. So a subscription leaves an item of the platform's. Its key is the search token of the number under the platform's
//! own key, and it contains the tenants' items that wait for news of the number. A push is a hint: it makes those items due, and
//! the following poll confirms it. The content of a push is neither stored nor trusted, and a push for an unknown number gets the
//! same answer.
//!
//! UPS presents a token that it has fetched from us with the credentials that it was given. The token is stored as a hash.

use crate::{
    base::{Error, Result, TenantId, Timestamp, digest::hash, error::AuthFailure, need::needs, network::network},
    capabilities::AskCarrier,
    request::{
        Issued, Public, PublicEndpoint,
        deps::Deps,
        headers::Header,
        http::Request,
        input::{Input, InputSchema},
        scheme::credentials,
    },
    store::{
        RateLimit,
        changes::{Condition, Op},
        dynamodb::{Db, Query, Update},
        item::{Index, Item, Key, Table, prefixed},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use phi::Zeroizing;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::{fmt, time::Duration};
use ups::{MAX_ALERT, Number, TrackAlert};

/// The lifetime of a token that the carrier fetches from us.
const TOKEN_FOR: Duration = Duration::from_secs(60 * 60);
/// The lifetime of a watch entry: the 14 days of a subscription, and a day more.
const WATCHED_FOR: Duration = Duration::from_secs(15 * 24 * 60 * 60);
/// The number of items that are written concurrently.
const IN_FLIGHT: usize = 8;
/// The largest number of tenants that wait for one number.
const MOST_WATCHERS: u32 = 100;

/// The attribute of an item that was due at a push: the time of the push. A poll that finds that it has changed meanwhile is
/// repeated.
pub const HINTED_AT: &str = "hinted_at";

/// An item on a list of due items, which becomes due when the carrier has news of a number.
#[derive(Clone, Debug)]
pub struct Watched {
    pub number: Number,
    pub key: Key,
    pub list: &'static str,
}

impl AskCarrier<'_> {
    /// Lets the carrier's pushes for these numbers make this tenant's items due.
    ///
    /// # Errors
    /// 503 if DynamoDB or KMS does not answer.
    pub async fn watch(&self, tenant: TenantId, items: &[Watched], now: Timestamp) -> Result<()> {
        let deps = self.deps();
        let put = async |watched: &Watched| {
            let item = Item::new(Key::new(partition(deps, &watched.number).await?, format!("{tenant}#{}", watched.key.place())))
                .text("tenant_id", tenant)
                .text("partition", watched.key.place())
                .text("sort", watched.key.sort())
                .text("list", watched.list)
                .number("expires_at", now.plus(WATCHED_FOR).as_secs());
            deps.db.put(TenantId::PLATFORM, Table::Ephemera, item).await
        };
        stream::iter(items).map(put).buffer_unordered(IN_FLIGHT).try_collect().await
    }
}

/// The key for a number, which does not contain the number.
async fn partition(deps: &Deps, number: &Number) -> Result<String> {
    let token = deps.keyring.of(TenantId::PLATFORM).search_token("carrier.number", number.expose()).await?;
    Ok(format!("WATCH#{token}"))
}

impl<E: PublicEndpoint> Public<'_, E> {
    /// Issues a token for the carrier's pushes, if the credentials are the carrier's.
    ///
    /// # Errors
    /// 401 for other credentials, and 429 for an address with too many wrong ones; 503 if the secret cannot be read.
    pub async fn admit_carrier(&mut self, request: &TokenRequest) -> Result<CarrierToken> {
        needs!(E, Carrier);
        let Some((id, secret)) = request.client.as_ref() else { return Err(self.wrong_credentials().await) };
        let (known, _) = self.deps.services.carrier()?.known(self.now(), false).await?;
        if !known.is_the_carrier(id, secret) {
            return Err(self.wrong_credentials().await);
        }
        let token = URL_SAFE_NO_PAD.encode(crate::base::random::bytes::<32>());
        let item = Item::new(token_key(&token)).number("expires_at", self.now().plus(TOKEN_FOR).as_secs());
        let op = Op::Put { table: Table::Ephemera, item, condition: Some(Condition::Absent) };
        self.writes.ops.push((TenantId::PLATFORM, op, Error::internal("token is taken")));
        Ok(CarrierToken { access_token: Issued::new(token), token_type: "Bearer", expires_in: TOKEN_FOR.as_secs() })
    }

    /// Uses a push as a hint: makes the items due that wait for news of its number, and returns their number.
    ///
    /// # Errors
    /// 401 without a valid token, and 429 for an address without one too often; 400 if it is not a push; 503 if DynamoDB or KMS
    /// does not answer.
    pub async fn take_hint(&mut self, body: &PushBody) -> Result<usize> {
        needs!(E, Search, Write);
        let Some(token) = self.request.header(Header::Authorization).and_then(|value| credentials(value, "Bearer")) else {
            return Err(self.wrong_credentials().await);
        };
        let shown = self.deps.db.get(TenantId::PLATFORM, Table::Ephemera, &token_key(token)).await?;
        let live = shown.and_then(|row| row.maybe_number("expires_at")).is_some_and(|at| at > self.now().as_secs());
        if !live {
            return Err(self.wrong_credentials().await);
        }
        let push =
            TrackAlert::parse(&body.0).map_err(|_| Error::bad_request("malformed_push", "the body is not a tracking event"))?;
        let watchers = Query::partition(Table::Ephemera, partition(self.deps, &push.number).await?).limit(MOST_WATCHERS);
        let mut hinted = 0;
        for row in self.deps.db.query(TenantId::PLATFORM, &watchers, None).await?.rows {
            if row.number("expires_at")? > self.now().as_secs() {
                let key = Key::new(row.text("partition")?, row.text("sort")?);
                let due = make_due(&self.deps.db, row.parse("tenant_id")?, &key, row.text("list")?, self.now()).await?;
                hinted += usize::from(due);
            }
        }
        Ok(hinted)
    }

    /// The answer to wrong credentials. Only these count against the address, so that an attacker behind the same address cannot
    /// lock the carrier out by guessing. Guessing right is infeasible, because the secret and the tokens are too long.
    async fn wrong_credentials(&self) -> Error {
        let address = format!("ip#{}", network(self.source_ip()));
        self.limit(RateLimit::WRONG_CREDENTIALS, &address).await.err().unwrap_or(REFUSED)
    }
}

const REFUSED: Error = Error::Unauthenticated(AuthFailure::NoPrincipal);

/// Sets the due time of an item on the list to now. An item that is due already keeps its time, so that pushes cannot postpone
/// the poll, and records the push, because a running poll may have got an older answer. An item that is not on the list stays off
/// it.
async fn make_due(db: &Db, tenant: TenantId, key: &Key, list: &str, now: Timestamp) -> Result<bool> {
    let names = [("#at", Index::Due.sort_attribute()), ("#list", Index::Due.attribute())];
    let update = |expression, condition| Update {
        expression,
        condition: Some(condition),
        names: &names,
        values: vec![(":now", AttributeValue::S(now.to_string())), (":list", AttributeValue::S(prefixed(tenant, list)))],
    };
    let (sooner, remember) =
        (("SET #at = :now", "#list = :list AND #at > :now"), ("SET hinted_at = :now", "#list = :list AND #at <= :now"));
    // Between the first two, the poll's answer may have arrived and postponed the item.
    for (expression, condition) in [sooner, remember, sooner] {
        if db.update(tenant, Table::Records, key, update(expression, condition)).await?.is_done() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn token_key(token: &str) -> Key {
    Key::new(format!("CARRIER_TOKEN#{}", URL_SAFE_NO_PAD.encode(hash(&[token.as_bytes()]))), "TOKEN")
}

/// OAuth 2.0's client credentials grant (RFC 6749, section 4.4), by HTTP Basic or in a form.
pub struct TokenRequest {
    client: Option<(String, Zeroizing<String>)>,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRequest([redacted])")
    }
}

impl Input for TokenRequest {
    const READS_BODY: bool = true;
    fn parse(request: &Request) -> Result<Self> {
        let body = Zeroizing::new(request.body.as_ref().map_err(Clone::clone)?.clone());
        let form = Form(&body);
        if form.get("grant_type").is_none_or(|grant| *grant != "client_credentials") {
            return Err(Error::bad_request("unsupported_grant_type", "the one grant type is `client_credentials`"));
        }
        let basic = request.header(Header::Authorization).and_then(|value| credentials(value, "Basic")).and_then(basic);
        let formed = || Some((form.get("client_id")?.to_string(), form.get("client_secret")?));
        Ok(Self { client: basic.or_else(formed) })
    }
    fn describe(_: &mut SchemaGenerator, _: &mut InputSchema) {}
}

fn basic(encoded: &str) -> Option<(String, Zeroizing<String>)> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), Zeroizing::new(secret.to_owned())))
}

/// `application/x-www-form-urlencoded`.
struct Form<'a>(&'a [u8]);

impl Form<'_> {
    /// The value of a name that occurs exactly once.
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        let mut found = self.0.split(|b| *b == b'&').filter_map(|pair| {
            let text = std::str::from_utf8(pair).ok()?;
            let (key, value) = text.split_once('=')?;
            (key == name).then_some(value)
        });
        let (value, another) = (found.next()?, found.next());
        if another.is_some() { None } else { decoded(value) }
    }
}

fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        match b {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b => bytes.push(b),
        }
    }
    String::from_utf8(std::mem::take(&mut bytes)).ok().map(Zeroizing::new)
}

/// A token for the carrier's pushes.
#[derive(Serialize, JsonSchema)]
pub struct CarrierToken {
    access_token: Issued,
    token_type: &'static str,
    /// In seconds.
    expires_in: u64,
}

impl fmt::Debug for CarrierToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarrierToken([redacted])")
    }
}

/// A push's body before parsing, because the sender is verified first.
pub struct PushBody(Vec<u8>);

impl fmt::Debug for PushBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushBody([phi])")
    }
}

impl Input for PushBody {
    const HAS_BODY: bool = true;
    fn parse(request: &Request) -> Result<Self> {
        let body = request.body.as_ref().map_err(Clone::clone)?;
        if body.len() > MAX_ALERT { Err(Error::TooLarge { limit: MAX_ALERT }) } else { Ok(Self(body.clone())) }
    }
    fn describe(_: &mut SchemaGenerator, into: &mut InputSchema) {
        into.body = Some(json_schema!({
            "type": "object",
            "description": "a tracking event of UPS's Track Alert",
            "properties": {"trackingNumber": {"type": "string"}},
            "required": ["trackingNumber"],
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_read_from_basic_or_form() {
        let (id, secret) = basic("c3ludGhldGljOmE6Yg==").unwrap();
        assert_eq!((id.as_str(), secret.as_str()), ("synthetic", "a:b"));
        assert!(basic("bm8gY29sb24=").is_none() && basic("&").is_none());
        let form = Form(b"grant_type=client_credentials&client_id=a%20b&client_secret=c%2B+d&x");
        assert_eq!(form.get("client_secret").unwrap().as_str(), "c+ d");
        assert_eq!(form.get("client_id").unwrap().as_str(), "a b");
        for broken in ["a=%2", "a=%zz", "a=%ff", "a=1&a=2", "b=1", ""] {
            assert!(Form(broken.as_bytes()).get("a").is_none(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn parsing_any_form_never_panics(body in any::<Vec<u8>>(), text in "\\PC*") {
            let _ = Form(&body).get("a");
            let _ = decoded(&text);
            let _ = basic(&text);
        }
    }
}
