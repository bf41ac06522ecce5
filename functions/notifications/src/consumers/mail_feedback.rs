//! Hears what became of mails: an address that bounces for good, or whose owner complains, gets no more of them.
//!
//! Source: AWS, "Examples of event data that Amazon SES publishes to Amazon SNS".

use common::{Background, Consumer, Delivery, Event, Feed, Incoming, Need, Part, Queue, Result};
use phi::{Email, PhiText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct MailFeedback;

/// SES's report, as far as it matters here.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "eventType")]
pub enum Report {
    Bounce {
        bounce: Bounce,
    },
    Complaint {
        complaint: Complaint,
    },
    /// Anything else: deliveries, delays, rejections.
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bounce {
    /// `Permanent`, `Transient` or `Undetermined`.
    pub bounce_type: String,
    pub bounced_recipients: Vec<Recipient>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Complaint {
    pub complained_recipients: Vec<Recipient>,
}

/// An address, as the mail service writes it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    pub email_address: String,
}

impl Event for Report {
    const SCHEMA: &'static str = "mail.feedback";
}

/// An address that is to be left alone.
#[derive(Debug)]
pub struct Unreachable {
    address: Email,
    because: &'static str,
    place: usize,
}

impl Part for Unreachable {
    // Its place in the report: an address has no business in a key.
    fn name(&self) -> String {
        self.place.to_string()
    }
}

impl Background for MailFeedback {
    const NAME: &'static str = "mail_feedback";
    const SUMMARY: &'static str = "Send no more mail to addresses that bounce or complain";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Search];
    const WAITS: bool = false;
    type Part = Unreachable;

    async fn handle(cx: &mut Delivery<'_, Self>, part: &Unreachable) -> Result<()> {
        let now = cx.now();
        cx.suppress(&part.address, part.because, now).await?;
        cx.changes().changed(["suppressed"]);
        cx.log("mail.suppressed", part.because);
        Ok(())
    }
}

impl Consumer for MailFeedback {
    const QUEUE: Queue = Queue::new("mail-feedback", Feed::Mail);
    type Message = Report;

    async fn parts(_: &Incoming<'_, Self>, report: Report) -> Result<Vec<Unreachable>> {
        let (recipients, because) = match report {
            Report::Bounce { bounce: Bounce { bounce_type, bounced_recipients } } if bounce_type == "Permanent" => {
                (bounced_recipients, "bounced")
            }
            Report::Complaint { complaint } => (complaint.complained_recipients, "complained"),
            Report::Bounce { .. } | Report::Other => (Vec::new(), ""),
        };
        // We write to addresses of ours only: what is none of that form was never written to.
        let addresses = recipients.into_iter().filter_map(|recipient| Email::parse(&recipient.email_address).ok());
        let part = |(place, address)| Unreachable { address, because, place };
        Ok(addresses.enumerate().map(part).collect())
    }
}
