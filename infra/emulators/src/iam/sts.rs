//! STS for a local stack without another one: it issues sessions of roles, and each call that a session signs is evaluated as
//! that session.

use super::Principal;
use std::collections::BTreeMap;

/// An issued session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) principal: Principal,
    pub(crate) token: String,
}

/// A requested session.
#[derive(Clone, Debug)]
pub(crate) struct AssumeRole {
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) seconds: u64,
    pub(crate) tags: BTreeMap<String, String>,
}

impl AssumeRole {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let get = |name: &str| form.get(name).cloned();
        if get("Action")? != "AssumeRole" {
            return None;
        }
        let tags = (1..=50).map_while(|n| Some((get(&format!("Tags.member.{n}.Key"))?, get(&format!("Tags.member.{n}.Value"))?)));
        Some(Self {
            role: get("RoleArn")?.rsplit('/').next()?.to_owned(),
            name: get("RoleSessionName")?,
            seconds: get("DurationSeconds").map_or(Some(3600), |seconds| seconds.parse().ok())?,
            tags: tags.collect(),
        })
    }
}

pub(crate) fn answer(access_key: &str, token: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>synthetic</SecretAccessKey><SessionToken>{token}</SessionToken>\
         <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}
