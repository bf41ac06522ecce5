//! `docs/events/`: the domains' events as JSON Schema, a file for each event and version.
//!
//! Messages live for days, and functions are deployed one by one. A committed version may therefore change only in ways that
//! writers and readers of the old schema do not notice. `sync` refuses any other change, which needs a new version.

pub(super) mod compatible;

use crate::openapi::json_text;
use common::{
    background::{AnyConsumer, Feed},
    store::Schema,
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

const FOLDER: &str = "docs/events";

/// An event, and the domains that publish it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) schema: &'static Schema,
    pub(super) domains: Vec<&'static str>,
    pub(super) json: Value,
}

/// Every event that a domain declares to publish, by name and version.
///
/// # Errors
/// Names an event that two domains declare differently.
pub(super) fn published() -> Result<BTreeMap<(&'static str, u32), Published>, String> {
    let mut all: BTreeMap<_, Published> = BTreeMap::new();
    for (domain, schema) in registry::DOMAINS.iter().flat_map(|domain| domain.events.iter().map(move |e| (domain.name, e))) {
        let json = json_schema(schema);
        let new = || Published { schema, domains: vec![], json: json.clone() };
        let known = all.entry((schema.name, schema.version)).or_insert_with(new);
        if compatible::shape(&known.json) != compatible::shape(&json) {
            return Err(format!("`{}` of {} differs from that of {domain}", schema.name, known.domains.join(", ")));
        }
        known.domains.push(domain);
    }
    Ok(all)
}

/// The payload's schema, in one piece.
pub(super) fn json_schema(schema: &Schema) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut generator = settings.into_generator();
    let mut json = (schema.json)(&mut generator).to_value();
    if let Some(members) = json.as_object_mut() {
        members.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("title".to_owned(), format!("{}, version {}", schema.name, schema.version).into());
    }
    json
}

fn file(schema: &Schema) -> PathBuf {
    Path::new(FOLDER).join(format!("{}.v{}.json", schema.name, schema.version))
}

/// The expected files of `docs/events/`.
///
/// # Errors
/// Names a committed schema with an incompatible change, or a consumer whose view of an event requires more than is published.
pub(super) fn files(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let published = published()?;
    understood(&published)?;
    let mut files = BTreeMap::new();
    for event in published.values() {
        let path = file(event.schema);
        if let Ok(committed) = fs::read_to_string(root.join(&path)) {
            let committed = serde_json::from_str(&committed).map_err(|e| format!("{}: {e}", path.display()))?;
            compatible::with(&committed, &event.json).map_err(|why| {
                format!(
                    "{}: {why}; give it a new version instead, and publish both while a consumer reads the old one",
                    path.display()
                )
            })?;
        }
        files.insert(path, json_text(&event.json));
    }
    files.insert(Path::new(FOLDER).join("README.md"), index(&published));
    Ok(files)
}

fn understood(published: &BTreeMap<(&'static str, u32), Published>) -> Result<(), String> {
    for consumer in registry::consumers() {
        for heard in consumer.schemas {
            if let Some(event) = published.get(&(heard.name, heard.version)) {
                let reads = compatible::reads(&json_schema(heard), &event.json);
                reads.map_err(|why| format!("{} cannot read `{}`: {why}", consumer.name, heard.name))?;
            }
        }
    }
    Ok(())
}

/// The consumers of an event, through the bus or a queue that is filled directly.
pub(super) fn hearers<'a>(name: &'a str, version: u32) -> impl Iterator<Item = &'static AnyConsumer> + use<'a> {
    registry::consumers().filter(move |consumer| {
        consumer.queue.feed == Feed::AllEvents || consumer.schemas.iter().any(|s| (s.name, s.version) == (name, version))
    })
}

