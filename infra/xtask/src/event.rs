//! Fills in a template of `events/`, for `cargo lambda invoke` or to look at a function's event.

use crate::{Outcome, openapi::json_text, workspace};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use common::base::{Clock, EventId, Identity, SessionId, SystemClock, TenantId, Timestamp, UserId, Uuid};
use http::Method;
use local::{Handover, User, client::Client};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shipments::tracking_number::{Classified, TrackingNumber};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Sign in at the running local stack and write a function's event, ready to be sent
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The function, as `create_shipment`
    function: String,
    /// The stack's port [default: the port in the data directory]
    #[arg(long)]
    port: Option<u16>,
    /// The stack's data directory
    #[arg(long, default_value = ".cloister/data")]
    data_dir: PathBuf,
    /// The user who signs in
    #[arg(long, default_value = SOMEBODY)]
    email: String,
}

/// The user who signs in by default.
pub(crate) const SOMEBODY: &str = "marketer@acme-health.example";

pub(crate) fn run(args: Args) -> Outcome {
    let root = workspace::root();
    let Args { function, port, data_dir, email } = args;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let file = runtime.block_on(write(&function, &root.join(data_dir), port, email))?;
    println!("{}", file.strip_prefix(&root).unwrap_or(&file).display());
    Ok(ExitCode::SUCCESS)
}

/// Writes a function's event for the stack that runs on this data directory. Returns the file's path.
pub(crate) async fn write(function: &str, data_dir: &Path, port: Option<u16>, email: String) -> Result<PathBuf, Box<dyn Error>> {
    let root = workspace::root();
    let template = root.join("events").join(format!("{function}.json"));
    let template = fs::read_to_string(template).map_err(|_| {
        let known: Vec<_> = registry::names().collect();
        format!("there is no function `{function}`; there are: {}", known.join(", "))
    })?;
    let handover = Handover::read(data_dir)?;
    let caller = Caller::of(data_dir, &handover, port, email).await?;
    let values = caller.values(&template, &handover.env).await?;
    let event = registry::event::fill(&template, |name| match name {
        "idempotency_key" | "request_id" => Some(fresh_id()),
        "organization_name" => Some(format!("clinic-{}", &fresh_id()[..8])),
        "event_id" => Some(EventId::new(SystemClock.now()).to_string()),
        "now" => Some(SystemClock.now().to_string()),
        // A search looks for the shipment that was created for it.
        "tracking_number" => values.get(name).cloned().or_else(fresh_tracking_number),
        other => values.get(other).cloned(),
    })?;
    let folder = root.join("target/events");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{function}.json"));
    fs::write(&file, json_text(&event))?;
    Ok(file)
}

/// An access token of a user of the stack that runs on this data directory. The last sign-in is reused while its session lives.
pub(crate) async fn token(data_dir: &Path, email: String) -> Result<String, Box<dyn Error>> {
    let handover = Handover::read(data_dir)?;
    let caller = Caller::of(data_dir, &handover, None, email).await?;
    Ok(caller.signed_in.access_token)
}

/// Items that the stack creates itself: the name in templates, the list that has it, and its name there.
const LISTED: [(&str, &str, &str); 3] = [
    ("notification_id", "/v1/notifications?limit=1", "notification_id"),
    ("first_sequence", "/v1/audit/segments?limit=1", "first_sequence"),
    ("other_user_id", "/v1/users?limit=1", "user_id"),
];

/// The file of the last sign-in, in the stack's data directory. It is kept because one e-mail may sign in only five times in 15
/// minutes.
const KEPT: &str = "event-session.json";

/// A signed-in user.
struct Caller {
    client: Client,
    password: String,
    signed_in: SignedIn,
    identity: Identity,
}

#[derive(Serialize, Deserialize)]
struct SignedIn {
    base: String,
    email: String,
    access_token: String,
    refresh_token: String,
}

