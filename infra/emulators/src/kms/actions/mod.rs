//! The actions, by their names in the protocol.

mod cryptography;
mod management;
mod metadata;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::error::{KmsError, Result};
use super::state::Store;

/// Runs one call. Its changes are written to the file before it is answered.
pub(super) fn run(store: &mut Store, action: &str, body: &[u8]) -> Result<Value> {
    use cryptography as c;
    use management as m;
    use metadata as d;

    store.delete_due();
    let store = &mut *store;
    match action {
        "CreateKey" => saved(store, parse(body)?, m::create_key),
        "EnableKey" => saved(store, parse(body)?, m::enable_key),
        "DisableKey" => saved(store, parse(body)?, m::disable_key),
        "ScheduleKeyDeletion" => saved(store, parse(body)?, m::schedule_key_deletion),
        "CancelKeyDeletion" => saved(store, parse(body)?, m::cancel_key_deletion),
        "RotateKeyOnDemand" => saved(store, parse(body)?, m::rotate_key_on_demand),
        "EnableKeyRotation" => saved(store, parse(body)?, m::enable_key_rotation),
        "DisableKeyRotation" => saved(store, parse(body)?, m::disable_key_rotation),
        "CreateAlias" => saved(store, parse(body)?, m::create_alias),
        "TagResource" => saved(store, parse(body)?, m::tag_resource),

        "DescribeKey" => d::describe_key(store, parse(body)?),
        "GetKeyRotationStatus" => d::get_key_rotation_status(store, parse(body)?),
        "ListKeyRotations" => d::list_key_rotations(store, parse(body)?),
        "ListKeys" => d::list_keys(store, parse(body)?),
        "ListAliases" => d::list_aliases(store, parse(body)?),
        "ListResourceTags" => d::list_resource_tags(store, parse(body)?),
        "GetPublicKey" => d::get_public_key(store, parse(body)?),

        "Encrypt" => c::encrypt(store, parse(body)?),
        "Decrypt" => c::decrypt(store, parse(body)?),
        "ReEncrypt" => c::re_encrypt(store, parse(body)?),
        "GenerateDataKey" => c::generate_data_key(store, parse(body)?),
        "GenerateDataKeyWithoutPlaintext" => c::generate_data_key_without_plaintext(store, parse(body)?),
        "GenerateRandom" => c::generate_random(parse(body)?),
        "Sign" => c::sign(store, parse(body)?),
        "Verify" => c::verify(store, parse(body)?),
        "GenerateMac" => c::generate_mac(store, parse(body)?),
        "VerifyMac" => c::verify_mac(store, parse(body)?),
        _ => Err(KmsError::new("UnknownOperationException", format!("`{action}` is not an action of this emulator"))),
    }
}

fn saved<Input>(store: &mut Store, input: Input, action: fn(&mut Store, Input) -> Result<Value>) -> Result<Value> {
    let output = action(store, input)?;
    store.save()?;
    Ok(output)
}

/// Unknown members are refused: if they were ignored, a call that AWS refuses would pass a test.
fn parse<Input: DeserializeOwned>(body: &[u8]) -> Result<Input> {
    serde_json::from_slice(body).map_err(|error| KmsError::validation(error.to_string()))
}

/// A call whose only parameter is a key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct KeyOnly {
    key_id: String,
}

/// A binary member: base64 in JSON.
#[derive(Debug)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}
