//! `cloister keys`: changes the KMS keys of all tenants.

use crate::Outcome;
use clap::{Args, Subcommand};
use common::{base::Error, request::Deps, run::operator::Operator};

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Command,
    /// Your name, for the audit log
    #[arg(long = "as", value_name = "NAME", env = "USER", global = true, default_value = "operator")]
    operator: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enable yearly automatic rotation of each tenant's own KMS key: new keys have it from the start, older ones may not
    Rotate,
}

impl Keys {
    pub(crate) async fn run(&self, deps: &Deps) -> Outcome {
        let Command::Rotate = self.command;
        match Operator::new(deps, &self.operator).rotate_tenant_keys().await {
            Ok(keys) => Outcome::done(format!("{keys} tenants have their own KMS key; each rotates automatically.")),
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
    async fn rotation_is_enabled_for_each_tenants_key_and_audited() {
        let app = App::start().await;
        for tenant in [Tenant::Acme, Tenant::Birch] {
            let key = app.own_key(app.tenant_id(tenant)).await.expect("a key of its own");
            app.kms("DisableKeyRotation", &serde_json::json!({"KeyId": key})).await;
        }
        // Rotation of one key is enabled before the run is interrupted.
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
