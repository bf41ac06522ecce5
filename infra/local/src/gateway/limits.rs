//! The size limits of API Gateway and of Lambda. A larger request or answer is refused.
//!
//! Sources: AWS, "Quotas for configuring and running a REST API in API Gateway" and "Amazon API Gateway quotas"; "Lambda quotas".

use super::refusal::Refusal;
use axum::http::request::Parts;
use serde_json::Value;

/// The largest body that API Gateway forwards.
pub(crate) const BODY: usize = 10 * 1024 * 1024;
/// The size of the request line and all header values, in bytes.
const HEAD: usize = 10_240;
/// A regional API's URL, in characters.
const URL: usize = 10_240;
/// The ARN of an authorized method, with the request's path, in bytes.
const METHOD_ARN: usize = 1_600;
/// The largest event that Lambda accepts, and the largest answer.
const PAYLOAD: usize = 6 * 1024 * 1024;

/// Refuses a request that API Gateway would not accept.
pub(crate) fn head(head: &Parts) -> Result<(), Refusal> {
    let url = head.uri.path_and_query().map_or(1, |url| url.as_str().len());
    if url > URL {
        return Err(Refusal::UrlTooLong);
    }
    let line = head.method.as_str().len() + " ".len() + url + " HTTP/1.1".len();
    let values: usize = head.headers.values().map(axum::http::HeaderValue::len).sum();
    if line + values > HEAD { Err(Refusal::HeadTooLarge) } else { Ok(()) }
}

/// Refuses an authorized path that would make its method's ARN too long.
pub(crate) fn method_arn(authorizer_event: &Value) -> Result<(), Refusal> {
    let arn = authorizer_event["methodArn"].as_str().unwrap_or_default();
    if arn.len() > METHOD_ARN { Err(Refusal::UrlTooLong) } else { Ok(()) }
}

/// Refuses an event that Lambda would not accept.
pub(crate) fn event(event: &Value) -> Result<(), Refusal> {
    if event.to_string().len() > PAYLOAD { Err(Refusal::TooLarge) } else { Ok(()) }
}

/// Refuses a function's answer that Lambda would not return, as it refuses a failed function.
pub(crate) fn answer(answer: &impl serde::Serialize) -> Result<(), Refusal> {
    let length = serde_json::to_string(answer).map_or(usize::MAX, |text| text.len());
    if length > PAYLOAD { Err(Refusal::Failed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use serde_json::json;

    fn parts(path: &str, header: usize) -> Parts {
        Request::get(path).header("x-long", "a".repeat(header)).body(()).unwrap().into_parts().0
    }

    #[test]
    fn request_line_and_header_values_together_are_10240_bytes_at_most() {
        let line = "GET /v1 HTTP/1.1".len();
        assert_eq!(head(&parts("/v1", HEAD - line)), Ok(()));
        assert_eq!(head(&parts("/v1", HEAD - line + 1)), Err(Refusal::HeadTooLarge));
        let query = format!("/v1?q={}", "a".repeat(200));
        assert_eq!(head(&parts(&query, HEAD - line)), Err(Refusal::HeadTooLarge));
    }

    #[test]
    fn url_that_is_too_long_is_refused_before_its_headers() {
        assert_eq!(head(&parts(&format!("/{}", "a".repeat(URL)), 0)), Err(Refusal::UrlTooLong));
    }

    #[test]
    fn arn_of_an_authorized_method_is_1600_bytes_at_most() {
        let event = |length: usize| json!({ "methodArn": "a".repeat(length) });
        assert_eq!(method_arn(&event(METHOD_ARN)), Ok(()));
        assert_eq!(method_arn(&event(METHOD_ARN + 1)), Err(Refusal::UrlTooLong));
    }

    #[test]
    fn payloads_of_lambda_are_6_mb_at_most() {
        let text = |length: usize| Value::String("a".repeat(length - 2));
        assert_eq!((event(&text(PAYLOAD)), event(&text(PAYLOAD + 1))), (Ok(()), Err(Refusal::TooLarge)));
        assert_eq!((answer(&text(PAYLOAD)), answer(&text(PAYLOAD + 1))), (Ok(()), Err(Refusal::Failed)));
    }
}
