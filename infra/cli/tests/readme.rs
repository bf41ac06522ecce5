//! Follows the README to the first operator, as far as possible on one machine: with the stack's settings, the operator's role,
//! which IAM evaluates, and the README's command in its own process.

#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

use common::base::{Clock, Role, SystemClock};
use http::Method;
use local::{
    Options, Stack, User,
    client::{Answer, Client},
};
use serde_json::{Value, json};
use std::process::{Command, Output};

const EMAIL: &str = "you@your-company.example";
const PASSWORD: &str = "A-synthetic-passw0rd";

/// The arguments of the README's command after `cargo run --release -p cloister --`.
fn line_of_the_readme() -> Vec<&'static str> {
    let readme = include_str!("../../../README.md");
    let section = readme.split_once("\n## Deploying\n").unwrap().1.split("\n## ").next().unwrap();
    let line = section.lines().find_map(|line| line.strip_prefix("cargo run --release -p cloister -- ")).unwrap();
    line.split_whitespace().collect()
}

/// Runs `cloister` with only the variables that the README exports: each line of the output, the three credentials of
/// `assume-role` and the Region; and, in place of AWS, the endpoints of the local stack.
async fn cloister(stack: &Stack, words: &[&str]) -> Output {
    let settings = stack.output("OperatorEnvironment").unwrap();
    let lines = settings.lines().map(|line| line.split_once('=').unwrap());
    let of_aws = stack.handover().operator.iter().filter(|(name, _)| name.starts_with("AWS_"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
    command.args(words).env_clear().envs(lines).envs(of_aws);
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn post(client: &Client, path: &str, token: Option<&str>, body: Value) -> Answer {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
    client.send(&Method::POST, path, &headers, body.to_string()).await.unwrap()
}

/// A required member of an answer.
fn member<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.json[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {}", answer.text))
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_output_and_readmes_command_create_an_operator_who_signs_in() {
    let stack = Stack::start(Options { seed: false, ..Options::default() }).await.unwrap();
    let words = line_of_the_readme();
    assert_eq!(words, ["bootstrap", "--email", EMAIL]);
    let made = cloister(&stack, &words).await;
    assert!(made.status.success(), "{}", said(&made));
    let temporary = said(&made).split_once("Temporary password: ").unwrap().1.lines().next().unwrap().to_owned();

    // The first sign-in sets another password and a second factor.
    let client = Client::new(stack.base_url());
    let login = post(&client, "/v1/auth/login", None, json!({"email": EMAIL, "password": temporary})).await;
    assert_eq!(member(&login, "challenge"), "NEW_PASSWORD_REQUIRED");
    let renewed = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": member(&login, "session"), "new_password": PASSWORD});
    let setup = post(&client, "/v1/auth/challenge", None, renewed).await;
    assert_eq!(member(&setup, "challenge"), "MFA_SETUP");
    let session = member(&setup, "session");
    let enrolled =
        client.send(&Method::POST, "/v1/mfa/totp", &[("authorization", &format!("Bearer {session}"))], "").await.unwrap();
    let operator = User {
        tenant: local::PLATFORM.to_owned(),
        role: Role::SuperAdmin,
        email: EMAIL.to_owned(),
        user_id: String::new(),
        authenticator: Some(member(&enrolled, "secret").to_owned()),
    };
    let code = operator.code_at(SystemClock.now()).unwrap();
    let activated = post(&client, "/v1/mfa/totp/activate", Some(session), json!({"code": code})).await;
    assert_eq!(activated.status, 200, "{}", activated.text);
    let tokens = post(&client, "/v1/auth/challenge", None, json!({"challenge": "MFA_SETUP", "session": session})).await;
    let bearer = format!("Bearer {}", member(&tokens, "access_token"));

    let me = client.send(&Method::GET, "/v1/me", &[("authorization", &bearer)], "").await.unwrap();
    assert_eq!(me.json["roles"], json!(["super_admin"]), "{}", me.text);
    let tenants = client.send(&Method::GET, "/v1/organizations", &[("authorization", &bearer)], "").await.unwrap();
    assert_eq!(tenants.status, 200, "{}", tenants.text);

    let again = cloister(&stack, &words).await;
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
    // The operator's role refused no call.
    stack.stop().await.unwrap();
}

/// A shell sources the file that `cargo dev` names, and runs `cloister`.
#[tokio::test(flavor = "multi_thread")]
async fn operator_of_the_local_stack_lists_dead_letters_with_its_file() {
    let stack = Stack::start(Options { seed: false, ..Options::default() }).await.unwrap();
    let file = local::Handover::operator_file(stack.dir());
    let script = format!(". '{}' && exec '{}' dlq list", file.display(), env!("CARGO_BIN_EXE_cloister"));
    let listed = tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &script]).env_clear().output());
    let listed = listed.await.unwrap().unwrap();
    assert!(listed.status.success(), "{}", said(&listed));
    stack.stop().await.unwrap();
    assert!(!file.exists(), "the credentials are deleted with the stack");
}
