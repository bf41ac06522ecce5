//! SES v2, which sends mail.

use aws_sdk_sesv2::Client;
use std::sync::atomic::AtomicBool;

/// The client, and the address that mail comes from.
#[derive(Debug)]
pub(crate) struct Mailer {
    pub(crate) client: Client,
    pub(crate) from: String,
    /// Whether the gate had been passed by somebody a moment before, the last time.
    pub(crate) busy: AtomicBool,
}

impl Mailer {
    pub(crate) const fn new(client: Client, from: String) -> Self {
        Self { client, from, busy: AtomicBool::new(false) }
    }
}
