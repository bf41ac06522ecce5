//! Writes an event's text member by member. An event has exactly one text, so the order of its members is known in advance.
//!
//! The output equals that of [`canonical::to_vec`](crate::canonical::to_vec) for the event, which is the reference.

use std::io::Write as _;

use crate::canonical::{CanonicalError, MAX_INTEGER, write_string};
use crate::{Actor, ActorType, Decision, Event, Hash, Outcome, Policy, PurposeOfUse, Severity, Word};

/// An event's text without its member `hash`, and the position of that member.
pub(crate) struct Line {
    text: Vec<u8>,
    hash_at: usize,
}

impl Line {
    /// # Errors
    /// [`CanonicalError::Number`] for a sequence above 2^53 - 1.
    pub(crate) fn of(event: &Event) -> Result<Self, CanonicalError> {
        if event.sequence.is_some_and(|sequence| sequence > MAX_INTEGER) {
            return Err(CanonicalError::Number);
        }
        let mut o = Vec::with_capacity(2048);
        literal(&mut o, "{\"action\":");
        option(&mut o, event.action.as_ref(), word);
        literal(&mut o, ",\"actor\":");
        actor(&mut o, &event.actor);
        literal(&mut o, ",\"changes\":");
        list(&mut o, &event.changes, word);
        literal(&mut o, ",\"correlation_id\":");
        word(&mut o, &event.correlation_id);
        literal(&mut o, ",\"count\":");
        integer(&mut o, event.count.get().into());
        literal(&mut o, ",\"disclosed\":");
        list(&mut o, &event.disclosed, word);
        literal(&mut o, ",\"event_id\":");
        word(&mut o, &event.event_id);
        literal(&mut o, ",\"format\":1,");
        let hash_at = o.len();
        literal(&mut o, "\"occurred_at\":\"");
        display(&mut o, event.occurred_at);
        literal(&mut o, "\",\"on_behalf_of\":");
        option(&mut o, event.on_behalf_of.as_ref(), |o, principal| {
            literal(o, "{\"id\":");
            word(o, &principal.id);
            literal(o, ",\"type\":");
            quoted(o, actor_type(principal.actor_type));
            literal(o, "}");
        });
        literal(&mut o, ",\"outcome\":");
        quoted(&mut o, outcome(event.outcome));
        literal(&mut o, ",\"policy\":");
        option(&mut o, event.policy.as_ref(), policy);
        literal(&mut o, ",\"previous_hash\":");
        option(&mut o, event.previous_hash.as_ref(), hash);
        literal(&mut o, ",\"purpose_of_use\":");
        option(&mut o, event.purpose_of_use.as_ref(), |o, purpose| quoted(o, purpose_of_use(*purpose)));
        literal(&mut o, ",\"reason\":");
        option(&mut o, event.reason.as_ref(), |o, reason| quoted(o, &reason.text()));
        literal(&mut o, ",\"redacted\":");
        list(&mut o, &event.redacted, word);
        literal(&mut o, ",\"resources\":");
        list(&mut o, &event.resources, |o, resource| {
            literal(o, "{\"id\":");
            word(o, &resource.id);
            literal(o, ",\"type\":");
            word(o, &resource.resource_type);
            literal(o, "}");
        });
        literal(&mut o, ",\"sequence\":");
        option(&mut o, event.sequence.as_ref(), |o, sequence| integer(o, *sequence));
        literal(&mut o, ",\"severity\":");
        quoted(&mut o, severity(event.severity));
        literal(&mut o, ",\"status\":");
        option(&mut o, event.status.as_ref(), |o, status| integer(o, (*status).into()));
        literal(&mut o, ",\"tenant_id\":");
        word(&mut o, &event.tenant_id);
        literal(&mut o, ",\"type\":");
        quoted(&mut o, event.event_type.as_str());
        literal(&mut o, "}");
        Ok(Self { text: o, hash_at })
    }

    /// The text that an event's hash covers.
    pub(crate) fn without_hash(&self) -> &[u8] {
        &self.text
    }

    /// The whole text.
    pub(crate) fn with_hash(self, event_hash: Option<&Hash>) -> Vec<u8> {
        let Self { mut text, hash_at } = self;
        let after = text.split_off(hash_at);
        literal(&mut text, "\"hash\":");
        option(&mut text, event_hash, hash);
        literal(&mut text, ",");
        text.extend_from_slice(&after);
        text
    }
}

fn literal(o: &mut Vec<u8>, text: &str) {
    o.extend_from_slice(text.as_bytes());
}

/// Only for texts that need no escapes.
fn quoted(o: &mut Vec<u8>, text: &str) {
    o.push(b'"');
    literal(o, text);
    o.push(b'"');
}

fn word(o: &mut Vec<u8>, word: &Word) {
    quoted(o, word.as_str());
}

fn display(o: &mut Vec<u8>, value: impl std::fmt::Display) {
    // INVARIANT: writing to a Vec does not fail.
    drop(write!(o, "{value}"));
}

fn integer(o: &mut Vec<u8>, value: u64) {
    display(o, value);
}

fn hash(o: &mut Vec<u8>, hash: &Hash) {
    o.push(b'"');
    o.extend_from_slice(&hash.to_digits());
    o.push(b'"');
}

fn option<T>(o: &mut Vec<u8>, value: Option<&T>, write: impl FnOnce(&mut Vec<u8>, &T)) {
    match value {
        Some(value) => write(o, value),
        None => literal(o, "null"),
    }
}

fn list<T>(o: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    o.push(b'[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            o.push(b',');
        }
        write(o, item);
    }
    o.push(b']');
}

fn actor(o: &mut Vec<u8>, actor: &Actor) {
    literal(o, "{\"id\":");
    option(o, actor.id.as_ref(), word);
    literal(o, ",\"ip\":");
    option(o, actor.ip.as_ref(), |o, ip| {
        o.push(b'"');
        display(o, ip);
        o.push(b'"');
    });
    literal(o, ",\"role\":");
    option(o, actor.role.as_ref(), word);
    literal(o, ",\"session_id\":");
    option(o, actor.session_id.as_ref(), word);
    literal(o, ",\"type\":");
    quoted(o, actor_type(actor.actor_type));
    literal(o, ",\"user_agent\":");
    option(o, actor.user_agent.as_ref(), |o, user_agent| write_string(o, user_agent.as_str()));
    literal(o, "}");
}

fn policy(o: &mut Vec<u8>, policy: &Policy) {
    literal(o, "{\"decision\":");
    quoted(o, if policy.decision == Decision::Allow { "allow" } else { "deny" });
    literal(o, ",\"ids\":");
    list(o, &policy.ids, word);
    literal(o, ",\"policy_set_hash\":");
    hash(o, &policy.policy_set_hash);
    literal(o, "}");
}

const fn actor_type(actor_type: ActorType) -> &'static str {
    match actor_type {
        ActorType::User => "user",
        ActorType::ApiKey => "api_key",
        ActorType::Service => "service",
        ActorType::Operator => "operator",
        ActorType::Partner => "partner",
        ActorType::Anonymous => "anonymous",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    }
}

const fn purpose_of_use(purpose: PurposeOfUse) -> &'static str {
    match purpose {
        PurposeOfUse::Treatment => "TREAT",
        PurposeOfUse::Payment => "HPAYMT",
        PurposeOfUse::Operations => "HOPERAT",
        PurposeOfUse::Emergency => "ETREAT",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}
