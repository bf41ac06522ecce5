//! A function's calls on the tables, from its kind and its needs.

use super::super::{
    calls::Calls,
    function::{Function, Serves},
};
use common::{
    base::Need,
    request::{IdempotencyKey, Kind, SocketRoute},
};
use std::collections::BTreeSet;

pub(super) type Actions = BTreeSet<&'static str>;

/// Calls on each table, the indexes that may be queried, and the purposes of the wrapped keys that may be unwrapped.
#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) records: Actions,
    pub(super) indexes: BTreeSet<&'static str>,
    pub(super) ledger: Actions,
    pub(super) keys: Actions,
    pub(super) ephemera: Actions,
    /// Whether it may list the ephemera's index of due items.
    pub(super) ephemera_due: bool,
    pub(super) purposes: BTreeSet<&'static str>,
}

impl Grants {
    /// The calls that the function's needs allow and that are listed.
    pub(super) fn of(function: &Function, calls: &Calls) -> Self {
        Self::needed(function).listed(calls)
    }

    /// Keeps only the listed calls.
    fn listed(mut self, calls: &Calls) -> Self {
        let Calls::Listed(listed) = calls else { return self };
        self.records.retain(|action| calls.has("records", action));
        self.ledger.retain(|action| calls.has("ledger", action));
        self.keys.retain(|action| calls.has("keys", action));
        self.ephemera.retain(|action| calls.has("ephemera", action));
        let every = self.indexes.contains("*");
        let indexes = listed.iter().filter_map(|(table, _)| table.strip_prefix("records/index/"));
        self.indexes = indexes.filter(|index| every || self.indexes.contains(index)).collect();
        self.ephemera_due &= calls.has("ephemera/index/due", "Query");
        if !self.keys.contains("Query") {
            // Without this query the function looks up no wrapped key.
            self.purposes.clear();
        }
        self
    }

    /// All calls that a function's needs allow.
    fn needed(function: &Function) -> Self {
        let mut grants = Self::default();
        match function.serves {
            Serves::Endpoint(endpoint) if endpoint.kind == Kind::Public => grants.public(function, endpoint.audited),
            Serves::Endpoint(endpoint) => grants.signed_in(function, endpoint.idempotency != IdempotencyKey::Ignored),
            Serves::Consumer(consumer) => {
                grants.background(function);
                // The record of handled messages, and the reason of a given-up one. The record of a late message is kept longer.
                grants.ephemera.extend(["GetItem", "PutItem", "UpdateItem"]);
                if consumer.waits {
                    // The gate, and the messages that are deferred while it is shut.
                    grants.records.extend(["ConditionCheckItem", "GetItem", "PutItem"]);
                }
            }
            Serves::Schedule(schedule) => {
                grants.background(function);
                // Sessions that may have expired.
                grants.ephemera_due = function.needs(Need::Tenants) && function.needs(Need::Sessions);
                if schedule.in_rounds_of.is_some() {
                    // The schedule's position in its round.
                    grants.ephemera.extend(["GetItem", "UpdateItem"]);
                }
                if schedule.waits && function.needs(Need::Tenants) {
                    // The gates.
                    grants.records.insert("GetItem");
                }
            }
            Serves::Socket(socket) => grants.socket(function, socket.route),
            Serves::Other(_) if function.is_authorizer() => {
                // It reads a user's tenant and records a refused credential. It looks up the handle of a user who enrols a second
                // factor, and consumes a socket's ticket.
                grants.records.insert("GetItem");
                grants.ledger.insert("UpdateItem");
                grants.ephemera.extend(["DeleteItem", "GetItem"]);
            }
            Serves::Other(_) => {}
        }
        grants.shared(function);
        if function.needs(Need::Seal) {
            grants.purposes.insert("branch");
        }
        if function.needs(Need::Search) {
            grants.purposes.insert("search");
        }
        if !grants.purposes.is_empty() {
            grants.keys.insert("Query");
        }
        grants
    }

    /// Touches its session, reads its tenant's gate and records an audit event; and its declared needs.
    fn signed_in(&mut self, function: &Function, takes_key: bool) {
        let (write, read) = (function.needs(Need::Write), function.needs(Need::Read) || function.needs(Need::Write));
        self.ephemera.insert("UpdateItem");
        self.records.insert("GetItem");
        self.ledger.insert("UpdateItem");
        if read {
            self.reads();
        }
        if read && takes_key {
            // The target is read together with the record of the idempotency key.
            self.records.insert("BatchGetItem");
            self.ephemera.insert("BatchGetItem");
        }
        if write {
            self.writes();
        }
        if write && takes_key {
            // The answer is stored encrypted.
            self.ephemera.insert("PutItem");
            self.purposes.insert("branch");
        }
        if function.needs(Need::Sessions) {
            // A user's sessions; a socket's ticket.
            self.ephemera.extend(["PutItem", "Query"]);
        }
        if write && function.needs(Need::Sessions) {
            // The check that no session was opened meanwhile.
            self.ephemera.extend(["ConditionCheckItem", "GetItem"]);
        }
        if function.needs(Need::Passwords) {
            // The marker of a password change is deleted when the change is done.
            self.ephemera.insert("DeleteItem");
        }
    }

