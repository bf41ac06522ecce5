//! A pipe's target: a FIFO or standard queue, or an event bus.

use super::template::Parameter;
use crate::calls::{Calls, EVENTS, SQS};
use emulators::PipeTarget;
use serde_json::{Value, json};

/// The most entries in one call to SQS or EventBridge.
pub(super) const MOST: usize = 10;

#[derive(Clone, Debug)]
pub(super) enum Target {
    Queue { url: String, group: Option<Parameter>, deduplication: Option<Parameter> },
    Bus { name: String, source: Parameter, detail_type: Parameter },
}

/// A record in its target's form.
#[derive(Clone, Debug)]
pub(super) struct Parcel(Value);

impl Target {
    pub(super) fn new(declared: &PipeTarget) -> Self {
        match declared {
            PipeTarget::Queue { url, group, deduplication } => Self::Queue {
                url: url.clone(),
                group: group.as_deref().map(Parameter::parse),
                deduplication: deduplication.as_deref().map(Parameter::parse),
            },
            PipeTarget::Bus { name, source, detail_type } => {
                Self::Bus { name: name.clone(), source: Parameter::parse(source), detail_type: Parameter::parse(detail_type) }
            }
        }
    }

    /// # Errors
    /// Names the field that the record lacks.
    pub(super) fn parcel(&self, record: &Value, body: String) -> Result<Parcel, String> {
        match self {
            Self::Queue { group, deduplication, .. } => {
                let mut entry = json!({ "MessageBody": body });
                for (name, parameter) in [("MessageGroupId", group), ("MessageDeduplicationId", deduplication)] {
                    if let Some(parameter) = parameter {
                        entry[name] = parameter.of(record)?.into();
                    }
                }
                Ok(Parcel(entry))
            }
            Self::Bus { name, source, detail_type } => {
                let (source, detail_type) = (source.of(record)?, detail_type.of(record)?);
                Ok(Parcel(json!({ "EventBusName": name, "Source": source, "DetailType": detail_type, "Detail": body })))
            }
        }
    }

    /// Sends at most [`MOST`] parcels. Returns how many from the start were accepted, in order, so that a later parcel of a group
    /// never overtakes an earlier one that was refused.
    ///
    /// # Errors
    /// Why none was accepted.
    pub(super) async fn send(&self, aws: &Calls, parcels: &[Parcel]) -> Result<usize, String> {
        let entries = parcels.iter().map(|parcel| parcel.0.clone());
        let taken = match self {
            Self::Queue { url, .. } => {
                let entries = entries.enumerate().map(|(n, mut entry)| {
                    entry["Id"] = n.to_string().into();
                    entry
                });
                let input = json!({ "QueueUrl": url, "Entries": entries.collect::<Vec<_>>() });
                let answer = aws.call(SQS, "SendMessageBatch", &input).await.map_err(|e| e.to_string())?;
                let refused = answer["Failed"].as_array().into_iter().flatten();
                let first = refused.filter_map(|f| f["Id"].as_str()?.parse::<usize>().ok()).min();
                first.unwrap_or(parcels.len())
            }
            Self::Bus { .. } => {
                let input = json!({ "Entries": entries.collect::<Vec<_>>() });
                let answer = aws.call(EVENTS, "PutEvents", &input).await.map_err(|e| e.to_string())?;
                let results = answer["Entries"].as_array().ok_or("PutEvents answered no entries")?;
                results.iter().take_while(|result| result["EventId"].is_string()).count()
            }
        };
        if taken == 0 && !parcels.is_empty() { Err("the target refused the first record".to_owned()) } else { Ok(taken) }
    }
}
