//! S3.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use super::{Ask, Call, Malformed, RequiredPermissions, ask, at_rest};
use crate::iam::account::Account;

/// Query parameters that need no other permission.
const HARMLESS: [&str; 9] = [
    "x-id",
    "versionId",
    "prefix",
    "delimiter",
    "max-keys",
    "key-marker",
    "version-id-marker",
    "continuation-token",
    "start-after",
];

pub(super) fn asked(call: &Call<'_>, account: &Account) -> Result<RequiredPermissions, Malformed> {
    let path = form_urlencoded::parse(format!("p={}", call.path.replace('+', "%2B")).as_bytes())
        .map(|(_, path)| path.into_owned())
        .next()
        .unwrap_or_default();
    let path = path.trim_start_matches('/');
    let (bucket, key) = match call.host.split_once(".s3.") {
        Some((bucket, _)) => (bucket.to_owned(), path.to_owned()),
        None => {
            path.split_once('/').map_or((path.to_owned(), String::new()), |(bucket, key)| (bucket.to_owned(), key.to_owned()))
        }
    };
    let unknown = |what: &str| Malformed(format!("S3's {} of {what} is not supported", call.method));
    let asks_for = call.query.iter().map(|(name, _)| name.as_str()).find(|name| !HARMLESS.contains(name));
    let object = format!("arn:aws:s3:::{bucket}/{key}");
    let of_key = |action: &str| -> Option<Ask> {
        let encryption = account.property_of("AWS::S3::Bucket", &bucket, "BucketEncryption")?;
        let key = encryption.pointer("/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/KMSMasterKeyID")?;
        Some(at_rest(key.as_str()?, "s3", action, &[("aws:s3:arn", &format!("arn:aws:s3:::{bucket}"))]))
    };
    let lists = |action: &str| {
        let mut ask = ask(format!("s3:{action}"), format!("arn:aws:s3:::{bucket}"));
        for name in ["prefix", "delimiter", "max-keys"] {
            if let Some(value) = call.parameter(name) {
                ask = ask.with(&format!("s3:{name}"), [value]);
            }
        }
        ask
    };
    let asks = match (call.method, asks_for, key.is_empty()) {
        ("GET", Some("versions"), true) => vec![lists("ListBucketVersions")],
        ("GET", Some("list-type") | None, true) => vec![lists("ListBucket")],
        ("HEAD", None, true) => vec![lists("ListBucket")],
        ("GET" | "HEAD", None, false) => {
            let asks = match call.parameter("versionId") {
                Some(version) => ask("s3:GetObjectVersion", &object).with("s3:VersionId", [version]),
                None => ask("s3:GetObject", &object),
            };
            // A caller without permission to list gets 403 for an absent object.
            let list = if call.parameter("versionId").is_some() { "ListBucketVersions" } else { "ListBucket" };
            let if_missing = Some(ask(format!("s3:{list}"), format!("arn:aws:s3:::{bucket}")).with("s3:prefix", [key.as_str()]));
            return Ok(RequiredPermissions { asks: [asks].into_iter().chain(of_key("Decrypt")).collect(), if_missing });
        }
        ("PUT", None, false) => {
            let also =
                ["x-amz-object-lock-mode", "x-amz-object-lock-legal-hold", "x-amz-tagging", "x-amz-acl", "x-amz-copy-source"];
            if let Some(header) = also.iter().find(|header| call.header(header).is_some()) {
                return Err(unknown(header));
            }
            let mut put = ask("s3:PutObject", &object);
            if let Some(value) = call.header("if-none-match") {
                put = put.with("s3:if-none-match", [value]);
            }
            [put].into_iter().chain(of_key("GenerateDataKey")).collect()
        }
        ("DELETE", None, false) => {
            let action = if call.parameter("versionId").is_some() { "DeleteObjectVersion" } else { "DeleteObject" };
            vec![ask(format!("s3:{action}"), &object)]
        }
        (_, asks_for, _) => return Err(unknown(asks_for.unwrap_or(call.path))),
    };
    Ok(RequiredPermissions { asks, if_missing: None })
}