fn index(published: &BTreeMap<(&'static str, u32), Published>) -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask sync` from the domains' lists of events: change those, not this. -->\n\
         # Events\n\n\
         Domain events, published once they are committed. A payload contains ids, codes and names of fields. Its envelope contains the\n\
         tenant, the actor, the user on whose behalf they acted, and the cause:\n\n\
         ```json\n",
    );
    text.push_str(&json_text(&envelope()));
    text.push_str(
        "```\n\n\
         Events are delivered at least once and in no particular order, so consumers must remember the `id`. `cause` is the id of the audit\n\
         event that caused the event. A schema may gain optional fields. Any other change needs a new version, published beside the old one.\n\n\
         A rule selects events by `detail.schema`: `shipment.voided` is version 1, `shipment.voided.v2` version 2. So a consumer gets only\n\
         the versions that it understands. If another version was in the queue when the function changed, the consumer skips it, and its log\n\
         line has `passed_over`. To move to a new version: publish both; deploy a consumer that understands both and handles each change once\n\
         (by the item, not by the event's id, which differs); then deploy one that understands only the new version; then stop publishing the\n\
         old one.\n\n\
         | Event | Version | Published by | Consumers |\n|---|---|---|---|\n",
    );
    for ((name, version), event) in published {
        let heard: Vec<_> = hearers(name, *version).map(|consumer| format!("`{}`", consumer.name)).collect();
        let heard = if heard.is_empty() { "none".to_owned() } else { heard.join(", ") };
        let _ = writeln!(text, "| [`{name}`]({name}.v{version}.json) | {version} | {} | {heard} |", event.domains.join(", "));
    }
    text
}

/// An example of the envelope of every payload.
fn envelope() -> Value {
    let members = [
        ("id", json!("evt_019b76da-a800-7000-8000-000000000001")),
        ("tenant_id", json!("ten_019b76da-a800-7000-8000-000000000002")),
        ("actor", json!("usr_019b76da-a800-7000-8000-000000000003")),
        ("on_behalf_of", Value::Null),
        ("cause", json!("evt_019b76da-a800-7000-8000-000000000004")),
        ("correlation_id", json!("019b76da-a800-7000-8000-000000000005")),
        ("schema", json!("shipment.voided")),
        ("version", json!(1)),
        ("occurred_at", json!("2026-01-01T12:00:00.000Z")),
        ("payload", json!({})),
    ];
    Value::Object(Map::from_iter(members.map(|(name, value)| (name.to_owned(), value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_committed_schema_is_of_a_published_or_earlier_event_version() {
        let published = published().unwrap();
        for entry in fs::read_dir(crate::workspace::root().join(FOLDER)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(event) = name.strip_suffix(".json") else {
                assert_eq!(name, "README.md");
                continue;
            };
            let (schema, version) = event.rsplit_once(".v").unwrap();
            let version: u32 = version.parse().unwrap();
            assert!(published.keys().any(|(name, newest)| *name == schema && version <= *newest), "{event}");
        }
    }

    #[test]
    fn no_two_events_share_a_route() {
        let published = published().unwrap();
        let routes: std::collections::BTreeSet<_> = published.values().map(|event| event.schema.route()).collect();
        assert_eq!(routes.len(), published.len());
    }

    #[test]
    fn every_consumer_of_the_bus_reads_published_events() {
        let published = published().unwrap();
        for consumer in registry::consumers().filter(|consumer| consumer.queue.feed == Feed::Events) {
            assert!(!consumer.schemas.is_empty(), "{} hears nothing", consumer.name);
            for schema in consumer.schemas {
                assert!(published.contains_key(&(schema.name, schema.version)), "{} hears {}", consumer.name, schema.name);
            }
        }
    }

    #[test]
    fn sync_refuses_an_incompatible_change_of_a_committed_schema() {
        let root = tempfile::tempdir().unwrap();
        let published = published().unwrap();
        let event = published.values().next().unwrap();
        let path = root.path().join(file(event.schema));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut before = event.json.clone();
        before["properties"]["once"] = json!({ "type": "string" });
        fs::write(&path, json_text(&before)).unwrap();
        let refused = files(root.path()).unwrap_err();
        assert!(refused.contains("`once` is gone") && refused.contains("new version"), "{refused}");
        fs::write(&path, json_text(&event.json)).unwrap();
        assert!(files(root.path()).is_ok());
    }
}
