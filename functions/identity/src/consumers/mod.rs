//! What happens to accounts when nobody waits for it.

common::consumers! {
    send_reset_mail::SendResetMail,
}
