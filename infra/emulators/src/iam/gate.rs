//! Evaluates IAM for each call, by its signer.

use super::{
    Ask, Kind, Malformed, Principal, Verdict, Why,
    account::{Account, default_key_policy},
    calls::Call,
    evaluate,
    policy::Policy,
    record::{Judged, Records},
    refusal::{self, ServiceAnswer},
    sts::{self, AssumeRole, Session},
};
use crate::{ACCOUNT, Keys, Provisioned, REGION, Template};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// The access key of test setup and inspection, whose calls are not evaluated.
pub const ADMINISTRATOR: &str = "administrator";
/// The access key of a deployment's operator: `cloister`.
pub const OPERATOR: &str = "operator";

/// A function's access key. In a process that runs all functions, each signs with its own.
#[must_use]
pub fn function_key(function: &str) -> String {
    format!("function.{function}")
}

/// Operations without IAM: Cognito authorizes the user itself.
const UNSIGNED: [&str; 2] = ["InitiateAuth", "RevokeToken"];

/// A refused call: the role, the action and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub role: String,
    pub action: String,
    pub resource: String,
    pub why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { role, action, resource, why } = self;
        write!(f, "`{role}` may not {action} on {resource}: {why}")
    }
}

/// The decision about a call.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It is forwarded. If its object is absent, this answer replaces the service's.
    Passes {
        if_missing: Option<ServiceAnswer>,
    },
    Answered(ServiceAnswer),
}

#[derive(Debug)]
pub struct Gate {
    account: Account,
    keys: Option<Keys>,
    default_key: Policy,
    sessions: Mutex<BTreeMap<String, Session>>,
    refused: Mutex<Vec<Refused>>,
    /// The actions and resources that were used, by role.
    seen: Mutex<BTreeMap<String, BTreeSet<(String, String)>>>,
    records: Records,
}

impl Gate {
    /// Reads the policies of a provisioned template. `keys` contains the names of KMS keys if the KMS emulator is used.
    ///
    /// # Errors
    /// If a template cannot be read or resolved.
    pub fn new(template: &Template, provisioned: &Provisioned, keys: Option<Keys>) -> Result<Self, Malformed> {
        Ok(Self {
            account: Account::new(template, provisioned)?,
            keys,
            default_key: Policy::parse(&default_key_policy())?,
            sessions: Mutex::default(),
            refused: Mutex::default(),
            seen: Mutex::default(),
            records: Records::shared(),
        })
    }

    /// Reads every policy of the templates.
    ///
    /// # Errors
    /// The first part that is not supported.
    pub fn understand(&self) -> Result<(), Malformed> {
        for role in self.account.roles() {
            self.account.role(role)?;
        }
        for arn in self.account.guards() {
            self.account.guard(arn)?;
        }
        Ok(())
    }

    /// The ARN of the tenant role that a function assumes; `None` if tenants are not separated, or the function uses no table.
    #[must_use]
    pub fn tenant_role_of(&self, function: &str) -> Option<&str> {
        self.account.tenant_role_of(function)
    }

    /// Whether the templates have a function of that name.
    #[must_use]
    pub fn has_function(&self, function: &str) -> bool {
        self.account.role_of(function).is_some()
    }

    /// The value of `Ref` for a resource of the root template, also for one that is not created here.
    #[must_use]
    pub fn reference(&self, resource: &str) -> Option<&str> {
        self.account.reference(resource)
    }

    /// An output of the root template.
    ///
    /// # Errors
    /// If there is no such output, or it cannot be evaluated.
    pub fn output(&self, name: &str) -> Result<String, Malformed> {
        self.account.output(name)
    }

