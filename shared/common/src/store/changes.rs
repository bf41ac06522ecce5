//! The unit of work: a handler's changes. It never commits; the pipeline commits once, with the audit event, the domain events
//! and the idempotency record in the same transaction.

use crate::{
    base::{Error, SessionId, TenantId, Timestamp, UserId},
    store::{
        item::{Attributes, Index, Item, Key, Table, Version, prefixed},
        outbox::DomainEvent,
    },
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use std::collections::HashMap;

/// The condition of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The item does not exist.
    Absent,
    /// The item exists.
    Present,
    /// The item does not exist, or has expired (DynamoDB deletes late).
    AbsentOrExpired { now_secs: i64 },
    /// The item has this version.
    VersionIs(Version),
    /// The attribute has this text.
    Is(&'static str, String),
    /// The attribute has another text, or there is none.
    IsNot(&'static str, String),
    /// The attribute has this number.
    NumberIs(&'static str, i64),
    /// The attribute is at most this number.
    AtMost(&'static str, i64),
    /// The attribute is at least this number.
    AtLeast(&'static str, i64),
    /// The attribute does not exist, whether or not the item does.
    Missing(&'static str),
    /// The attribute exists.
    Has(&'static str),
    /// All of them.
    All(Vec<Condition>),
    /// At least one of them.
    Any(Vec<Condition>),
}

impl Condition {
    /// The attribute is unchanged since it was read: it has this text, or does not exist.
    pub fn as_read(name: &'static str, was: Option<impl ToString>) -> Self {
        was.map_or(Self::Missing(name), |was| Self::Is(name, was.to_string()))
    }

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
            Self::IsNot(name, text) => {
                bind(name, AttributeValue::S(text.clone()));
                format!("attribute_not_exists(#c{n}) OR #c{n} <> :c{n}")
            }
            Self::NumberIs(name, number) => {
                bind(name, AttributeValue::N(number.to_string()));
                format!("#c{n} = :c{n}")
            }
            Self::AtMost(name, number) => {
                bind(name, AttributeValue::N(number.to_string()));
                format!("#c{n} <= :c{n}")
            }
            Self::AtLeast(name, number) => {
                bind(name, AttributeValue::N(number.to_string()));
                format!("#c{n} >= :c{n}")
            }
            Self::Missing(name) => {
                // The placeholder has its own kind of name: the condition has no value, and other placeholders are numbered by
                // values.
                names.insert(format!("#m_{name}"), (*name).to_owned());
                format!("attribute_not_exists(#m_{name})")
            }
            Self::Has(name) => {
                names.insert(format!("#m_{name}"), (*name).to_owned());
                format!("attribute_exists(#m_{name})")
            }
            Self::All(conditions) => joined(conditions, " AND ", names, values),
            Self::Any(conditions) => joined(conditions, " OR ", names, values),
        }
    }
}

fn joined(
    conditions: &[Condition],
    by: &str,
    names: &mut HashMap<String, String>,
    values: &mut HashMap<String, AttributeValue>,
) -> String {
    conditions.iter().map(|c| format!("({})", c.write(names, values))).collect::<Vec<_>>().join(by)
}

/// A change of some attributes of an item; the others stay. Without [`Edit::when`] the item must exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub(crate) key: Key,
    pub(crate) set: Attributes,
    pub(crate) partitions: Vec<(Index, String)>,
    pub(crate) remove: Vec<String>,
    pub(crate) add: Vec<(String, i64)>,
    pub(crate) condition: Condition,
}

impl Edit {
    pub fn of(key: Key) -> Self {
        Self {
            key,
            set: Attributes::new(),
            partitions: Vec::new(),
            remove: Vec::new(),
            add: Vec::new(),
            condition: Condition::Present,
        }
    }
    #[must_use]
    pub fn text(mut self, name: &str, value: impl ToString) -> Self {
        self.set.insert(name.to_owned(), AttributeValue::S(value.to_string()));
        self
    }
    #[must_use]
    pub fn number(mut self, name: &str, value: impl Into<i64>) -> Self {
        self.set.insert(name.to_owned(), AttributeValue::N(value.into().to_string()));
        self
    }
    #[must_use]
    pub fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.set.insert(name.to_owned(), AttributeValue::B(Blob::new(value.into())));
        self
    }
    /// Removes the attribute.
    #[must_use]
    pub fn remove(mut self, name: &str) -> Self {
        self.remove.push(name.to_owned());
        self
    }
    /// Adds to a number; a missing one counts as zero.
    #[must_use]
    pub fn add(mut self, name: &str, by: i64) -> Self {
        self.add.push((name.to_owned(), by));
        self
    }
    /// Puts the item into `partition` of an index, like [`Item::indexed`].
    #[must_use]
    pub fn indexed(mut self, index: Index, partition: impl Into<String>, sort: impl ToString) -> Self {
        self.partitions.push((index, partition.into()));
        self.text(index.sort_attribute(), sort)
    }
    /// Removes the item from an index.
    #[must_use]
    pub fn unindexed(self, index: Index) -> Self {
        self.remove(index.attribute())
    }
    /// Puts the item on a list of due items, at `at`, replacing its earlier due time.
    #[must_use]
    pub fn due(self, list: &str, at: Timestamp) -> Self {
        self.indexed(Index::Due, list, at)
    }
    /// Removes the item from its list of due items.
    #[must_use]
    pub fn not_due(self) -> Self {
        self.unindexed(Index::Due).remove(Index::Due.sort_attribute())
    }
    /// The condition of the edit; it replaces the condition that the item exists.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// The update expression, its names and its values.
    pub(crate) fn expression(&self, tenant: TenantId) -> (String, HashMap<String, String>, HashMap<String, AttributeValue>) {
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let mut set = self.set.clone();
        for (index, partition) in &self.partitions {
            set.insert(index.attribute().to_owned(), AttributeValue::S(prefixed(tenant, partition)));
        }
        let mut clauses = Vec::new();
        let mut clause = |verb: &str, parts: Vec<String>| {
            if !parts.is_empty() {
                clauses.push(format!("{verb} {}", parts.join(", ")));
            }
        };
        let mut bind = |kind: char, i: usize, name: &str, value: Option<AttributeValue>| {
            names.insert(format!("#{kind}{i}"), name.to_owned());
            value.map(|value| values.insert(format!(":{kind}{i}"), value));
        };
        let set: Vec<_> = set.into_iter().enumerate().collect();
        clause("SET", set.iter().map(|(i, _)| format!("#s{i} = :s{i}")).collect());
        for (i, (name, value)) in set {
            bind('s', i, &name, Some(value));
        }
        clause("REMOVE", (0..self.remove.len()).map(|i| format!("#r{i}")).collect());
        for (i, name) in self.remove.iter().enumerate() {
            bind('r', i, name, None);
        }
        clause("ADD", (0..self.add.len()).map(|i| format!("#a{i} :a{i}")).collect());
        for (i, (name, by)) in self.add.iter().enumerate() {
            bind('a', i, name, Some(AttributeValue::N(by.to_string())));
        }
        (clauses.join(" "), names, values)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Put { table: Table, item: Item, condition: Option<Condition> },
    Edit { table: Table, edit: Edit },
    Delete { table: Table, key: Key, condition: Option<Condition> },
    Check { table: Table, key: Key, condition: Condition },
}

impl Op {
    pub(crate) const fn table(&self) -> Table {
        match self {
            Self::Put { table, .. } | Self::Edit { table, .. } | Self::Delete { table, .. } | Self::Check { table, .. } => *table,
        }
    }
    pub(crate) const fn key(&self) -> &Key {
        match self {
            Self::Put { item, .. } => item.key(),
            Self::Edit { edit, .. } => &edit.key,
            Self::Delete { key, .. } | Self::Check { key, .. } => key,
        }
    }
    /// Like this edit, with the additional condition `also`.
    pub(crate) fn when_also(mut self, also: Condition) -> Self {
        match &mut self {
            Self::Put { condition, .. } | Self::Delete { condition, .. } => {
                *condition = Some(match condition.take() {
                    Some(own) => Condition::All(vec![own, also]),
                    None => also,
                });
            }
            Self::Edit { edit: Edit { condition, .. }, .. } | Self::Check { condition, .. } => {
                *condition = Condition::All(vec![condition.clone(), also]);
            }
        }
        self
    }
    pub(crate) const fn condition(&self) -> Option<&Condition> {
        match self {
            Self::Put { condition, .. } | Self::Delete { condition, .. } => condition.as_ref(),
            Self::Edit { edit: Edit { condition, .. }, .. } | Self::Check { condition, .. } => Some(condition),
        }
    }
}

/// A session that the transaction ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ending {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) reason: &'static str,
    pub(crate) when: Condition,
}

/// The changes of one request, each with the error for its failed condition.
#[derive(Debug, Default)]
pub struct Changes {
    pub(crate) ops: Vec<(Op, Error)>,
    pub(crate) endings: Vec<(Ending, Error)>,
    pub(crate) notes: Vec<Edit>,
    pub(crate) events: Vec<DomainEvent>,
    pub(crate) changed: Vec<&'static str>,
}

impl Changes {
    /// Creates an item that must not exist.
    pub fn create(&mut self, item: Item, or: Error) {
        self.put(Table::Records, item, Condition::Absent, or);
    }
    /// Replaces the item, which must have `version`; otherwise the error is [`Error::Stale`].
    pub fn replace(&mut self, item: Item, version: Version) {
        self.put(Table::Records, item, Condition::VersionIs(version), Error::Stale);
    }
    /// Deletes an item if `condition` holds.
    pub fn delete(&mut self, key: Key, condition: Condition, or: Error) {
        self.ops.push((Op::Delete { table: Table::Records, key, condition: Some(condition) }, or));
    }
    /// Changes nothing, but fails the commit if `condition` does not hold.
    pub fn check(&mut self, key: Key, condition: Condition, or: Error) {
        self.ops.push((Op::Check { table: Table::Records, key, condition }, or));
    }
    /// Changes some attributes of an item.
    pub fn edit(&mut self, edit: Edit, or: Error) {
        self.ops.push((Op::Edit { table: Table::Records, edit }, or));
    }
    /// Bookkeeping: it is part of the transaction if there are other changes; alone it is not audited. If its condition fails,
    /// nothing of the unit of work is done, because another run was faster.
    pub fn note(&mut self, edit: Edit) {
        self.notes.push(edit);
    }
    /// Emits a domain event. Consumers get it after the commit.
    pub fn emit(&mut self, event: DomainEvent) {
        self.events.push(event);
    }
    /// Ends a session, with its domain event and its audit event.
    pub(crate) fn end_session(&mut self, ending: Ending, or: Error) {
        self.endings.push((ending, or));
    }
    /// Records the names of the changed fields for the audit event. Never their values.
    pub fn changed(&mut self, fields: impl IntoIterator<Item = &'static str>) {
        self.changed.extend(fields);
    }
    pub(crate) fn put(&mut self, table: Table, item: Item, condition: Condition, or: Error) {
        self.ops.push((Op::Put { table, item, condition: Some(condition) }, or));
    }
    /// Whether there are no changes except bookkeeping.
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.endings.is_empty() && self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_conditions_share_no_placeholder() {
        let all = Condition::All(vec![Condition::VersionIs(Version(3)), Condition::Is("status", "active".into())]);
        let (text, names, values) = all.expression();
        assert_eq!(text, "(#c0 = :c0) AND (#c1 = :c1)");
        assert_eq!((names["#c0"].as_str(), names["#c1"].as_str()), ("version", "status"));
        assert_eq!(values.len(), 2);
    }
}
