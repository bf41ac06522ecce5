//! The permissions that a call needs: actions, each with a resource and the condition keys of AWS's service authorization
//! reference. An unsupported operation is an error.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>

mod dynamodb;
mod kms;
mod others;
mod s3;

use super::{Ask, Context, Malformed, account::Account};
use crate::{ACCOUNT, REGION, kms::Keys};
use serde_json::Value;

/// A request to AWS.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// As sent, percent-encoded.
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a [u8],
}

/// The signer of a call, and the service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signature<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) service: &'a str,
}

/// The permissions that a call needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RequiredPermissions {
    pub(crate) asks: Vec<Ask>,
    /// For an absent object: whether the caller may learn that it is absent.
    pub(crate) if_missing: Option<Ask>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'a str, uri: &'a str, headers: Vec<(&'a str, &'a str)>, body: &'a [u8]) -> Self {
        let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { method, host, path, query, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The signer; `None` without a signature of version 4.
    pub(crate) fn signature(&self) -> Option<Signature<'a>> {
        let (_, credential) = self.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?.split_once("Credential=")?;
        let credential = credential.split(',').next()?;
        // Access keys of the local stack contain no slash.
        let parts: Vec<_> = credential.split('/').collect();
        let [access_key, _, _, service, "aws4_request"] = parts.as_slice() else { return None };
        Some(Signature { access_key, service })
    }

    /// The operation's name, for services with AWS's JSON protocol.
    pub(crate) fn operation(&self) -> Option<(&'a str, &'a str)> {
        self.header("x-amz-target")?.rsplit_once('.')
    }

    /// The permissions that the call needs.
    ///
    /// # Errors
    /// If the operation, or a part of it, is not supported.
    pub(crate) fn asked(&self, service: &str, account: &Account, keys: Option<&Keys>) -> Result<RequiredPermissions, Malformed> {
        let operation = || {
            let (_, operation) = self.operation().ok_or_else(|| self.unknown(service))?;
            let body: Value = serde_json::from_slice(self.body).map_err(|_| self.unknown(service))?;
            Ok::<_, Malformed>((operation, body))
        };
        let asks = match service {
            "dynamodb" => {
                let (operation, body) = operation()?;
                dynamodb::asks(operation, &body, account)?
            }
            "kms" => {
                let (operation, body) = operation()?;
                kms::asks(operation, &body, keys)?
            }
            "sqs" => {
                let (operation, body) = operation()?;
                others::sqs(operation, &body, account)?
            }
            "cognito-idp" => {
                let (operation, body) = operation()?;
                others::cognito(operation, &body)?
            }
            "secretsmanager" => {
                let (operation, body) = operation()?;
                others::secrets(operation, &body, account)?
            }
            "ses" => others::ses(self, account)?,
            "execute-api" => others::sockets(self, account)?,
            "sts" => others::sts(self)?,
            "s3" => return s3::asked(self, account),
            _ => return Err(self.unknown(service)),
        };
        Ok(RequiredPermissions { asks, if_missing: None })
    }

    fn unknown(&self, service: &str) -> Malformed {
        let operation = self.operation().map(|(_, operation)| operation).unwrap_or_default();
        Malformed(format!("unsupported call to {service}: {} {} {operation}", self.method, self.path))
    }
}

fn ask(action: impl Into<String>, resource: impl Into<String>) -> Ask {
    Ask { action: action.into(), resource: resource.into(), context: Context::new() }
}

impl Ask {
    /// Adds a condition key, in any case, and its values.
    fn with<V: Into<String>>(mut self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.context.insert(key.to_ascii_lowercase(), values.into_iter().map(Into::into).collect());
        self
    }
}

fn arn(service: &str, rest: impl std::fmt::Display) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}")
}

/// The permission that a storage service needs for its key, on behalf of its caller.
fn at_rest(key: &str, service: &str, action: &str, context: &[(&str, &str)]) -> Ask {
    let mut ask = ask(format!("kms:{action}"), key)
        .with("kms:ViaService", [format!("{service}.{REGION}.amazonaws.com")])
        .with("kms:CallerAccount", [ACCOUNT])
        .with("aws:ViaAWSService", ["true"])
        .with("kms:EncryptionContextKeys", context.iter().map(|(name, _)| *name));
    for (name, value) in context {
        ask = ask.with(&format!("kms:EncryptionContext:{name}"), [*value]);
    }
    ask
}
