mod evaluation;
mod wire;

use super::{Ask, Context, Gate, Principal, policy::Policy};
use crate::{Overrides, Provisioned, Template};
use std::{collections::BTreeMap, path::Path};

fn template() -> Template {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    Template::load_with(&path, &Overrides::new()).unwrap()
}

fn gate() -> Gate {
    Gate::new(&template(), &Provisioned::default(), None).unwrap()
}

fn who() -> Principal {
    Principal {
        of: None,
        name: "reader".to_owned(),
        role: "arn:aws:iam::000000000000:role/reader".to_owned(),
        session: "arn:aws:sts::000000000000:assumed-role/reader/one".to_owned(),
        account: "000000000000".to_owned(),
        tags: BTreeMap::new(),
    }
}

fn ask(action: &str, resource: &str, context: &[(&str, &[&str])]) -> Ask {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    let context: Context = context.iter().map(|(key, of)| (key.to_ascii_lowercase(), values(of))).collect();
    Ask { action: action.to_owned(), resource: resource.to_owned(), context }
}

fn policy(statements: serde_json::Value) -> Policy {
    Policy::parse(&serde_json::json!({ "Version": "2012-10-17", "Statement": statements })).unwrap()
}

#[test]
fn every_policy_of_the_templates_is_supported() {
    gate().understand().unwrap();
    let off = Overrides::from([("TenantSessions".to_owned(), "off".to_owned())]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    let template = Template::load_with(&path, &off).unwrap();
    Gate::new(&template, &Provisioned::default(), None).unwrap().understand().unwrap();
}

#[test]
fn every_role_of_the_templates_grants_something() {
    let grants = gate().grants().unwrap();
    assert!(grants.len() > 1000, "{}", grants.len());
    assert!(grants.iter().any(|grant| grant.role == "operator" && grant.action == "sqs:ReceiveMessage"));
    let account = |grant: &crate::iam::Grant| [":000000000000", "-000000000000"].iter().any(|text| grant.resource.contains(text));
    assert!(!grants.iter().any(account), "a grant must not contain the account");
}
