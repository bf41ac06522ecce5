//! Settings from the environment. All missing, malformed and unknown settings are reported together, before the first request.

use crate::base::network::AllowList;
use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// The default number of calls to the carrier in a minute, of all tenants together.
pub(crate) const CARRIER_CALLS_PER_MINUTE: u32 = 60;

/// The settings of every function. `template.yaml` sets exactly these (`Globals.Function.Environment`).
#[derive(Clone, Debug)]
pub struct Config {
    /// The deployment's name, the first half of its audit logs' origins.
    pub deployment: String,
    pub tables: TableNames,
    /// The role whose sessions see one tenant each; `None` if tenant credentials are switched off.
    pub tenant_role_arn: Option<String>,
    pub pool_key_arn: String,
    pub tenant_key_mode: TenantKeyMode,
    pub user_pool_id: String,
    pub user_pool_client_id: String,
    pub session_idle: Duration,
    /// The networks of the platform's operators. A `super_admin` is accepted only from these networks.
    pub operator_networks: AllowList,
    /// Exact origins, never `*`.
    pub allowed_origins: Vec<String>,
    /// The part of a queue's URL before its name.
    pub queues: String,
    /// The bucket of the sealed audit log.
    pub audit_bucket: String,
    /// The age at which the bucket's lifecycle deletes a segment; `None` if segments stay.
    pub audit_expiry: Option<Duration>,
    /// Signs its checkpoints.
    pub checkpoint_key_arn: String,
    /// The URL at which pages open their sockets: `wss://…`.
    pub sockets_url: String,
    /// The URL of the API: `https://…`, without a slash at the end.
    pub public_url: String,
    pub ups_url: String,
    /// The secret with our credentials at UPS.
    pub ups_secret: String,
    /// The calls a minute that all functions together may make to UPS.
    pub ups_per_minute: u32,
    /// The sender address of our mails.
    pub mail_from: String,
}

#[derive(Clone, Debug)]
pub struct TableNames {
    pub records: String,
    pub ledger: String,
    pub keys: String,
    pub ephemera: String,
}

/// All invalid settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads `CLOISTER_…` from `variables`.
    ///
    /// # Errors
    /// Names each setting that is missing, empty, malformed or unknown.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut env =
            Reader { left: variables.into_iter().filter(|(name, _)| name.starts_with("CLOISTER_")).collect(), wrong: Vec::new() };
        let config = Self {
            deployment: env.required("CLOISTER_DEPLOYMENT"),
            tables: TableNames {
                records: env.required("CLOISTER_RECORDS_TABLE"),
                ledger: env.required("CLOISTER_LEDGER_TABLE"),
                keys: env.required("CLOISTER_KEYS_TABLE"),
                ephemera: env.required("CLOISTER_EPHEMERA_TABLE"),
            },
            tenant_role_arn: env.role("CLOISTER_TENANT_ROLE_ARN"),
            pool_key_arn: env.required("CLOISTER_POOL_KEY_ARN"),
            tenant_key_mode: env.parsed("CLOISTER_TENANT_KEY_MODE").unwrap_or_default(),
            user_pool_id: env.required("CLOISTER_USER_POOL_ID"),
            user_pool_client_id: env.required("CLOISTER_USER_POOL_CLIENT_ID"),
            session_idle: Duration::from_secs(env.parsed("CLOISTER_SESSION_IDLE_SECONDS").unwrap_or(900)),
            operator_networks: env.parsed("CLOISTER_OPERATOR_NETWORKS").unwrap_or_default(),
            allowed_origins: env.origins("CLOISTER_ALLOWED_ORIGINS"),
            queues: env.required("CLOISTER_QUEUES"),
            audit_bucket: env.required("CLOISTER_AUDIT_BUCKET"),
            audit_expiry: env.days("CLOISTER_AUDIT_EXPIRY_DAYS"),
            checkpoint_key_arn: env.required("CLOISTER_CHECKPOINT_KEY_ARN"),
            sockets_url: env.required("CLOISTER_SOCKETS_URL"),
            public_url: env.required("CLOISTER_PUBLIC_URL"),
            ups_url: env.required("CLOISTER_UPS_URL"),
            ups_secret: env.required("CLOISTER_UPS_SECRET"),
            ups_per_minute: env.parsed("CLOISTER_UPS_PER_MINUTE").unwrap_or(CARRIER_CALLS_PER_MINUTE),
            mail_from: env.required("CLOISTER_MAIL_FROM"),
        };
        env.finish(config)
    }
}

