use super::properties::Properties;
use super::{Run, attributes, refused, unsupported};
use crate::Error;
use crate::template::Attributes;

impl Run<'_> {
    /// `CreateTopic` returns the ARN of an existing topic.
    pub(super) async fn topic(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let topic = properties.text("TopicName")?;
        // MiniStack stores nothing that a key would protect.
        properties.ignore(&["KmsMasterKeyId", "Tags"]);
        properties.finish()?;

        let input = [("Action", "CreateTopic"), ("Name", topic.as_str())];
        let arn = self.client.sns(self.other(name)?, &input, "TopicArn").await.map_err(refused(name, "CreateTopic"))?;
        self.done.topics.insert(name.to_owned(), arn.clone());
        Ok(attributes(&arn, [("TopicArn", arn.clone()), ("TopicName", topic)]))
    }

    /// `Subscribe` returns the ARN of an existing subscription.
    pub(super) async fn subscription(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let topic = properties.text("TopicArn")?;
        let protocol = properties.text("Protocol")?;
        let endpoint = properties.text("Endpoint")?;
        if protocol != "sqs" {
            return Err(unsupported(name, format!("the local stack does not support subscriptions by `{protocol}`")));
        }
        // Deliveries within one process do not fail.
        properties.ignore(&["RedrivePolicy"]);
        properties.finish()?;

        let input = [
            ("Action", "Subscribe"),
            ("TopicArn", topic.as_str()),
            ("Protocol", protocol.as_str()),
            ("Endpoint", endpoint.as_str()),
        ];
        let arn = self.client.sns(self.other(name)?, &input, "SubscriptionArn").await.map_err(refused(name, "Subscribe"))?;
        Ok(attributes(&arn, [("Arn", arn.clone())]))
    }
}
