//! The tables, accessible only within a tenant. Every key gets its prefix here, from the verified scope, and nowhere else.

use crate::base::{
    Error, Result, TenantId, Timestamp,
    stored::{Kept, Listed, Stored, Unknown},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use std::collections::HashMap;

/// One of the four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Business items.
    Records,
    /// Unsent audit and domain events; heads of the sealed log.
    Ledger,
    /// Wrapped keys.
    Keys,
    /// Sessions, limits and idempotency records: data that may be lost.
    Ephemera,
}

/// An index of the records table; [`Index::Due`] is also one of the ephemera table. All except the last share the range attribute
/// `ix_sort`, which holds an id and so sorts by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    All,
    Status,
    Assignee,
    StatusAssignee,
    Token1,
    Token2,
    /// Items that are due at a time, one partition for each list; keys only, sorted by `ix_due_at`.
    Due,
}

impl Index {
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Status => "status",
            Self::Assignee => "assignee",
            Self::StatusAssignee => "status_assignee",
            Self::Token1 => "token_1",
            Self::Token2 => "token_2",
            Self::Due => "due",
        }
    }
    pub(crate) const fn attribute(self) -> &'static str {
        match self {
            Self::All => "ix_all",
            Self::Status => "ix_status",
            Self::Assignee => "ix_assignee",
            Self::StatusAssignee => "ix_status_assignee",
            Self::Token1 => "ix_token_1",
            Self::Token2 => "ix_token_2",
            Self::Due => "ix_due",
        }
    }
    pub(crate) const fn sort_attribute(self) -> &'static str {
        match self {
            Self::Due => "ix_due_at",
            _ => SORT,
        }
    }
}

const SORT: &str = "ix_sort";

/// The place of an item within its tenant: a partition such as `SHIPMENT#shp_…` and a sort key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    partition: String,
    sort: String,
}

impl Key {
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
    /// The place to which a sealed record is bound: its name within the tenant's table.
    pub fn place(&self) -> &str {
        &self.partition
    }
    /// The sort key, which distinguishes the items of one partition.
    pub fn sort(&self) -> &str {
        &self.sort
    }
    pub(crate) fn attributes(&self, tenant: TenantId) -> Attributes {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(prefixed(tenant, &self.partition))),
            ("sk".to_owned(), AttributeValue::S(self.sort.clone())),
        ])
    }
}

/// INVARIANT: only here does a tenant become part of a key.
pub(crate) fn prefixed(tenant: TenantId, partition: &str) -> String {
    format!("{tenant}#{partition}")
}

pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// An item: its key and its attributes. Only a domain's `store` builds it and contains the attributes' names.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    key: Key,
    attributes: Attributes,
    indexes: Vec<(Index, String)>,
}

impl Item {
    pub fn new(key: Key) -> Self {
        Self { key, attributes: HashMap::new(), indexes: Vec::new() }
    }
    #[must_use]
    pub fn text(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.insert(name.to_owned(), AttributeValue::S(value.to_string()));
        self
    }
    /// Omits the attribute if there is no value.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }
    #[must_use]
    pub fn number(mut self, name: &str, value: impl Into<i64>) -> Self {
        self.attributes.insert(name.to_owned(), AttributeValue::N(value.into().to_string()));
        self
    }
    #[must_use]
    pub fn bytes(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.attributes.insert(name.to_owned(), AttributeValue::B(Blob::new(value.into())));
        self
    }
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        self.number("version", version.0)
    }
    /// Puts the item into `partition` of an index; `sort` is the same for every index of an item.
    #[must_use]
    pub fn indexed(mut self, index: Index, partition: impl Into<String>, sort: impl ToString) -> Self {
        self.indexes.push((index, partition.into()));
        self.text(index.sort_attribute(), sort)
    }
    /// Puts the item on a list of due items, at `at`.
    #[must_use]
    pub fn due(self, list: &str, at: Timestamp) -> Self {
        self.indexed(Index::Due, list, at)
    }

    pub const fn key(&self) -> &Key {
        &self.key
    }
    pub(crate) const fn parts(&self) -> (&Attributes, &[(Index, String)]) {
        (&self.attributes, self.indexes.as_slice())
    }
    pub(crate) fn into_attributes(self, tenant: TenantId) -> Attributes {
        let mut attributes = self.attributes;
        for (index, partition) in self.indexes {
            attributes.insert(index.attribute().to_owned(), AttributeValue::S(prefixed(tenant, &partition)));
        }
        attributes.extend(self.key.attributes(tenant));
        attributes
    }
}

