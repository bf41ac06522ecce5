//! What the domain does from end to end, in two tenants.
