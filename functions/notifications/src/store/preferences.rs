//! Preferences at rest.

use super::{CHANGED, State, digest, preferences_key, state_and_preferences};
use crate::domain::{Digest, Frequency, Preferences, QuietHours};
use common::{Attribute, Changes, Error, Item, Reader, Resource, Result, Row, TenantId, Timestamp, UserId, Version};

/// A user's preferences, as the policy sees them: their inbox's. Of somebody who has said nothing the version is 0.
#[derive(Debug)]
pub struct StoredPreferences {
    tenant: TenantId,
    user: UserId,
    state: State,
    pub(crate) preferences: Preferences,
    pub(crate) version: Version,
}

impl StoredPreferences {
    pub(crate) async fn read(reader: Reader<'_>, tenant: TenantId, user: UserId) -> Result<Self> {
        let (state, stored) = state_and_preferences(reader, user).await?;
        let (preferences, version) = stored.unwrap_or((Preferences::default(), Version(0)));
        Ok(Self { tenant, user, state, preferences, version })
    }

    /// Stores others in their place, and moves the digest that is due to where they want it.
    pub(crate) fn replace(&self, changes: &mut Changes, with: &Preferences, now: Timestamp) -> Version {
        let next = self.version.next();
        let item = item(self.user, with, next, now);
        if self.version == Version(0) {
            changes.create(item, Error::Stale);
        } else {
            changes.replace(item, self.version);
        }
        let Self { user, state, .. } = self;
        let waits = state.digest.at.is_some() && state.digest.claim.is_none();
        if waits && !state.digest.is_urgent_after(state.digest.mailed_up_to) {
            digest::reschedule(changes, *user, state, with.digest_after(now), CHANGED);
        }
        next
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

fn item(user: UserId, preferences: &Preferences, version: Version, now: Timestamp) -> Item {
    let Preferences { channels, quiet_hours, digest: Digest { frequency, hour }, time_zone } = preferences;
    let item = Item::new(preferences_key(user))
        .text("channels", serde_json::to_string(channels).unwrap_or_default())
        .text("digest", frequency.as_str())
        .number("digest_hour", *hour)
        .text("time_zone", time_zone)
        .text("updated_at", now)
        .version(version);
    match quiet_hours {
        None => item,
        Some(quiet) => item.text("quiet_from", quiet.start).text("quiet_until", quiet.end),
    }
}

pub(super) fn from_row(row: &Row) -> Result<Preferences> {
    let wrong = |what| move |_| Error::internal(what);
    let quiet_hours = match row.maybe_text("quiet_from") {
        None => None,
        Some(start) => Some(QuietHours {
            start: start.parse().map_err(|()| Error::internal("quiet_from"))?,
            end: row.text("quiet_until")?.parse().map_err(|()| Error::internal("quiet_until"))?,
        }),
    };
    let frequency = row.text("digest")?.parse::<Frequency>().map_err(|()| Error::internal("digest"))?;
    Ok(Preferences {
        channels: serde_json::from_str(row.text("channels")?).map_err(wrong("channels"))?,
        quiet_hours,
        digest: Digest { frequency, hour: i8::try_from(row.number("digest_hour")?).map_err(|_| Error::internal("digest_hour"))? },
        time_zone: row.text("time_zone")?.parse().map_err(|_| Error::internal("time_zone"))?,
    })
}
