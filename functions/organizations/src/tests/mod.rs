//! What the domain does from end to end, in two tenants.

mod admins;
mod agreement;
mod founding;
mod profile;
mod states;
