//! API keys, in their stored form and in the form of answers.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | `API_KEY#<key>` | `API_KEY` | name, terms, and the valid secrets; in the index of all keys, `API_KEYS` |

use common::{
    base::{ApiScope, Error, KeyBounds, Purpose, Result, SessionId, TenantId, Timestamp, UserId, network::AllowList},
    identity::{ApiKeyId, KeyTerms, OpenSession},
    policy::{Action, Attribute, Resource},
    request::{Issued, Reader},
    store::{Edit, Index, Item, Key, Row, Version},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The index partition of a tenant's keys.
pub(crate) const LIST: &str = "API_KEYS";

/// The collection of a tenant's keys.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeys(pub(crate) TenantId);

impl Resource for ApiKeys {
    const TYPE: &'static str = "ApiKeys";
    fn id(&self) -> String {
        self.0.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.0)
    }
}

/// One key.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) tenant: TenantId,
    pub(crate) key: ApiKeyId,
    pub(crate) name: String,
    pub(crate) hint: String,
    pub(crate) terms: KeyTerms,
    /// The session of the newest secret, and that of the previous one while it is valid.
    pub(crate) session: SessionId,
    pub(crate) previous: Option<(SessionId, Timestamp)>,
    pub(crate) created_by: UserId,
    pub(crate) created_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) version: Version,
}

impl Resource for Stored {
    const TYPE: &'static str = "ApiKey";
    const VIEW: Option<Action> = Some(Action("listApiKeys"));
    fn id(&self) -> String {
        self.key.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let purposes = self.terms.bounds.purposes.iter().map(|purpose| purpose.as_str().to_owned());
        vec![("user", Attribute::Entity("User", self.key.user().to_string())), ("purposes", Attribute::Texts(purposes.collect()))]
    }
}

fn place(key: ApiKeyId) -> Key {
    Key::new(format!("API_KEY#{key}"), "API_KEY")
}

impl Stored {
    /// # Errors
    /// 404 if there is no such key.
    pub(crate) async fn read(reader: Reader<'_>, key: ApiKeyId) -> Result<Self> {
        Self::from_row(&reader.get(&place(key)).await?.ok_or(Error::NotFound)?)
    }

    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let previous = row.maybe("previous_session")?.zip(row.maybe("previous_until")?);
        Ok(Self {
            tenant: row.tenant()?,
            key: row.parse("key_id")?,
            name: row.text("name")?.to_owned(),
            hint: row.text("hint")?.to_owned(),
            terms: KeyTerms { bounds: row.kept("bounds")?, expires_at: row.parse("expires")? },
            session: row.parse("session_id")?,
            previous,
            created_by: row.parse("created_by")?,
            created_at: row.parse("created_at")?,
            revoked_at: row.maybe("revoked_at")?,
            version: row.version()?,
        })
    }

    pub(crate) fn item(&self) -> Item {
        Item::new(place(self.key))
            .text("key_id", self.key)
            .text("name", &self.name)
            .text("hint", &self.hint)
            .text("bounds", self.terms.bounds.to_text())
            .text("expires", self.terms.expires_at)
            .text("session_id", self.session)
            .text("created_by", self.created_by)
            .text("created_at", self.created_at)
            .version(self.version)
            .indexed(Index::All, LIST, self.key)
    }

    /// A change of the key that fails if it was changed since it was read.
    pub(crate) fn edit(&self) -> Edit {
        let edit = Edit::of(place(self.key)).number("version", self.version.next().0);
        edit.when(common::store::Condition::VersionIs(self.version))
    }
}

/// An API key, without its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ApiKeyView {
    pub key_id: ApiKeyId,
    pub name: String,
    /// The last four characters of the key's text.
    pub hint: String,
    pub status: KeyStatus,
    pub scopes: Vec<ApiScope>,
    pub purposes: Vec<Purpose>,
    pub networks: AllowList,
    pub expires_at: Timestamp,
    /// Until when a replaced text stays valid.
    pub previous_until: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    Active,
    Expired,
    Revoked,
}

/// An API key with its text. The text is shown only this once.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IssuedKey {
    /// For `Authorization: Bearer`. It cannot be retrieved again.
    pub api_key: Issued,
    #[serde(flatten)]
    pub key: ApiKeyView,
}

impl ApiKeyView {
    pub(crate) fn of(stored: Stored, sessions: &[OpenSession], now: Timestamp) -> Self {
        let KeyTerms { bounds, expires_at } = stored.terms;
        let KeyBounds { scopes, purposes, networks } = KeyBounds::clone(&bounds);
        let used = sessions.iter().filter(|s| s.last_seen > s.created_at).map(|s| s.last_seen).max();
        Self {
            key_id: stored.key,
            name: stored.name,
            hint: stored.hint,
            status: match stored.revoked_at {
                Some(_) => KeyStatus::Revoked,
                None if expires_at <= now => KeyStatus::Expired,
                None => KeyStatus::Active,
            },
            scopes,
            purposes,
            networks,
            expires_at,
            previous_until: stored.previous.map(|(_, until)| until).filter(|until| *until > now),
            last_used_at: used,
            created_by: stored.created_by,
            created_at: stored.created_at,
            version: stored.version,
        }
    }
}
