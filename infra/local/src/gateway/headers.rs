//! Changes headers as API Gateway does, on the way to a Lambda function and back.
//!
//! Source: AWS, "Amazon API Gateway important notes", REST APIs: the table of headers that may be dropped or remapped, its column `lambda`.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Request headers that no function gets. `keep-alive` and `proxy-connection` concern the connection, and AWS's table does not
/// list them.
const DROPPED_FROM_REQUESTS: [&str; 13] = [
    "connection",
    "content-md5",
    "expect",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Headers of a function's answer that no client gets. The gateway sets the length itself.
const DROPPED_FROM_ANSWERS: [&str; 10] = [
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Headers of a function's answer that the client gets under another name.
const REMAPPED_IN_ANSWERS: [&str; 8] =
    ["authorization", "connection", "content-md5", "date", "max-forwards", "server", "user-agent", "www-authenticate"];

/// The header that requests another method.
pub(crate) const METHOD_OVERRIDE: &str = "x-http-method-override";

/// Whether a function gets the header. The signature of a signed AWS request is removed.
pub(crate) fn is_passed(name: &HeaderName, value: &HeaderValue) -> bool {
    let signed = name == "authorization" && value.as_bytes().starts_with(b"AWS4-HMAC-SHA256");
    !signed && name != METHOD_OVERRIDE && !DROPPED_FROM_REQUESTS.contains(&name.as_str())
}

/// The remaining headers of a function's answer, under their names for the client.
pub(crate) fn of_answer(given: HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut last = None;
    // A repeated name is sent once.
    for (name, value) in given {
        last = name.or(last);
        let Some(name) = &last else { continue };
        if DROPPED_FROM_ANSWERS.contains(&name.as_str()) {
            continue;
        }
        let name = if REMAPPED_IN_ANSWERS.contains(&name.as_str()) {
            HeaderName::try_from(format!("x-amzn-remapped-{name}")).unwrap_or_else(|_| name.clone())
        } else {
            name.clone()
        };
        headers.append(name, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    /// AWS's table, row by row: the result for a header in a request, and in an answer.
    const TABLE: &[(&str, Fate, Fate)] = &[
        ("age", Fate::Passes, Fate::Passes),
        ("accept", Fate::Passes, Fate::Passes),
        ("accept-charset", Fate::Passes, Fate::Passes),
        ("accept-encoding", Fate::Passes, Fate::Passes),
        ("authorization", Fate::Passes, Fate::Remapped),
        ("connection", Fate::Dropped, Fate::Remapped),
        ("content-encoding", Fate::Passes, Fate::Passes),
        ("content-md5", Fate::Dropped, Fate::Remapped),
        ("content-type", Fate::Passes, Fate::Passes),
        ("date", Fate::Passes, Fate::Remapped),
        ("expect", Fate::Dropped, Fate::Dropped),
        ("host", Fate::Passes, Fate::Dropped),
        ("max-forwards", Fate::Dropped, Fate::Remapped),
        ("pragma", Fate::Passes, Fate::Passes),
        ("proxy-authenticate", Fate::Dropped, Fate::Dropped),
        ("range", Fate::Passes, Fate::Passes),
        ("referer", Fate::Passes, Fate::Passes),
        ("server", Fate::Dropped, Fate::Remapped),
        ("te", Fate::Dropped, Fate::Dropped),
        ("transfer-encoding", Fate::Dropped, Fate::Dropped),
        ("trailer", Fate::Dropped, Fate::Dropped),
        ("upgrade", Fate::Dropped, Fate::Dropped),
        ("user-agent", Fate::Passes, Fate::Remapped),
        ("via", Fate::Passes, Fate::Dropped),
        ("warn", Fate::Passes, Fate::Passes),
        ("www-authenticate", Fate::Dropped, Fate::Remapped),
        ("x-correlation-id", Fate::Passes, Fate::Passes),
        ("retry-after", Fate::Passes, Fate::Passes),
    ];

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fate {
        Passes,
        Dropped,
        Remapped,
    }

    #[test]
    fn each_header_of_awss_table_is_treated_as_documented() {
        for (name, in_requests, in_answers) in TABLE {
            let header = HeaderName::from_static(name);
            assert_eq!(is_passed(&header, &value("x")), *in_requests == Fate::Passes, "{name} of a request");
            let mut given = HeaderMap::new();
            given.append(header, value("x"));
            let left = of_answer(given);
            let found = match (left.get(*name), left.get(format!("x-amzn-remapped-{name}"))) {
                (Some(_), None) => Fate::Passes,
                (None, Some(_)) => Fate::Remapped,
                (None, None) => Fate::Dropped,
                (Some(_), Some(_)) => panic!("{name} comes twice"),
            };
            assert_eq!(found, *in_answers, "{name} of an answer");
        }
    }

    #[test]
    fn each_value_of_a_repeated_header_is_remapped() {
        let mut given = HeaderMap::new();
        for text in ["Basic", "Bearer"] {
            given.append("www-authenticate", value(text));
            given.append("vary", value(text));
        }
        let left = of_answer(given);
        let all = |name: &str| left.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("x-amzn-remapped-www-authenticate"), ["Basic", "Bearer"]);
        assert_eq!(all("vary"), ["Basic", "Bearer"]);
        assert!(left.get("www-authenticate").is_none());
    }

    #[test]
    fn aws_signature_and_method_override_do_not_reach_functions() {
        let authorization = HeaderName::from_static("authorization");
        assert!(is_passed(&authorization, &value("Bearer synthetic")));
        assert!(!is_passed(&authorization, &value("AWS4-HMAC-SHA256 Credential=synthetic")));
        assert!(!is_passed(&HeaderName::from_static(METHOD_OVERRIDE), &value("DELETE")));
    }
}
