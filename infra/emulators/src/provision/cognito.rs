use serde_json::{Value, json};

use super::properties::{Properties, flag};
use super::{Run, attributes, member, refused};
use crate::http_client::{COGNITO, CallError};
use crate::template::Attributes;
use crate::{ACCOUNT, Error, REGION};

impl Run<'_> {
    pub(super) async fn user_pool(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let pool = properties.text("UserPoolName")?;
        let mut input = json!({ "PoolName": pool });
        properties.move_to(
            &mut input,
            &[
                "AccountRecoverySetting",
                "AdminCreateUserConfig",
                "AliasAttributes",
                "AutoVerifiedAttributes",
                "DeletionProtection",
                "DeviceConfiguration",
                "MfaConfiguration",
                "Policies",
                "Schema",
                "UserAttributeUpdateSettings",
                "UserPoolTier",
                "UserPoolTags",
                "UsernameConfiguration",
            ],
        );
        // The pool cannot call triggers, because functions run behind the local gateway. Its tokens therefore keep the scope that
        // `pre_token_generation` removes on AWS.
        properties.ignore(&["LambdaConfig"]);
        properties.finish()?;

        let listed = self.cognito(name, "ListUserPools", json!({ "MaxResults": 60 })).await?;
        let id = match named(&listed["UserPools"], "Name", &pool) {
            Some(found) => member(name, "ListUserPools", found, "/Id")?,
            None => {
                let created = self.cognito(name, "CreateUserPool", input).await?;
                member(name, "CreateUserPool", &created, "/UserPool/Id")?
            }
        };
        self.done.user_pool_id = Some(id.clone());
        let provider = format!("cognito-idp.{REGION}.amazonaws.com/{id}");
        let arn = format!("arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{id}");
        Ok(attributes(
            &id,
            [
                ("Arn", arn),
                ("ProviderURL", format!("https://{provider}")),
                ("ProviderName", provider),
                ("UserPoolId", id.clone()),
            ],
        ))
    }

    pub(super) async fn user_pool_client(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let pool = properties.text("UserPoolId")?;
        let client = properties.text("ClientName")?;
        let mut input = json!({ "UserPoolId": pool, "ClientName": client });
        properties.move_to(
            &mut input,
            &[
                "AccessTokenValidity",
                "AuthSessionValidity",
                "EnableTokenRevocation",
                "ExplicitAuthFlows",
                "IdTokenValidity",
                "PreventUserExistenceErrors",
                "ReadAttributes",
                "RefreshTokenValidity",
                "TokenValidityUnits",
                "WriteAttributes",
            ],
        );
        if let Some(secret) = properties.take("GenerateSecret") {
            input["GenerateSecret"] = json!(flag(&secret));
        }
        properties.finish()?;

        let listed = self.cognito(name, "ListUserPoolClients", json!({ "UserPoolId": pool, "MaxResults": 60 })).await?;
        let described = match named(&listed["UserPoolClients"], "ClientName", &client) {
            Some(found) => {
                let id = json!({ "UserPoolId": pool, "ClientId": found["ClientId"] });
                self.cognito(name, "DescribeUserPoolClient", id).await?
            }
            None => self.cognito(name, "CreateUserPoolClient", input).await?,
        };
        let call = "DescribeUserPoolClient";
        let id = member(name, call, &described, "/UserPoolClient/ClientId")?;
        let secret = member(name, call, &described, "/UserPoolClient/ClientSecret")?;
        self.done.user_pool_client_id = Some(id.clone());
        self.done.user_pool_client_secret = Some(secret.clone());
        Ok(attributes(&id, [("ClientId", id.clone()), ("ClientSecret", secret)]))
    }

    pub(super) async fn user_pool_group(&mut self, name: &str, mut properties: Properties) -> Result<Attributes, Error> {
        let group = properties.text("GroupName")?;
        let mut input = json!({ "GroupName": group });
        properties.move_to(&mut input, &["Description", "Precedence", "UserPoolId"]);
        properties.finish()?;
        match self.cognito_call(name, "CreateGroup", &input).await? {
            Ok(_) => {}
            Err(error) if error.code == "GroupExistsException" => {}
            Err(error) => return Err(refused(name, "CreateGroup")(error)),
        }
        Ok(attributes(group, []))
    }

    async fn cognito(&self, name: &str, action: &str, input: Value) -> Result<Value, Error> {
        self.cognito_call(name, action, &input).await?.map_err(refused(name, action))
    }

    async fn cognito_call(&self, name: &str, action: &str, input: &Value) -> Result<Result<Value, CallError>, Error> {
        let endpoint = self.other(name)?;
        Ok(self.client.call(endpoint, COGNITO, action, input).await)
    }
}

fn named<'a>(list: &'a Value, field: &str, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item[field] == name)
}
