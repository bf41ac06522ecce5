//! The table that maps events to notifications and their recipients, read from top to bottom. If one event matches several
//! triggers for a user, the first counts, so that nobody is notified twice of one event.

use crate::{
    domain::{Kind, Subject},
    events::{
        AuditTamperDetected, BaaExpiring, OrganizationReactivated, ShipmentCreated, ShipmentStatusChanged, ShipmentUpdated,
        ShipmentVoided, TriggerEvent,
    },
};
use common::{
    base::{Role, TenantId, Timestamp, UserId},
    identity::Membership,
    store::Event,
};

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Trigger {
    /// The event's schema.
    pub event: &'static str,
    pub when: When,
    pub kind: Kind,
    pub audience: &'static [Audience],
}

/// A further condition on the event.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Always,
    StatusIs(&'static [&'static str]),
}

/// The recipients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The user to whom the shipment is assigned.
    Assignee,
    /// The user who registered it.
    Creator,
    /// Every user who has the role now.
    Role(Role),
    /// Every member.
    Tenant,
}

use Audience::{Assignee, Creator};

/// Administrators are notified of events that need action, and not of every delivered parcel.
pub const TRIGGERS: &[Trigger] = &[
    Trigger { event: ShipmentCreated::SCHEMA, when: When::Always, kind: Kind::ShipmentCreated, audience: &[Assignee] },
    Trigger { event: ShipmentUpdated::SCHEMA, when: When::Always, kind: Kind::ShipmentUpdated, audience: &[Assignee] },
    Trigger { event: ShipmentVoided::SCHEMA, when: When::Always, kind: Kind::ShipmentVoided, audience: &[Assignee] },
    Trigger {
        event: ShipmentStatusChanged::SCHEMA,
        when: When::StatusIs(&["EXCEPTION", "RETURNED"]),
        kind: Kind::ShipmentException,
        audience: &[Assignee, Creator, Audience::Role(Role::TenantAdmin)],
    },
    Trigger {
        event: ShipmentStatusChanged::SCHEMA,
        when: When::Always,
        kind: Kind::ShipmentStatusChanged,
        audience: &[Assignee, Creator],
    },
    Trigger {
        event: AuditTamperDetected::SCHEMA,
        when: When::Always,
        kind: Kind::AuditTamperDetected,
        audience: &[Audience::Role(Role::TenantAdmin), Audience::Role(Role::Auditor)],
    },
    Trigger {
        event: BaaExpiring::SCHEMA,
        when: When::Always,
        kind: Kind::BaaExpiring,
        audience: &[Audience::Role(Role::TenantAdmin)],
    },
    Trigger {
        event: OrganizationReactivated::SCHEMA,
        when: When::Always,
        kind: Kind::OrganizationReactivated,
        audience: &[Audience::Tenant],
    },
];

/// The parts of an event that triggers use.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    event: &'static str,
    pub(crate) subject: Subject,
    assignee: Option<UserId>,
    creator: Option<UserId>,
    status: Option<String>,
}

impl Facts {
    pub(crate) fn of(event: TriggerEvent, tenant: TenantId) -> Self {
        let shipment = |event, id: crate::events::ShipmentId, assignee| Self {
            event,
            subject: Subject { kind: "Shipment".to_owned(), id: id.to_string() },
            assignee,
            creator: None,
            status: None,
        };
        let of_tenant = |event, kind: &str| Self {
            event,
            subject: Subject { kind: kind.to_owned(), id: tenant.to_string() },
            assignee: None,
            creator: None,
            status: None,
        };
        match event {
            TriggerEvent::Created(ShipmentCreated { shipment_id, created_by, assigned_to }) => {
                Self { creator: Some(created_by), ..shipment(ShipmentCreated::SCHEMA, shipment_id, assigned_to) }
            }
            TriggerEvent::Updated(ShipmentUpdated { shipment_id, assigned_to }) => {
                shipment(ShipmentUpdated::SCHEMA, shipment_id, assigned_to)
            }
            TriggerEvent::Voided(ShipmentVoided { shipment_id, assigned_to }) => {
                shipment(ShipmentVoided::SCHEMA, shipment_id, assigned_to)
            }
            TriggerEvent::StatusChanged(ShipmentStatusChanged { shipment_id, to, created_by, assigned_to }) => Self {
                creator: Some(created_by),
                status: Some(to),
                ..shipment(ShipmentStatusChanged::SCHEMA, shipment_id, assigned_to)
            },
            TriggerEvent::Tampered(AuditTamperDetected {}) => of_tenant(AuditTamperDetected::SCHEMA, "Tenant"),
            TriggerEvent::BaaExpiring(BaaExpiring {}) => of_tenant(BaaExpiring::SCHEMA, "Organization"),
            TriggerEvent::Reactivated(OrganizationReactivated {}) => of_tenant(OrganizationReactivated::SCHEMA, "Organization"),
        }
    }

