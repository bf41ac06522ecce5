//! Request headers with a single value, and the only access to a request's headers.
//!
//! Two readers of a repeated header may see two different requests: API Gateway caches an authorizer's answer by one value of
//! `Authorization` and passes all values to the function. So a repeated header of [`Header`] is refused, for any values, and none
//! of its values is read. A header is repeated if API Gateway's `multiValueHeaders` contain two values, under one or several
//! spellings of its name, or if `headers` contain a value that `multiValueHeaders` lack.

use crate::{
    base::{Error, Result, error::AuthFailure},
    request::if_match::ExpectedVersion,
};
use http::{HeaderMap, HeaderValue};

pub(crate) const INVALID_KEY: Error =
    Error::bad_request("invalid_idempotency_key", "`Idempotency-Key` must be 1 to 255 printable ASCII characters, once");

/// The headers that are read here, or that determine how a request is read. None of them is a list (RFC 9110) except `If-Match`,
/// of which only a single version is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Authorization,
    ContentLength,
    ContentType,
    CorrelationId,
    Host,
    IdempotencyKey,
    IfMatch,
    Origin,
    PurposeOfUse,
    UserAgent,
}

impl Header {
    const ALL: [Self; 10] = [
        Self::Authorization,
        Self::ContentLength,
        Self::ContentType,
        Self::CorrelationId,
        Self::Host,
        Self::IdempotencyKey,
        Self::IfMatch,
        Self::Origin,
        Self::PurposeOfUse,
        Self::UserAgent,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::ContentLength => "content-length",
            Self::ContentType => "content-type",
            Self::CorrelationId => "x-correlation-id",
            Self::Host => "host",
            Self::IdempotencyKey => "idempotency-key",
            Self::IfMatch => "if-match",
            Self::Origin => "origin",
            Self::PurposeOfUse => "x-purpose-of-use",
            Self::UserAgent => "user-agent",
        }
    }

    /// The error for a request with this header twice.
    const fn repeated(self) -> Error {
        let detail = match self {
            Self::Authorization => return Error::Unauthenticated(AuthFailure::RepeatedCredentials),
            Self::IdempotencyKey => return INVALID_KEY,
            Self::IfMatch => return ExpectedVersion::INVALID,
            Self::ContentLength => "the request has more than one `Content-Length`",
            Self::ContentType => "the request has more than one `Content-Type`",
            Self::CorrelationId => "the request has more than one `X-Correlation-Id`",
            Self::Host => "the request has more than one `Host`",
            Self::Origin => "the request has more than one `Origin`",
            Self::PurposeOfUse => "the request has more than one `X-Purpose-Of-Use`",
            Self::UserAgent => "the request has more than one `User-Agent`",
        };
        Error::bad_request("repeated_header", detail)
    }
}

/// A request's headers.
#[derive(Debug)]
pub(crate) struct Headers(HeaderMap);

impl Headers {
    /// Combines an event's `headers`, which contain the last value of each name, and its `multiValueHeaders`, which contain all.
    pub(crate) fn of(last: &HeaderMap, mut all: HeaderMap) -> Self {
        for (name, value) in last {
            if !all.get_all(name).iter().any(|known| known == value) {
                all.append(name.clone(), value.clone());
            }
        }
        Self(all)
    }

    /// A header's value, if the request has it exactly once.
    pub(crate) fn value(&self, header: Header) -> Option<&HeaderValue> {
        let mut values = self.0.get_all(header.name()).iter();
        values.next().filter(|_| values.next().is_none())
    }

    /// Like `value`, if it is text.
    pub(crate) fn text(&self, header: Header) -> Option<&str> {
        self.value(header)?.to_str().ok().map(str::trim)
    }

    /// # Errors
    /// 401 if there are two credentials.
    pub(crate) fn one_credential(&self) -> Result<()> {
        self.once(Header::Authorization)
    }

    /// # Errors
    /// 401 if there are two credentials, 400 if another header of [`Header`] is repeated.
    pub(crate) fn one_of_each(&self) -> Result<()> {
        Header::ALL.into_iter().try_for_each(|header| self.once(header))
    }

    fn once(&self, header: Header) -> Result<()> {
        match self.0.get_all(header.name()).iter().nth(1) {
            None => Ok(()),
            Some(_) => Err(header.repeated()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::apigw::ApiGatewayProxyRequest;
    use serde_json::{Value, json};

    fn headers(last: Value, all: Value) -> Headers {
        let event =
            json!({"headers": last, "multiValueHeaders": all, "httpMethod": "GET", "requestContext": {"httpMethod": "GET"}});
        let event: ApiGatewayProxyRequest = serde_json::from_value(event).unwrap();
        Headers::of(&event.headers, event.multi_value_headers)
    }

    #[test]
    fn header_with_one_value_is_read_in_any_spelling_of_its_name() {
        for (last, all) in [
            (json!({"Authorization": "Bearer a"}), json!({"Authorization": ["Bearer a"]})),
            (json!({"authorization": "Bearer a"}), json!({"AUTHORIZATION": ["Bearer a"]})),
            (json!({"authorization": "Bearer a"}), json!(null)),
            (json!(null), json!({"authorization": [" Bearer a "]})),
        ] {
            let headers = headers(last.clone(), all.clone());
            assert_eq!(headers.one_of_each(), Ok(()), "{last} {all}");
            assert_eq!(headers.text(Header::Authorization), Some("Bearer a"), "{last} {all}");
        }
    }

    #[test]
    fn header_with_two_values_is_refused_and_neither_is_read() {
        for header in Header::ALL {
            let name = header.name();
            let upper = name.to_uppercase();
            for (last, all) in [
                (json!({name: "b"}), json!({name: ["a", "b"]})),
                (json!({name: "a"}), json!({name: ["a", "a"]})),
                (json!({name: "b"}), json!({name: ["a"], upper.clone(): ["b"]})),
                (json!({name: "a", upper.clone(): "a"}), json!({name: ["a"], upper.clone(): ["a"]})),
                (json!({name: "b"}), json!({name: ["a"]})),
                (json!({name: ""}), json!({name: ["", ""]})),
                (json!({name: "a"}), json!({name: ["", "a"]})),
            ] {
                let headers = headers(last.clone(), all.clone());
                assert_eq!(headers.one_of_each(), Err(header.repeated()), "{last} {all}");
                assert_eq!(headers.one_credential().is_err(), header == Header::Authorization, "{last} {all}");
                assert_eq!((headers.value(header), headers.text(header)), (None, None), "{last} {all}");
            }
        }
    }

    #[test]
    fn list_header_may_be_repeated() {
        let headers =
            headers(json!({"Accept": "b"}), json!({"Accept": ["a", "b"], "X-Forwarded-For": ["192.0.2.1", "192.0.2.2"]}));
        assert_eq!(headers.one_of_each(), Ok(()));
    }
}
