use serde_json::{Map, Value, json};

use super::properties::Properties;
use super::{Run, attributes, member, refused, unsupported};
use crate::Error;
use crate::http_client::SECRETS;
use crate::template::Attributes;

impl Run<'_> {
    /// A secret with a generated value, as in CloudFormation; an existing one keeps its value.
    pub(super) async fn secret(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let secret = properties.text("Name")?;
        let mut input = json!({ "Name": secret });
        properties.move_to(&mut input, &["Description", "KmsKeyId"]);
        let generated = properties.take("GenerateSecretString").unwrap_or_default();
        input["SecretString"] = Value::String(generate(name, &generated)?);
        properties.ignore(&["Tags"]);
        properties.finish()?;

        let endpoint = self.other(name)?;
        match self.client.call(endpoint, SECRETS, "CreateSecret", &input).await {
            Err(error) if error.code != "ResourceExistsException" => return Err(refused(name, "CreateSecret")(error)),
            _ => {}
        }
        let described = self
            .client
            .call(endpoint, SECRETS, "DescribeSecret", &json!({ "SecretId": secret }))
            .await
            .map_err(refused(name, "DescribeSecret"))?;
        let arn = member(name, "DescribeSecret", &described, "/ARN")?;
        self.done.secrets.insert(name.to_owned(), arn.clone());
        Ok(attributes(&arn, [("Id", arn.clone())]))
    }
}

/// The template of `GenerateSecretString` with 32 random digits as its generated member.
fn generate(name: &str, settings: &Value) -> Result<String, Error> {
    let template = settings["SecretStringTemplate"].as_str().and_then(|text| serde_json::from_str::<Map<_, _>>(text).ok());
    match (template, settings["GenerateStringKey"].as_str()) {
        (Some(mut members), Some(key)) => {
            members.insert(key.to_owned(), Value::String(uuid::Uuid::new_v4().simple().to_string()));
            Ok(Value::Object(members).to_string())
        }
        _ => Err(unsupported(name, "its value is not generated from a template and a key")),
    }
}
