//! Background work on accounts.

common::consumers! {
    send_reset_mail::SendResetMail,
}