    /// Counts against its caller's address and records an audit event; and its declared needs.
    fn public(&mut self, function: &Function, audited: bool) {
        if audited {
            self.ephemera.insert("UpdateItem");
            self.ledger.extend(["PutItem", "UpdateItem"]);
        }
        if function.needs(Need::Read) {
            self.records.insert("GetItem");
        }
        if function.needs(Need::Sessions) {
            // A session contains Cognito's token, encrypted. It is added to the user's other sessions, and its membership is
            // checked.
            self.ephemera.extend(["ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"]);
            self.records.insert("ConditionCheckItem");
            // The first sign-in accepts the invitation.
            self.records.insert("UpdateItem");
            self.purposes.insert("branch");
        }
        if function.needs(Need::Write) {
            // The carrier's push makes the waiting item due.
            self.records.insert("UpdateItem");
            self.ephemera.extend(["GetItem", "Query"]);
        }
    }

    /// Its declared needs, and audit events for its changes.
    fn background(&mut self, function: &Function) {
        if function.needs(Need::Read) || function.needs(Need::Write) {
            self.reads();
        }
        if function.needs(Need::Write) {
            self.writes();
            self.ledger.insert("UpdateItem");
        }
        if function.needs(Need::Sessions) {
            self.ephemera.extend(["GetItem", "Query", "UpdateItem"]);
        }
    }

    /// Touches its session, reads its tenant's gate. A connect is audited, and checks again that the session lives. A message is
    /// checked against the connections.
    fn socket(&mut self, function: &Function, route: SocketRoute) {
        self.ephemera.insert("UpdateItem");
        if !matches!(route, SocketRoute::Disconnect) {
            self.ephemera.insert("GetItem");
        }
        self.records.insert("GetItem");
        self.ledger.insert("UpdateItem");
        if function.needs(Need::Read) {
            self.reads();
        }
    }

    fn reads(&mut self) {
        self.records.extend(["GetItem", "Query"]);
        self.indexes.insert("*");
    }

    fn writes(&mut self) {
        self.records.extend(["ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem"]);
        self.ledger.insert("PutItem");
    }

    /// The calls of each capability, for every kind of function.
    fn shared(&mut self, function: &Function) {
        if function.needs(Need::SecondFactor) {
            // The factor and the count of wrong codes: each try is counted, and a correct code resets the count.
            self.records.insert("BatchGetItem");
            self.ephemera.extend(["BatchGetItem", "DeleteItem", "UpdateItem"]);
        }
        if function.needs(Need::Tenants) {
            // The list of tenants, and the due items. These indexes contain keys only.
            self.indexes.extend(["all", "due"]);
        }
        if function.needs(Need::Outbox) {
            self.ledger.extend(["DeleteItem", "Query", "UpdateItem"]);
        }
        if function.needs(Need::Carrier) {
            // The token, encrypted; the gate; the shipments that wait for a number.
            self.ephemera.extend(["GetItem", "PutItem", "UpdateItem"]);
            self.purposes.extend(["branch", "search"]);
        }
        if function.needs(Need::Mail) {
            // The gate.
            self.ephemera.insert("UpdateItem");
        }
        if function.needs(Need::Breakers) {
            self.ephemera.insert("GetItem");
        }
        if function.needs(Need::TenantKeys) {
            self.keys.extend(["PutItem", "Query"]);
        }
        if function.needs(Need::Waiting) {
            self.records.extend(["DeleteItem", "GetItem", "Query"]);
        }
        if function.needs(Need::Push) {
            // The connections.
            self.ephemera.extend(["BatchWriteItem", "PutItem", "Query"]);
        }
        if log(function) {
            self.ledger.extend(["GetItem", "Query"]);
        }
        if log(function) && !matches!(function.serves, Serves::Endpoint(_)) {
            // Findings are published, and progress of sealing and signing is stored.
            self.ledger.extend(["PutItem", "UpdateItem"]);
        }
        if function.needs(Need::SealLog) {
            self.ledger.insert("BatchWriteItem");
        }
    }
}

/// Whether the function uses the sealed audit log.
pub(super) fn log(function: &Function) -> bool {
    [Need::SealLog, Need::ReadLog, Need::SignLog].into_iter().any(|need| function.needs(need))
}
