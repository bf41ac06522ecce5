//! Converts between HTTP and functions' events. Events pass through JSON text, as to a real function, so that tests find values
//! that JSON cannot represent.

use super::headers;
use aws_lambda_events::{apigw::ApiGatewayProxyResponse, encodings};
use axum::{
    body::Body,
    http::{Response, StatusCode, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use emulators::apigateway::GatewayRequest;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::IpAddr;

pub(crate) fn request(
    route: &str,
    parameters: Vec<(String, String)>,
    head: &Parts,
    body: &[u8],
    peer: IpAddr,
    request_id: &str,
) -> GatewayRequest {
    let passed = head.headers.iter().filter(|(name, value)| headers::is_passed(name, value) && *name != "x-forwarded-for");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut given: Vec<_> = passed.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    // The caller's own claims about earlier hops come first, and the address of the connection last.
    let hops = head.headers.get_all("x-forwarded-for").iter().map(|value| text(value.as_bytes()));
    let hops: Vec<_> = hops.chain([peer.to_string()]).collect();
    given.push(("x-forwarded-for".to_owned(), hops.join(", ")));
    given.push(("x-forwarded-proto".to_owned(), "http".to_owned()));
    GatewayRequest {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        resource: route.to_owned(),
        path_parameters: parameters.into_iter().collect(),
        // API Gateway also splits the query at semicolons: "Amazon API Gateway important notes".
        query: form_urlencoded::parse(head.uri.query().unwrap_or_default().replace(';', "&").as_bytes()).into_owned().collect(),
        headers: given,
        body: (!body.is_empty()).then(|| body.to_vec()),
        source_ip: peer.to_string(),
        request_id: request_id.to_owned(),
        authorizer: None,
    }
}

/// Through JSON text and back.
pub(crate) fn parsed<T: DeserializeOwned>(event: &Value) -> Option<T> {
    serde_json::from_str(&event.to_string()).ok()
}

/// A function's answer, or `None` if API Gateway would reject it as malformed.
pub(crate) fn response(answer: ApiGatewayProxyResponse) -> Option<Response<Body>> {
    let body = match answer.body {
        None | Some(encodings::Body::Empty) => Vec::new(),
        Some(encodings::Body::Text(text)) if answer.is_base64_encoded => STANDARD.decode(text).ok()?,
        Some(encodings::Body::Text(text)) => text.into_bytes(),
        Some(encodings::Body::Binary(bytes)) => bytes,
        Some(_) => return None,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(u16::try_from(answer.status_code).ok()?).ok()?;
    // Merges both members: a value that is in each is sent once, as by API Gateway.
    let mut given = answer.headers;
    for (name, value) in &answer.multi_value_headers {
        if !given.get_all(name).iter().any(|known| known == value) {
            given.append(name.clone(), value.clone());
        }
    }
    *response.headers_mut() = headers::of_answer(given);
    if !response.headers().contains_key(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::apigw::ApiGatewayProxyRequest;
    use axum::http::Request;

    #[test]
    fn callers_forwarding_headers_never_become_the_source_address() {
        let (head, ()) =
            Request::get("/v1/x?a=1&a=b%20c").header("x-forwarded-for", "203.0.113.9").body(()).unwrap().into_parts();
        let request = request("/v1/x", vec![], &head, b"", [127, 0, 0, 1].into(), "id");
        let event: ApiGatewayProxyRequest = parsed(&request.proxy_event()).unwrap();
        assert_eq!(event.request_context.identity.source_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(event.headers["x-forwarded-for"], "203.0.113.9, 127.0.0.1");
        assert_eq!(event.multi_value_query_string_parameters.all("a"), Some(vec!["1", "b c"]));
        assert_eq!(event.query_string_parameters.first("a"), Some("b c"));
        assert_eq!(event.body, None);
    }

    /// The API has no binary media type, so API Gateway handles every payload as text.
    #[test]
    fn body_with_invalid_utf_8_gets_replacement_characters() {
        let (head, ()) = Request::post("/").body(()).unwrap().into_parts();
        let event = request("/", vec![], &head, b"{\"name\":\"Zo\xff\"}", [127, 0, 0, 1].into(), "id").proxy_event();
        let event: ApiGatewayProxyRequest = parsed(&event).unwrap();
        assert_eq!((event.body.as_deref(), event.is_base64_encoded), (Some("{\"name\":\"Zo\u{fffd}\"}"), false));
    }

    #[test]
    fn non_ascii_header_survives_json() {
        let (head, ()) = Request::get("/").header("x-note", "é").body(()).unwrap().into_parts();
        let event: ApiGatewayProxyRequest =
            parsed(&request("/", vec![], &head, b"", [127, 0, 0, 1].into(), "id").proxy_event()).unwrap();
        assert_eq!(event.headers["x-note"].as_bytes(), "é".as_bytes());
    }
}
