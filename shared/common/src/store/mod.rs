//! The items and their storage: tables, transactions, keys, the outbox, and limits that are counted in a table.

pub(crate) mod changes;
pub(crate) mod cursor;
pub(crate) mod dynamodb;
pub(crate) mod gcra;
pub(crate) mod item;
pub(crate) mod keyring;
pub(crate) mod outbox;
pub(crate) mod quotas;
pub(crate) mod rate_limit;
pub(crate) mod shared_breaker;
pub(crate) mod tenant_key;
pub(crate) mod tenant_quota;
pub(crate) mod transaction;

pub use changes::{Changes, Condition, Edit};
pub use dynamodb::Query as TableQuery;
pub use item::{Index, Item, Key, Row, Version};
pub use keyring::CACHED_FOR;
pub use outbox::{AnyEvent, DomainEvent, Envelope, Event, Message, Schema, Undecodable};
pub use quotas::{MOST_ITEM_BYTES, size as item_size};
pub use rate_limit::RateLimit;
pub use shared_breaker::BreakerState;
pub use tenant_quota::TENANT_QUOTA;
