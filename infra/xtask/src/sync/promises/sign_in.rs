//! What the template promises of the user pool and its one app client.

use super::*;

#[test]
fn the_app_client_lets_nobody_past_the_login_endpoint() {
    let root = root();
    let client = &root["Resources"]["UserPoolClient"]["Properties"];
    let flows: Vec<_> = client["ExplicitAuthFlows"].as_sequence().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(flows, ["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]);
    assert_eq!((&client["GenerateSecret"], &client["EnableTokenRevocation"]), (&true.into(), &true.into()));
    assert_eq!(client["PreventUserExistenceErrors"], "ENABLED");
    for hosted in ["AllowedOAuthFlows", "AllowedOAuthScopes", "CallbackURLs", "SupportedIdentityProviders"] {
        assert!(client[hosted].is_null(), "{hosted} opens a page of Cognito's");
    }
    assert_eq!(of_type(&root, "AWS::Cognito::UserPoolClient").count(), 1, "each client is a door");
    assert_eq!(of_type(&root, "AWS::Cognito::UserPoolDomain").count(), 0, "so is a page of Cognito's");
}

#[test]
fn a_token_changes_nothing_of_its_holders_at_cognito() {
    let root = root();
    let written: Vec<_> = root["Resources"]["UserPoolClient"]["Properties"]["WriteAttributes"].as_sequence().unwrap().to_vec();
    // None at all would mean every one, the e-mail included.
    assert_eq!(written, ["locale"]);
    let config = &root["Resources"]["UserPool"]["Properties"]["LambdaConfig"];
    assert_eq!(config.as_mapping().unwrap().len(), 1, "{config:?}");
    let narrows = &config["PreTokenGenerationConfig"];
    // An older version would narrow ID tokens only.
    assert_eq!(narrows["LambdaVersion"], "V2_0");
    let (_, function) = tagged(&narrows["LambdaArn"]).split_once(":function:${Prefix}-").unwrap();
    let lets_in: Vec<_> = stacks()
        .values()
        .flat_map(|stack| of_type(stack, "AWS::Lambda::Permission").map(|(_, p)| p["Properties"].clone()).collect::<Vec<_>>())
        .collect();
    let [permission] = &lets_in[..] else { panic!("one function is called by another name than a role's: {lets_in:?}") };
    assert_eq!((tagged(&permission["FunctionName"]), function), ("PreTokenGeneration", "pre_token_generation"));
    assert_eq!(permission["Principal"], "cognito-idp.amazonaws.com");
    assert!(tagged(&permission["SourceArn"]).ends_with(":userpool/${UserPool}"), "{permission:?}");
    assert_eq!(tagged(&permission["SourceAccount"]), "AWS::AccountId");
}

#[test]
fn the_pool_takes_strong_passwords_makes_nobody_by_itself_and_gives_no_account_back_by_mail() {
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
    // The e-mail signs in, and is one user's over the whole pool; the name is our id.
    assert_eq!((&pool["AliasAttributes"][0], &pool["UsernameAttributes"]), (&"email".into(), &Value::Null));
    assert!(!pool["DeletionProtection"].is_null());
}

#[test]
fn the_pool_has_a_group_for_every_role_and_no_other() {
    let root = root();
    let groups = of_type(&root, "AWS::Cognito::UserPoolGroup").map(|(_, group)| &group["Properties"]);
    let mut names: Vec<_> = groups
        .map(|group| {
            // With a role of IAM's, a group would be worth something to AWS.
            assert!(group["RoleArn"].is_null() && tagged(&group["UserPoolId"]) == "UserPool", "{group:?}");
            group["GroupName"].as_str().unwrap()
        })
        .collect();
    names.sort_unstable();
    let mut roles = common::base::Role::ALL.map(common::base::Role::as_str);
    roles.sort_unstable();
    assert_eq!(names, roles);
}
