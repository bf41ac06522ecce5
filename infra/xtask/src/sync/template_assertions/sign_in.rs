//! Tests what the template guarantees for the user pool and its one app client.

use super::*;

#[test]
fn app_client_allows_sign_in_through_the_login_endpoint_only() {
    let root = root();
    let client = &root["Resources"]["UserPoolClient"]["Properties"];
    let flows: Vec<_> = client["ExplicitAuthFlows"].as_sequence().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(flows, ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]);
    assert_eq!((&client["GenerateSecret"], &client["EnableTokenRevocation"]), (&true.into(), &true.into()));
    assert_eq!(client["PreventUserExistenceErrors"], "ENABLED");
    for hosted in ["AllowedOAuthFlows", "AllowedOAuthScopes", "CallbackURLs", "SupportedIdentityProviders"] {
        assert!(client[hosted].is_null(), "{hosted} enables Cognito's hosted pages");
    }
    assert_eq!(of_type(&root, "AWS::Cognito::UserPoolClient").count(), 1, "each client is another way to sign in");
    assert_eq!(of_type(&root, "AWS::Cognito::UserPoolDomain").count(), 0, "so is Cognito's hosted page");
}

#[test]
fn access_token_changes_no_attribute_of_its_holder_at_cognito() {
    let root = root();
    let written: Vec<_> = root["Resources"]["UserPoolClient"]["Properties"]["WriteAttributes"].as_sequence().unwrap().to_vec();
    // An empty list would mean all attributes, the e-mail included.
    assert_eq!(written, ["locale"]);
    let config = &root["Resources"]["UserPool"]["Properties"]["LambdaConfig"];
    assert_eq!(config.as_mapping().unwrap().len(), 1, "{config:?}");
    let narrows = &config["PreTokenGenerationConfig"];
    // An older version narrows ID tokens only.
    assert_eq!(narrows["LambdaVersion"], "V2_0");
    let (_, function) = tagged(&narrows["LambdaArn"]).split_once(":function:${Prefix}-").unwrap();
    let lets_in: Vec<_> = stacks()
        .values()
        .flat_map(|stack| of_type(stack, "AWS::Lambda::Permission").map(|(_, p)| p["Properties"].clone()).collect::<Vec<_>>())
        .collect();
    let [permission] = &lets_in[..] else { panic!("expected one permission of Cognito's: {lets_in:?}") };
    assert_eq!((tagged(&permission["FunctionName"]), function), ("PreTokenGeneration", "pre_token_generation"));
    assert_eq!(permission["Principal"], "cognito-idp.amazonaws.com");
    assert!(tagged(&permission["SourceArn"]).ends_with(":userpool/${UserPool}"), "{permission:?}");
    assert_eq!(tagged(&permission["SourceAccount"]), "AWS::AccountId");
}

#[test]
fn pool_requires_strong_passwords_and_has_no_self_sign_up_or_mail_recovery() {
    let root = root();
    let pool = &root["Resources"]["UserPool"]["Properties"];
    assert_eq!((&pool["UserPoolTier"], &pool["MfaConfiguration"]), (&"ESSENTIALS".into(), &"OFF".into()));
    assert_eq!(pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"], true);
    let ways = pool["AccountRecoverySetting"]["RecoveryMechanisms"].as_sequence().unwrap();
    assert_eq!(ways.iter().map(|way| way["Name"].clone()).collect::<Vec<_>>(), ["admin_only"]);
    let policy = &pool["Policies"]["PasswordPolicy"];
    assert!(policy["MinimumLength"].as_u64() >= Some(12), "{policy:?}");
    for kind in ["Lowercase", "Uppercase", "Numbers", "Symbols"] {
        assert_eq!(policy[format!("Require{kind}")], true, "{kind}");
    }
    assert!(policy["PasswordHistorySize"].as_u64() >= Some(1) && policy["TemporaryPasswordValidityDays"].as_u64() <= Some(7));
    // The e-mail is the sign-in name and is unique in the pool; the user name is our id.
    assert_eq!((&pool["AliasAttributes"][0], &pool["UsernameAttributes"]), (&"email".into(), &Value::Null));
    assert!(!pool["DeletionProtection"].is_null());
}

#[test]
fn pool_has_a_group_for_every_role_and_no_other() {
    let root = root();
    let groups = of_type(&root, "AWS::Cognito::UserPoolGroup").map(|(_, group)| &group["Properties"]);
    let mut names: Vec<_> = groups
        .map(|group| {
            // With an IAM role, a group would grant access to AWS.
            assert!(group["RoleArn"].is_null() && tagged(&group["UserPoolId"]) == "UserPool", "{group:?}");
            group["GroupName"].as_str().unwrap()
        })
        .collect();
    names.sort_unstable();
    let mut roles = common::base::Role::ALL.map(common::base::Role::as_str);
    roles.sort_unstable();
    assert_eq!(names, roles);
}
