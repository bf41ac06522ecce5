//! The domain's consumers, one a file.

common::consumers! {
    mirror_user::MirrorUser,
}