/// The claims of an access token.
#[derive(Deserialize)]
struct Claims {
    username: UserId,
    origin_jti: Uuid,
    exp: i64,
}

impl Caller {
    /// A user of the running stack, signed in.
    async fn of(data_dir: &Path, handover: &Handover, port: Option<u16>, email: String) -> Result<Self, Box<dyn Error>> {
        let password = std::env::var("CLOISTER_DEMO_PASSWORD")
            .ok()
            .or_else(|| handover.password.clone())
            .ok_or("the stack's users have another password: set CLOISTER_DEMO_PASSWORD")?;
        let base = port.map_or_else(|| handover.base_url.clone(), |port| format!("http://127.0.0.1:{port}"));
        Self::known(&data_dir.join(KEPT), base, &handover.users, email, password).await
    }

    /// The caller of the last run while that session lives, else a new sign-in.
    async fn known(kept: &Path, base: String, users: &[User], email: String, password: String) -> Result<Self, Box<dyn Error>> {
        let client = Client::new(&base);
        let last = fs::read(kept).ok().and_then(|bytes| serde_json::from_slice::<SignedIn>(&bytes).ok());
        if let Some(last) = last.filter(|last| last.base == base && last.email == email)
            && let Ok(identity) = identity(&client, &last.access_token).await
        {
            return Ok(Self { client, password, signed_in: last, identity });
        }
        let answer = good(local::sign_in(&client, users, &email, &password).await?)?;
        let signed_in = SignedIn {
            base,
            email,
            access_token: text(&answer, "access_token")?,
            refresh_token: text(&answer, "refresh_token")?,
        };
        keep(kept, &signed_in)?;
        let identity = identity(&client, &signed_in.access_token).await?;
        Ok(Self { client, password, signed_in, identity })
    }

    /// The value of each name in the template. If the function works on an existing shipment, one is created.
    async fn values(
        &self,
        template: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<&'static str, String>, Box<dyn Error>> {
        let mut values = self.identity.to_context();
        values.insert("access_token", self.signed_in.access_token.clone());
        values.insert("refresh_token", self.signed_in.refresh_token.clone());
        values.insert("email", self.signed_in.email.clone());
        values.insert("password", self.password.clone());
        if template.contains("{{shipment_id}}") || template.contains("/v1/shipments/search") {
            let shipment = self.make_shipment().await?;
            values.insert("shipment_id", text(&shipment, "shipment_id")?);
            values.insert("tracking_number", text(&shipment, "tracking_number")?);
        }
        for (name, list, member) in LISTED {
            if template.contains(&format!("{{{{{name}}}}}")) {
                values.insert(name, self.first(member, list).await?);
            }
        }
        if template.contains("{{carrier_") {
            let credentials = self.carrier_credentials(env).await?;
            values.insert("carrier_token", self.carrier_token(&credentials).await?);
            values.insert("carrier_credentials", credentials);
        }
        Ok(values)
    }

    /// The first item of a list that the stack fills itself.
    async fn first(&self, name: &str, list: &str) -> Result<String, Box<dyn Error>> {
        let token = format!("Bearer {}", self.signed_in.access_token);
        let page = good(self.client.send(&Method::GET, list, &[("authorization", token.as_str())], "").await?)?;
        match &page["items"][0][name] {
            Value::Null => Err(format!("{list} is still empty: make an event happen first").into()),
            Value::String(text) => Ok(text.clone()),
            other => Ok(other.to_string()),
        }
    }

