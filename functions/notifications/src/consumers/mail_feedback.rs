//! Hears what became of mails: an address that bounces for good gets no more of them, one whose reader complains no more that
//! its reader can do without.
//!
//! | Report | What it does |
//! |---|---|
//! | bounce `Permanent`, of any subtype: `General`, `NoEmail`, `Suppressed`, `OnAccountSuppressionList` | no mail |
//! | bounce `Transient` (a full mailbox, a mail too large) or `Undetermined` | nothing |
//! | complaint `not-spam`: the reader took a mail out of their spam | nothing |
//! | complaint `auth-failure`: a mail server about signatures, not a reader | nothing |
//! | complaint `abuse`, `fraud`, `virus`, `other`, of no type, or of one that is not known | no notifications |
//!
//! Sources: AWS, "Examples of event data that Amazon SES publishes to Amazon SNS"; RFC 5965, section 7.3, and RFC 6650 for the
//! types of complaints.

use common::{Background, Consumer, Delivery, Event, Feed, Incoming, Need, Part, Queue, Result, SuppressedBecause};
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
    /// The report's `Feedback-Type`, where it has one.
    #[serde(default)]
    pub complaint_feedback_type: Option<String>,
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
    because: SuppressedBecause,
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
    const SUMMARY: &'static str = "Send no more mail to addresses that bounce, and no notifications to those that complain";
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
        // We write to addresses of ours only: what is none of that form was never written to.
        let addresses = recipients.into_iter().filter_map(|recipient| Email::parse(&recipient.email_address).ok());
        let part = |(place, address)| Unreachable { address, because, place };
        Ok(addresses.enumerate().map(part).collect())
    }
}

/// Whether the report says that its reader wants the mail, or is not a reader's.
fn is_no_complaint(complaint: &Complaint) -> bool {
    let kind = complaint.complaint_feedback_type.as_deref().unwrap_or_default();
    ["not-spam", "auth-failure"].iter().any(|kept| kind.eq_ignore_ascii_case(kept))
}