    /// Takes the calls that were refused since the last `take`.
    pub fn take_refused(&self) -> Vec<Refused> {
        std::mem::take(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last refused call.
    pub(crate) fn last_refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    /// Every grant of every role: role, action and resource, in the form that all deployments share.
    ///
    /// # Errors
    /// If a policy is not supported.
    pub fn grants(&self) -> Result<Vec<super::Grant>, Malformed> {
        let mut grants = Vec::new();
        for name in self.account.roles() {
            let Some(role) = self.account.role(name)? else { continue };
            for (action, resource) in role.policy.statements.iter().flat_map(super::policy::Statement::grants) {
                let grant =
                    |role: String| super::Grant { role, action: action.clone(), resource: self.account.general(&resource) };
                let sessions: Vec<_> = self.account.functions_of(name).map(|function| grant(in_a_tenant(function))).collect();
                if sessions.is_empty() {
                    grants.push(grant(role.title.clone()));
                }
                grants.extend(sessions);
            }
        }
        grants.sort();
        grants.dedup();
        Ok(grants)
    }

    /// Evaluates a call that is made without the SDK.
    ///
    /// # Errors
    /// The error answer of IAM.
    pub fn allow(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(), String> {
        match self.judge(&Call::new(method, uri, headers.to_vec(), body)) {
            Decision::Passes { .. } => Ok(()),
            Decision::Answered(answer) => Err(answer.body),
        }
    }

    /// Evaluates a call to AWS; a call to another host passes.
    pub(crate) fn judge(&self, call: &Call<'_>) -> Decision {
        let Some(signature) = call.signature() else { return self.unsigned(call) };
        let who = match self.who(signature.access_key, call.header("x-amz-security-token")) {
            Ok(Some(who)) => who,
            Ok(None) => return Decision::Passes { if_missing: None },
            Err(why) => {
                self.refuse(signature.access_key, "sts:GetCallerIdentity", "*", &why.to_string());
                return Decision::Answered(refusal::unknown_signer(signature.service));
            }
        };
        match self.judge_as(&who, signature.service, call) {
            Ok(decision) => decision,
            Err(why) => {
                let operation = call.operation().map_or(call.path, |(_, operation)| operation);
                self.refuse(&who.name, &format!("{}:{operation}", signature.service), "*", &why.to_string());
                Decision::Answered(refusal::denied(signature.service, &why.to_string()))
            }
        }
    }

    fn unsigned(&self, call: &Call<'_>) -> Decision {
        let operation = call.operation();
        let is_aws = operation.is_some() || call.body.starts_with(b"Action=") || call.host.contains(".amazonaws.com");
        let free = operation.is_some_and(|(_, operation)| UNSIGNED.contains(&operation)) || call.path.ends_with("/jwks.json");
        if is_aws && !free {
            let operation = operation.map_or(call.path, |(_, operation)| operation);
            self.refuse("nobody", operation, "*", "the call is not signed");
            return Decision::Answered(refusal::unknown_signer(call.host));
        }
        Decision::Passes { if_missing: None }
    }

    /// The principal of an access key; `None` if its calls are not evaluated.
    fn who(&self, access_key: &str, token: Option<&str>) -> Result<Option<Principal>, Malformed> {
        let role = |name: &str| {
            let role = self.account.role(name)?.ok_or_else(|| Malformed(format!("the templates have no role `{name}`")))?;
            Ok(Some(role.principal.clone()))
        };
        if access_key == ADMINISTRATOR {
            return Ok(None);
        }
        if access_key == OPERATOR {
            return role(&format!("{}-operator", self.account.prefix()));
        }
        if let Some(function) = access_key.strip_prefix("function.") {
            let name = self.account.role_of(function);
            return role(name.ok_or_else(|| Malformed(format!("the templates have no function `{function}`")))?);
        }
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(access_key).filter(|session| token == Some(&session.token));
        session
            .map(|session| Some(session.principal.clone()))
            .ok_or_else(|| Malformed(format!("unknown access key `{access_key}`")))
    }

    fn judge_as(&self, who: &Principal, service: &str, call: &Call<'_>) -> Result<Decision, Malformed> {
        let asked = call.asked(service, &self.account, self.keys.as_ref())?;
        for ask in asked.asks {
            let ask = of(ask, who);
            if let Some(message) = self.denied(who, &ask)? {
                self.refuse(&who.name, &ask.action, &ask.resource, &message);
                return Ok(Decision::Answered(refusal::denied(service, &message)));
            }
        }
        if service == "sts"
            && let Some(wanted) = AssumeRole::read(call.body)
        {
            return self.assume(who, wanted).map(Decision::Answered);
        }
        let if_missing = match asked.if_missing {
            None => None,
            Some(ask) => self.denied(who, &of(ask, who))?.map(|message| refusal::denied(service, &message)),
        };
        Ok(Decision::Passes { if_missing })
    }

    /// Why the call is refused, in AWS's words; `None` if it is allowed.
    fn denied(&self, who: &Principal, ask: &Ask) -> Result<Option<String>, Malformed> {
        let none = || Malformed(format!("there is no role `{}`", who.name));
        let role = self.account.role(&who.name)?.ok_or_else(none)?;
        let own = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/");
        let guard = self.account.guard(&guarding(&ask.resource))?;
        let target = match ask.resource.strip_prefix(&format!("arn:aws:iam::{ACCOUNT}:role/")) {
            Some(name) => Some(self.account.role(name)?.ok_or_else(|| Malformed(format!("there is no role `{name}`")))?),
            None => None,
        };
        let resource = match (&guard, &target) {
            (Some(guard), _) => Some((guard.kind, &guard.policy)),
            (None, Some(role)) => Some((Kind::Needed, &role.trust)),
            (None, None) if ask.resource.starts_with(&own) => Some((Kind::Needed, &self.default_key)),
            (None, None) => None,
        };
        let verdict = evaluate(who, &role.policy, resource, ask)?;
        let document = || match (&guard, &target) {
            (Some(guard), _) => guard.document.clone(),
            (None, Some(role)) => role.trust_document.clone(),
            (None, None) if resource.is_some() => default_key_policy(),
            (None, None) => Value::Null,
        };
        let allowed = matches!(verdict, Verdict::Allowed(_));
        self.records.note(&role.title, ask, allowed, || Judged {
            role: role.title.clone(),
            principal: who.session.clone(),
            action: ask.action.clone(),
            resource: ask.resource.clone(),
            context: ask.context.clone(),
            identity: role.document.clone(),
            resource_policy: document(),
            allowed,
        });
        let why = match &verdict {
            Verdict::Allowed(statements) => {
                for place in statements {
                    for (action, granted) in role.policy.statements[*place].used(role.policy.has_variables(), ask) {
                        // Record which index was queried, also if the grant includes all.
                        let used = (action, if granted.ends_with("/index/*") { ask.resource.clone() } else { granted });
                        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                        let title = who.of.as_deref().map_or_else(|| role.title.clone(), in_a_tenant);
                        if seen.entry(title.clone()).or_default().insert(used.clone()) {
                            let (action, resource) = (used.0, self.account.general(&used.1));
                            self.records.used(&super::Grant { role: title, action, resource });
                        }
                    }
                }
                return Ok(None);
            }
            Verdict::Denied(Why::Explicit) => format!("with an explicit deny for {}", ask.action),
            Verdict::Denied(Why::Identity) => format!("because no identity-based policy allows the {} action", ask.action),
            Verdict::Denied(Why::Resource) => format!("because no resource-based policy allows the {} action", ask.action),
        };
        Ok(Some(format!(
            "User: {} is not authorized to perform: {} on resource: {} {why}",
            who.session, ask.action, ask.resource
        )))
    }

    fn assume(&self, who: &Principal, wanted: AssumeRole) -> Result<ServiceAnswer, Malformed> {
        let role = self.account.role(&wanted.role)?.ok_or_else(|| Malformed(format!("there is no role `{}`", wanted.role)))?;
        // A session of a role may assume another role for one hour at most.
        if !(900..=role.most_seconds.min(3600)).contains(&wanted.seconds) {
            return Err(Malformed(format!("{} requested a session of {} seconds", who.name, wanted.seconds)));
        }
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sessions.len();
        let (access_key, token) = (format!("ASIA{number}"), format!("token-{number}"));
        let mut principal = role.principal.clone();
        principal.session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/{}", wanted.role, wanted.name);
        principal.tags.extend(wanted.tags);
        principal.of = Some(self.account.title(&who.name));
        let answer = sts::answer(&access_key, &token);
        sessions.insert(access_key, Session { principal, token });
        Ok(ServiceAnswer { status: 200, headers: vec![("content-type", "text/xml")], body: answer })
    }

    fn refuse(&self, role: &str, action: &str, resource: &str, why: &str) {
        let refused = Refused {
            role: self.account.title(role),
            action: action.to_owned(),
            resource: resource.to_owned(),
            why: why.to_owned(),
        };
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(refused);
    }
}

/// The end of a grant's role in a tenant's session, after the function's name. Several functions may share the tenant role.
pub const IN_A_TENANT: &str = " in a tenant";

fn in_a_tenant(function: &str) -> String {
    format!("{function}{IN_A_TENANT}")
}

/// The resource whose policy applies: for an object, the bucket.
fn guarding(resource: &str) -> String {
    match resource.strip_prefix("arn:aws:s3:::").and_then(|rest| rest.split_once('/')) {
        Some((bucket, _)) => format!("arn:aws:s3:::{bucket}"),
        None => resource.to_owned(),
    }
}

/// Adds the condition keys that every request has.
fn of(mut ask: Ask, who: &Principal) -> Ask {
    let mut set = |key: String, value: String| {
        ask.context.entry(key).or_insert_with(|| vec![value]);
    };
    set("aws:principalarn".to_owned(), who.role.clone());
    set("aws:principalaccount".to_owned(), who.account.clone());
    set("aws:principaltype".to_owned(), "AssumedRole".to_owned());
    set("aws:userid".to_owned(), format!("{}:{}", who.name, who.session.rsplit('/').next().unwrap_or_default()));
    set("aws:requestedregion".to_owned(), REGION.to_owned());
    set("aws:resourceaccount".to_owned(), ACCOUNT.to_owned());
    // Plain HTTP on this machine stands for TLS on AWS.
    set("aws:securetransport".to_owned(), "true".to_owned());
    set("aws:viaawsservice".to_owned(), "false".to_owned());
    for (name, value) in &who.tags {
        set(format!("aws:principaltag/{}", name.to_ascii_lowercase()), value.clone());
    }
    ask
}
