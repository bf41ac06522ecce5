//! KMS.
//! <https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html>

use super::{Ask, Malformed, arn, ask};
use crate::{ACCOUNT, kms::Keys};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn asks(operation: &str, body: &Value, keys: Option<&Keys>) -> Result<Vec<Ask>, Malformed> {
    let wrong = || Malformed(format!("KMS's {operation} is not supported"));
    let of = |name: &str, action: &str| -> Vec<Ask> {
        let named = body[name].as_str().unwrap_or_default();
        resolve(named, keys).map(|(key, tags)| about_key(action, named, &key, &tags)).into_iter().collect()
    };
    let with_context =
        |asks: Vec<Ask>, name: &str| -> Vec<Ask> { asks.into_iter().map(|ask| context(ask, &body[name])).collect() };
    Ok(match operation {
        "Encrypt" | "Decrypt" | "GenerateDataKey" | "GenerateDataKeyWithoutPlaintext" => {
            // A ciphertext contains its key's id, so Decrypt may omit it.
            if !body["KeyId"].is_string() {
                return Err(wrong());
            }
            with_context(of("KeyId", operation), "EncryptionContext")
        }
        "ReEncrypt" => {
            let from = with_context(of("SourceKeyId", "ReEncryptFrom"), "SourceEncryptionContext");
            if from.is_empty() {
                return Err(wrong());
            }
            from.into_iter().chain(with_context(of("DestinationKeyId", "ReEncryptTo"), "DestinationEncryptionContext")).collect()
        }
        "Sign" | "Verify" => {
            let text = |name: &str, default: &str| [body[name].as_str().unwrap_or(default).to_owned()];
            let each = of("KeyId", operation).into_iter().map(|ask| {
                ask.with("kms:SigningAlgorithm", text("SigningAlgorithm", "")).with("kms:MessageType", text("MessageType", "RAW"))
            });
            each.collect()
        }
        "DescribeKey"
        | "GetPublicKey"
        | "EnableKeyRotation"
        | "DisableKeyRotation"
        | "GetKeyRotationStatus"
        | "RotateKeyOnDemand"
        | "ListResourceTags"
        | "GenerateMac"
        | "VerifyMac"
        | "EnableKey"
        | "DisableKey"
        | "ScheduleKeyDeletion"
        | "CancelKeyDeletion" => of("KeyId", operation),
        "CreateKey" => {
            if !body["Policy"].is_null() {
                return Err(Malformed("a key is created with its own policy, which is not supported".to_owned()));
            }
            // A key has no ARN before it is created. Tags need the permission to tag, too.
            let text = |name: &str, default: &str| [body[name].as_str().unwrap_or(default).to_owned()];
            let made = ask("kms:CreateKey", "*")
                .with("kms:KeySpec", text("KeySpec", "SYMMETRIC_DEFAULT"))
                .with("kms:KeyUsage", text("KeyUsage", "ENCRYPT_DECRYPT"))
                .with("kms:CallerAccount", [ACCOUNT]);
            match body["Tags"].as_array() {
                None => vec![made],
                Some(tags) => {
                    let tag = ask("kms:TagResource", arn("kms", "key/new")).with("kms:CallerAccount", [ACCOUNT]);
                    vec![tagged(made, tags), tagged(tag, tags)]
                }
            }
        }
        "TagResource" => {
            let tags = body["Tags"].as_array().ok_or_else(wrong)?;
            of("KeyId", operation).into_iter().map(|ask| tagged(ask, tags)).collect()
        }
        "CreateAlias" => {
            let alias = body["AliasName"].as_str().ok_or_else(wrong)?;
            let named = ask("kms:CreateAlias", arn("kms", alias)).with("kms:CallerAccount", [ACCOUNT]);
            [named].into_iter().chain(of("TargetKeyId", operation)).collect()
        }
        _ => return Err(wrong()),
    })
}

type Tags = BTreeMap<String, String>;

/// The key's ARN and tags; `None` if there is no such key, because AWS reports that before it checks permissions.
fn resolve(named: &str, keys: Option<&Keys>) -> Option<(String, Tags)> {
    match keys {
        Some(keys) => keys.find(named),
        None if named.contains(":key/") => Some((named.to_owned(), Tags::new())),
        None => None,
    }
}

fn about_key(action: &str, named: &str, key: &str, tags: &Tags) -> Ask {
    let mut ask = ask(format!("kms:{action}"), key).with("kms:CallerAccount", [ACCOUNT]);
    for (name, value) in tags {
        ask = ask.with(&format!("aws:ResourceTag/{name}"), [value.as_str()]);
    }
    match named.rsplit_once("alias/") {
        Some((_, alias)) => ask.with("kms:RequestAlias", [format!("alias/{alias}")]),
        None => ask,
    }
}

fn context(ask: Ask, pairs: &Value) -> Ask {
    let Some(pairs) = pairs.as_object() else { return ask };
    let ask = ask.with("kms:EncryptionContextKeys", pairs.keys());
    pairs
        .iter()
        .fold(ask, |ask, (name, value)| ask.with(&format!("kms:EncryptionContext:{name}"), [value.as_str().unwrap_or_default()]))
}

fn tagged(ask: Ask, tags: &[Value]) -> Ask {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ask = ask.with("aws:TagKeys", tags.iter().map(|tag| text(&tag["TagKey"])));
    tags.iter().fold(ask, |ask, tag| ask.with(&format!("aws:RequestTag/{}", text(&tag["TagKey"])), [text(&tag["TagValue"])]))
}