/// The number of changes of an item's business state; its ETag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Version(pub i64);

impl Version {
    pub const FIRST: Self = Self(1);
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// An item as it was read. A missing attribute or one of another type is an internal error, because only our own code writes
/// items. Other versions of that code write items too, so words of closed sets are read by [`word`](Self::word), and JSON by
/// [`kept`](Self::kept) and [`listed`](Self::listed): unknown data is counted and ignored.
#[derive(Clone, Debug)]
pub struct Row {
    attributes: Attributes,
    unknown: Unknown,
}

impl Row {
    pub(crate) fn new(attributes: Attributes) -> Self {
        Self { attributes, unknown: Unknown::default() }
    }
    /// The same row, which adds unknown data to the count in `unknown`.
    pub(crate) fn counted(self, unknown: &Unknown) -> Self {
        Self { unknown: unknown.clone(), ..self }
    }
    /// A word of a closed set; `None` if this version does not know it.
    pub fn word<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>> {
        let word = self.text(name)?.parse().ok();
        self.unknown.add(usize::from(word.is_none()));
        Ok(word)
    }
    /// An object that is stored as JSON.
    pub fn kept<T: Stored>(&self, name: &'static str) -> Result<Kept<T>> {
        let (kept, unknown) = Kept::read(self.text(name)?, name)?;
        self.unknown.add(unknown);
        Ok(kept)
    }
    /// A list of objects that is stored as JSON.
    pub fn listed<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(&self, name: &'static str) -> Result<Listed<T>> {
        let (listed, unknown) = Listed::read(self.text(name)?, name)?;
        self.unknown.add(unknown);
        Ok(listed)
    }
    pub fn text(&self, name: &'static str) -> Result<&str> {
        self.maybe_text(name).ok_or(Error::internal(name))
    }
    pub fn maybe_text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(|v| v.as_s().ok()).map(String::as_str)
    }
    pub fn parse<T: std::str::FromStr>(&self, name: &'static str) -> Result<T> {
        self.text(name)?.parse().map_err(|_| Error::internal(name))
    }
    pub fn maybe<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>> {
        self.maybe_text(name).map(|text| text.parse().map_err(|_| Error::internal(name))).transpose()
    }
    pub fn number(&self, name: &'static str) -> Result<i64> {
        self.maybe_number(name).ok_or(Error::internal(name))
    }
    pub fn maybe_number(&self, name: &str) -> Option<i64> {
        self.attributes.get(name).and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok())
    }
    pub fn bytes(&self, name: &'static str) -> Result<&[u8]> {
        self.maybe_bytes(name).ok_or(Error::internal(name))
    }
    pub fn maybe_bytes(&self, name: &str) -> Option<&[u8]> {
        self.attributes.get(name).and_then(|v| v.as_b().ok()).map(AsRef::as_ref)
    }
    pub fn version(&self) -> Result<Version> {
        self.number("version").map(Version)
    }
    /// The place of the item within its tenant.
    pub fn key(&self) -> Result<Key> {
        let (_, partition) = self.text("pk")?.split_once('#').ok_or(Error::internal("pk"))?;
        Ok(Key::new(partition, self.text("sk")?))
    }
}

impl Row {
    /// The tenant whose partition contains the item. The policy compares this tenant, which comes from the item and not from the
    /// caller.
    pub fn tenant(&self) -> Result<TenantId> {
        let pk = self.text("pk")?;
        pk.split_once('#').and_then(|(tenant, _)| tenant.parse().ok()).ok_or(Error::internal("pk"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `template.yaml` names these attributes. An item with another attribute is in no index.
    #[test]
    fn item_in_indexes_has_the_attributes_of_their_keys() {
        let tenant: TenantId = "ten_019b76da100070008000000000000001".parse().unwrap();
        let at = Timestamp::from_millis(1_767_268_800_000);
        let item = Item::new(Key::new("SHIPMENT#1", "SHIPMENT")).indexed(Index::Status, "STATUS#OPEN", "shp_1").due("POLLS", at);
        let expected = [
            ("pk", format!("{tenant}#SHIPMENT#1")),
            ("sk", "SHIPMENT".to_owned()),
            ("ix_status", format!("{tenant}#STATUS#OPEN")),
            ("ix_sort", "shp_1".to_owned()),
            ("ix_due", format!("{tenant}#POLLS")),
            ("ix_due_at", at.to_string()),
        ];
        let expected = expected.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
        assert_eq!(item.into_attributes(tenant), HashMap::from(expected));
    }
}
