//! Authorization decisions: Cedar's policies, and the requests that they decide.

pub(crate) mod answers;
pub(crate) mod circumstances;
pub(crate) mod decision;
mod matrix;
mod policy_set;
mod shape;

pub use answers::{Permission, PermissionAnswer, PermissionQuestion, Reach};
pub(crate) use circumstances::Circumstances;
pub use decision::{
    ACTIONS, Action, Attribute, Decided, INDEX, Organization, POLICIES, PRINCIPALS, PlatformResource, Policies, RESOURCES,
    Resource, Viewed,
};
pub use matrix::{actions_of_schema, index_of_policies, principals_of_schema, resources_of_schema};
