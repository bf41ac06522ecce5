//! The carrier, UPS: the token and the circuit breaker that all functions share, and the secret.
//!
//! | Item of the platform's | Content |
//! |---|---|
//! | `GATE#ups` | token bucket and circuit breaker ([`crate::store::shared_breaker`]) |
//! | `UPS#TOKEN` | the sealed token; its generation; the lease of the process that renews it, for 30 seconds |
//! | `WATCH#<search token of a number>` | the tenants' items that a push makes due ([`crate::capabilities::carrier_webhook`]) |
//!
//! A token is fetched once in four hours, for any number of functions: it is cached in the process and in the table. The process
//! that takes the lease renews it five minutes before it expires, and once if UPS refuses it. The secret is read every five
//! minutes and if UPS refuses it, so it can be rotated without a restart.
//!
//! Nothing here logs. Not protected: a caller of the function can use up the quota of all tenants.

use crate::{
    aws::carrier::{Carrier, CarrierToken, Failure, instant},
    background::{Background, Delivery, Schedule, Tick},
    base::{Config, Error, Result, TenantId, Timestamp, error::Cause, need::needs},
    identity::PoolSecret,
    request::Deps,
    store::{
        dynamodb::{Db, Update},
        item::{Key, Row, Table},
        shared_breaker::{Entry, Pass, SharedBreaker},
    },
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use phi::Sealed;
use std::time::Duration;
use ups::{Batch, Number, Subscribed, Token, Tracked, Transaction};

/// The time before its expiry at which a token is renewed.
const RENEWED_BEFORE: Duration = Duration::from_secs(5 * 60);
/// The lifetime of the lease for renewing the token.
const LEASE: Duration = Duration::from_secs(30);
/// The number of checks by the other processes whether the token was renewed, and the time between them.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The result of a call to the carrier.
#[derive(Debug)]
pub enum CarrierReply<T> {
    Answered(T),
    /// No call was made, or UPS answered that there are too many: no calls before that time.
    Shut(Timestamp),
    /// The call failed, with a cause that may be logged.
    Failed(Cause),
}

/// The carrier's reply to a request for a token.
enum TokenReply {
    Token(CarrierToken),
    Failed(Failure),
}

phi::sealed_fields! {
    /// The stored form of the carrier's token.
    struct SealedToken in "carrier_tokens" {
        1 => token: PoolSecret,
    }
}

fn token_key() -> Key {
    Key::new("UPS#TOKEN", "TOKEN")
}

/// The carrier, for functions that may call it.
#[derive(Clone, Copy, Debug)]
pub struct AskCarrier<'a> {
    deps: &'a Deps,
    carrier: &'a Carrier,
    breaker: SharedBreaker,
}

impl<B: Background> Delivery<'_, B> {
    /// The carrier.
    ///
    /// # Errors
    /// Internal if the function was not given the client.
    pub fn carrier(&self) -> Result<AskCarrier<'_>> {
        needs!(B, Carrier, Seal);
        let (deps, carrier) = (self.job.deps, self.job.deps.services.carrier()?);
        Ok(AskCarrier { deps, carrier, breaker: breaker(&deps.config) })
    }
}

impl<S: Schedule> Tick<'_, S> {
    /// The number of calls that can be made to the carrier now: the rest of a minute's calls, one while a probe is due, none
    /// while the circuit is open.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn carrier_budget(&self) -> Result<u32> {
        needs!(S, Breakers);
        let deps = self.job.deps;
        breaker(&deps.config).outlook(&deps.db, self.now()).await
    }
}

pub(crate) const fn breaker(config: &Config) -> SharedBreaker {
    SharedBreaker::new("ups", config.ups_per_minute)
}

