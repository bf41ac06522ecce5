//! What holds of users beyond one endpoint's answer.

mod accounts;
mod admins;
mod invitations;
mod mail_suppression;
mod mirror;
mod permissions;
mod roles;
