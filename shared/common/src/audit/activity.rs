//! The facts that audit events, domain events and log lines need of any piece of work.

use crate::{
    audit::trace::Trace,
    base::{EventId, TenantId, Timestamp, telemetry::CorrelationId},
    policy::Policies,
};

/// A piece of work in a tenant: a request, an item of a batch, a job, an event of a socket, an operator's command.
#[derive(Clone, Debug)]
pub(crate) struct Activity<'a> {
    /// The tenant whose log gets its audit event.
    pub(crate) tenant: TenantId,
    /// The time at which it began.
    pub(crate) now: Timestamp,
    /// The time until which it must have committed.
    pub(crate) deadline: Timestamp,
    pub(crate) correlation_id: CorrelationId,
    /// The id of its audit event.
    pub(crate) audit_id: EventId,
    pub(crate) policies: &'a Policies,
    pub(crate) trace: &'a Trace,
}

impl<'a> Activity<'a> {
    /// A part of it that has its own trace and audit event.
    pub(crate) fn part(&self, trace: &'a Trace) -> Self {
        Self { audit_id: EventId::new(self.now), trace, ..self.clone() }
    }
}
