//! Checks that a request has the shape that the schema declares: the attributes of the caller and of the resource, and the
//! context. The policies are validated and proven for that shape only. Debug builds, and so every test, check each shape once; in
//! a deployed function, parsing the schema would slow the start.

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, Schema};
use std::{
    collections::BTreeSet,
    error::Error,
    sync::{LazyLock, Mutex, PoisonError},
};

pub(super) const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");

static PARSED: LazyLock<Option<Schema>> = LazyLock::new(|| Some(Schema::from_cedarschema_str(SCHEMA).ok()?.0));
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// # Errors
/// Names the part of the request that does not match the schema.
pub(super) fn check(
    principal: &EntityUid,
    action: &EntityUid,
    resource: &EntityUid,
    context: &Context,
    entities: &[Entity],
) -> Result<(), Box<dyn Error>> {
    let attributes = |entity: &Entity| entity.attrs().map(|(name, _)| name.to_owned()).collect::<BTreeSet<_>>();
    let of_entities: Vec<_> = entities.iter().map(|entity| (entity.uid().type_name().to_string(), attributes(entity))).collect();
    let of_context: BTreeSet<_> = context.clone().into_iter().map(|(name, _)| name).collect();
    let shape = format!("{action} {} {} {of_entities:?} {of_context:?}", principal.type_name(), resource.type_name());
    if SEEN.lock().unwrap_or_else(PoisonError::into_inner).contains(&shape) {
        return Ok(());
    }
    let schema = PARSED.as_ref().ok_or("the schema does not parse")?;
    Entities::from_entities(entities.iter().cloned(), Some(schema))?;
    Request::new(principal.clone(), action.clone(), resource.clone(), context.clone(), Some(schema))?;
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(shape);
    Ok(())
}
