//! Replaces the caller's preferences. What is left out is as it was for whoever has said nothing.

use crate::{
    domain::{Channels, Digest, Kind, Preferences, QuietHours, Zone},
    store::StoredPreferences,
    view::PreferencesView,
};
use common::{
    Action, Data, Endpoint, FieldError, IfMatch, Json, Need, Operation, Permit, Result, Route, Sample, Scope, input::FromJson,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

#[derive(Debug)]
pub struct PutPreferences;

common::input! {
    /// What one wants to be told, how and when.
    pub struct NewPreferences {
        /// By kind; a kind that is not named is told as it is by default.
        #[schemars(extend("propertyNames" = { "enum": Kind::ALL }))]
        optional channels: BTreeMap<Kind, Channels>,
        optional quiet_hours: QuietHours,
        optional digest: Digest,
        /// Whose clock quiet hours and the digest's hour are read on; UTC where nothing is said.
        optional time_zone: Zone,
    }
}

/// [`NewPreferences`] whose parts fit together.
#[derive(Debug)]
pub struct Checked(Preferences);

impl FromJson for Checked {
    fn from_json(value: Value, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let NewPreferences { channels, quiet_hours, digest, time_zone } = NewPreferences::from_json(value, at, errors)?;
        let default = Preferences::default();
        let preferences = Preferences {
            channels: channels.unwrap_or_default(),
            quiet_hours,
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
    const SUMMARY: &'static str = "Say what one is told, how and when";
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
        cx.check_version(stored.version)?;
        let now = cx.now();
        let version = stored.replace(cx.changes(), &preferences, now);
        cx.changes().changed(["channels", "quiet_hours", "digest", "time_zone"]);
        cx.etag(version);
        Ok(PreferencesView::of(&preferences, version))
    }
}
