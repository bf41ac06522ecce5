use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode},
};
use registry::{GATEWAY_HEADERS, GatewayResponse};

/// Why no function was asked, or none gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoRoute,
    TooLarge,
    Unauthorized,
    Denied,
    Unavailable,
    Failed,
}

impl Refusal {
    const fn response_type(self) -> &'static str {
        match self {
            Self::NoRoute => "MISSING_AUTHENTICATION_TOKEN",
            Self::TooLarge => "REQUEST_TOO_LARGE",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "ACCESS_DENIED",
            Self::Unavailable => "AUTHORIZER_FAILURE",
            Self::Failed => "DEFAULT_5XX",
        }
    }

    /// What API Gateway would answer.
    pub(crate) fn response(self, request_id: &str) -> Response<Body> {
        let Some(answer) = GatewayResponse::of(self.response_type()) else { return empty() };
        let mut response = Response::new(Body::from(answer.body_for(request_id)));
        *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in GATEWAY_HEADERS.iter().chain(answer.headers).chain(&[("x-correlation-id", request_id)]) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_str(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
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
