use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode},
};
use registry::{GATEWAY_HEADERS, GatewayResponse};

/// Why the gateway answered instead of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoRoute,
    /// The body, or the resulting event.
    TooLarge,
    HeadTooLarge,
    UrlTooLong,
    Unauthorized,
    Denied,
    Unavailable,
    Failed,
}

impl Refusal {
    /// API Gateway's fixed answers, which no gateway response changes: status and message.
    ///
    /// Sources: AWS, "Amazon API Gateway important notes" (413 cannot be customized), "Amazon API Gateway quotas" (414). AWS does
    /// not document the answer to a request head that is too large.
    const fn in_its_own_words(self) -> Option<(u16, &'static str)> {
        match self {
            Self::TooLarge => Some((413, "Request Too Long")),
            Self::UrlTooLong => Some((414, "Request URI too long")),
            Self::HeadTooLarge => Some((431, "Request Header Fields Too Large")),
            _ => None,
        }
    }

    const fn response_type(self) -> &'static str {
        match self {
            Self::NoRoute => "MISSING_AUTHENTICATION_TOKEN",
            Self::TooLarge | Self::HeadTooLarge | Self::UrlTooLong => "REQUEST_TOO_LARGE",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "ACCESS_DENIED",
            Self::Unavailable => "AUTHORIZER_FAILURE",
            Self::Failed => "DEFAULT_5XX",
        }
    }

    /// The answer of API Gateway.
    pub(crate) fn response(self, request_id: &str) -> Response<Body> {
        if let Some((status, message)) = self.in_its_own_words() {
            return in_its_own_words(status, message, request_id);
        }
        let Some(answer) = GatewayResponse::of(self.response_type()) else { return empty() };
        let mut response = Response::new(Body::from(answer.body_for(request_id)));
        // A failed function is 502 on API Gateway, and a default response keeps that status.
        let status = answer.status.and_then(|status| StatusCode::from_u16(status).ok());
        *response.status_mut() = status.unwrap_or(StatusCode::BAD_GATEWAY);
        for (name, value) in GATEWAY_HEADERS.iter().chain(answer.headers).chain(&[("x-correlation-id", request_id)]) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_str(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn in_its_own_words(status: u16, message: &'static str, request_id: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::json!({ "message": message }).to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    for (name, value) in [("content-type", "application/json"), ("x-amzn-requestid", request_id)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn empty() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_an_answer_in_the_list() {
        for refusal in
            [Refusal::NoRoute, Refusal::TooLarge, Refusal::Unauthorized, Refusal::Denied, Refusal::Unavailable, Refusal::Failed]
        {
            assert!(GatewayResponse::of(refusal.response_type()).is_some(), "{refusal:?}");
        }
    }
}
