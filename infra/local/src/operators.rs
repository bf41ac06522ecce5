//! The endpoints and settings for an operator's `cloister`, which runs in a process of its own. IAM evaluates each of its calls as the
//! operator's role, as on AWS. Its settings are an output of the template.

use crate::Error;
use emulators::{
    Endpoints,
    iam::{Front, Gate, OPERATOR},
};
use std::{collections::BTreeMap, sync::Arc};

/// The template's output with the settings.
const OUTPUT: &str = "OperatorEnvironment";
/// Settings whose AWS values do not work locally.
const LOCAL: [&str; 3] = ["CLOISTER_PUBLIC_URL", "CLOISTER_SOCKETS_URL", "CLOISTER_UPS_URL"];

#[derive(Debug)]
pub(crate) struct Operators {
    fronts: Vec<Front>,
    pub(crate) env: BTreeMap<String, String>,
}

impl Operators {
    /// `function` is the environment of a function here.
    pub(crate) fn start(gate: &Arc<Gate>, to: &Endpoints, function: &BTreeMap<String, String>) -> Result<Self, Error> {
        let output = gate.output(OUTPUT).map_err(|e| Error::Config(e.to_string()))?;
        let lines = output.lines().filter_map(|line| line.split_once('='));
        let mut env: BTreeMap<String, String> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for name in LOCAL {
            if let Some(value) = function.get(name) {
                env.insert(name.to_owned(), value.clone());
            }
        }
        let mut fronts = Vec::new();
        let other = to.other.as_deref().unwrap_or_default();
        for (name, emulator) in
            [("AWS_ENDPOINT_URL_DYNAMODB", &*to.dynamodb), ("AWS_ENDPOINT_URL_KMS", &*to.kms), ("AWS_ENDPOINT_URL", other)]
        {
            let front = Front::start(gate.clone(), emulator.to_owned())?;
            env.insert(name.to_owned(), front.endpoint());
            fronts.push(front);
        }
        if let Some(queues) = function.get("CLOISTER_QUEUES") {
            env.insert("CLOISTER_QUEUES".to_owned(), queues.replace(other, &env["AWS_ENDPOINT_URL"]));
        }
        // The variables of the credentials that `aws sts assume-role` prints.
        for (name, value) in [("AWS_ACCESS_KEY_ID", OPERATOR), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_SESSION_TOKEN", "local")]
        {
            env.insert(name.to_owned(), value.to_owned());
        }
        Ok(Self { fronts, env })
    }

    pub(crate) async fn stop(self) {
        // A proxy waits for calls in progress, for a bounded time.
        let _ = tokio::task::spawn_blocking(|| {
            std::thread::scope(|threads| self.fronts.into_iter().for_each(|front| drop(threads.spawn(|| front.stop()))));
        })
        .await;
    }
}
