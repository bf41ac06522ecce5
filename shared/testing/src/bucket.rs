//! The audit bucket of a test without S3: conditional writes, versions that stay, reads by version. It has no delete, as a
//! deleted key could be written again.

use crate::App;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use std::collections::BTreeMap;

/// A version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    pub id: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// Oldest version first.
    objects: BTreeMap<String, Vec<ObjectVersion>>,
    versions: u64,
}

impl Bucket {
    /// Answers a request for S3. `None` for any other service.
    pub(crate) fn answer(&mut self, request: &HttpRequest) -> Option<HttpResponse> {
        let uri: http::Uri = request.uri().parse().ok()?;
        if !uri.host()?.contains(".s3.") {
            return None;
        }
        let key = uri.path().trim_start_matches('/').to_owned();
        let query: BTreeMap<_, _> = uri.query().unwrap_or_default().split('&').filter_map(|p| p.split_once('=')).collect();
        match request.method() {
            "GET" if lists_versions(request.uri()) => {
                let text = |name: &str| {
                    let pair =
                        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).find(|(known, _)| known == name);
                    pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
                };
                Some(respond(200, None, self.versions(&text("prefix"), &text("key-marker"))))
            }
            "PUT" => {
                if request.headers().get("if-none-match") == Some("*") && self.objects.contains_key(&key) {
                    return Some(respond(412, None, error("PreconditionFailed")));
                }
                let id = self.put(&key, request.body().bytes()?.to_vec());
                Some(respond(200, Some(&id), Vec::new()))
            }
            "GET" => {
                let versions = self.objects.get(&key);
                let wanted = query.get("versionId");
                let found = versions.and_then(|versions| match wanted {
                    Some(id) => versions.iter().find(|version| version.id == *id),
                    None => versions.last(),
                });
                Some(match found {
                    Some(version) => respond(200, Some(&version.id), version.bytes.clone()),
                    None => respond(404, None, error(if wanted.is_some() { "NoSuchVersion" } else { "NoSuchKey" })),
                })
            }
            _ => Some(respond(501, None, error("NotImplemented"))),
        }
    }

    /// S3's list of versions: sorted by key, and the newest version of a key first.
    fn versions(&self, prefix: &str, after: &str) -> Vec<u8> {
        let listed = self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let version = |key: &str, id: &str| format!("<Version><Key>{key}</Key><VersionId>{id}</VersionId></Version>");
        let versions: String =
            listed.flat_map(|(key, versions)| versions.iter().rev().map(move |v| version(key, &v.id))).collect();
        let root = "ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        format!("<?xml version=\"1.0\"?><{root}><IsTruncated>false</IsTruncated>{versions}</ListVersionsResult>").into_bytes()
    }

    fn put(&mut self, key: &str, bytes: Vec<u8>) -> String {
        self.versions += 1;
        let id = format!("v{:06}", self.versions);
        self.objects.entry(key.to_owned()).or_default().push(ObjectVersion { id: id.clone(), bytes });
        id
    }
}

/// True if a call lists versions of objects.
pub(crate) fn lists_versions(uri: &str) -> bool {
    uri.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair == "versions" || pair == "versions="))
}

impl App {
    /// The versions of each object in the audit bucket, oldest first, by key. Only in a test without S3.
    pub fn objects(&self) -> BTreeMap<String, Vec<ObjectVersion>> {
        self.wire().with_bucket(|bucket| bucket.objects.clone())
    }
    /// Puts a new version of an object, as an attacker with the bucket's credentials could. Returns its version.
    pub fn put_over(&self, key: &str, bytes: impl Into<Vec<u8>>) -> String {
        self.wire().with_bucket(|bucket| bucket.put(key, bytes.into()))
    }
    /// Removes an object with all its versions, as a disk failure could. Object Lock forbids it to every caller.
    pub fn lose_object(&self, key: &str) {
        self.wire().with_bucket(|bucket| drop(bucket.objects.remove(key)));
    }
}

fn error(code: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>synthetic</Message></Error>")
        .into_bytes()
}

fn respond(status: u16, version: Option<&str>, body: Vec<u8>) -> HttpResponse {
    let response = http::Response::builder().status(status).header("content-length", body.len());
    let response = match version {
        Some(id) => response.header("x-amz-version-id", id),
        None => response,
    };
    response.body(body.into()).unwrap().try_into().unwrap()
}
