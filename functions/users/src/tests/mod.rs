//! Properties of users beyond the answer of one endpoint.

mod accounts;
mod admins;
mod invitations;
mod mail_suppression;
mod mirror;
mod permissions;
mod roles;
