//! Creates signed-in users on demand, because test requests end sessions, use up rate limits and change passwords. Each user is
//! created and signs in like any other, from its own address.

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::post,
};
use common::{
    aws::Aws,
    base::{
        Config, Role, SystemClock, TenantId,
        telemetry::{LogSink, WideEvent},
    },
    request::Deps,
    run::operator::Operator,
};
use local::{Stack, client::Client, join, sign_in};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

/// The first address from which users sign in.
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

#[derive(Debug)]
pub(super) struct Reception {
    address: SocketAddr,
    desk: Arc<Desk>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Desk {
    deps: Deps,
    base_url: String,
    password: String,
    tenants: BTreeMap<String, String>,
    people: AtomicU32,
}

/// The user that a request asks for.
#[derive(Debug, Deserialize)]
struct NewcomerQuery {
    tenant: String,
    role: Role,
}

/// Drops the log lines of preparation.
#[derive(Debug)]
struct Unheard;

impl LogSink for Unheard {
    fn write(&self, _: &WideEvent) {}
}

impl Reception {
    pub(super) async fn open(stack: &Stack) -> Result<Self, Box<dyn Error>> {
        let aws = Aws::from_env(stack.env().clone());
        let deps = Deps::new(Config::from_env(stack.env().clone())?, &aws, Arc::new(SystemClock), Arc::new(Unheard))?;
        let desk = Arc::new(Desk {
            deps: deps.with_everything(&aws),
            base_url: stack.base_url().to_owned(),
            password: stack.password().unwrap_or_default().to_owned(),
            tenants: stack.handover().tenants.clone(),
            people: AtomicU32::new(0),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/people", post(come)).with_state(desk.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                eprintln!("reception: {error}");
            }
        });
        Ok(Self { address, desk, task })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token of a new user.
    pub(super) async fn token(&self, tenant: &str, role: Role) -> Result<String, Box<dyn Error>> {
        let newcomer = self.desk.newcomer(&NewcomerQuery { tenant: tenant.to_owned(), role }).await.map_err(|e| e.to_string())?;
        Ok(newcomer["access_token"].as_str().unwrap_or_default().to_owned())
    }

    /// The number of users so far.
    pub(super) fn people(&self) -> u32 {
        self.desk.people.load(Ordering::Relaxed)
    }
}

impl Drop for Reception {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn come(State(desk): State<Arc<Desk>>, Query(wanted): Query<NewcomerQuery>) -> Result<Json<Value>, (StatusCode, String)> {
    desk.newcomer(&wanted).await.map(Json).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

impl Desk {
    async fn newcomer(&self, wanted: &NewcomerQuery) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let NewcomerQuery { tenant, role } = wanted;
        let id: TenantId = self.tenants.get(tenant).ok_or("no such tenant")?.parse().map_err(|_| "not the id of a tenant")?;
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        let operator = Operator::new(&self.deps, "schemathesis");
        let email = format!("{role}.{number}@{tenant}.example");
        let user = join(&operator, (tenant, id), *role, &email, &self.password).await?;
        // Sign-ins are limited by address, so each user gets its own.
        let client = Client::from_address(&self.base_url, Ipv4Addr::from(ADDRESSES.to_bits() + number));
        let answer = sign_in(&client, std::slice::from_ref(&user), &email, &self.password).await?;
        let token = |name: &str| answer.json[name].as_str().map(str::to_owned).ok_or_else(|| answer.text.clone());
        Ok(json!({
            "user_id": user.user_id,
            "email": email,
            "password": self.password,
            "access_token": token("access_token")?,
            "refresh_token": token("refresh_token")?,
        }))
    }
}
