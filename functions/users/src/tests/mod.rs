//! What holds of users beyond one endpoint's answer.

mod accounts;
mod admins;
mod invitations;
mod mirror;
mod permissions;
mod roles;
