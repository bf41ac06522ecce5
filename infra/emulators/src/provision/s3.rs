use http::{Method, StatusCode};
use serde_json::Value;

use super::properties::{Properties, flag};
use super::{Run, attributes, refused, unsupported};
use crate::Error;
use crate::template::Attributes;

impl Run<'_> {
    pub(super) async fn bucket(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let bucket = properties.text("BucketName")?;
        let locked = properties.take("ObjectLockEnabled").is_some_and(|value| flag(&value));
        let lock = properties.take("ObjectLockConfiguration");
        let versioned = properties.take("VersioningConfiguration");
        // Encryption, ownership, public access, life cycle and access logs have no visible effect locally.
        properties.ignore(&[
            "BucketEncryption",
            "LifecycleConfiguration",
            "LoggingConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
        ]);
        properties.finish()?;

        let url = format!("{}/{bucket}", self.other(name)?);
        let found = self.client.s3(Method::HEAD, &url, &[], String::new()).await.map_err(refused(name, "HeadBucket"))?;
        if found == StatusCode::NOT_FOUND {
            let headers: &[_] = if locked { &[("x-amz-bucket-object-lock-enabled", "true")] } else { &[] };
            self.client.s3(Method::PUT, &url, headers, String::new()).await.map_err(refused(name, "CreateBucket"))?;
            if versioned.is_some_and(|versioning| versioning["Status"] == "Enabled") {
                let body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
                self.set(name, &format!("{url}?versioning"), body.to_owned()).await?;
            }
            if let Some(lock) = lock {
                self.set(name, &format!("{url}?object-lock"), lock_xml(name, &lock)?).await?;
            }
        }
        self.done.buckets.insert(name.to_owned(), bucket.clone());
        Ok(attributes(&bucket, [("Arn", format!("arn:aws:s3:::{bucket}"))]))
    }

    async fn set(&self, name: &str, url: &str, body: String) -> Result<(), Error> {
        let status = self.client.s3(Method::PUT, url, &[], body).await.map_err(refused(name, "PutBucketConfiguration"))?;
        if status.is_success() { Ok(()) } else { Err(unsupported(name, format!("the emulator answered {status}"))) }
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html>
fn lock_xml(name: &str, lock: &Value) -> Result<String, Error> {
    let retention = &lock["Rule"]["DefaultRetention"];
    let days = match &retention["Days"] {
        Value::String(days) => days.clone(),
        Value::Number(days) => days.to_string(),
        _ => return Err(unsupported(name, "the default retention has no days")),
    };
    let mode = retention["Mode"].as_str().ok_or_else(|| unsupported(name, "the default retention has no mode"))?;
    Ok(format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>{mode}</Mode>\
         <Days>{days}</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
    ))
}
