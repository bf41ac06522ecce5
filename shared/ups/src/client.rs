//! The calls to UPS's APIs.

use http::{HeaderValue, Method, Request, Uri, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, time::Duration};
use zeroize::Zeroizing;

use crate::{
    Credentials, Error, MAX_ANSWER, Malformed, Number, Token, Tracked, Transport, lax,
    lax::{List, Text},
    number::normalised,
    tracking,
};

/// UPS's production environment.
pub const PRODUCTION: &str = "https://onlinetools.ups.com";

/// UPS's Customer Integration Environment, which returns synthetic answers.
pub const INTEGRATION: &str = "https://wwwcie.ups.com";

/// How long a subscription lasts: 14 days. It is renewed by subscribing again.
pub const SUBSCRIPTION_LIFE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The address of UPS and our name there. The client is stateless: the caller keeps the tokens.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    source: HeaderValue,
}

/// The address is not safe for a secret, or the name is not a valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidClient(&'static str);

/// The id of one request (`transId`): 1 to 32 ASCII letters, digits and hyphens. UPS logs it, so it must contain no patient data.
#[derive(Clone, Debug)]
pub struct Transaction(HeaderValue);

impl Transaction {
    /// `None` if the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        fits.then(|| HeaderValue::from_str(text).ok()).flatten().map(Self)
    }
}

/// 1 to 100 different numbers. If a request has more, UPS refuses all of them (VSS220).
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a>(&'a [Number]);

impl<'a> Batch<'a> {
    /// The largest number of tracking numbers in one request.
    pub const MAX: usize = 100;

    /// `None` if there are no numbers or too many.
    pub fn new(numbers: &'a [Number]) -> Option<Self> {
        (1..=Self::MAX).contains(&numbers.len()).then_some(Self(numbers))
    }

    /// All of `numbers`, in the fewest possible batches.
    pub fn split(numbers: &'a [Number]) -> impl Iterator<Item = Self> {
        numbers.chunks(Self::MAX).map(Self)
    }

    pub fn numbers(self) -> &'a [Number] {
        self.0
    }
}

/// UPS's answer to a [`Batch`]. Each number of the batch is in exactly one of these lists, and no other number is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// The subscription succeeded, for [`SUBSCRIPTION_LIFE`].
    pub valid: Vec<Number>,
    /// UPS refused the number.
    pub invalid: Vec<Number>,
    /// UPS's answer did not mention the number.
    pub unanswered: Vec<Number>,
}

