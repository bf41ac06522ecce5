//! SES v2, which sends mail.

use aws_sdk_sesv2::Client;
use std::sync::atomic::AtomicBool;

/// The client, and the sender address of mails.
#[derive(Debug)]
pub(crate) struct Mailer {
    pub(crate) client: Client,
    pub(crate) from: String,
    /// Whether the last call found the token bucket in use. It determines the branch that is tried first.
    pub(crate) busy: AtomicBool,
}

impl Mailer {
    pub(crate) const fn new(client: Client, from: String) -> Self {
        Self { client, from, busy: AtomicBool::new(false) }
    }
}
