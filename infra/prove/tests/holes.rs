//! Tests that each proof can fail: a policy set with a hole has a counterexample. They use the solver of `CVC5`, or `cvc5`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use prove::{Proofs, Question, prove};
use std::{collections::BTreeSet, env, fs, path::Path};
use tokio::process::Command;

/// Each guard, and the property that is violated without it.
const GUARDS: &[(&str, &str)] = &[
    ("guard.own_tenant", "own_tenant"),
    ("guard.active_tenant", "active_tenant"),
    ("guard.purpose_of_use", "phi.purpose"),
    ("guard.platform_staff_see_no_phi", "phi.operators"),
    ("guard.baa", "phi.baa"),
    ("guard.network", "network.tenant"),
    ("guard.operator_network", "network.operators"),
    ("guard.enrolment", "mfa.enrolment"),
    ("guard.mfa", "mfa.roles"),
    ("guard.step_up", "mfa.sensitive"),
    ("guard.step_up_if_enrolled", "mfa.sensitive_if_enrolled"),
    ("guard.no_self_grant", "grants.self"),
    ("guard.operators_are_made_elsewhere", "grants.operators"),
    ("guard.key_purpose", "phi.purpose_of_key"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn policies() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(root().join("policies")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cedar"));
    files.sort();
    files.iter().map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
}

fn ask_about(policies: &[(String, String)]) -> Question {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (principals, resources) = (read("policies/principals.txt"), read("policies/resources.txt"));
    let (schema, properties) = (read("policies/schema.cedarschema"), read("infra/prove/properties.cedar"));
    Question::new(policies, &schema, &properties, [&principals, &resources]).unwrap()
}

async fn answer(question: &Question) -> Proofs {
    let mut solver = Command::new(env::var_os("CVC5").unwrap_or_else(|| "cvc5".into()));
    solver.args(["--lang", "smt", "--tlimit-per=60000"]);
    prove(question, solver).await.unwrap()
}

/// The counterexamples to a property, of which there must be some.
async fn refuted(question: Question, property: &str) -> Vec<String> {
    let mut answer = answer(&question.only(property).unwrap()).await;
    let finding = answer.findings.remove(0);
    assert!(!finding.holds(), "{property} holds");
    finding.counterexamples
}

/// A test's own policies only, without guards.
fn alone(text: &str) -> Question {
    ask_about(&[("hole.cedar".to_owned(), text.to_owned())])
}

#[tokio::test]
async fn each_removed_guard_violates_its_property() {
    let policies = policies();
    let guards: BTreeSet<_> = ask_about(&policies).policies().filter(|id| id.starts_with("guard.")).collect();
    let known = GUARDS.iter().map(|(guard, _)| *guard).map(str::to_owned);
    assert_eq!(guards, known.collect(), "each guard has its property");
    for (guard, property) in GUARDS {
        refuted(ask_about(&policies).without(guard).unwrap(), property).await;
    }
}

#[tokio::test]
async fn permit_across_tenants_has_a_counterexample_with_two_tenants() {
    let hole = r#"@id("hole") permit (principal in Role::"analyst", action == Action::"listShipments", resource);"#;
    let found = refuted(alone(hole), "own_tenant.phi").await;
    assert_eq!(found.len(), 2, "one of a user, and one of a key");
    for found in found {
        assert!(found.starts_with("listShipments by ") && found.contains("Allow by hole"), "{found}");
        let tenants: Vec<_> = found.split("tenant: ").skip(1).map(|rest| rest.split(['}', ',']).next()).collect();
        assert!(tenants.len() == 2 && tenants[0] != tenants[1], "{found}");
    }
}

#[tokio::test]
async fn purpose_that_is_required_of_some_roles_only_is_found() {
    let hole = r#"
        @id("read") permit (principal in Role::"provider", action in Action::"readShipments", resource);
        @id("hole") forbid (principal, action in Action::"phi", resource)
        unless { principal in Role::"auditor" || (context has purpose && context.purpose == "TREAT") };
    "#;
    let found = refuted(alone(hole), "phi.purpose").await;
    assert!(found.iter().all(|f| f.contains(r#"Role::"auditor""#) && f.contains(r#"Role::"provider""#)), "{found:?}");
}

#[tokio::test]
async fn policy_that_allows_self_grant_is_found() {
    let hole = r#"
        @id("hole") permit (principal in Role::"tenant_admin", action in Action::"grants", resource)
        unless { resource.user == principal && action == Action::"revokeRole" };
    "#;
    let found = refuted(alone(hole), "grants.self").await;
    assert!(found.len() == 1 && found[0].starts_with("grantRole by User on RoleGrant: Allow by hole"), "{found:?}");
    refuted(alone(hole), "grants.operators").await;
}

#[tokio::test]
async fn permit_without_a_role_is_found() {
    let found = refuted(alone(r#"@id("hole") permit (principal, action == Action::"listUsers", resource);"#), "no_role").await;
    assert!(found.len() == 1 && !found[0].contains("Role::"), "{found:?}");
}

#[tokio::test]
async fn policy_that_may_fail_is_found() {
    let hole = r#"
        @id("hole") permit (principal, action == Action::"viewMe", resource)
        when { context has mfa_age && context.mfa_age * 1000 < 600000 };
    "#;
    let answer = answer(&alone(hole)).await;
    let errors = answer.findings.last().unwrap();
    assert_eq!((errors.id.as_str(), errors.counterexamples.len()), ("no_error", 2));
    assert!(errors.counterexamples[0].contains("where hole fails"), "{errors:?}");
    // All other requests are refused: there is nothing to prove about them, which the answer reports.
    assert_eq!(answer.impossible.len(), answer.environments - 2);
}

#[test]
fn lists_of_types_that_differ_from_the_schemas_are_refused() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (principals, resources) = (read("policies/principals.txt"), read("policies/resources.txt"));
    let ask = |types: [&str; 2]| {
        Question::new(&policies(), &read("policies/schema.cedarschema"), &read("infra/prove/properties.cedar"), types)
    };
    assert!(ask([&principals, &resources]).is_ok());
    for (principals, resources, said) in [
        (principals.replace("createApiKey: User", "createApiKey: ApiKey User"), resources.clone(), "decided and not declared"),
        (principals.clone(), resources.replace("viewMe: User", "viewMe: Organization User"), "decided and not declared"),
        (format!("{principals}phi: User\n"), format!("{resources}phi: Shipment\n"), "decided and not declared"),
        (principals.replace("viewMe: User", "viewMe: ApiKey"), resources.clone(), "viewMe by"),
        (String::new(), resources.clone(), "declared and not decided"),
    ] {
        let error = ask([&principals, &resources]).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
