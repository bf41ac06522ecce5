use serde_json::json;

use super::properties::Properties;
use super::{Run, attributes, refused};
use crate::Error;
use crate::http_client::CallError;
use crate::template::Attributes;

impl Run<'_> {
    pub(super) async fn configuration_set(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let set = properties.text("Name")?;
        let mut input = json!({ "ConfigurationSetName": set });
        properties.move_to(&mut input, &["DeliveryOptions", "ReputationOptions", "SendingOptions", "SuppressionOptions"]);
        properties.ignore(&["Tags"]);
        properties.finish()?;
        let made = self.client.ses(self.other(name)?, "/configuration-sets", &input).await;
        unless_there(made).map_err(refused(name, "CreateConfigurationSet"))?;
        Ok(attributes(set, []))
    }

    pub(super) async fn email_identity(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let identity = properties.text("EmailIdentity")?;
        let mut input = json!({ "EmailIdentity": identity });
        if let Some(set) = properties.take("ConfigurationSetAttributes") {
            input["ConfigurationSetName"] = set["ConfigurationSetName"].clone();
        }
        // No mail leaves the machine, so none is signed and none bounces.
        properties.ignore(&["DkimAttributes", "DkimSigningAttributes", "FeedbackAttributes", "Tags"]);
        properties.finish()?;
        let made = self.client.ses(self.other(name)?, "/identities", &input).await;
        unless_there(made).map_err(refused(name, "CreateEmailIdentity"))?;
        Ok(attributes(identity, []))
    }
}

fn unless_there(made: Result<(), CallError>) -> Result<(), CallError> {
    made.or_else(|error| if error.code == "AlreadyExistsException" { Ok(()) } else { Err(error) })
}
