//! The roles' permissions, from the golden table. Tests over every endpoint choose their callers by them.

use common::{
    base::Role,
    request::{AnyEndpoint, Kind},
};
use std::collections::BTreeMap;

/// `policies/matrix.txt`.
pub const MATRIX: &str = include_str!("../../policies/matrix.txt");

/// Endpoints for callers who have signed in.
pub fn protected() -> impl Iterator<Item = &'static AnyEndpoint> {
    registry::all().filter(|e| e.kind != Kind::Public)
}

/// A role that may use the endpoint, on anything of its tenant or on its own items.
pub fn allowed_role(endpoint: &AnyEndpoint) -> Role {
    let cells = matrix();
    let row = &cells[endpoint.action.unwrap().0];
    // The tenant's administrator if permitted, because it may use most endpoints.
    let first = [Role::TenantAdmin].into_iter().chain(Role::ALL).find(|role| row[role.as_str()] != "-");
    first.expect("a role may use the endpoint")
}

/// Each action's row: the cell of each role.
pub fn matrix() -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let mut lines = MATRIX.lines();
    let roles: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let row = |line: &'static str| {
        let mut words = line.split_whitespace();
        (words.next().unwrap(), roles.iter().copied().zip(words).collect())
    };
    lines.map(row).collect()
}