struct Reader {
    left: BTreeMap<String, String>,
    wrong: Vec<String>,
}

impl Reader {
    fn required(&mut self, name: &str) -> String {
        match self.left.remove(name) {
            Some(value) if !value.is_empty() => value,
            _ => {
                self.wrong.push(format!("`{name}` is not set"));
                String::new()
            }
        }
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.required(name);
        if text.is_empty() {
            return None;
        }
        text.parse().map_err(|e| self.wrong.push(format!("`{name}`: {e}"))).ok()
    }

    /// A role's ARN, or `none`. A missing variable is an error and does not count as `none`, so that a mistake cannot switch
    /// tenant credentials off.
    fn role(&mut self, name: &str) -> Option<String> {
        let arn = self.required(name);
        match arn.as_str() {
            "" | "none" => None,
            role if role.starts_with("arn:") && role.contains(":role/") => Some(arn),
            _ => {
                self.wrong.push(format!("`{name}` is neither a role's ARN nor `none`"));
                None
            }
        }
    }

    /// A number of days, or `never`, which must be written explicitly.
    fn days(&mut self, name: &str) -> Option<Duration> {
        let text = self.required(name);
        if text.is_empty() || text == "never" {
            return None;
        }
        let days = text.parse::<u32>().ok().filter(|days| *days > 0);
        if days.is_none() {
            self.wrong.push(format!("`{name}` is neither a number of days nor `never`"));
        }
        days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
    }

    fn origins(&mut self, name: &str) -> Vec<String> {
        // An empty list is allowed, for an API without browsers, but the variable must be set.
        let Some(text) = self.left.remove(name) else {
            self.wrong.push(format!("`{name}` is not set"));
            return Vec::new();
        };
        let origins: Vec<_> = text.split(',').map(str::trim).filter(|o| !o.is_empty()).map(str::to_owned).collect();
        if let Some(bad) = origins.iter().find(|o| !is_origin(o)) {
            self.wrong.push(format!("`{name}`: `{bad}` is not an origin such as https://app.example"));
        }
        origins
    }

    fn finish(mut self, config: Config) -> Result<Config, ConfigError> {
        // The tools that drive the functions check their own settings.
        let unknown =
            self.left.keys().filter(|name| !TOOLS.contains(&name.as_str())).map(|name| format!("`{name}` is not a setting"));
        self.wrong.extend(unknown);
        if self.wrong.is_empty() { Ok(config) } else { Err(ConfigError(self.wrong)) }
    }
}

/// Read by the command line tools and the tests, never by a function.
const TOOLS: &[&str] = &["CLOISTER_AWS", "CLOISTER_DEMO_PASSWORD", "CLOISTER_PYTHON", "CLOISTER_TOKEN", "CLOISTER_VENV"];

fn is_origin(s: &str) -> bool {
    let rest = s.strip_prefix("https://").or_else(|| s.strip_prefix("http://"));
    rest.is_some_and(|r| {
        !r.is_empty() && r.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
    })
}

/// The field that an e-mail's token is made for.
pub(crate) const EMAIL_FIELD: &str = "user.email";

/// The KMS key that wraps a new tenant's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TenantKeyMode {
    /// The tenant's own key: deleting it shreds the tenant's data, including old copies of the tables.
    #[default]
    Own,
    /// The pool's key. It is cheaper, but shredding is effective only against attackers without a copy of the wrapped keys.
    Pool,
}

