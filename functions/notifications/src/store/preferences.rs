//! The stored form of preferences.

use super::{CHANGED, State, digest, preferences_key, state_and_preferences};
use crate::domain::{Channels, Digest, Frequency, Kind, Preferences, QuietHours, Zone};
use common::{
    base::{Error, Kept, Result, Stored, TenantId, Timestamp, UserId},
    policy::{Attribute, Resource},
    request::Reader,
    store::{Changes, Condition, Edit, Row, Version},
};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// A user's preferences; the policy treats them as their inbox. The version is 0 if the user has set none.
#[derive(Debug)]
pub struct StoredPreferences {
    tenant: TenantId,
    user: UserId,
    state: State,
    said: Said,
}

impl StoredPreferences {
    pub(crate) async fn read(reader: Reader<'_>, tenant: TenantId, user: UserId) -> Result<Self> {
        let (state, stored) = state_and_preferences(reader, user).await?;
        Ok(Self { tenant, user, state, said: stored.unwrap_or_default() })
    }

    pub(crate) const fn preferences(&self) -> &Preferences {
        &self.said.preferences
    }

    pub(crate) const fn version(&self) -> Version {
        self.said.version
    }

    /// Replaces the stored preferences, and moves the due digest to the new time.
    pub(crate) fn replace(&self, changes: &mut Changes, with: &Preferences, now: Timestamp) -> Version {
        let Self { user, state, said, .. } = self;
        let as_read = match said.version {
            Version(0) => Condition::Absent,
            version => Condition::VersionIs(version),
        };
        changes.edit(edit(*user, said, with, now).when(as_read), Error::Stale);
        let waits = state.digest.at.is_some() && state.digest.claim.is_none();
        if waits && !state.digest.is_urgent_after(state.digest.mailed_up_to) {
            digest::reschedule(changes, *user, state, with.digest_after(*user, now), CHANGED);
        }
        said.version.next()
    }
}

impl Resource for StoredPreferences {
    const TYPE: &'static str = "Inbox";
    fn id(&self) -> String {
        self.user.to_string()
    }
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("user", Attribute::Entity("User", self.user.to_string()))]
    }
}

/// The edit that stores them. A kind that this version does not know keeps its stored channels.
fn edit(user: UserId, said: &Said, preferences: &Preferences, now: Timestamp) -> Edit {
    let Preferences { channels, quiet_hours, digest: Digest { frequency, hour }, time_zone } = preferences;
    let chosen = Chosen(channels.iter().map(|(kind, channels)| (*kind, (*channels).into())).collect());
    let edit = Edit::of(preferences_key(user))
        .text("channels", said.channels.with(chosen).to_text())
        .text("digest", frequency.as_str())
        .number("digest_hour", *hour)
        .text("time_zone", time_zone)
        .text("updated_at", now)
        .number("version", said.version.next().0);
    match quiet_hours {
        None => edit.remove("quiet_from").remove("quiet_until"),
        Some(quiet) => edit.text("quiet_from", quiet.start).text("quiet_until", quiet.end),
    }
}

/// The stored choices of a user, as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) preferences: Preferences,
    version: Version,
    channels: Kept<Chosen>,
}

/// The stored channels of each kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Chosen(#[serde(deserialize_with = "of_known_kinds")] BTreeMap<Kind, StoredChannels>);

impl Stored for Chosen {}

/// The stored form of [`Channels`]: members that this version does not know are ignored and not refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct StoredChannels {
    in_app: bool,
    push: bool,
    email: bool,
}

impl From<Channels> for StoredChannels {
    fn from(Channels { in_app, push, email }: Channels) -> Self {
        Self { in_app, push, email }
    }
}

fn of_known_kinds<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<Kind, StoredChannels>, D::Error> {
    let all = BTreeMap::<String, serde_json::Value>::deserialize(d)?;
    let known =
        |(kind, channels): (String, serde_json::Value)| Some((kind.parse().ok()?, StoredChannels::deserialize(channels).ok()?));
    Ok(all.into_iter().filter_map(known).collect())
}

impl Said {
    pub(super) fn from_row(row: &Row) -> Result<Self> {
        let quiet_hours = match row.maybe_text("quiet_from") {
            None => None,
            Some(start) => Some(QuietHours {
                start: start.parse().map_err(|()| Error::internal("quiet_from"))?,
                end: row.text("quiet_until")?.parse().map_err(|()| Error::internal("quiet_until"))?,
            }),
        };
        let hour = i8::try_from(row.number("digest_hour")?).map_err(|_| Error::internal("digest_hour"))?;
        let channels: Kept<Chosen> = row.kept("channels")?;
        let Chosen(chosen) = &*channels;
        let of = |(kind, StoredChannels { in_app, push, email }): (&Kind, &StoredChannels)| {
            (*kind, Channels { in_app: *in_app, push: *push, email: *email })
        };
        let preferences = Preferences {
            channels: chosen.iter().map(of).collect(),
            quiet_hours,
            // If this version does not know the stored frequency or zone, it uses the default.
            digest: Digest { frequency: row.word("digest")?.unwrap_or(Frequency::Daily), hour },
            time_zone: row.word("time_zone")?.unwrap_or_else(Zone::utc),
        };
        Ok(Self { preferences, version: row.version()?, channels })
    }
}