    fn pulls(&self, trigger: &Trigger) -> bool {
        trigger.event == self.event
            && match trigger.when {
                When::Always => true,
                When::StatusIs(any) => self.status.as_deref().is_some_and(|status| any.contains(&status)),
            }
    }
}

/// The triggers that match an event.
pub(crate) fn pulled<'a>(table: &'a [Trigger], facts: &Facts) -> Vec<&'a Trigger> {
    table.iter().filter(|trigger| facts.pulls(trigger)).collect()
}

/// Whether the list of members is needed to find their recipients.
pub(crate) fn need_members(pulled: &[&Trigger]) -> bool {
    pulled.iter().flat_map(|t| t.audience).any(|audience| matches!(audience, Audience::Role(_) | Audience::Tenant))
}

/// The recipients and the kind for each: each user once, without the actor.
pub(crate) fn recipients(
    pulled: &[&Trigger],
    facts: &Facts,
    members: &[Membership],
    actors: &[&str],
    now: Timestamp,
) -> Vec<(UserId, Kind)> {
    let mut told: Vec<(UserId, Kind)> = Vec::new();
    for trigger in pulled {
        for audience in trigger.audience {
            let users: Vec<UserId> = match audience {
                Assignee => facts.assignee.into_iter().collect(),
                Creator => facts.creator.into_iter().collect(),
                Audience::Role(role) => {
                    let holds = |m: &&Membership| m.has_arrived() && m.roles(now).any(|held| held == *role);
                    members.iter().filter(holds).map(|m| m.user).collect()
                }
                Audience::Tenant => members.iter().filter(|m| m.has_arrived()).map(|m| m.user).collect(),
            };
            for user in users {
                let is_new = told.iter().all(|(other, _)| *other != user);
                if is_new && !actors.contains(&user.to_string().as_str()) {
                    told.push((user, trigger.kind));
                }
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::store::Message;

    const NOW: Timestamp = Timestamp::from_millis(1_767_268_800_000);

    fn user(n: u128) -> UserId {
        UserId::from_uuid(common::base::Uuid::from_u128(n))
    }
    fn changed(to: &str) -> Facts {
        let event = ShipmentStatusChanged {
            shipment_id: crate::events::ShipmentId::new(NOW),
            to: to.to_owned(),
            created_by: user(1),
            assigned_to: Some(user(2)),
        };
        Facts::of(TriggerEvent::StatusChanged(event), TenantId::PLATFORM)
    }
    fn told(facts: &Facts, actors: &[&str]) -> Vec<(UserId, Kind)> {
        recipients(&pulled(TRIGGERS, facts), facts, &[], actors, NOW)
    }

    #[test]
    fn every_consumed_event_has_a_trigger_and_the_reverse() {
        let schemas: Vec<_> = TriggerEvent::SCHEMAS.iter().map(|schema| schema.name).collect();
        for name in &schemas {
            assert!(TRIGGERS.iter().any(|trigger| trigger.event == *name), "{name}");
        }
        assert!(TRIGGERS.iter().all(|trigger| schemas.contains(&trigger.event)));
    }

    #[test]
    fn problem_status_is_notified_once_as_a_problem() {
        let problem = changed("EXCEPTION");
        assert!(need_members(&pulled(TRIGGERS, &problem)));
        assert_eq!(told(&problem, &[]), [(user(2), Kind::ShipmentException), (user(1), Kind::ShipmentException)]);
        let ordinary = changed("DELIVERED");
        assert!(!need_members(&pulled(TRIGGERS, &ordinary)));
        assert_eq!(told(&ordinary, &[]), [(user(2), Kind::ShipmentStatusChanged), (user(1), Kind::ShipmentStatusChanged)]);
    }

    #[test]
    fn actor_is_not_notified() {
        assert_eq!(told(&changed("DELIVERED"), &[&user(2).to_string()]), [(user(1), Kind::ShipmentStatusChanged)]);
    }
}
