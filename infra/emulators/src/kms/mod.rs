//! KMS's JSON protocol over real cryptography.
//!
//! Why not another emulator's: a tampered ciphertext, a wrong encryption context and a wrong key must be refused as AWS
//! refuses them, or the tests above this prove nothing. Keys lie in plain memory, or in a plain file: this protects nobody.
//! Left out: grants, key policies and aliases' moves, imported material, multi-Region keys, RSA, and rotation by date.

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

/// What the keys are called, for whoever judges calls about them.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Mutex<Store>>);

impl Keys {
    /// The ARN and the tags of the key that an id, an ARN or an alias names.
    pub(crate) fn find(&self, named: &str) -> Option<(String, BTreeMap<String, String>)> {
        let store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = store.key(named).ok()?;
        Some((key.arn(), key.tags.clone()))
    }
}

impl Kms {
    /// Serves KMS on a free loopback port. With a path, keys are kept in that file, which is made if missing and replaced
    /// whole by every call that changes a key.
    ///
    /// # Errors
    /// [`Error::State`] if the file is not such a state; [`Error::Io`] if it cannot be read, or no port can be had.
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

    /// What the keys are called.
    #[must_use]
    pub fn keys(&self) -> Keys {
        self.keys.clone()
    }

    /// Finishes what was asked so far, for two seconds at most, and frees the port.
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
    // INVARIANT: an action that panics has changed nothing that the next one may not see: each checks before it changes.
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
