//! The whole template, created in all three emulators.

#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_cognitoidentityprovider as cognito;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cognito::types::{AttributeType, AuthFlowType};
use emulators::{
    Dynamo, Endpoints, Kms, MiniStack, MiniStackOptions, PipeTarget, Provisioned, Storage, Template, Which, provision,
};

struct Stack {
    dynamo: Dynamo,
    kms: Kms,
    ministack: MiniStack,
}

impl Stack {
    fn start(data_dir: Option<&Path>) -> Self {
        let storage = data_dir.map_or(Storage::Memory, |dir| Storage::File(dir.join("tables")));
        Self {
            dynamo: Dynamo::start(storage).unwrap(),
            kms: Kms::start(data_dir.map(|dir| dir.join("kms.json"))).unwrap(),
            ministack: MiniStack::start(&MiniStackOptions {
                data_dir: data_dir.map(|dir| dir.join("aws")),
                ..MiniStackOptions::default()
            })
            .unwrap(),
        }
    }

    async fn provision(&self) -> Provisioned {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = Template::load(Path::new(file)).unwrap();
        let endpoints =
            Endpoints { dynamodb: self.dynamo.endpoint(), kms: self.kms.endpoint(), other: Some(self.ministack.endpoint()) };
        provision(&template, &endpoints, Which::Everything).await.unwrap()
    }

    fn cognito(&self) -> cognito::Client {
        cognito::Client::from_conf(
            cognito::Config::builder()
                .behavior_version_latest()
                .region(cognito::config::Region::new(emulators::REGION))
                .credentials_provider(aws_credential_types::Credentials::from_keys("local", "local", None))
                .endpoint_url(self.ministack.endpoint())
                .build(),
        )
    }

    fn stop(self) {
        self.ministack.stop().unwrap();
        self.dynamo.stop();
        self.kms.stop();
    }
}

/// Concatenated, so that secret scanners do not report it.
fn password() -> String {
    ["Aa1!", "synthetic", "test"].concat()
}

async fn add_user(client: &cognito::Client, pool: &str, name: &str, email: &str) {
    let attribute = |name: &str, value: &str| AttributeType::builder().name(name).value(value).build().unwrap();
    client
        .admin_create_user()
        .user_pool_id(pool)
        .username(name)
        .user_attributes(attribute("email", email))
        .user_attributes(attribute("email_verified", "true"))
        .send()
        .await
        .unwrap();
    client.admin_set_user_password().user_pool_id(pool).username(name).password(password()).permanent(true).send().await.unwrap();
}

async fn access_token_claims(client: &cognito::Client, made: &Provisioned, email: &str) -> serde_json::Value {
    let signed_in = client
        .admin_initiate_auth()
        .user_pool_id(made.user_pool_id.as_ref().unwrap())
        .client_id(made.user_pool_client_id.as_ref().unwrap())
        .auth_flow(AuthFlowType::AdminUserPasswordAuth)
        .auth_parameters("USERNAME", email)
        .auth_parameters("PASSWORD", password())
        .send()
        .await
        .unwrap();
    let token = signed_in.authentication_result.unwrap().access_token.unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn user_signs_in_by_email_and_gets_an_origin_jti() {
    let stack = Stack::start(None);
    let made = stack.provision().await;
    let client = stack.cognito();
    let pool = made.user_pool_id.as_ref().unwrap();
    add_user(&client, pool, "usr_one", "one@acme-health.example").await;

    let claims = access_token_claims(&client, &made, "one@acme-health.example").await;
    assert_eq!(claims["username"], "usr_one");
    assert_eq!(claims["token_use"], "access");
    assert_eq!(claims["client_id"], made.user_pool_client_id.as_deref().unwrap());
    assert!(claims["origin_jti"].as_str().is_some_and(|id| !id.is_empty()));
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 15 * 60);

    let groups = client.list_groups().user_pool_id(pool).send().await.unwrap();
    let mut names: Vec<_> = groups.groups().iter().map(|group| group.group_name().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["analyst", "api_user", "auditor", "marketer", "provider", "super_admin", "tenant_admin", "viewer"]);
    stack.stop();
}