impl Client {
    /// A client of the UPS at `base`, [`PRODUCTION`] or another, that names itself `source` in its requests. Plain HTTP is
    /// allowed for loopback only.
    ///
    /// # Errors
    /// [`InvalidClient`] if `base` is more than scheme, host and port, or would send secrets in the clear; or if `source` is not
    /// 1 to 64 printable ASCII characters without spaces.
    pub fn new(base: &str, source: &str) -> Result<Self, InvalidClient> {
        let uri: Uri = base.parse().map_err(|_| InvalidClient("the base is not a url"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidClient("the base has no scheme or host"));
        };
        let loopback = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if scheme != "https" && !(scheme == "http" && loopback) {
            return Err(InvalidClient("the base would send secrets in the clear"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(InvalidClient("the base is more than scheme, host and port"));
        }
        let fits = (1..=64).contains(&source.len()) && source.bytes().all(|b| b.is_ascii_graphic());
        let source = fits.then(|| HeaderValue::from_str(source).ok()).flatten();
        let source = source.ok_or(InvalidClient("the source is not a valid header"))?;
        Ok(Self { base: format!("{scheme}://{authority}"), source })
    }

    /// Gets a token (`POST /security/v1/oauth/token`, client credentials).
    ///
    /// # Errors
    /// [`Error::Unauthorized`] means that UPS refuses `credentials`.
    pub async fn token(&self, transport: &impl Transport, credentials: &Credentials, now: Timestamp) -> Result<Token, Error> {
        let authorization = credentials.authorization().map_err(|_| UNSENDABLE)?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/security/v1/oauth/token", self.base))
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(account) = credentials.merchant_id() {
            request = request.header("x-merchant-id", account);
        }
        let request = request.body(b"grant_type=client_credentials".to_vec()).map_err(|_| UNSENDABLE)?;
        let answer = send(transport, request).await?;
        if let Some(error) = Error::of(&answer, now) {
            return Err(error);
        }
        Ok(Token::parse(answer.body(), now)?)
    }

    /// Gets a package's history (`GET /api/track/v1/details/{number}`), without signature, photo, proof and milestones.
    ///
    /// # Errors
    /// [`Error`]. A package that UPS does not know is not an error.
    pub async fn track(
        &self,
        transport: &impl Transport,
        token: &Token,
        number: &Number,
        transaction: &Transaction,
        now: Timestamp,
    ) -> Result<Tracked, Error> {
        let path = format!("/api/track/v1/details/{}?locale=en_US&returnSignature=false", number.expose());
        let path = format!("{path}&returnMilestones=false&returnPOD=false");
        let request = self.request(Method::GET, &path, token, transaction)?;
        let answer = send(transport, request.body(Vec::new()).map_err(|_| UNSENDABLE)?).await?;
        match Error::of(&answer, now) {
            Some(Error::Rejected { status: 404, .. }) => Ok(Tracked::NotFound),
            Some(Error::Rejected { code: Some(code), .. }) if code.as_str() == "TW0001" => Ok(Tracked::NotFound),
            Some(error) => Err(error),
            None => Ok(tracking::parse(answer.body(), number)?),
        }
    }

    /// Subscribes to events of `batch` for [`SUBSCRIPTION_LIFE`] (`POST /api/track/v2/subscription/standard/package`). The
    /// address and the credentials of the pushes are set in UPS's portal: version 2 has no destination in the request.
    ///
    /// # Errors
    /// [`Error`]. Numbers that UPS refuses one by one, even all of them (VSS210), are not an error.
    pub async fn subscribe(
        &self,
        transport: &impl Transport,
        token: &Token,
        batch: Batch<'_>,
        transaction: &Transaction,
        now: Timestamp,
    ) -> Result<Subscribed, Error> {
        let subscription = Subscription {
            locale: "en_US",
            country_code: "US",
            tracking_number_list: batch.numbers().iter().map(Number::expose).collect(),
        };
        let body = serde_json::to_vec(&subscription).map_err(|_| UNSENDABLE)?;
        let request = self.request(Method::POST, "/api/track/v2/subscription/standard/package", token, transaction)?;
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body).map_err(|_| UNSENDABLE)?;
        let answer = send(transport, request).await?;
        match Error::of(&answer, now) {
            None => {}
            Some(error) if error.code().is_some_and(|code| code.as_str() == "VSS210") => {
                return Ok(Subscribed { valid: Vec::new(), invalid: batch.numbers().to_vec(), unanswered: Vec::new() });
            }
            Some(error) => return Err(error),
        }
        let answered: Answered = lax::object(answer.body())?;
        Ok(answered.sort(batch))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        token: &Token,
        transaction: &Transaction,
    ) -> Result<http::request::Builder, Error> {
        let text = Zeroizing::new(format!("Bearer {}", token.expose()));
        let mut authorization = HeaderValue::from_str(&text).map_err(|_| UNSENDABLE)?;
        authorization.set_sensitive(true);
        Ok(Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .header("transId", transaction.0.clone())
            .header("transactionSrc", self.source.clone()))
    }
}

/// The parts of a request are checked when they are constructed.
const UNSENDABLE: Error = Error::Malformed(Malformed("the request could not be built"));

async fn send(transport: &impl Transport, request: Request<Vec<u8>>) -> Result<http::Response<Zeroizing<Vec<u8>>>, Error> {
    let answer = transport.send(request).await?.map(Zeroizing::new);
    if answer.body().len() > MAX_ANSWER {
        return Err(Malformed("the answer is too large").into());
    }
    Ok(answer)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subscription<'a> {
    locale: &'static str,
    country_code: &'static str,
    tracking_number_list: Vec<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answered {
    valid_tracking_numbers: List<Text>,
    invalid_tracking_numbers: List<Text>,
}

impl Answered {
    /// If UPS lists a number twice, the worse result counts.
    fn sort(self, batch: Batch<'_>) -> Subscribed {
        let set = |list: List<Text>| list.0.into_iter().map(|text| normalised(&text.0)).collect::<HashSet<_>>();
        let (valid, invalid) = (set(self.valid_tracking_numbers), set(self.invalid_tracking_numbers));
        let mut sorted = Subscribed { valid: Vec::new(), invalid: Vec::new(), unanswered: Vec::new() };
        for number in batch.numbers() {
            let list = if invalid.contains(number.expose()) {
                &mut sorted.invalid
            } else if valid.contains(number.expose()) {
                &mut sorted.valid
            } else {
                &mut sorted.unanswered
            };
            list.push(number.clone());
        }
        sorted
    }
}
