//! The unit of work: what a handler wants to change. It never commits; the pipeline does, once, with the audit event, the
//! domain events and the idempotency record in the same transaction.

use crate::{
    Error, UserId, membership,
    outbox::DomainEvent,
    table::{Attributes, Item, Key, Table, Version},
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

/// What must hold for an operation to happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Nothing is there.
    Absent,
    /// Something is there.
    Present,
    /// Nothing is there, or what is there has expired (DynamoDB deletes late).
    AbsentOrExpired { now_secs: i64 },
    /// What is there has this version.
    VersionIs(Version),
    /// The attribute has this text.
    Is(&'static str, String),
    /// All of them.
    All(Vec<Condition>),
}

impl Condition {
    pub(crate) fn expression(&self) -> (String, HashMap<String, String>, HashMap<String, AttributeValue>) {
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let text = self.write(&mut names, &mut values);
        (text, names, values)
    }

    fn write(&self, names: &mut HashMap<String, String>, values: &mut HashMap<String, AttributeValue>) -> String {
        let n = values.len();
        let mut bind = |name: &str, value| {
            names.insert(format!("#c{n}"), name.to_owned());
            values.insert(format!(":c{n}"), value);
        };
        match self {
            Self::Absent => "attribute_not_exists(pk)".into(),
            Self::Present => "attribute_exists(pk)".into(),
            Self::AbsentOrExpired { now_secs } => {
                bind("expires_at", AttributeValue::N(now_secs.to_string()));
                format!("attribute_not_exists(pk) OR #c{n} < :c{n}")
            }
            Self::VersionIs(version) => {
                bind("version", AttributeValue::N(version.0.to_string()));
                format!("#c{n} = :c{n}")
            }
            Self::Is(name, text) => {
                bind(name, AttributeValue::S(text.clone()));
                format!("#c{n} = :c{n}")
            }
            Self::All(conditions) => {
                conditions.iter().map(|c| format!("({})", c.write(names, values))).collect::<Vec<_>>().join(" AND ")
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Put { table: Table, item: Item, condition: Option<Condition> },
    Set { table: Table, key: Key, attributes: Attributes, condition: Option<Condition> },
    Delete { table: Table, key: Key, condition: Option<Condition> },
    Check { table: Table, key: Key, condition: Condition },
}

impl Op {
    pub(crate) const fn table(&self) -> Table {
        match self {
            Self::Put { table, .. } | Self::Set { table, .. } | Self::Delete { table, .. } | Self::Check { table, .. } => *table,
        }
    }
    /// What it weighs in a transaction, in bytes, about.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Put { item, .. } => item.size(),
            Self::Set { attributes, .. } => crate::table::size(attributes),
            Self::Delete { .. } | Self::Check { .. } => 0,
        }
    }
    pub(crate) const fn condition(&self) -> Option<&Condition> {
        match self {
            Self::Put { condition, .. } | Self::Set { condition, .. } | Self::Delete { condition, .. } => condition.as_ref(),
            Self::Check { condition, .. } => Some(condition),
        }
    }
}

/// The changes of one request: each with the error that its failed condition means.
#[derive(Debug, Default)]
pub struct Changes {
    pub(crate) ops: Vec<(Op, Error)>,
    pub(crate) events: Vec<DomainEvent>,
    pub(crate) changed: Vec<&'static str>,
}

impl Changes {
    /// Puts an item where none is.
    pub fn create(&mut self, item: Item, or: Error) {
        self.put(Table::Records, item, Condition::Absent, or);
    }
    /// Puts an item over the one that has `version`; another version is [`Error::Stale`].
    pub fn replace(&mut self, item: Item, version: Version) {
        self.put(Table::Records, item, Condition::VersionIs(version), Error::Stale);
    }
    /// Deletes an item of which `condition` holds.
    pub fn delete(&mut self, key: Key, condition: Condition, or: Error) {
        self.ops.push((Op::Delete { table: Table::Records, key, condition: Some(condition) }, or));
    }
    /// Changes nothing, but lets the commit fail where `condition` does not hold.
    pub fn check(&mut self, key: Key, condition: Condition, or: Error) {
        self.ops.push((Op::Check { table: Table::Records, key, condition }, or));
    }
    /// Lets the commit fail unless `user` is an active member of this tenant at that moment.
    pub fn check_member(&mut self, user: UserId, or: Error) {
        self.check(membership::key(user), membership::is_active(), or);
    }
    /// Says that something happened. Whoever is interested hears of it after the commit.
    pub fn emit(&mut self, event: DomainEvent) {
        self.events.push(event);
    }
    /// Names the fields that change, for the audit record. Never their values.
    pub fn changed(&mut self, fields: impl IntoIterator<Item = &'static str>) {
        self.changed.extend(fields);
    }
    pub(crate) fn put(&mut self, table: Table, item: Item, condition: Condition, or: Error) {
        self.ops.push((Op::Put { table, item, condition: Some(condition) }, or));
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_nest_without_sharing_a_placeholder() {
        let all = Condition::All(vec![Condition::VersionIs(Version(3)), Condition::Is("status", "active".into())]);
        let (text, names, values) = all.expression();
        assert_eq!(text, "(#c0 = :c0) AND (#c1 = :c1)");
        assert_eq!((names["#c0"].as_str(), names["#c1"].as_str()), ("version", "status"));
        assert_eq!(values.len(), 2);
    }
}
