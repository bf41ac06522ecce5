//! Mail, through SES v2. It leaves by one way only, which asks first whether the address has bounced or complained.

use crate::{
    aws::{errors::cause, mailer::Mailer},
    background::{Background, Delivery},
    base::{Error, Need, Result, error::Cause, need::declares},
    capabilities::{MailKind, mail_suppression},
    request::Deps,
    store::shared_breaker::{Gate, Pass},
};
use aws_sdk_sesv2::{
    error::ProvideErrorMetadata,
    types::{Body, Content, Destination, EmailContent, Message, MessageHeader},
};
use phi::{Email, PhiText};

const SERVICE: &str = "ses";
/// Ten a second: SES lets a new account send fourteen, and says when that is too much.
pub(crate) const GATE: Gate = Gate::new(SERVICE, PER_MINUTE);
/// How many mails leave in a minute, all functions' together.
pub(crate) const PER_MINUTE: u32 = 600;

/// Who goes first where there is not room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Somebody waits for it, or has to act: a reset, an invitation, an alarm.
    First,
    /// It leaves half of a minute's room to those.
    Yields,
}

impl Turn {
    const fn gate(self) -> Gate {
        match self {
            Self::First => GATE,
            Self::Yields => GATE.yielding(),
        }
    }
}

/// Room for one mail.
#[derive(Debug)]
pub struct Place(Pass);
const UTF_8: &str = "UTF-8";

/// What each mail of ours says of itself, so that a repeated one is known by its reader's program.
const ID_HEADER: &str = "X-Cloister-Id";

/// A mail to one address. Its texts hold no PHI.
#[derive(Debug)]
pub struct Mail<'a> {
    pub to: &'a Email,
    pub kind: MailKind,
    pub turn: Turn,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// What it tells of: the same for every attempt to send it.
    pub id: String,
}

/// A text as a mail's HTML shows it.
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

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mailed {
    Sent,
    /// The address is suppressed for mails of this kind: nothing was sent.
    Suppressed,
    /// The service does not take this mail, now or later.
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

/// What a sending came to, for the mail and for the gate.
enum Sent {
    Taken,
    /// The service does not take this mail, now or later.
    Rejected,
    /// It takes none for the moment.
    Throttled(Error),
    Failed(Error),
}

/// The way out for a function's mail.
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
                    // To send it again would be refused again.
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
    /// 503 where SES, DynamoDB or, for the address's token, KMS does not answer, or where nobody sends mail for the moment.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<Mailed> {
        if mail_suppression::holds_back(self.deps, mail.to, mail.kind).await? {
            return Ok(Mailed::Suppressed);
        }
        let shut = Error::Unavailable { service: SERVICE, cause: Cause::code("gate shut") };
        self.sent(mail, self.place(mail.turn).await?.ok_or(shut)?).await
    }

    /// Room for a mail, where there is any now: for who claims what it sends, and claims nothing that must wait.
    ///
    /// # Errors
    /// 503 where DynamoDB does not answer.
    pub async fn place(&self, turn: Turn) -> Result<Option<Place>> {
        let entered = turn.gate().enter(&self.deps.db, self.deps.clock.now(), &self.mailer.busy).await?;
        Ok(entered.ok().map(Place))
    }

    /// As [`send`](Self::send), in a place that was taken before.
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
            Sent::Taken => GATE.succeeded(db, pass).await.map(|()| Mailed::Sent),
            Sent::Rejected => GATE.succeeded(db, pass).await.map(|()| Mailed::Rejected),
            Sent::Throttled(error) => {
                let _shut = GATE.refused(db, pass, self.deps.clock.now(), None).await?;
                Err(error)
            }
            Sent::Failed(error) => {
                GATE.failed(db, pass, self.deps.clock.now()).await?;
                Err(error)
            }
        }
    }
}

impl<'a, B: Background> Delivery<'a, B> {
    /// Mail. What is sent cannot be taken back, so it belongs into [`Background::after`].
    ///
    /// # Errors
    /// Internal where the function was not given the client.
    pub fn mailer(&self) -> Result<Post<'a>> {
        const { assert!(declares(B::NEEDS, Need::Mail), "sends mail: add Need::Mail to NEEDS") }
        const { assert!(declares(B::NEEDS, Need::Read), "asks who is suppressed: add Need::Read to NEEDS") }
        const { assert!(declares(B::NEEDS, Need::Search), "makes addresses' tokens: add Need::Search to NEEDS") }
        let deps = self.ground.deps;
        Ok(Post { deps, mailer: deps.services.mailer()? })
    }
}