impl FromStr for TenantKeyMode {
    type Err = &'static str;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "own" => Ok(Self::Own),
            "pool" => Ok(Self::Pool),
            _ => Err("expected `own` or `pool`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> BTreeMap<String, String> {
        [
            ("DEPLOYMENT", "test"),
            ("RECORDS_TABLE", "r"),
            ("LEDGER_TABLE", "l"),
            ("KEYS_TABLE", "k"),
            ("EPHEMERA_TABLE", "e"),
            ("TENANT_ROLE_ARN", "none"),
            ("POOL_KEY_ARN", "arn"),
            ("TENANT_KEY_MODE", "own"),
            ("USER_POOL_ID", "p"),
            ("USER_POOL_CLIENT_ID", "c"),
            ("SESSION_IDLE_SECONDS", "900"),
            ("OPERATOR_NETWORKS", "192.0.2.0/24,2001:db8::/32"),
            ("ALLOWED_ORIGINS", "https://a.example, http://127.0.0.1:3000"),
            ("QUEUES", "https://sqs.example/1/test-"),
            ("AUDIT_BUCKET", "b"),
            ("AUDIT_EXPIRY_DAYS", "never"),
            ("CHECKPOINT_KEY_ARN", "arn"),
            ("SOCKETS_URL", "wss://sockets.example/live"),
            ("PUBLIC_URL", "https://api.example/live"),
            ("UPS_URL", "https://ups.example"),
            ("UPS_SECRET", "arn"),
            ("UPS_PER_MINUTE", "60"),
            ("MAIL_FROM", "cloister@mail.example"),
        ]
        .map(|(k, v)| (format!("CLOISTER_{k}"), v.to_owned()))
        .into()
    }

    #[test]
    fn complete_environment_is_accepted() {
        let config = Config::from_env(complete()).unwrap();
        assert_eq!(config.allowed_origins, ["https://a.example", "http://127.0.0.1:3000"]);
        assert_eq!(config.session_idle, Duration::from_secs(900));
    }

    #[test]
    fn tenant_credentials_are_off_only_if_set_to_none() {
        let of = |role: Option<&str>| {
            let mut env = complete();
            env.remove("CLOISTER_TENANT_ROLE_ARN");
            env.extend(role.map(|role| ("CLOISTER_TENANT_ROLE_ARN".to_owned(), role.to_owned())));
            Config::from_env(env).map(|config| config.tenant_role_arn)
        };
        assert_eq!(of(Some("none")), Ok(None));
        let role = "arn:aws:iam::000000000000:role/test-tenant-00c0ffee";
        assert_eq!(of(Some(role)), Ok(Some(role.to_owned())));
        for wrong in [None, Some(""), Some("off"), Some("arn:aws:iam::000000000000:user/somebody")] {
            assert!(of(wrong).unwrap_err().to_string().contains("TENANT_ROLE_ARN"), "{wrong:?}");
        }
    }

    #[test]
    fn audit_expiry_must_be_days_or_never() {
        let of = |days: &str| {
            let mut env = complete();
            env.insert("CLOISTER_AUDIT_EXPIRY_DAYS".to_owned(), days.to_owned());
            Config::from_env(env).map(|config| config.audit_expiry)
        };
        assert_eq!(of("never"), Ok(None));
        assert_eq!(of("2557"), Ok(Some(Duration::from_secs(2557 * 86_400))));
        for wrong in ["", "0", "-1", "1.5", "7y", "Never"] {
            assert!(of(wrong).unwrap_err().to_string().contains("AUDIT_EXPIRY_DAYS"), "{wrong}");
        }
    }

    #[test]
    fn all_invalid_settings_are_reported_together() {
        let mut env = complete();
        env.remove("CLOISTER_RECORDS_TABLE");
        env.insert("CLOISTER_SESSION_IDLE_SECONDS".into(), "soon".into());
        env.insert("CLOISTER_ALLOWED_ORIGINS".into(), "*".into());
        env.insert("CLOISTER_TYPO".into(), "1".into());
        let text = Config::from_env(env).unwrap_err().to_string();
        for name in [
            "RECORDS_TABLE` is not set",
            "SESSION_IDLE_SECONDS`: invalid digit",
            "`*` is not an origin",
            "TYPO` is not a setting",
        ] {
            assert!(text.contains(name), "{text}");
        }
    }
}
