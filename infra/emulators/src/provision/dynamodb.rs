use serde_json::{Value, json};

use super::properties::{Properties, flag};
use super::{Run, attributes, member, refused};
use crate::Error;
use crate::http_client::DYNAMODB;
use crate::template::Attributes;

impl Run<'_> {
    pub(super) async fn table(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let table = properties.text("TableName")?;
        let mut input = json!({ "TableName": table });
        properties.move_to(&mut input, &["AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "Tags"]);
        if let Some(protection) = properties.take("DeletionProtectionEnabled") {
            input["DeletionProtectionEnabled"] = json!(flag(&protection));
        }
        if let Some(stream) = properties.take("StreamSpecification") {
            input["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": stream["StreamViewType"] });
        }
        if let Some(sse) = properties.take("SSESpecification") {
            input["SSESpecification"] = json!({
                "Enabled": sse["SSEEnabled"],
                "SSEType": sse["SSEType"],
                "KMSMasterKeyId": sse["KMSMasterKeyId"],
            });
        }
        let expiry = properties.take("TimeToLiveSpecification");
        // The emulator keeps no backups.
        properties.ignore(&["PointInTimeRecoverySpecification"]);
        properties.finish()?;

        let endpoint = &self.endpoints.dynamodb;
        let created = self.client.call(endpoint, DYNAMODB, "CreateTable", &input).await;
        if let Err(error) = created
            && error.code != "ResourceInUseException"
        {
            return Err(refused(name, "CreateTable")(error));
        }
        if let Some(expiry) = expiry {
            self.expiry(name, &table, &expiry).await?;
        }
        let described = self
            .client
            .call(endpoint, DYNAMODB, "DescribeTable", &json!({ "TableName": table }))
            .await
            .map_err(refused(name, "DescribeTable"))?;
        let arn = member(name, "DescribeTable", &described, "/Table/TableArn")?;
        let mut made = attributes(&table, [("Arn", arn)]);
        if let Some(stream) = described["Table"]["LatestStreamArn"].as_str() {
            made.attributes.insert("StreamArn", stream.to_owned());
        }
        self.done.tables.insert(name.to_owned(), table);
        Ok(made)
    }

    /// Enables expiry unless it is enabled: AWS refuses a second time.
    async fn expiry(&self, name: &str, table: &str, wanted: &Value) -> Result<(), Error> {
        let endpoint = &self.endpoints.dynamodb;
        let described = self
            .client
            .call(endpoint, DYNAMODB, "DescribeTimeToLive", &json!({ "TableName": table }))
            .await
            .map_err(refused(name, "DescribeTimeToLive"))?;
        if described["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED" {
            return Ok(());
        }
        let input = json!({ "TableName": table, "TimeToLiveSpecification": wanted });
        self.client.call(endpoint, DYNAMODB, "UpdateTimeToLive", &input).await.map_err(refused(name, "UpdateTimeToLive"))?;
        Ok(())
    }
}
