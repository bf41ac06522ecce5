//! Handles SES's reports about mails. An address that bounces permanently gets no more mail. An address whose reader complains
//! gets only the mail that security requires.
//!
//! | Report | Effect |
//! |---|---|
//! | bounce `Permanent`, of any subtype: `General`, `NoEmail`, `Suppressed`, `OnAccountSuppressionList` | no mail |
//! | bounce `Transient` (a full mailbox, a mail too large) or `Undetermined` | none |
//! | complaint `not-spam`: the reader took a mail out of their spam | none |
//! | complaint `auth-failure`: a mail server's report about signatures, not a reader's | none |
//! | complaint `abuse`, `fraud`, `virus`, `other`, without a type, or with an unknown one | no notifications |
//!
//! Sources: AWS, "Examples of event data that Amazon SES publishes to Amazon SNS"; RFC 5965, section 7.3, and RFC 6650 for the
//! types of complaints.

use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Part, Queue},
    base::{Need, Result},
    capabilities::SuppressedBecause,
    store::Event,
};
use phi::{Email, PhiText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug)]
pub struct MailFeedback;

/// The parts of SES's report that are used here.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "eventType")]
pub enum Report {
    Bounce {
        bounce: Bounce,
    },
    Complaint {
        complaint: Complaint,
    },
    /// Other reports: deliveries, delays, rejections.
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
    /// The report's `Feedback-Type`, if it has one.
    #[serde(default)]
    pub complaint_feedback_type: Option<String>,
    pub complained_recipients: Vec<Recipient>,
}

/// An address in the mail service's form.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    pub email_address: String,
}

impl Event for Report {
    const SCHEMA: &'static str = "mail.feedback";
}

/// An address that gets no more of some mails.
#[derive(Debug)]
pub struct Unreachable {
    address: Email,
    because: SuppressedBecause,
    place: usize,
}

impl Part for Unreachable {
    // Its position in the report, because an address must not be in a key.
    fn name(&self) -> String {
        self.place.to_string()
    }
}

impl Background for MailFeedback {
    const NAME: &'static str = "mail_feedback";
    const SUMMARY: &'static str = "Stop mail to addresses that bounce and notifications to those that complain";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Search];
    const WAITS: bool = false;
    type Part = Unreachable;

    async fn handle(cx: &mut Delivery<'_, Self>, part: &Unreachable) -> Result<()> {
        let now = cx.now();
        cx.suppress(&part.address, part.because, now).await?;
        cx.log("mail.suppressed", part.because.as_str());
        Ok(())
    }
}

impl Consumer for MailFeedback {
    const QUEUE: Queue = Queue::new("mail-feedback", Feed::Mail);
    type Message = Report;

    async fn parts(_: &Incoming<'_, Self>, report: Report) -> Result<Vec<Unreachable>> {
        let (recipients, because) = match report {
            Report::Bounce { bounce: Bounce { bounce_type, bounced_recipients } } if bounce_type == "Permanent" => {
                (bounced_recipients, SuppressedBecause::Bounced)
            }
            Report::Complaint { complaint } if !is_no_complaint(&complaint) => {
                (complaint.complained_recipients, SuppressedBecause::Complained)
            }
            Report::Bounce { .. } | Report::Complaint { .. } | Report::Other => return Ok(Vec::new()),
        };
        // We send mail only to addresses that parse, so others are ignored.
        let addresses = recipients.into_iter().filter_map(|recipient| Email::parse(&recipient.email_address).ok());
        let part = |(place, address)| Unreachable { address, because, place };
        Ok(addresses.enumerate().map(part).collect())
    }
}

/// Whether the report says that the reader wants the mail, or does not come from a reader.
fn is_no_complaint(complaint: &Complaint) -> bool {
    let kind = complaint.complaint_feedback_type.as_deref().unwrap_or_default();
    ["not-spam", "auth-failure"].iter().any(|kept| kind.eq_ignore_ascii_case(kept))
}
