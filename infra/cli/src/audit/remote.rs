//! The API of a deployment, as an auditor calls it: with a token, one request at a time, and patience.

use common::Aws;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// What an answer may weigh: a segment, with what JSON adds.
const MOST: usize = 12 << 20;
/// How often a request is tried that was refused for its being one too many, or that got no answer.
const TRIES: u32 = 8;
/// The longest that is waited before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Remote {
    client: Aws,
    endpoint: String,
    token: String,
}

impl Remote {
    /// With the token in `CLOISTER_TOKEN`.
    pub(super) fn new(endpoint: &str) -> Result<Self, String> {
        let token = std::env::var("CLOISTER_TOKEN").unwrap_or_default();
        if token.is_empty() {
            return Err(
                "CLOISTER_TOKEN holds no access token: sign in as an auditor, and put the `access_token` there".to_owned()
            );
        }
        if !may_have_the_token(endpoint) {
            return Err(format!("`{endpoint}` is not an https address"));
        }
        Ok(Self { client: Aws::from_env([]), endpoint: endpoint.trim_end_matches('/').to_owned(), token })
    }

    /// An answer of `path`, once it is 200.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let mut why = String::new();
        for attempt in 0..TRIES {
            let request = http::Request::get(format!("{}{path}", self.endpoint))
                .header("authorization", format!("Bearer {}", self.token))
                .header("accept", "application/json")
                .body(Vec::new())
                .map_err(|_| format!("`{}{path}` is not an address", self.endpoint))?;
            let wait = match self.client.fetch(request, MOST).await {
                Ok(answer) if answer.status() == 200 => {
                    return serde_json::from_slice(answer.body())
                        .map_err(|e| format!("the answer of {path} is not understood: {e}"));
                }
                Ok(answer) => {
                    why = problem(path, &answer);
                    if !matches!(answer.status().as_u16(), 429 | 503) {
                        break;
                    }
                    let after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
                    Duration::from_secs(after.unwrap_or(1 << attempt.min(5)))
                }
                Err(word) => {
                    why = format!("{path}: {word}");
                    Duration::from_secs(1 << attempt.min(5))
                }
            };
            if attempt + 1 < TRIES {
                tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            }
        }
        Err(why)
    }
}

/// Whether nobody between here and there can read along: the host is ours, not one whose name begins like it.
fn may_have_the_token(endpoint: &str) -> bool {
    let Ok(address) = endpoint.parse::<http::Uri>() else { return false };
    let plain = address.authority().is_some_and(|authority| !authority.as_str().contains('@')) && address.query().is_none();
    let loopback = matches!(address.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    plain && (address.scheme_str() == Some("https") || address.scheme_str() == Some("http") && loopback)
}

fn problem(path: &str, answer: &http::Response<Vec<u8>>) -> String {
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or("-").to_owned();
    format!(
        "{path}: {} {}: {} (correlation id {})",
        answer.status().as_u16(),
        text("code"),
        text("detail"),
        text("correlation_id")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_nowhere_in_the_clear_but_to_this_machine() {
        for good in ["https://api.example/live", "http://127.0.0.1:9000", "http://localhost:9000/live", "http://[::1]:9000"] {
            assert!(may_have_the_token(good), "{good}");
        }
        for bad in [
            "http://api.example",
            "http://127.0.0.1.example",
            "http://localhost.example/live",
            "http://localhost@api.example",
            "http://127.0.0.1:9000@api.example",
            "https://api.example@other.example",
            "https://api.example/live?x=",
            "ftp://localhost",
            "api.example",
            "",
        ] {
            assert!(!may_have_the_token(bad), "{bad}");
        }
    }
}