impl AskCarrier<'_> {
    /// For calls outside the tenants' shares: half of a minute's calls are reserved for those.
    #[must_use]
    pub fn yielding(self) -> Self {
        Self { breaker: self.breaker.yielding(), ..self }
    }

    /// The tracking history of a parcel.
    ///
    /// # Errors
    /// 503 if one of our services does not answer; the result is unknown then.
    pub async fn track(&self, number: &Number) -> Result<CarrierReply<Tracked>> {
        let pass = match self.enter().await? {
            Entry::Pass(pass) => pass,
            Entry::Shut(shut) => return Ok(CarrierReply::Shut(shut.until)),
        };
        let mut refused = None;
        let answer = loop {
            let held = match self.token(refused).await? {
                TokenReply::Token(held) => held,
                TokenReply::Failed(failure) => break Err(failure),
            };
            match self.track_by(&held, number).await.map_err(Failure::Ups) {
                // The token became invalid meanwhile, so the call is repeated once with another.
                Err(failure) if refused.is_none() && failure.is_of_the_token() => refused = Some(held.generation),
                answer => break answer,
            }
        };
        self.leave(pass, answer).await
    }

    async fn track_by(&self, held: &CarrierToken, number: &Number) -> Result<Tracked, ups::Error> {
        let Carrier { client, aws, .. } = self.carrier;
        client.track(aws, &held.token, number, &transaction(), instant(self.now())).await
    }

    /// Subscribes to the carrier's pushes for these parcels, for 14 days. If the carrier refuses the batch as too large (VSS220),
    /// each half is sent.
    ///
    /// # Errors
    /// 503 if one of our services does not answer.
    pub async fn subscribe(&self, numbers: &[Number]) -> Result<CarrierReply<Subscribed>> {
        let mut all = Subscribed { valid: Vec::new(), invalid: Vec::new(), unanswered: Vec::new() };
        let mut left: Vec<Batch<'_>> = Batch::split(numbers).collect();
        while let Some(batch) = left.pop() {
            let pass = match self.enter().await? {
                Entry::Pass(pass) => pass,
                Entry::Shut(shut) => return Ok(CarrierReply::Shut(shut.until)),
            };
            let mut refused = None;
            let answer = loop {
                let held = match self.token(refused).await? {
                    TokenReply::Token(held) => held,
                    TokenReply::Failed(failure) => break Err(failure),
                };
                match self.subscribe_by(&held, batch).await.map_err(Failure::Ups) {
                    Err(failure) if refused.is_none() && failure.is_of_the_token() => refused = Some(held.generation),
                    answer => break answer,
                }
            };
            let too_many = answer.as_ref().is_err_and(|failure| failure.is("VSS220"));
            match self.leave(pass, answer).await? {
                CarrierReply::Answered(some) => {
                    all.valid.extend(some.valid);
                    all.invalid.extend(some.invalid);
                    all.unanswered.extend(some.unanswered);
                }
                CarrierReply::Failed(_) if too_many && batch.numbers().len() > 1 => {
                    let (a, b) = batch.numbers().split_at(batch.numbers().len() / 2);
                    left.extend([a, b].into_iter().filter_map(Batch::new));
                }
                CarrierReply::Failed(cause) => return Ok(CarrierReply::Failed(cause)),
                CarrierReply::Shut(until) => return Ok(CarrierReply::Shut(until)),
            }
        }
        Ok(CarrierReply::Answered(all))
    }

    async fn subscribe_by(&self, held: &CarrierToken, batch: Batch<'_>) -> Result<Subscribed, ups::Error> {
        let Carrier { client, aws, .. } = self.carrier;
        client.subscribe(aws, &held.token, batch, &transaction(), instant(self.now())).await
    }

    pub(crate) const fn deps(&self) -> &Deps {
        self.deps
    }

    fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    async fn enter(&self) -> Result<Entry> {
        self.breaker.enter(&self.deps.db, self.now(), &self.carrier.busy).await
    }

    /// Reports the result of a call to the circuit breaker.
    async fn leave<T>(&self, pass: Pass, answer: Result<T, Failure>) -> Result<CarrierReply<T>> {
        let (breaker, db, now) = (self.breaker, &self.deps.db, self.now());
        let error = match answer {
            Ok(answer) => {
                breaker.succeeded(db, pass).await?;
                return Ok(CarrierReply::Answered(answer));
            }
            Err(Failure::Ups(error)) => error,
            Err(Failure::Secret(cause)) => {
                breaker.failed(db, pass, now).await?;
                return Ok(CarrierReply::Failed(cause));
            }
        };
        let cause = Cause::code(&error.to_string());
        match error {
            ups::Error::RateLimited { retry_after, .. } => {
                Ok(CarrierReply::Shut(breaker.refused(db, pass, now, retry_after).await?.until))
            }
            ups::Error::Unavailable { retry_after: Some(wait), .. } => {
                Ok(CarrierReply::Shut(breaker.refused(db, pass, now, Some(wait)).await?.until))
            }
            // Refused credentials are refused for every call, so this counts as a failure of the service.
            ups::Error::Unavailable { .. } | ups::Error::Unauthorized { .. } => {
                breaker.failed(db, pass, now).await?;
                Ok(CarrierReply::Failed(cause))
            }
            // UPS works; only this call has no result.
            ups::Error::Rejected { .. } | ups::Error::Malformed(_) => {
                breaker.succeeded(db, pass).await?;
                Ok(CarrierReply::Failed(cause))
            }
        }
    }

    /// A token other than the one that was `refused`.
    async fn token(&self, refused: Option<i64>) -> Result<TokenReply> {
        let mut cached = self.carrier.token.lock().await;
        let usable = |held: &&CarrierToken| Some(held.generation) != refused;
        let lasts = |held: &&CarrierToken, now| !held.token.ends_within(margin(), instant(now));
        if let Some(held) = cached.as_ref().filter(usable).filter(|held| lasts(held, self.now())) {
            return Ok(TokenReply::Token(held.clone()));
        }
        let db = &self.deps.db;
        for _ in 0..LOOKS {
            let now = self.now();
            let row = db.get(TenantId::PLATFORM, Table::Ephemera, &token_key()).await?;
            let generation = row.as_ref().and_then(|row| row.maybe_number("generation")).unwrap_or(0);
            let stored = match &row {
                Some(row) if row.maybe_bytes("sealed").is_some() && Some(generation) != refused => {
                    self.open(row, generation).await?
                }
                _ => None,
            };
            let stored = stored.filter(|held| !held.token.ends_within(jiff::SignedDuration::ZERO, instant(now)));
            if let Some(held) = stored.as_ref().filter(|held| lasts(held, now)) {
                return Ok(TokenReply::Token(cached.insert(held.clone()).clone()));
            }
            if lease(db, generation, now).await? {
                return match self.carrier.fetch(now).await {
                    Ok(token) => {
                        let held = CarrierToken { token, generation: generation + 1 };
                        self.store(&held).await?;
                        Ok(TokenReply::Token(cached.insert(held).clone()))
                    }
                    Err(failure) => {
                        release(db, generation).await?;
                        Ok(TokenReply::Failed(failure))
                    }
                };
            }
            // Another process renews it. A token that expires soon can still be used.
            if let Some(held) = stored {
                return Ok(TokenReply::Token(held));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(TokenReply::Failed(Failure::Ups(ups::Error::Unavailable { status: None, code: None, retry_after: None })))
    }

    async fn open(&self, row: &Row, generation: i64) -> Result<Option<CarrierToken>> {
        let sealed =
            Sealed::<SealedToken>::from_bytes(row.bytes("sealed")?.to_vec()).map_err(|_| Error::internal("carrier token"))?;
        let opened = self.deps.keyring.of(TenantId::PLATFORM).open(token_key().place(), &sealed).await?;
        let ends_at = instant(Timestamp::from_millis(row.number("ends_at")?));
        Ok(Token::new(opened.token.0.into(), ends_at).ok().map(|token| CarrierToken { token, generation }))
    }

    async fn store(&self, held: &CarrierToken) -> Result<()> {
        let secret = SealedToken { token: PoolSecret(held.token.expose().to_owned()) };
        let sealed = self.deps.keyring.of(TenantId::PLATFORM).seal(token_key().place(), &secret).await?;
        let ends_at = held.token.expires_at().as_millisecond();
        let update = Update {
            expression: "SET sealed = :sealed, ends_at = :ends, generation = :next, expires_at = :expires REMOVE lease_until",
            condition: Some(SEEN),
            names: &[],
            values: vec![
                (":sealed", AttributeValue::B(Blob::new(sealed.into_bytes()))),
                (":ends", number(ends_at)),
                (":next", number(held.generation)),
                (":seen", number(held.generation - 1)),
                (":expires", number(ends_at.div_euclid(1000) + 1)),
            ],
        };
        // If the lease has expired meanwhile, the table may have another token; both are valid.
        self.deps.db.update(TenantId::PLATFORM, Table::Ephemera, &token_key(), update).await.map(drop)
    }
}

/// The time for which a lease's row is kept: longer than a lease, and than the rest of the token that is renewed.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

const SEEN: &str = "attribute_not_exists(generation) OR generation = :seen";

/// Takes the lease for renewing the token of `generation`. Only one process can hold it.
async fn lease(db: &Db, generation: i64, now: Timestamp) -> Result<bool> {
    let update = Update {
        // The row of an expired token may be deleted at any moment, and the lease with it.
        expression: "SET lease_until = :until, expires_at = :expires",
        condition: Some(
            "(attribute_not_exists(lease_until) OR NOT lease_until BETWEEN :now AND :longest) AND \
             (attribute_not_exists(generation) OR generation = :seen)",
        ),
        names: &[],
        values: vec![
            (":until", number(now.plus(LEASE).as_millis())),
            (":expires", number(now.plus(FORGOTTEN).as_secs())),
            (":now", number(now.as_millis())),
            // A lease that lasts longer was taken by a clock that has since gone back.
            (":longest", number(now.plus(2 * LEASE).as_millis())),
            (":seen", number(generation)),
        ],
    };
    Ok(db.update(TenantId::PLATFORM, Table::Ephemera, &token_key(), update).await?.is_done())
}

async fn release(db: &Db, generation: i64) -> Result<()> {
    let update = Update {
        expression: "REMOVE lease_until",
        condition: Some(SEEN),
        names: &[],
        values: vec![(":seen", number(generation))],
    };
    db.update(TenantId::PLATFORM, Table::Ephemera, &token_key(), update).await.map(drop)
}

fn margin() -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(RENEWED_BEFORE).unwrap_or(jiff::SignedDuration::ZERO)
}

fn number(n: i64) -> AttributeValue {
    AttributeValue::N(n.to_string())
}

/// An id for UPS's log. It is random, so it reveals nothing.
fn transaction() -> Transaction {
    let id = format!("{:032x}", u128::from_be_bytes(crate::base::random::bytes()));
    #[expect(clippy::expect_used, reason = "INVARIANT: 32 hexadecimal digits are a transaction id")]
    Transaction::parse(&id).expect("32 digits")
}
