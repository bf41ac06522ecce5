//! Replaces the caller's preferences. An absent member gets its default.

use crate::{
    domain::{Channels, Digest, Frequency, Kind, LocalTime, Preferences, QuietHours, Zone},
    store::StoredPreferences,
    view::PreferencesView,
};
use common::{
    base::{FieldError, Need, Result},
    policy::Action,
    request::{
        Data, Endpoint, Entries, IfMatch, Json, Operation, Permit, Route, Sample, Scope,
        input::{FromJson, Integer},
    },
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

#[derive(Debug)]
pub struct PutPreferences;

common::input! {
    /// The notifications that a user wants, their channels and their times.
    pub(crate) struct NewPreferences {
        /// By kind. An absent kind has its default channels.
        #[schemars(extend("propertyNames" = { "enum": Kind::ALL }))]
        optional channels: Entries<Kind, NewChannels>,
        optional quiet_hours: NewQuietHours,
        optional digest: NewDigest,
        /// The zone of quiet hours and of the digest's hour. UTC if absent.
        optional time_zone: Zone,
    }
}

common::input! {
    /// The channels by which a kind reaches its user.
    pub(crate) struct NewChannels {
        /// In the list. Without it, no other channel is used.
        required in_app: bool,
        /// A frame on each open socket.
        required push: bool,
        /// In the next digest.
        required email: bool,
    }
}

common::input! {
    /// From `start` to `end`, past midnight if `end` is earlier.
    pub(crate) struct NewQuietHours { required start: LocalTime, required end: LocalTime }
}

common::input! {
    /// The frequency of e-mails.
    pub(crate) struct NewDigest {
        required frequency: Frequency,
        /// The hour of a daily digest: 0 to 23. Eight if absent.
        optional hour: Integer<0, 23>,
    }
}

impl From<NewChannels> for Channels {
    fn from(NewChannels { in_app, push, email }: NewChannels) -> Self {
        Self { in_app, push, email }
    }
}

/// [`NewPreferences`] whose parts fit together.
#[derive(Debug)]
pub struct Checked(Preferences);

impl FromJson for Checked {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let NewPreferences { channels, quiet_hours, digest, time_zone } = NewPreferences::from_json(value, at, errors)?;
        let default = Preferences::default();
        let channels = channels.map_or_else(BTreeMap::new, |Entries(channels)| channels);
        let digest = digest.map(|NewDigest { frequency, hour }| {
            let hour = hour.and_then(|hour| i8::try_from(hour.get()).ok()).unwrap_or(default.digest.hour);
            Digest { frequency, hour }
        });
        let preferences = Preferences {
            channels: channels.into_iter().map(|(kind, channels)| (kind, channels.into())).collect(),
            quiet_hours: quiet_hours.map(|NewQuietHours { start, end }| QuietHours { start, end }),
            digest: digest.unwrap_or(default.digest),
            time_zone: time_zone.unwrap_or(default.time_zone),
        };
        preferences.check().map_err(|wrong| errors.extend(wrong)).ok()?;
        Some(Self(preferences))
    }
}

impl JsonSchema for Checked {
    fn schema_name() -> Cow<'static, str> {
        NewPreferences::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        NewPreferences::schema_id()
    }
    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        NewPreferences::json_schema(schemas)
    }
}

impl Operation for PutPreferences {
    const NAME: &'static str = "put_preferences";
    const SUMMARY: &'static str = "Set the caller's notification preferences";
    const ROUTE: Route = Route::put("/v1/notifications/preferences");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write];
    const IF_MATCH: IfMatch = IfMatch::Required;
    const SAMPLE: Sample = Sample::body(
        r#"{"channels": {"shipment_updated": {"in_app": true, "push": true, "email": false}}, "quiet_hours": {"start": "21:00", "end": "07:00"}, "digest": {"frequency": "daily", "hour": 7}, "time_zone": "America/New_York"}"#,
    );
    type Input = Json<Checked>;
    type Output = PreferencesView;
}

impl Endpoint for PutPreferences {
    const ACTION: Action = Action("setPreferences");
    type Target = StoredPreferences;

    async fn target(scope: &Scope<'_, Self>, _: &Self::Input) -> Result<StoredPreferences> {
        StoredPreferences::read(scope.reader(), scope.tenant(), scope.principal().user()).await
    }

    async fn handle(cx: &mut Permit<'_, Self>, Json(Checked(preferences)): Self::Input) -> Result<PreferencesView> {
        let stored = cx.target();
        cx.check_version(stored.version())?;
        let now = cx.now();
        let version = stored.replace(cx.changes(), &preferences, now);
        cx.changes().changed(["channels", "quiet_hours", "digest", "time_zone"]);
        cx.etag(version);
        Ok(PreferencesView::of(&preferences, version))
    }
}
