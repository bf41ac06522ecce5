//! The end of a session, in the transaction that ends it: its item, its domain event, and an audit event for each reason.

use crate::{
    audit::event::Record,
    base::{Error, EventId, Result, TenantId},
    identity::{SessionEnded, session},
    store::{
        changes::{Ending, Op},
        item::Table,
        outbox::{DomainEvent, Envelope},
        transaction::Unit,
    },
};
use std::collections::BTreeMap;

/// The type of the audit event.
const RECORD: &str = "session_ended";

impl Ending {
    /// The end and its domain event, for the transaction whose audit event is `cause`.
    fn ops(&self, tenant: TenantId, cause: &Record<'_>) -> Result<[Op; 2]> {
        let reason = self.reason.to_owned();
        let event = DomainEvent::from(SessionEnded { user_id: self.user, session_id: self.session, reason: Some(reason) });
        let end = session::end(self.user, self.session).when(self.when.clone());
        Ok([Op::Edit { table: Table::Ephemera, edit: end }, Envelope::of(cause, tenant, event).op()?])
    }
}

/// Adds the ends of a tenant's sessions to the transaction whose audit event is `cause`: each with its domain event, and one
/// audit event for each reason.
pub(crate) fn end(unit: &mut Unit, tenant: TenantId, endings: Vec<(Ending, Error)>, cause: &Record<'_>) -> Result<()> {
    let mut resources: BTreeMap<&'static str, Vec<(String, String)>> = BTreeMap::new();
    for (ending, or) in endings {
        let [end, told] = ending.ops(tenant, cause)?;
        unit.push(tenant, end, or);
        unit.push(tenant, told, Error::internal("domain event"));
        let ended = resources.entry(ending.reason).or_insert_with(|| vec![("User".to_owned(), ending.user.to_string())]);
        ended.push(("Session".to_owned(), ending.session.to_string()));
    }
    for (reason, resources) in resources {
        let record = Record {
            id: EventId::new(cause.activity.now),
            tenant,
            resources,
            reason: Some(reason),
            on_behalf_of: cause.on_behalf_of,
            changes: &["status"],
            ..Record::of(cause.activity, RECORD, cause.who.clone())
        };
        unit.push(tenant, record.op()?, Error::internal("audit event exists"));
    }
    Ok(())
}
