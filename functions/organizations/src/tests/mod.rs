//! End-to-end tests of the domain, in two tenants.

mod admins;
mod agreement;
mod creation;
mod profile;
mod states;
