use serde_json::{Value, json};

use super::properties::{Properties, flag};
use super::{Run, attributes, member, refused, unsupported};
use crate::Error;
use crate::http_client::KMS;
use crate::template::Attributes;

impl Run<'_> {
    /// Keys have no names: an existing one is found by the alias that the template gives it.
    pub(super) async fn key(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let mut input = json!({});
        properties.move_to(&mut input, &["Description", "KeySpec", "KeyUsage"]);
        if let Some(Value::Array(tags)) = properties.take("Tags") {
            input["Tags"] = tags.iter().map(|tag| json!({ "TagKey": tag["Key"], "TagValue": tag["Value"] })).collect();
        }
        if let Some(policy) = properties.take("KeyPolicy") {
            input["Policy"] = Value::String(policy.to_string());
        }
        let rotates = properties.take("EnableKeyRotation").is_some_and(|value| flag(&value));
        // A waiting period applies only when a stack is deleted, which never happens locally.
        properties.ignore(&["PendingWindowInDays", "RotationPeriodInDays"]);
        properties.finish()?;

        let endpoint = &self.endpoints.kms;
        let alias = json!({ "KeyId": self.alias_of(name)? });
        let described = match self.client.call(endpoint, KMS, "DescribeKey", &alias).await {
            Ok(described) => described,
            Err(error) if error.code == "NotFoundException" => {
                let created = self.client.call(endpoint, KMS, "CreateKey", &input).await.map_err(refused(name, "CreateKey"))?;
                if rotates {
                    let key = json!({ "KeyId": created["KeyMetadata"]["KeyId"] });
                    self.client
                        .call(endpoint, KMS, "EnableKeyRotation", &key)
                        .await
                        .map_err(refused(name, "EnableKeyRotation"))?;
                }
                created
            }
            Err(error) => return Err(refused(name, "DescribeKey")(error)),
        };
        let id = member(name, "DescribeKey", &described, "/KeyMetadata/KeyId")?;
        let arn = member(name, "DescribeKey", &described, "/KeyMetadata/Arn")?;
        self.done.keys.insert(name.to_owned(), arn.clone());
        Ok(attributes(&id, [("Arn", arn), ("KeyId", id.clone())]))
    }

    pub(super) async fn alias(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let alias = properties.text("AliasName")?;
        let input = json!({ "AliasName": alias, "TargetKeyId": properties.text("TargetKeyId")? });
        properties.finish()?;
        match self.client.call(&self.endpoints.kms, KMS, "CreateAlias", &input).await {
            Ok(_) => {}
            Err(error) if error.code == "AlreadyExistsException" => {}
            Err(error) => return Err(refused(name, "CreateAlias")(error)),
        }
        Ok(attributes(alias, []))
    }

    /// The name of the alias whose target is the key with this logical name.
    fn alias_of(&self, key: &str) -> Result<Value, Error> {
        let target = [json!({ "Ref": key }), json!({ "Fn::GetAtt": [key, "Arn"] })];
        let alias = self
            .template
            .resources()
            .values()
            .find(|resource| resource.kind == "AWS::KMS::Alias" && target.contains(&resource.properties["TargetKeyId"]));
        let alias = alias.ok_or_else(|| unsupported(key, "a key without an alias could not be found again"))?;
        Ok(self.resolver.evaluate(key, &alias.properties["AliasName"])?)
    }
}
