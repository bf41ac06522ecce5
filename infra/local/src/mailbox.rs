//! `GET /_mail`: shows sent mails. No mail leaves this machine; the emulator stores each.

use crate::client::Client;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use common::{base::Timestamp, capabilities::escaped};
use serde_json::{Value, json};
use std::fmt::Write;

/// A mail may contain styles, but no scripts and no external resources.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(Clone, Debug)]
struct Mailbox(Client);

/// A mail that AWS would have sent.
#[derive(Clone, Debug)]
struct Mail {
    id: String,
    from: String,
    to: Vec<String>,
    subject: String,
    text: String,
    html: String,
    at: Timestamp,
}

/// The routes; `endpoint` is that of the SES emulator.
pub(crate) fn router(endpoint: &str) -> Router {
    Router::new().route("/_mail", get(list)).route("/_mail/{id}", get(one)).with_state(Mailbox(Client::new(endpoint)))
}

impl Mailbox {
    /// The newest first.
    async fn mails(&self) -> Result<Vec<Mail>, Response> {
        let answer = self.0.send(&Method::GET, "/_ministack/ses/messages", &[], "").await;
        let unavailable = |why: String| (StatusCode::BAD_GATEWAY, why).into_response();
        let answer = answer.map_err(|e| unavailable(e.to_string()))?;
        let mails = answer.json["messages"][emulators::ACCOUNT].as_array().into_iter().flatten();
        let mut mails: Vec<_> = mails.filter_map(Mail::of).collect();
        mails.reverse();
        Ok(mails)
    }
}

impl Mail {
    fn of(mail: &Value) -> Option<Self> {
        let text = |name: &str| mail[name].as_str().unwrap_or_default().to_owned();
        let to = ["To", "CC", "BCC"].into_iter().flat_map(|name| mail[name].as_array().into_iter().flatten());
        Some(Self {
            id: mail["MessageId"].as_str()?.to_owned(),
            from: text("Source"),
            to: to.filter_map(|address| address.as_str().map(str::to_owned)).collect(),
            subject: text("Subject"),
            text: text("BodyText"),
            html: text("BodyHtml"),
            at: Timestamp::from_millis(seconds(&mail["Timestamp"])? * 1000),
        })
    }

    fn json(&self) -> Value {
        let Self { id, from, to, subject, text, html, at } = self;
        json!({ "id": id, "from": from, "to": to, "subject": subject, "text": text, "html": html, "sent_at": at.to_string() })
    }
}

/// Seconds; the fraction is dropped.
fn seconds(value: &Value) -> Option<i64> {
    value.to_string().split('.').next()?.parse().ok()
}

/// A page, or a list if the client requests JSON.
async fn list(State(mailbox): State<Mailbox>, headers: HeaderMap) -> Response {
    let mails = match mailbox.mails().await {
        Ok(mails) => mails,
        Err(unavailable) => return unavailable,
    };
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("application/json") {
        return Json(json!({ "mails": mails.iter().map(Mail::json).collect::<Vec<_>>() })).into_response();
    }
    with_policy(Html(page(&mails)))
}

/// A mail as its recipient sees it.
async fn one(State(mailbox): State<Mailbox>, Path(id): Path<String>) -> Response {
    let mails = match mailbox.mails().await {
        Ok(mails) => mails,
        Err(unavailable) => return unavailable,
    };
    match mails.into_iter().find(|mail| mail.id == id) {
        Some(mail) if !mail.html.is_empty() => with_policy(Html(mail.html)),
        Some(mail) => with_policy(mail.text),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn with_policy(response: impl IntoResponse) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], response).into_response()
}

fn page(mails: &[Mail]) -> String {
    let mut out = "<!doctype html><meta charset=utf-8><title>Mail</title><style>body{font:15px/1.5 system-ui;max-width:46rem;\
                   margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap}article{border-top:1px solid #ccc}</style>\
                   <h1>What was e-mailed</h1>"
        .to_owned();
    if mails.is_empty() {
        out.push_str("<p>Nothing yet.");
    }
    for Mail { id, from, to, subject, text, html, at } in mails {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<article><h2>{}</h2><p>{at}<br>from {}<br>to {}</p><pre>{}</pre>",
            escaped(subject),
            escaped(from),
            escaped(&to.join(", ")),
            escaped(text)
        );
        if !html.is_empty() {
            let _ = write!(out, "<p><a href=\"/_mail/{}\">as HTML</a></p>", escaped(id));
        }
        out.push_str("</article>");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_escaped_and_cannot_change_the_page() {
        let mail = Mail::of(&json!({
            "MessageId": "m-1", "Source": "no-reply@cloister.example", "To": ["a@acme-health.example"], "CC": [], "BCC": [],
            "Subject": "<script>", "BodyText": "2 updates & more", "BodyHtml": "<p>2</p>", "Timestamp": 1_768_857_206.25,
        }))
        .unwrap();
        assert_eq!(mail.at.to_string(), "2026-01-19T21:13:26.000Z");
        let page = page(&[mail]);
        for part in ["&lt;script&gt;", "2 updates &amp; more", "to a@acme-health.example", "/_mail/m-1"] {
            assert!(page.contains(part), "{page}");
        }
        assert!(!page.contains("<script>"));
    }
}
