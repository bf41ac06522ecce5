//! Actions that only return data about keys.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::error::{KmsError, Result};
use super::super::key::{Key, KeyState, Usage};
use super::super::state::{Store, check_enabled, check_not_pending};
use super::{Blob, KeyOnly};
use crate::{ACCOUNT, REGION};

/// A list's only page. `Limit` affects how AWS divides a list, not its contents.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    key_id: Option<String>,
    #[serde(rename = "Limit")]
    _limit: Option<u32>,
}

pub(super) fn metadata(key: &Key) -> Value {
    let (field, algorithms) = key.spec.algorithms();
    let mut metadata = json!({
        "AWSAccountId": ACCOUNT,
        "KeyId": key.id,
        "Arn": key.arn(),
        "CreationDate": key.created,
        "Enabled": key.state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": key.spec.usage(),
        "KeyState": key.state,
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "KeySpec": key.spec,
        "CustomerMasterKeySpec": key.spec,
        "MultiRegion": false,
    });
    metadata[field] = json!(algorithms);
    if let Some(at) = key.deletion {
        metadata["DeletionDate"] = json!(at);
    }
    metadata
}

pub(super) fn describe_key(store: &Store, input: KeyOnly) -> Result<Value> {
    Ok(json!({ "KeyMetadata": metadata(store.key(&input.key_id)?) }))
}

pub(super) fn get_key_rotation_status(store: &Store, input: KeyOnly) -> Result<Value> {
    let key = store.key(&input.key_id)?;
    check_not_pending(key)?;
    Ok(json!({ "KeyId": key.id, "KeyRotationEnabled": key.rotates_yearly }))
}

pub(super) fn list_key_rotations(store: &Store, input: List) -> Result<Value> {
    let name = input.key_id.ok_or_else(|| KmsError::validation("KeyId is missing"))?;
    let key = store.key(&name)?;
    let rotations: Vec<Value> =
        key.rotations.iter().map(|at| json!({ "KeyId": key.id, "RotationDate": at, "RotationType": "ON_DEMAND" })).collect();
    Ok(json!({ "Rotations": rotations, "Truncated": false }))
}

pub(super) fn list_keys(store: &Store, _input: List) -> Result<Value> {
    let keys: Vec<Value> = store.state.keys.values().map(|key| json!({ "KeyId": key.id, "KeyArn": key.arn() })).collect();
    Ok(json!({ "Keys": keys, "Truncated": false }))
}

pub(super) fn list_aliases(store: &Store, input: List) -> Result<Value> {
    let only = input.key_id.map(|name| store.id(&name)).transpose()?;
    let aliases: Vec<Value> = store
        .state
        .aliases
        .iter()
        .filter(|(_, key)| only.is_none_or(|only| only == **key))
        .map(|(name, key)| {
            json!({
                "AliasName": format!("alias/{name}"),
                "AliasArn": format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/{name}"),
                "TargetKeyId": key,
            })
        })
        .collect();
    Ok(json!({ "Aliases": aliases, "Truncated": false }))
}

pub(super) fn list_resource_tags(store: &Store, input: List) -> Result<Value> {
    let name = input.key_id.ok_or_else(|| KmsError::validation("KeyId is missing"))?;
    let tags: Vec<Value> =
        store.key(&name)?.tags.iter().map(|(name, value)| json!({ "TagKey": name, "TagValue": value })).collect();
    Ok(json!({ "Tags": tags, "Truncated": false }))
}

pub(super) fn get_public_key(store: &Store, input: KeyOnly) -> Result<Value> {
    let key = store.key(&input.key_id)?;
    check_enabled(key)?;
    let public = Blob(key.public_key()?);
    let mut output = json!({
        "KeyId": key.arn(),
        "PublicKey": public,
        "KeySpec": key.spec,
        "CustomerMasterKeySpec": key.spec,
        "KeyUsage": key.spec.usage(),
    });
    if key.spec.usage() == Usage::Sign {
        output["SigningAlgorithms"] = json!(key.spec.algorithms().1);
    }
    Ok(output)
}
