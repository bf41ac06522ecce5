//! Users: the members of a tenant, their roles and their access; and the permissions of a caller.
//!
//! The membership decides everything. Cognito, the directory and the claims to e-mails follow it: an endpoint commits the change
//! and emits an event, and [`consumers`] bring the rest in line with the membership at the time when they handle the event.

pub mod consumers;
pub mod domain;
pub mod endpoints;
mod mail;
mod view;
mod work;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
