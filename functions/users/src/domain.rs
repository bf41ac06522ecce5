//! The rules of users and their roles. No AWS, no HTTP, no clock.

mod department;
mod events;
mod roles;
mod term;

pub use department::Department;
pub use events::{
    EVENTS, InvitationResent, PasswordResetByAdmin, UserDeleted, UserDisabled, UserEnabled, UserRolesChanged, UserSignedOut,
};
pub use roles::{InvitedRoles, NamedRole, for_people, granted, revoked};
pub use term::Term;