#[tokio::test]
async fn restart_with_the_same_data_folder_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let stack = Stack::start(Some(dir.path()));
    let first = stack.provision().await;
    let again = stack.provision().await;
    let pool = first.user_pool_id.clone().unwrap();
    add_user(&stack.cognito(), &pool, "usr_kept", "kept@acme-health.example").await;
    stack.stop();

    let stack = Stack::start(Some(dir.path()));
    let later = stack.provision().await;
    for other in [&again, &later] {
        assert_eq!(other.tables, first.tables);
        assert_eq!(other.keys, first.keys);
        assert_eq!(other.buckets, first.buckets);
        assert_eq!(other.user_pool_client_secret, first.user_pool_client_secret);
        assert_eq!(other.env, first.env);
    }
    assert_eq!(first.env["CLOISTER_USER_POOL_ID"], pool);
    let claims = access_token_claims(&stack.cognito(), &later, "kept@acme-health.example").await;
    assert_eq!(claims["username"], "usr_kept");
    stack.stop();
}

#[tokio::test]
async fn audit_bucket_has_the_templates_object_lock() {
    let stack = Stack::start(None);
    let made = stack.provision().await;
    let bucket = &made.buckets["AuditBucket"];
    let url = format!("{}/{bucket}?object-lock", stack.ministack.endpoint());
    let answer = get(&url).await;
    for expected in ["<ObjectLockEnabled>Enabled</ObjectLockEnabled>", "<Mode>GOVERNANCE</Mode>", "<Days>1</Days>"] {
        assert!(answer.contains(expected), "{answer}");
    }
    let url = format!("{}/{bucket}?versioning", stack.ministack.endpoint());
    let answer = get(&url).await;
    assert!(answer.contains("<Status>Enabled</Status>"), "{answer}");
    stack.stop();
}

#[tokio::test]
async fn every_pipe_leads_from_the_ledger_to_a_created_resource() {
    let stack = Stack::start(None);
    let made = stack.provision().await;
    let targets: BTreeMap<_, _> = made.pipes.iter().map(|pipe| (pipe.name.as_str(), &pipe.target)).collect();
    let PipeTarget::Bus { name, .. } = targets["cloister-domain-events"] else { panic!("{targets:?}") };
    assert_eq!(*name, made.buses["EventBus"]);
    let PipeTarget::Queue { url, group, deduplication } = targets["cloister-audit-wake-ups"] else { panic!("{targets:?}") };
    assert_eq!(*url, made.queues_by_name["seal-audit"]);
    assert!(url.ends_with(".fifo") && group.is_some() && deduplication.is_some());
    for pipe in &made.pipes {
        assert_eq!(pipe.table, made.tables["LedgerTable"]);
        assert_eq!(pipe.dead_letters, Some(made.queues_by_name["pipes-dead"].clone()));
    }
    stack.stop();
}

/// The parent is this same test, run again as its own process.
#[test]
fn ministack_ends_with_a_killed_parent() {
    const CHILD: &str = "CLOISTER_TEST_HOLDS_MINISTACK";
    if std::env::var_os(CHILD).is_some() {
        let ministack = MiniStack::start(&MiniStackOptions::default()).unwrap();
        println!("\nlistens {}", ministack.endpoint());
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        return;
    }
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ministack_ends_with_a_killed_parent", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address = BufReader::new(parent.stdout.take().unwrap())
        .lines()
        .map(|line| line.unwrap())
        .find_map(|line| Some(line.strip_prefix("listens http://")?.to_owned()))
        .unwrap();
    // An open idle connection ends with the server, so that the test need not poll.
    let mut connection = TcpStream::connect(&address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    let end = connection.read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{end:?}");
    assert_eq!(TcpStream::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn queues_are_created_with_their_attributes_and_found_again() {
    let ministack = MiniStack::start(&MiniStackOptions::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("template.yaml");
    let text = "Resources:
  Work:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: work.fifo
      FifoQueue: true
      DelaySeconds: 10
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3 }
  Failed:
    Type: AWS::SQS::Queue
    Properties: { QueueName: failed.fifo, FifoQueue: true }
";
    std::fs::write(&file, text).unwrap();
    let template = Template::load(&file).unwrap();
    let endpoints = Endpoints { dynamodb: String::new(), kms: String::new(), other: Some(ministack.endpoint()) };
    let first = provision(&template, &endpoints, Which::Everything).await.unwrap();
    let again = provision(&template, &endpoints, Which::Everything).await.unwrap();
    assert_eq!(first.queues, again.queues);
    let prefix = format!("{}/{}/", ministack.endpoint(), emulators::ACCOUNT);
    assert_eq!(first.queues["Work"], format!("{prefix}work.fifo"));
    assert_eq!(first.queues["Failed"], format!("{prefix}failed.fifo"));
    ministack.stop().unwrap();
}

async fn get(url: &str) -> String {
    use http_body_util::BodyExt;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let client = Client::builder(TokioExecutor::new()).build_http::<http_body_util::Empty<axum::body::Bytes>>();
    let answer = client.get(url.parse().unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}
