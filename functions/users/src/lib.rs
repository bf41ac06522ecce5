//! Users: who is in a tenant, in what roles, and whether they may come in; and what the policies let somebody do.
//!
//! A membership is all that decides. Cognito, the directory and the claims to e-mails follow it: an endpoint commits the change
//! and says so, and [`consumers`] bring the rest in line with the membership as it is when they hear of it.

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
