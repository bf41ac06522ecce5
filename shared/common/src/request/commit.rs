//! The commit: business changes, membership check, audit event, domain events and idempotency record in ONE transaction.

use crate::{
    audit::{event::Record, session_end},
    base::{Error, Result, SessionKind, error::Refusal},
    identity::membership,
    request::{
        Deps,
        http::{Request, Response},
        outcome::RequestOutcome,
        permit::Effects,
        public::Writes,
        scope::Context,
    },
    store::{
        changes::Op,
        item::{Row, Table},
        outbox::Envelope,
        transaction::{NotCommitted, Unit},
    },
};

/// The error for a caller whose concurrent request was slower.
const CHANGED: &str = "the item has just been changed by somebody else";

pub(crate) enum Committed {
    Done,
    /// The idempotency key was used before, with this record.
    Twin(Row),
}

pub(crate) async fn changes(
    context: &Context<'_>,
    outcome: &mut RequestOutcome<'_>,
    effects: Effects,
    response: &Response,
) -> Result<Committed> {
    let (deps, tenant, principal) = (context.deps, context.tenant, &context.principal);
    let mut unit = Unit::default();
    let own_membership = membership::key(principal.user());
    let Effects { changes, elsewhere, .. } = effects;
    let changed = changes.changed.clone();
    let (mut events, mut endings) = (Vec::new(), Vec::new());
    // A transaction may name an item only once. The caller's own membership is checked below, more strictly, unless this request
    // changes it; then the change has the same condition. The membership may have changed since the session copied it, so its
    // version is checked.
    let as_copied = membership::unchanged(principal.membership_version);
    let mut own_changes = false;
    for (at, changes) in [(tenant, changes)].into_iter().chain(elsewhere) {
        for (op, or) in changes.ops {
            let own = at == principal.tenant() && op.table() == Table::Records && op.key() == &own_membership;
            match op {
                // An API key is not a person, so a check that its own member is one always fails.
                Op::Check { .. } if own && principal.kind() == SessionKind::ApiKey => return Err(or),
                Op::Check { .. } if own => {}
                op if own => {
                    own_changes = true;
                    unit.push(at, op.when_also(as_copied.clone()), or);
                }
                op => unit.push(at, op, or),
            }
        }
        for note in changes.notes {
            unit.push(at, Op::Edit { table: Table::Records, edit: note }, Error::conflict("changed", CHANGED));
        }
        events.extend(changes.events.into_iter().map(|event| (at, event)));
        endings.push((at, changes.endings));
    }
    if !own_changes {
        let check = Op::Check { table: Table::Records, key: own_membership, condition: as_copied };
        unit.push(principal.tenant(), check, Error::Forbidden(Refusal::Policy));
    }

    let event = Record { tenant, ..outcome.record(response.status, &changed) };
    unit.push(tenant, event.op()?, Error::internal("audit event exists"));
    for (at, endings) in endings {
        session_end::end(&mut unit, at, endings, &event)?;
    }
    for (at, domain_event) in events {
        // The audit event of an API key names the key, and its domain events name the key's user.
        let envelope = Envelope { actor: principal.user().to_string(), ..Envelope::of(&event, at, domain_event) };
        unit.push(at, envelope.op()?, Error::internal("domain event"));
    }
    if tenant != principal.tenant() {
        // A platform request about a tenant is audited in both logs.
        let own = Record { tenant: principal.tenant(), ..event };
        unit.push(principal.tenant(), own.op()?, Error::internal("audit event exists"));
    }
    if let Some(claim) = &context.claim {
        unit.push(principal.tenant(), claim.store(context, response, own_changes).await?, Error::internal("idempotency"));
    }
    let committed = unit.commit(&deps.db, context.deadline).await;
    match committed {
        Ok(()) => {
            outcome.recorded = true;
            Ok(Committed::Done)
        }
        Err(NotCommitted::Condition { index, old: Some(row), .. }) if context.claim.is_some() && unit.is_last(index) => {
            Ok(Committed::Twin(row))
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes the changes of a public endpoint, with its event.
pub(crate) async fn public(
    deps: &Deps,
    outcome: &mut RequestOutcome<'_>,
    Writes { ops, events, endings }: Writes,
    response: &Response,
) -> Result<()> {
    if !outcome.audited {
        return Ok(());
    }
    let mut unit = Unit::default();
    for (tenant, op, or) in ops {
        unit.push(tenant, op, or);
    }
    let event = outcome.record(response.status, &[]);
    unit.push(event.tenant, event.op()?, Error::internal("audit event exists"));
    session_end::end(&mut unit, event.tenant, endings, &event)?;
    for (at, domain_event) in events {
        unit.push(at, Envelope::of(&event, at, domain_event).op()?, Error::internal("domain event"));
    }
    unit.commit(&deps.db, outcome.activity.deadline).await?;
    outcome.recorded = true;
    Ok(())
}

/// Counts a request of a public endpoint in the event of its network and minute.
pub(crate) async fn counted(deps: &Deps, outcome: &mut RequestOutcome<'_>, request: &Request, response: &Response) -> Result<()> {
    outcome.record(response.status, &[]).count(&deps.db, &outcome.source(request, response.status)).await?;
    outcome.recorded = true;
    Ok(())
}

/// Writes the event of a request without changes. Its answer is returned afterwards.
pub(crate) async fn write_event(
    context: &Context<'_>,
    outcome: &mut RequestOutcome<'_>,
    response: &Response,
    changed: &[&'static str],
) -> Result<()> {
    let event = Record { tenant: context.tenant, ..outcome.record(response.status, changed) };
    event.write(&context.deps.db).await?;
    if context.tenant != context.principal.tenant() {
        Record { tenant: context.principal.tenant(), ..event }.write(&context.deps.db).await?;
    }
    outcome.recorded = true;
    Ok(())
}
