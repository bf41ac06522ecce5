//! All keys and aliases, and their file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::{KmsError, Result};
use super::key::{Key, KeyState, Usage};
use crate::clock::unix_seconds;
use crate::{ACCOUNT, Error, REGION};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) keys: BTreeMap<Uuid, Key>,
    /// Without the prefix `alias/`.
    pub(super) aliases: BTreeMap<String, Uuid>,
    /// Ids of deleted keys: nothing decrypts their ciphertexts.
    pub(super) deleted: BTreeSet<Uuid>,
}

#[derive(Debug)]
pub(super) struct Store {
    path: Option<PathBuf>,
    pub(super) state: State,
}

impl Store {
    pub(super) fn open(path: Option<PathBuf>) -> std::result::Result<Self, Error> {
        let state = match &path {
            None => State::default(),
            Some(path) => read(path)?,
        };
        Ok(Self { path, state })
    }

    /// Replaces the file with the state in memory.
    pub(super) fn save(&self) -> Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let json = serde_json::to_vec_pretty(&self.state).map_err(|_| KmsError::internal("the state does not serialise"))?;
        let written = || -> std::io::Result<()> {
            let next = path.with_extension("next");
            let mut file = File::create(&next)?;
            file.write_all(&json)?;
            file.sync_all()?;
            std::fs::rename(&next, path)
        };
        written().map_err(|error| KmsError::internal(&format!("cannot keep the state: {error}")))
    }

    /// Deletes the keys whose waiting period has ended.
    pub(super) fn delete_due(&mut self) {
        let now = unix_seconds();
        let due = self.state.keys.extract_if(.., |_, key| key.deletion.is_some_and(|at| at <= now));
        let ids: BTreeSet<Uuid> = due.map(|(id, _)| id).collect();
        if !ids.is_empty() {
            self.state.aliases.retain(|_, key| !ids.contains(key));
            self.state.deleted.extend(ids);
        }
    }

    /// Finds a key by id, key ARN, alias or alias ARN.
    pub(super) fn id(&self, name: &str) -> Result<Uuid> {
        let own = format!("arn:aws:kms:{REGION}:{ACCOUNT}:");
        let local = match name.strip_prefix(&own) {
            Some(rest) => rest.strip_prefix("key/").unwrap_or(rest),
            None if name.starts_with("arn:") => {
                return Err(KmsError::new("InvalidArnException", format!("Invalid arn {name}")));
            }
            None => name,
        };
        let id = match local.strip_prefix("alias/") {
            Some(alias) => self.state.aliases.get(alias).copied(),
            None => Uuid::try_parse(local).ok().filter(|id| self.state.keys.contains_key(id)),
        };
        id.ok_or_else(|| {
            let kind = if local.starts_with("alias/") { "Alias" } else { "Key" };
            KmsError::not_found(&format!("{kind} '{name}'"))
        })
    }

    pub(super) fn key(&self, name: &str) -> Result<&Key> {
        let id = self.id(name)?;
        self.state.keys.get(&id).ok_or_else(|| KmsError::not_found(&format!("Key '{name}'")))
    }

    pub(super) fn key_mut(&mut self, name: &str) -> Result<&mut Key> {
        let id = self.id(name)?;
        self.state.keys.get_mut(&id).ok_or_else(|| KmsError::not_found(&format!("Key '{name}'")))
    }

    /// The key, if its state and usage allow that kind of cryptography.
    pub(super) fn usable(&self, name: &str, usage: Usage, action: &str) -> Result<&Key> {
        let key = self.key(name)?;
        check_enabled(key)?;
        if key.spec.usage() == usage { Ok(key) } else { Err(key.wrong_usage(action)) }
    }
}

/// Refuses a key that is not enabled, with AWS's error for its state.
pub(super) fn check_enabled(key: &Key) -> Result<()> {
    match key.state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(KmsError::new("DisabledException", format!("{} is disabled.", key.arn()))),
        KeyState::PendingDeletion => Err(pending(key)),
    }
}

/// Refuses a key that is pending deletion.
pub(super) fn check_not_pending(key: &Key) -> Result<()> {
    if key.state == KeyState::PendingDeletion { Err(pending(key)) } else { Ok(()) }
}

fn pending(key: &Key) -> KmsError {
    KmsError::new("KMSInvalidStateException", format!("{} is pending deletion.", key.arn()))
}

fn read(path: &Path) -> std::result::Result<State, Error> {
    let json = match std::fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(Error::io(format!("read `{}`", path.display()))(error)),
    };
    serde_json::from_slice(&json).map_err(|error| Error::State { path: path.to_owned(), message: error.to_string() })
}
