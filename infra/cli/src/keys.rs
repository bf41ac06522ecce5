//! `cloister keys`: what is done to all tenants' KMS keys at once.

use crate::Outcome;
use clap::{Args, Subcommand};
use common::{base::Error, request::Deps, run::operator::Operator};

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
    /// Who does this, for the audit log
    #[arg(long = "as", value_name = "NAME", env = "USER", global = true, default_value = "operator")]
    operator: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Have each tenant's own KMS key rotate by itself once a year: for keys that were made before keys did so from the start
    Rotate,
}

impl Keys {
    pub(crate) async fn run(&self, deps: &Deps) -> Outcome {
        let Command::Rotate = self.command;
        match Operator::new(deps, &self.operator).rotate_tenant_keys().await {
            Ok(keys) => Outcome::done(format!("{keys} tenants have a KMS key of their own; each rotates by itself.")),
            Err(Error::Unavailable { service, cause }) => {
                Outcome::failed(format!("`{service}` is unavailable: {}", cause.as_str()))
            }
            Err(error) => Outcome::failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::{App, Fault, Tenant};

    fn rotate() -> Keys {
        Keys { command: Command::Rotate, operator: "ada".to_owned() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_tenants_key_that_did_not_rotate_does_and_is_on_its_record() {
        let app = App::start().await;
        for tenant in [Tenant::Acme, Tenant::Birch] {
            let key = app.own_key(app.tenant_id(tenant)).await.expect("a key of its own");
            app.kms("DisableKeyRotation", &serde_json::json!({"KeyId": key})).await;
        }
        // One key is turned over before the run is cut off.
        app.wire().fail("EnableKeyRotation", 1, 100, Fault::Throttled);
        assert_eq!(rotate().run(app.deps()).await.exit, 1);
        app.wire().heal();
        let done = rotate().run(app.deps()).await;
        assert_eq!(done.exit, 0, "{}", done.text);
        for tenant in [Tenant::Acme, Tenant::Birch] {
            assert!(app.own_key_rotates(app.tenant_id(tenant)).await, "{tenant:?}");
            let recorded = app.audit(tenant).await.into_iter().filter(|e| e["type"] == "api.rotate_key");
            assert!(recorded.filter(|e| e["actor"]["id"] == "ada").count() >= 1, "{tenant:?}");
        }
    }
}
