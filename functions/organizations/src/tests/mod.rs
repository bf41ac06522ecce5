//! End-to-end tests of the domain, in two tenants.

mod admins;
mod agreement;
mod founding;
mod profile;
mod states;
