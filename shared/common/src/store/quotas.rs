//! DynamoDB's limits for an item and a transaction, checked before a call. DynamoDB's own error is a `ValidationException` that
//! does not name the item in a form that may be logged; these errors name the table and the kind of item.
//!
//! | Quota | |
//! |---|---|
//! | an item | 400 KB of names and values, [keys and index keys included] |
//! | a partition key, a sort key | 2,048 and 1,024 bytes, in the table and in each index; never empty |
//! | a transaction | 100 actions and 4 MB; each item once |
//!
//! An edit is checked only for the attributes that it sets, because only DynamoDB knows the rest of the item. `docs/scale.md`
//! describes the bound of each item that grows by edits.
//!
//! [keys and index keys included]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html

use crate::{
    base::{Error, Result, TenantId, error::Cause},
    store::{
        changes::{Edit, Op},
        item::{Attributes, Index, Item, Key, Table, prefixed},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashSet;

const MOST_ACTIONS: usize = 100;
const MOST_TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// The largest size of an item.
pub const MOST_ITEM_BYTES: usize = 400 * 1024;
const MOST_PARTITION_KEY_BYTES: usize = 2048;
const MOST_SORT_KEY_BYTES: usize = 1024;

/// Bytes of names and values as [DynamoDB counts them].
///
/// [DynamoDB counts them]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
pub fn size(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

/// A list or a map takes three bytes, plus one for each element.
fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_size(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_size(number)).sum(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(items) => 3 + items.len() + items.iter().map(value_size).sum::<usize>(),
        AttributeValue::M(members) => 3 + members.len() + size(members),
        // A boolean, a null.
        _ => 1,
    }
}

/// One byte, plus one for each two significant digits, plus one for a minus sign. Leading and trailing zeros are not significant.
fn number_size(number: &str) -> usize {
    let (negative, digits) = number.strip_prefix('-').map_or((0, number), |digits| (1, digits));
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    1 + negative + digits.trim_matches('0').len().div_ceil(2)
}

/// # Errors
/// Internal, for an item that DynamoDB would refuse, and for more operations or bytes than a transaction may have.
pub(crate) fn check_transaction(ops: &[(TenantId, Op)]) -> Result<()> {
    let unit = |what| Error::internal_because("unit of work", Cause::code(what));
    if ops.len() > MOST_ACTIONS {
        return Err(unit("more than 100 actions"));
    }
    let (mut bytes, mut named) = (0, HashSet::new());
    for (tenant, op) in ops {
        if !named.insert((op.table(), *tenant, op.key())) {
            return Err(refused(op.table(), op.key(), "named twice in one transaction"));
        }
        bytes += match op {
            Op::Put { table, item, .. } => check_item(*tenant, *table, item)?,
            Op::Edit { table, edit } => check_edit(*tenant, *table, edit)?,
            Op::Delete { table, key, .. } | Op::Check { table, key, .. } => check_key(*tenant, *table, key)?,
        };
    }
    if bytes > MOST_TRANSACTION_BYTES { Err(unit("more than 4 MB")) } else { Ok(()) }
}

/// # Errors
/// Internal, for an item that DynamoDB would refuse. Otherwise returns its size.
pub(crate) fn check_item(tenant: TenantId, table: Table, item: &Item) -> Result<usize> {
    let (attributes, indexes) = item.parts();
    check(tenant, table, item.key(), attributes, indexes)
}

/// # Errors
/// Internal, for an edit that DynamoDB would refuse for every item. Otherwise returns the size of the attributes that it sets.
pub(crate) fn check_edit(tenant: TenantId, table: Table, edit: &Edit) -> Result<usize> {
    check(tenant, table, &edit.key, &edit.set, &edit.partitions)
}

/// Like `check_edit`, for an update whose values are bound to these names.
///
/// # Errors
/// As [`check_edit`].
pub(crate) fn check_values<'v>(
    tenant: TenantId,
    table: Table,
    key: &Key,
    values: impl Iterator<Item = (&'v str, &'v AttributeValue)>,
) -> Result<()> {
    let bytes = check_key(tenant, table, key)? + values.map(|(name, value)| name.len() + value_size(value)).sum::<usize>();
    fits(table, key, bytes).map(drop)
}

fn check(tenant: TenantId, table: Table, key: &Key, attributes: &Attributes, indexes: &[(Index, String)]) -> Result<usize> {
    let mut bytes = check_key(tenant, table, key)? + size(attributes);
    for (index, partition) in indexes {
        let partition = prefixed(tenant, partition).len();
        let sort = attributes.get(index.sort_attribute()).map_or(0, value_size);
        check_lengths(table, key, partition, sort)?;
        bytes += index.attribute().len() + partition;
    }
    fits(table, key, bytes)
}

fn check_key(tenant: TenantId, table: Table, key: &Key) -> Result<usize> {
    let (partition, sort) = (prefixed(tenant, key.place()).len(), key.sort().len());
    check_lengths(table, key, partition, sort)?;
    Ok("pk".len() + partition + "sk".len() + sort)
}

fn check_lengths(table: Table, key: &Key, partition: usize, sort: usize) -> Result<()> {
    if partition > MOST_PARTITION_KEY_BYTES {
        return Err(refused(table, key, &format!("a partition key of {partition} bytes")));
    }
    if sort == 0 || sort > MOST_SORT_KEY_BYTES {
        return Err(refused(table, key, &format!("a sort key of {sort} bytes")));
    }
    Ok(())
}

fn fits(table: Table, key: &Key, bytes: usize) -> Result<usize> {
    if bytes > MOST_ITEM_BYTES { Err(refused(table, key, &format!("{bytes} bytes"))) } else { Ok(bytes) }
}

/// Names the table and the kind of the item by the fixed parts of its key: `ledger EVENTS`, `records SHIPMENT POLL`. A token in a
/// key is not named.
fn refused(table: Table, key: &Key, why: &str) -> Error {
    let table = match table {
        Table::Records => "records",
        Table::Ledger => "ledger",
        Table::Keys => "keys",
        Table::Ephemera => "ephemera",
    };
    let is_kind = |word: &&str| word.len() <= 24 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let kinds = [key.place(), key.sort()].map(|part| part.split('#').next().unwrap_or_default());
    let words: Vec<_> = [table].into_iter().chain(kinds.into_iter().filter(is_kind).filter(|word| !word.is_empty())).collect();
    Error::internal_because("item", Cause::code(&format!("{}: {why}", words.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Uuid, store::changes::Condition};
    use aws_sdk_dynamodb::primitives::Blob;
    use proptest::prelude::*;

    const TENANT: TenantId = TenantId::PLATFORM;

    fn text(text: &str) -> AttributeValue {
        AttributeValue::S(text.to_owned())
    }

    fn put(item: Item) -> (TenantId, Op) {
        (TENANT, Op::Put { table: Table::Records, item, condition: None })
    }

    fn said(result: Result<impl std::fmt::Debug>) -> String {
        result.unwrap_err().said()
    }

    /// An item of this many bytes: `pk`, `sk` and `a` with their values.
    fn item_of(bytes: usize) -> Item {
        let key = Key::new("SHIPMENT#shp_1", "POLL");
        let rest = "pk".len() + prefixed(TENANT, key.place()).len() + "sk".len() + key.sort().len() + "a".len();
        Item::new(key).bytes("a", vec![0; bytes - rest])
    }

    #[test]
    fn item_sizes_follow_the_rules_of_dynamodb() {
        let number = |number: &str| AttributeValue::N(number.to_owned());
        let map = |members: &[(&str, AttributeValue)]| {
            AttributeValue::M(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
        };
        for (value, bytes) in [
            (text(""), 0),
            (text("é"), 2),
            (text("\u{1f4e6}"), 4),
            (AttributeValue::B(Blob::new([0; 7])), 7),
            (AttributeValue::Bool(true), 1),
            (AttributeValue::Null(true), 1),
            (number("0"), 1),
            (number("7"), 2),
            (number("27"), 2),
            (number("-27"), 3),
            (number("461"), 3),
            (number("1000"), 2),
            (number("0.0010"), 2),
            (number("12345678901234567890123456789012345678"), 20),
            (number("-12345678901234567890123456789012345678"), 21),
            (number("1E+30"), 2),
            (AttributeValue::L(Vec::new()), 3),
            (map(&[]), 3),
            (AttributeValue::L(vec![text("ab"), AttributeValue::L(vec![text("c")])]), 3 + 2 + 2 + (3 + 1 + 1)),
            (map(&[("name", text("ab")), ("deep", map(&[("x", number("27"))]))]), 3 + 2 + (4 + 2) + 4 + (3 + 1 + 1 + 2)),
            (AttributeValue::Ss(vec!["ab".into(), "c".into()]), 3),
            (AttributeValue::Ns(vec!["27".into(), "461".into()]), 5),
        ] {
            assert_eq!(value_size(&value), bytes, "{value:?}");
        }
        assert_eq!(size(&[("naïve".to_owned(), text("ab"))].into()), 8);
    }

    #[test]
    fn item_over_400_kb_is_refused_with_its_place() {
        assert_eq!(check_item(TENANT, Table::Records, &item_of(409_600)), Ok(409_600));
        let refused = "internal: item records SHIPMENT POLL: 409601 bytes";
        assert_eq!(said(check_item(TENANT, Table::Records, &item_of(409_601))), refused);
        assert_eq!(said(check_transaction(&[put(item_of(409_601))])), refused);
        let edit = |bytes: usize| Edit::of(Key::new("INBOX#usr_1", "STATE")).bytes("a", vec![0; bytes]);
        assert!(check_edit(TENANT, Table::Records, &edit(400_000)).is_ok());
        assert!(said(check_edit(TENANT, Table::Records, &edit(409_600))).contains("records INBOX STATE: "));
        let key = Key::new("UPS#TOKEN", "TOKEN");
        let value = |bytes: usize| AttributeValue::B(Blob::new(vec![0; bytes]));
        assert_eq!(check_values(TENANT, Table::Ephemera, &key, [("a", &value(400_000))].into_iter()), Ok(()));
        let refused =
            said(check_values(TENANT, Table::Ephemera, &key, [("a", &value(300_000)), ("b", &value(150_000))].into_iter()));
        assert!(refused.contains("ephemera UPS TOKEN: "), "{refused}");
    }

    #[test]
    fn key_over_the_length_limit_is_refused() {
        let sorted = |sort: usize| Item::new(Key::new("P", "s".repeat(sort)));
        assert!(check_item(TENANT, Table::Records, &sorted(1024)).is_ok());
        assert!(said(check_item(TENANT, Table::Records, &sorted(1025))).ends_with("a sort key of 1025 bytes"));
        assert!(said(check_item(TENANT, Table::Records, &sorted(0))).ends_with("a sort key of 0 bytes"));
        let prefix = prefixed(TENANT, "").len();
        let placed = |partition: usize| Item::new(Key::new("p".repeat(partition - prefix), "S"));
        assert!(check_item(TENANT, Table::Records, &placed(2048)).is_ok());
        assert!(said(check_item(TENANT, Table::Records, &placed(2049))).ends_with("a partition key of 2049 bytes"));
        let listed = |partition: usize, sort: usize| {
            Item::new(Key::new("P", "S")).indexed(Index::All, "p".repeat(partition - prefix), "s".repeat(sort))
        };
        assert!(check_item(TENANT, Table::Records, &listed(2048, 1024)).is_ok());
        assert!(check_item(TENANT, Table::Records, &listed(2049, 1)).is_err());
        assert!(check_item(TENANT, Table::Records, &listed(100, 1025)).is_err());
        assert!(check_item(TENANT, Table::Records, &listed(100, 0)).is_err());
        let edit = Edit::of(Key::new("P", "S")).indexed(Index::Status, "p".repeat(2049), "s");
        assert!(check_edit(TENANT, Table::Records, &edit).is_err());
    }

    #[test]
    fn item_named_twice_in_one_transaction_is_refused() {
        let key = || Key::new("MEMBER#usr_1", "MEMBERSHIP");
        let each = |table: Table| {
            [
                Op::Put { table, item: Item::new(key()), condition: None },
                Op::Edit { table, edit: Edit::of(key()).number("n", 1) },
                Op::Delete { table, key: key(), condition: None },
                Op::Check { table, key: key(), condition: Condition::Present },
            ]
        };
        for one in each(Table::Records) {
            for other in each(Table::Records) {
                let refused = said(check_transaction(&[(TENANT, one.clone()), (TENANT, other)]));
                assert_eq!(refused, "internal: item records MEMBER MEMBERSHIP: named twice in one transaction");
            }
            let elsewhere = TenantId::from_uuid(Uuid::from_u128(1));
            assert_eq!(check_transaction(&[(TENANT, one.clone()), (elsewhere, one.clone())]), Ok(()));
            for other in each(Table::Ledger) {
                assert_eq!(check_transaction(&[(TENANT, one.clone()), (TENANT, other)]), Ok(()));
            }
        }
        let sorts = [put(Item::new(Key::new("P", "1"))), put(Item::new(Key::new("P", "2")))];
        assert_eq!(check_transaction(&sorts), Ok(()));
    }

    #[test]
    fn transaction_over_100_actions_or_4_mb_is_refused() {
        let ops = |n: usize, bytes: usize| -> Vec<_> {
            (0..n).map(|i| put(Item::new(Key::new("P", i.to_string())).bytes("a", vec![0; bytes]))).collect()
        };
        assert_eq!(check_transaction(&ops(100, 10)), Ok(()));
        assert_eq!(said(check_transaction(&ops(101, 10))), "internal: unit of work more than 100 actions");
        assert_eq!(check_transaction(&ops(10, 400_000)), Ok(()));
        assert_eq!(said(check_transaction(&ops(11, 400_000))), "internal: unit of work more than 4 MB");
    }

    #[test]
    fn tokens_and_hashes_in_keys_are_not_named() {
        let key = Key::new(format!("EMAIL#{}", "ab".repeat(20)), "c".repeat(2000));
        let refused = said(check_item(TENANT, Table::Records, &Item::new(key)));
        assert_eq!(refused, "internal: item records EMAIL: a sort key of 2000 bytes");
    }

    proptest! {
        #[test]
        fn number_takes_between_1_and_21_bytes(mantissa in -9_999_999_999_999_999_999_i128..9_999_999_999_999_999_999_i128) {
            let bytes = number_size(&mantissa.to_string());
            prop_assert!((1..=21).contains(&bytes));
            prop_assert!(number_size(&(mantissa * 100).to_string()) <= bytes + 1);
        }
    }
}
