use serde_json::{Value, json};

use super::properties::Properties;
use super::{Run, attributes, member, refused};
use crate::http_client::EVENTS;
use crate::template::Attributes;
use crate::{ACCOUNT, Error, REGION};

impl Run<'_> {
    pub(super) async fn event_bus(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let bus = properties.text("Name")?;
        let mut input = json!({ "Name": bus });
        properties.move_to(&mut input, &["Description"]);
        properties.ignore(&["KmsKeyIdentifier", "Tags"]);
        properties.finish()?;

        let endpoint = self.other(name)?;
        match self.client.call(endpoint, EVENTS, "CreateEventBus", &input).await {
            Err(error) if error.code != "ResourceAlreadyExistsException" => return Err(refused(name, "CreateEventBus")(error)),
            _ => {}
        }
        let described = self
            .client
            .call(endpoint, EVENTS, "DescribeEventBus", &json!({ "Name": bus }))
            .await
            .map_err(refused(name, "DescribeEventBus"))?;
        let arn = member(name, "DescribeEventBus", &described, "/Arn")?;
        self.done.buses.insert(name.to_owned(), bus.clone());
        Ok(attributes(&bus, [("Arn", arn), ("Name", bus.clone())]))
    }

    /// A rule and its targets; repeating it changes nothing.
    pub(super) async fn rule(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let rule = properties.text("Name")?;
        let Some(bus) = properties.take("EventBusName").as_ref().and_then(Value::as_str).map(str::to_owned) else {
            // AWS services publish on the account's default bus, and no local service does.
            let arn = format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}");
            return Ok(attributes(rule, [("Arn", arn)]));
        };
        let mut input = json!({ "Name": rule, "EventBusName": bus });
        properties.move_to(&mut input, &["Description", "State"]);
        if let Some(pattern) = properties.take("EventPattern") {
            input["EventPattern"] = Value::String(pattern.to_string());
        }
        let targets = properties.take("Targets").unwrap_or_default();
        properties.ignore(&["Tags"]);
        properties.finish()?;

        let endpoint = self.other(name)?;
        let put = self.client.call(endpoint, EVENTS, "PutRule", &input).await.map_err(refused(name, "PutRule"))?;
        let arn = member(name, "PutRule", &put, "/RuleArn")?;
        let input = json!({ "Rule": rule, "EventBusName": bus, "Targets": targets });
        self.client.call(endpoint, EVENTS, "PutTargets", &input).await.map_err(refused(name, "PutTargets"))?;
        Ok(attributes(rule, [("Arn", arn)]))
    }
}
