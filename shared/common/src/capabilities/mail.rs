//! Mail, through SES v2. There is only one way to send it, which first checks whether the address has bounced or complained.

use crate::{
    aws::{errors::cause, mailer::Mailer},
    background::{Background, Delivery},
    base::{Error, Result, error::Cause, need::needs},
    capabilities::{MailKind, mail_suppression},
    request::Deps,
    store::shared_breaker::{Entry, Pass, SharedBreaker},
};
use aws_sdk_sesv2::{
    error::ProvideErrorMetadata,
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader},
};
use phi::{Email, PhiText};

const SERVICE: &str = "ses";
/// Ten a second: SES lets a new account send fourteen, and answers with an error above its limit.
pub(crate) const BREAKER: SharedBreaker = SharedBreaker::new(SERVICE, PER_MINUTE);
/// The number of mails a minute, of all functions together.
pub(crate) const PER_MINUTE: u32 = 600;

/// The priority if the capacity does not suffice for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A person waits for it or must act: a reset, an invitation, an alarm.
    First,
    /// It leaves half of a minute's capacity to those.
    Yields,
}

impl Turn {
    const fn breaker(self) -> SharedBreaker {
        match self {
            Self::First => BREAKER,
            Self::Yields => BREAKER.yielding(),
        }
    }
}

/// Capacity for one mail.
#[derive(Debug)]
pub struct Place(Pass);
const UTF_8: &str = "UTF-8";

/// The header that identifies a mail, so that the reader's program recognises a repeated one.
const ID_HEADER: &str = "X-Cloister-Id";

/// A mail to one address. Its texts contain no PHI.
#[derive(Debug)]
pub struct Mail<'a> {
    pub to: &'a Email,
    pub kind: MailKind,
    pub turn: Turn,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Identifies the occasion: it is the same for every attempt to send the mail.
    pub id: String,
}

/// Escapes a text for a mail's HTML.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The result for a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailed {
    Sent,
    /// The address is suppressed for mails of this kind, so nothing was sent.
    Suppressed,
    /// The service refuses this mail permanently.
    Rejected,
}

impl Mailed {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Suppressed => "suppressed",
            Self::Rejected => "rejected",
        }
    }
}

/// The result of a call to SES, for the mail and for the circuit breaker.
enum Sent {
    Taken,
    /// The service refuses this mail permanently.
    Rejected,
    /// The service accepts no mail at the moment.
    Throttled(Error),
    Failed(Error),
}

/// Sends a function's mail.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    deps: &'a Deps,
    mailer: &'a Mailer,
}

impl Mailer {
    async fn send(&self, mail: &Mail<'_>) -> Result<Sent> {
        let unbuilt = |_| Error::internal("mail");
        let content = |text: &str| Content::builder().data(text).charset(UTF_8).build().map_err(unbuilt);
        let header = MessageHeader::builder().name(ID_HEADER).value(&mail.id).build().map_err(unbuilt)?;
        let body = Body::builder().text(content(&mail.text)?).html(content(&mail.html)?).build();
        let message = Message::builder().subject(content(&mail.subject)?).body(body).headers(header).build();
        let sent = self
            .client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(mail.to.as_str()).build())
            .content(EmailContent::builder().simple(message).build())
            .send()
            .await;
        Ok(match sent {
            Ok(_) => Sent::Taken,
            Err(e) => {
                let error = Error::Unavailable { service: SERVICE, cause: cause(&e) };
                match e.as_service_error().and_then(ProvideErrorMetadata::code) {
                    // A retry would be refused again.
                    Some("MessageRejected" | "BadRequestException") => Sent::Rejected,
                    Some("TooManyRequestsException" | "LimitExceededException" | "SendingPausedException") => {
                        Sent::Throttled(error)
                    }
                    _ => Sent::Failed(error),
                }
            }
        })
    }
}

impl Post<'_> {
    /// Sends a mail, unless its address is suppressed.
    ///
    /// # Errors
    /// 503 if SES, DynamoDB or, for the address's token, KMS does not answer, or if the circuit breaker is open.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<Mailed> {
        if mail_suppression::holds_back(self.deps, mail.to, mail.kind).await? {
            return Ok(Mailed::Suppressed);
        }
        let shut = Error::Unavailable { service: SERVICE, cause: Cause::code("gate shut") };
        self.sent(mail, self.place(mail.turn).await?.ok_or(shut)?).await
    }

    /// Reserves capacity for a mail, if there is any now: for a caller who claims work before sending, and must not claim work
    /// that would wait.
    ///
    /// # Errors
    /// 503 if DynamoDB does not answer.
    pub async fn place(&self, turn: Turn) -> Result<Option<Place>> {
        let entered = turn.breaker().enter(&self.deps.db, self.deps.clock.now(), &self.mailer.busy).await?;
        Ok(match entered {
            Entry::Pass(pass) => Some(Place(pass)),
            Entry::Shut(_) => None,
        })
    }

    /// Like [`send`](Self::send), with capacity that was reserved before.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_in(&self, place: Place, mail: &Mail<'_>) -> Result<Mailed> {
        if mail_suppression::holds_back(self.deps, mail.to, mail.kind).await? {
            return Ok(Mailed::Suppressed);
        }
        self.sent(mail, place).await
    }

    async fn sent(&self, mail: &Mail<'_>, Place(pass): Place) -> Result<Mailed> {
        let db = &self.deps.db;
        match self.mailer.send(mail).await? {
            Sent::Taken => BREAKER.succeeded(db, pass).await.map(|()| Mailed::Sent),
            Sent::Rejected => BREAKER.succeeded(db, pass).await.map(|()| Mailed::Rejected),
            Sent::Throttled(error) => {
                let _shut = BREAKER.refused(db, pass, self.deps.clock.now(), None).await?;
                Err(error)
            }
            Sent::Failed(error) => {
                BREAKER.failed(db, pass, self.deps.clock.now()).await?;
                Err(error)
            }
        }
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    /// Access to mail. A mail cannot be recalled, so send it in [`Background::after`].
    ///
    /// # Errors
    /// Internal if the function was not given the client.
    pub fn mailer(&self) -> Result<Post<'a>> {
        needs!(B, Mail, Read, Search);
        let deps = self.job.deps;
        Ok(Post { deps, mailer: deps.services.mailer()? })
    }
}
