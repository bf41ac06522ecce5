//! The audit bucket: objects are written once, protected by the bucket's Object Lock, and read by version.
//!
//! A key is written with `If-None-Match: *`, so that the slower of two writers gets an error; the bucket's policy denies every
//! other write. An attacker who bypasses this can put a newer version over an object, but the older one stays, and is the one
//! that is read by its version.

use crate::{
    aws::{errors::cause, tenant_credentials::TenantCredentials},
    base::{Error, Result, TenantId, error::Cause, random::backoff},
};
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectError, put_object::PutObjectError},
    primitives::SdkBody,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::{Engine, engine::general_purpose::STANDARD};
use ledger::Hash;
use std::{sync::Arc, time::Duration};

const SERVICE: &str = "s3";
/// The timeout for the body of an answer after its beginning.
const BODY: Duration = Duration::from_secs(5);
/// The number of tries of a write that conflicts with another of its key.
const ATTEMPTS: u32 = 4;

/// S3's errors for a missing key, a missing version, an impossible version, and a delete marker. A caller gets them only with
/// permission to list the key. Other errors do not show whether the object exists.
///
/// Source: S3, "GetObject", permissions.
const NOT_THERE: [&str; 4] = ["NoSuchKey", "NoSuchVersion", "InvalidArgument", "MethodNotAllowed"];

/// The version of an object: S3's `x-amz-version-id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion(String);

impl ObjectVersion {
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object that was read.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) version: ObjectVersion,
    pub(crate) bytes: Vec<u8>,
}

/// Versions of objects, oldest key first.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    pub(crate) found: Vec<(String, ObjectVersion)>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// The result of a write.
#[derive(Debug)]
pub(crate) enum Created {
    Done(ObjectVersion),
    /// An object with that key exists.
    Exists,
}

/// Each object belongs to one tenant: its key contains the tenant after the first `/`.
#[derive(Debug)]
pub(crate) struct Objects {
    own: aws_sdk_s3::Client,
    tenant_credentials: Option<Arc<TenantCredentials>>,
    bucket: String,
}

impl Objects {
    pub(crate) const fn new(own: aws_sdk_s3::Client, tenant_credentials: Option<Arc<TenantCredentials>>, bucket: String) -> Self {
        Self { own, tenant_credentials, bucket }
    }

    /// The client for `tenant`'s objects: with tenant credentials, a session of that tenant. The platform's objects belong to the
    /// function's own role.
    async fn client(&self, tenant: TenantId) -> Result<aws_sdk_s3::Client> {
        match TenantCredentials::needed_for(self.tenant_credentials.as_ref(), tenant) {
            Some(tenant_credentials) => tenant_credentials.objects(tenant).await,
            None => Ok(self.own.clone()),
        }
    }

    /// Writes an object if none exists. S3 refuses bytes with another hash.
    ///
    /// # Errors
    /// 503 if S3 or STS does not answer; the object may exist then. Internal if S3 denies it.
    pub(crate) async fn create(&self, tenant: TenantId, key: &str, content_type: &str, bytes: Vec<u8>) -> Result<Created> {
        let hash = STANDARD.encode(Hash::of(&bytes).as_bytes());
        let mut attempt = 1;
        loop {
            let sent = self
                .client(tenant)
                .await?
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .if_none_match("*")
                .content_type(content_type)
                .checksum_sha256(&hash)
                .body(SdkBody::from(bytes.as_slice()).into())
                .send()
                .await;
            match sent {
                // Without versions in the bucket, its guarantees do not hold.
                Ok(answer) => {
                    return answer.version_id.map(|id| Created::Done(ObjectVersion(id))).ok_or(Error::internal("object version"));
                }
                Err(e) if status(&e) == Some(412) => return Ok(Created::Exists),
                // Another write of the key is running. S3 reports this at once, and the SDK does not retry it.
                Err(e) if status(&e) == Some(409) && attempt < ATTEMPTS => {
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                }
                Err(e) => return Err(failed::<PutObjectError>(&e)),
            }
        }
    }

    /// The versions of a tenant's objects whose keys begin with `prefix` and come after `after`, including overwritten ones and
    /// those behind a delete marker, so that an attacker cannot hide one by writing.
    ///
    /// # Errors
    /// 503 if S3 or STS does not answer. Internal if S3 denies it.
    pub(crate) async fn versions_after(&self, tenant: TenantId, prefix: &str, after: &str) -> Result<Versions> {
        let request = self.client(tenant).await?.list_object_versions().bucket(&self.bucket).prefix(prefix).key_marker(after);
        let answer = request.send().await.map_err(|e| failed(&e))?;
        let of_each = |version: &aws_sdk_s3::types::ObjectVersion| {
            let (key, id) = (version.key()?, version.version_id()?);
            // A service may include the marker itself.
            (key > after).then(|| (key.to_owned(), ObjectVersion::new(id)))
        };
        let more = answer.is_truncated().unwrap_or_default();
        Ok(Versions { found: answer.versions().iter().filter_map(of_each).collect(), more })
    }

    /// Reads an object in one version or in its newest one; `None` if it does not exist. An object of more than `most` bytes was
    /// not written by us and is refused.
    ///
    /// # Errors
    /// 503 if S3 or STS does not answer, or the bytes do not match their checksum. Internal if S3 denies it.
    pub(crate) async fn get(
        &self,
        tenant: TenantId,
        key: &str,
        version: Option<&ObjectVersion>,
        most: usize,
    ) -> Result<Option<Object>> {
        let request = self.client(tenant).await?.get_object().bucket(&self.bucket).key(key);
        let answer = match request.set_version_id(version.map(|v| v.0.clone())).send().await {
            Ok(answer) => answer,
            Err(e) if e.code().is_some_and(|code| NOT_THERE.contains(&code)) => return Ok(None),
            Err(e) => return Err(failed::<GetObjectError>(&e)),
        };
        let broken = |what| Error::Unavailable { service: SERVICE, cause: Cause::code(what) };
        if answer.content_length.and_then(|n| usize::try_from(n).ok()).is_none_or(|n| n > most) {
            return Err(Error::internal("object length"));
        }
        let version = ObjectVersion(answer.version_id.ok_or(Error::internal("object version"))?);
        let bytes = tokio::time::timeout(BODY, answer.body.collect()).await.map_err(|_| broken("timeout"))?;
        Ok(Some(Object { version, bytes: bytes.map_err(|_| broken("unreadable answer"))?.to_vec() }))
    }
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

/// A 403 does not go away by itself, because a role lacks a permission or a key is disabled. It is not an outage.
fn failed<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Error {
    let cause = cause(error);
    if status(error) == Some(403) {
        Error::internal_because("s3 denied", cause)
    } else {
        Error::Unavailable { service: SERVICE, cause }
    }
}