    /// The credentials with which the UPS emulator requests a token, derived from the shared secret.
    async fn carrier_credentials(&self, env: &BTreeMap<String, String>) -> Result<String, Box<dyn Error>> {
        let of = |name: &str| env.get(name).ok_or_else(|| format!("the stack has no `{name}`"));
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.GetSecretValue"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=local/20000101/us-east-1/secretsmanager/aws4_request"),
        ];
        let body = json!({ "SecretId": of("CLOISTER_UPS_SECRET")? }).to_string();
        let secret = good(Client::new(of("AWS_ENDPOINT_URL")?).send(&Method::POST, "/", &headers, body).await?)?;
        let secret: Value = serde_json::from_str(&text(&secret, "SecretString")?)?;
        let pair = format!("{}:{}", text(&secret, "webhook_client_id")?, text(&secret, "webhook_client_secret")?);
        Ok(STANDARD.encode(pair))
    }

    async fn carrier_token(&self, credentials: &str) -> Result<String, Box<dyn Error>> {
        let basic = format!("Basic {credentials}");
        let headers = [("authorization", basic.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let path = "/v1/webhooks/ups/token";
        let granted = good(self.client.send(&Method::POST, path, &headers, "grant_type=client_credentials").await?)?;
        Ok(text(&granted, "access_token")?)
    }

    async fn make_shipment(&self) -> Result<Value, Box<dyn Error>> {
        let create =
            registry::all().find(|endpoint| endpoint.name == "create_shipment").ok_or("there is no `create_shipment`")?;
        let mut body: Value = serde_json::from_str(create.sample.body.unwrap_or_default())?;
        body["tracking_number"] = fresh_tracking_number().map_or(Value::Null, Value::String);
        let (token, key) = (format!("Bearer {}", self.signed_in.access_token), fresh_id());
        let headers = [
            ("authorization", token.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key.as_str()),
            ("x-purpose-of-use", "TREAT"),
        ];
        good(self.client.send(&Method::POST, create.route.path, &headers, body.to_string()).await?)
    }
}

/// The authorizer's context for a token's holder.
async fn identity(client: &Client, access_token: &str) -> Result<Identity, Box<dyn Error>> {
    let bearer = format!("Bearer {access_token}");
    let me = good(client.send(&Method::GET, "/v1/me", &[("authorization", bearer.as_str())], "").await?)?;
    let claims = access_token.split('.').nth(1).ok_or("the access token is no JWT")?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    Ok(Identity {
        tenant: text(&me, "tenant_id")?.parse::<TenantId>().map_err(|_| "not a tenant's id")?,
        user: claims.username,
        session: SessionId::from_uuid(claims.origin_jti),
        expires_at: Timestamp::from_millis(claims.exp * 1000),
    })
}

/// Writes the file readable by its owner only, because it contains tokens.
fn keep(path: &Path, signed_in: &SignedIn) -> Result<(), Box<dyn Error>> {
    let mut file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    serde_json::to_writer(&mut file, signed_in)?;
    Ok(())
}

fn good(answer: local::client::Answer) -> Result<Value, Box<dyn Error>> {
    if answer.status < 400 {
        Ok(answer.json)
    } else {
        Err(format!("the stack answered {} `{}`", answer.status, answer.code()).into())
    }
}

fn text(answer: &Value, name: &str) -> Result<String, String> {
    answer[name].as_str().map(str::to_owned).ok_or_else(|| format!("the stack's answer has no `{name}`"))
}

fn fresh_id() -> String {
    Uuid::from_bytes(common::base::random::bytes()).to_string()
}

/// An unregistered number: 64 random bits in the form of UPS's numbers, with a valid check digit.
fn fresh_tracking_number() -> Option<String> {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKLMNPQRSTUVWX";
    let body: String =
        common::base::random::bytes::<15>().iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    match TrackingNumber::classify(&format!("1Z{body}0")) {
        Classified::Valid(_) => Some(format!("1Z{body}0")),
        Classified::BadCheckDigit { expected, .. } => Some(format!("1Z{body}{expected}")),
        Classified::NotUps => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_tracking_number_has_a_valid_check_digit() {
        for _ in 0..100 {
            let number = fresh_tracking_number().unwrap();
            assert!(matches!(TrackingNumber::classify(&number), Classified::Valid(_)), "{number}");
        }
    }
}
