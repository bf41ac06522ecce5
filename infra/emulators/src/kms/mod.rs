//! An emulator of KMS's JSON protocol with real cryptography.
//!
//! Other emulators do not refuse a tampered ciphertext, a wrong encryption context or a wrong key as AWS does, so tests with them
//! would prove nothing. Keys are in plain memory or in a plain file, without any protection. Not supported: grants, key policies,
//! moving aliases, imported material, multi-Region keys, RSA, and scheduled rotation.

mod actions;
mod blob;
mod error;
mod key;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::Error;
use crate::server::Server;
use error::KmsError;
use state::Store;

/// KMS, in this process.
#[derive(Debug)]
pub struct Kms {
    server: Server,
    keys: Keys,
}

/// The keys' names, for the evaluation of IAM.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Mutex<Store>>);

impl Keys {
    /// The ARN and the tags of the key with an id, an ARN or an alias.
    pub(crate) fn find(&self, named: &str) -> Option<(String, BTreeMap<String, String>)> {
        let store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = store.key(named).ok()?;
        Some((key.arn(), key.tags.clone()))
    }
}

impl Kms {
    /// Serves KMS on a free loopback port. With a path, keys are stored in that file, which is created if missing and replaced by
    /// every call that changes a key.
    ///
    /// # Errors
    /// [`Error::State`] if the file is not such a state; [`Error::Io`] if it cannot be read, or no port is free.
    pub fn start(state: Option<PathBuf>) -> Result<Self, Error> {
        let store = Arc::new(Mutex::new(Store::open(state)?));
        let keys = Keys(store.clone());
        let app = Router::new().route("/", post(answer)).with_state(store);
        let server = Server::spawn("kms", |listener, shutdown| async move {
            let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown);
            if let Err(error) = serving.await {
                eprintln!("kms: {error}");
            }
        })?;
        Ok(Self { server, keys })
    }

    /// The URL for `AWS_ENDPOINT_URL_KMS`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// The keys' names.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Finishes open requests, for two seconds at most, and frees the port.
    pub fn stop(self) {
        self.server.stop();
    }
}

async fn answer(Shared(store): Shared<Arc<Mutex<Store>>>, headers: HeaderMap, body: Bytes) -> Response {
    let action = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix("TrentService."))
        .unwrap_or_default();
    // INVARIANT: an action that panics leaves a consistent state, because each checks its input before it changes anything.
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    match actions::run(&mut store, action, &body) {
        Ok(output) => json(StatusCode::OK, output.to_string()),
        Err(error) => {
            let KmsError { code, message } = error;
            json(KmsError::status(code), serde_json::json!({ "__type": code, "message": message }).to_string())
        }
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body).into_response()
}
