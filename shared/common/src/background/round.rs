//! Rounds: the way in which a schedule visits all tenants, if a visit may take longer than the time until its next run.
//!
//! A run takes the next few tenants by one conditional write, and then the next ones. So overlapping runs share a round and
//! repeat nothing. An interrupted run leaves the rest to the next run. No tenant is visited twice before all were visited once. A
//! run that finds the round finished begins another; a run that took part in it stops at its end.
//!
//! | Partition | Sort | Content |
//! |---|---|---|
//! | *platform* `ROUND#<schedule>` | `ROUND` | the last tenant that was taken, and the number of the round |

use crate::{
    base::{Error, Result, TenantId, Timestamp, error::Cause},
    store::{
        dynamodb::{Db, Update},
        item::{Key, Row, Table},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::Duration;

/// The number of tries to take the next tenants while other runs take them.
const STEPS: u32 = 6;
/// A round without progress for this long is deleted.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// A run's part in a round.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) db: &'a Db,
    pub(super) schedule: &'static str,
    /// Every tenant, in the order of their ids.
    pub(super) tenants: Vec<TenantId>,
    /// The round in which this run has taken tenants.
    pub(super) joined: Option<i64>,
}

impl Round<'_> {
    /// The next tenants of the round, at most `most`; `None` if it is finished.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer, or other runs take the next tenants each time.
    pub(super) async fn take(&mut self, most: usize, now: Timestamp) -> Result<Option<Vec<TenantId>>> {
        let key = Key::new(format!("ROUND#{}", self.schedule), "ROUND");
        for _ in 0..STEPS {
            let row = self.db.get(TenantId::PLATFORM, Table::Ephemera, &key).await?;
            let stands = row.as_ref().map(stands).transpose()?;
            let (number, left) = match stands {
                None => (1, &self.tenants[..]),
                Some((number, after)) => match self.after(after) {
                    [] if self.joined.is_some() => return Ok(None),
                    [] => (number + 1, &self.tenants[..]),
                    left => (number, left),
                },
            };
            // Another run has begun the next round.
            if self.joined.is_some_and(|joined| joined != number) {
                return Ok(None);
            }
            let slice = &left[..most.min(left.len())];
            let Some(last) = slice.last() else { return Ok(None) };
            let mut values = vec![
                (":last", AttributeValue::S(last.to_string())),
                (":number", AttributeValue::N(number.to_string())),
                (":expires", AttributeValue::N(now.plus(FORGOTTEN).as_secs().to_string())),
            ];
            let condition = if let Some((was, after)) = stands {
                values.push((":was", AttributeValue::N(was.to_string())));
                values.push((":after", AttributeValue::S(after.to_string())));
                "#round = :was AND #after = :after"
            } else {
                "attribute_not_exists(pk)"
            };
            let update = Update {
                expression: "SET #after = :last, #round = :number, expires_at = :expires",
                condition: Some(condition),
                names: &[("#after", "after"), ("#round", "round")],
                values,
            };
            if self.db.update(TenantId::PLATFORM, Table::Ephemera, &key, update).await?.is_done() {
                let taken = slice.to_vec();
                self.joined = Some(number);
                return Ok(Some(taken));
            }
        }
        Err(Error::Unavailable { service: crate::store::dynamodb::SERVICE, cause: Cause::code("round contended") })
    }

    fn after(&self, tenant: TenantId) -> &[TenantId] {
        &self.tenants[self.tenants.partition_point(|other| *other <= tenant)..]
    }
}

fn stands(row: &Row) -> Result<(i64, TenantId)> {
    Ok((row.number("round")?, row.parse("after")?))
}
