//! Actions that change keys.

use std::collections::BTreeMap;

use aws_lc_rs::rand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::error::{KmsError, Result};
use super::super::key::{Key, KeyState, Material, Spec, Usage};
use super::super::state::{Store, check_enabled, check_not_pending};
use super::KeyOnly;
use super::metadata::metadata;
use crate::clock::unix_seconds;

/// AWS allows this many on-demand rotations of a key.
const ON_DEMAND_ROTATIONS: usize = 25;

const DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    tag_key: String,
    tag_value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateKey {
    #[serde(default)]
    description: String,
    #[serde(default)]
    key_spec: Spec,
    key_usage: Option<Usage>,
    #[serde(default)]
    tags: Vec<Tag>,
    /// Accepted and not enforced.
    #[serde(rename = "Policy")]
    _policy: Option<String>,
    /// Accepted: a lock-out is not possible here.
    #[serde(rename = "BypassPolicyLockoutSafetyCheck")]
    _bypass: Option<bool>,
}

pub(super) fn create_key(store: &mut Store, input: CreateKey) -> Result<Value> {
    let usage = input.key_usage.unwrap_or(Usage::Encrypt);
    if usage != input.key_spec.usage() {
        return Err(KmsError::validation(format!("KeyUsage {usage:?} is not compatible with KeySpec {:?}", input.key_spec)));
    }
    let mut random = [0; 16];
    rand::fill(&mut random).map_err(|_| KmsError::internal("no random bytes"))?;
    let key = Key {
        id: uuid::Builder::from_random_bytes(random).into_uuid(),
        description: input.description,
        spec: input.key_spec,
        state: KeyState::Enabled,
        created: unix_seconds(),
        deletion: None,
        rotates_yearly: false,
        tags: tags(input.tags),
        materials: vec![Material::generate(input.key_spec)?],
        rotations: Vec::new(),
    };
    let output = json!({ "KeyMetadata": metadata(&key) });
    store.state.keys.insert(key.id, key);
    Ok(output)
}

pub(super) fn enable_key(store: &mut Store, input: KeyOnly) -> Result<Value> {
    set_state(store, &input.key_id, KeyState::Enabled)
}

pub(super) fn disable_key(store: &mut Store, input: KeyOnly) -> Result<Value> {
    set_state(store, &input.key_id, KeyState::Disabled)
}

fn set_state(store: &mut Store, name: &str, state: KeyState) -> Result<Value> {
    let key = store.key_mut(name)?;
    check_not_pending(key)?;
    key.state = state;
    Ok(json!({}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ScheduleKeyDeletion {
    key_id: String,
    #[serde(default = "longest_window")]
    pending_window_in_days: u64,
}

fn longest_window() -> u64 {
    30
}

pub(super) fn schedule_key_deletion(store: &mut Store, input: ScheduleKeyDeletion) -> Result<Value> {
    let days = input.pending_window_in_days;
    if !(7..=30).contains(&days) {
        return Err(KmsError::validation("PendingWindowInDays must be between 7 and 30 days."));
    }
    let key = store.key_mut(&input.key_id)?;
    check_not_pending(key)?;
    let at = unix_seconds() + days * DAY;
    key.state = KeyState::PendingDeletion;
    key.deletion = Some(at);
    Ok(json!({
        "KeyId": key.arn(),
        "KeyState": key.state,
        "DeletionDate": at,
        "PendingWindowInDays": days,
    }))
}

pub(super) fn cancel_key_deletion(store: &mut Store, input: KeyOnly) -> Result<Value> {
    let key = store.key_mut(&input.key_id)?;
    if key.state != KeyState::PendingDeletion {
        return Err(KmsError::new("KMSInvalidStateException", format!("{} is not pending deletion.", key.arn())));
    }
    key.state = KeyState::Disabled;
    key.deletion = None;
    Ok(json!({ "KeyId": key.arn() }))
}

pub(super) fn rotate_key_on_demand(store: &mut Store, input: KeyOnly) -> Result<Value> {
    let key = rotatable(store, &input.key_id)?;
    if key.rotations.len() >= ON_DEMAND_ROTATIONS {
        return Err(KmsError::new("LimitExceededException", format!("{} was rotated on demand too often.", key.arn())));
    }
    key.materials.push(Material::generate(key.spec)?);
    key.rotations.push(unix_seconds());
    Ok(json!({ "KeyId": key.id }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct EnableKeyRotation {
    key_id: String,
    #[serde(rename = "RotationPeriodInDays")]
    _period: Option<u32>,
}

pub(super) fn enable_key_rotation(store: &mut Store, input: EnableKeyRotation) -> Result<Value> {
    rotatable(store, &input.key_id)?.rotates_yearly = true;
    Ok(json!({}))
}

pub(super) fn disable_key_rotation(store: &mut Store, input: KeyOnly) -> Result<Value> {
    rotatable(store, &input.key_id)?.rotates_yearly = false;
    Ok(json!({}))
}

/// Takes a key's id or ARN: these actions accept no alias.
fn rotatable<'a>(store: &'a mut Store, name: &str) -> Result<&'a mut Key> {
    if name.contains("alias/") {
        return Err(KmsError::new("InvalidArnException", format!("Invalid keyId '{name}'")));
    }
    let key = store.key_mut(name)?;
    check_enabled(key)?;
    if key.spec != Spec::Symmetric {
        return Err(KmsError::new("UnsupportedOperationException", format!("{} does not support rotation.", key.arn())));
    }
    Ok(key)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct CreateAlias {
    alias_name: String,
    target_key_id: String,
}

pub(super) fn create_alias(store: &mut Store, input: CreateAlias) -> Result<Value> {
    let name = input.alias_name.strip_prefix("alias/").filter(|name| !name.is_empty() && !name.starts_with("aws/")).ok_or_else(
        || {
            KmsError::new(
                "InvalidAliasNameException",
                "Alias must start with the prefix \"alias/\", and \"alias/aws/\" is AWS's.",
            )
        },
    )?;
    let key = store.key(&input.target_key_id)?;
    check_not_pending(key)?;
    let id = key.id;
    if store.state.aliases.contains_key(name) {
        return Err(KmsError::new(
            "AlreadyExistsException",
            format!("An alias with the name {} already exists", input.alias_name),
        ));
    }
    store.state.aliases.insert(name.to_owned(), id);
    Ok(json!({}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TagResource {
    key_id: String,
    tags: Vec<Tag>,
}

pub(super) fn tag_resource(store: &mut Store, input: TagResource) -> Result<Value> {
    let key = store.key_mut(&input.key_id)?;
    check_not_pending(key)?;
    key.tags.extend(tags(input.tags));
    Ok(json!({}))
}

fn tags(list: Vec<Tag>) -> BTreeMap<String, String> {
    list.into_iter().map(|tag| (tag.tag_key, tag.tag_value)).collect()
}
