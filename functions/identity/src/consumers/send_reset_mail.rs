//! Mails a password reset token, if the e-mail belongs to an active account.

use crate::events::PasswordResetRequested;
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Part, Queue},
    base::{Need, Result},
    capabilities::{Addressee, Mail, MailKind, Turn},
};

const TEXT: &str = include_str!("../templates/reset.txt");
const HTML: &str = include_str!("../templates/reset.html");

#[derive(Debug)]
pub struct SendResetMail;

/// The account, if there is one.
#[derive(Debug)]
pub struct Account(String);

impl Part for Account {
    fn name(&self) -> String {
        self.0.clone()
    }
}

impl Background for SendResetMail {
    const NAME: &'static str = "send_reset_mail";
    const SUMMARY: &'static str = "Mail a password reset token";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Passwords, Need::Mail];
    /// Its messages are the platform's.
    const WAITS: bool = false;
    type Part = Account;

    async fn handle(cx: &mut Delivery<'_, Self>, Account(email_token): &Account) -> Result<()> {
        let Some(addressee) = cx.addressee(email_token).await? else { return Ok(()) };
        let token = cx.reset_token().await?;
        cx.allow_reset(&token, &addressee);
        cx.touched("User", addressee.user);
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, Account(email_token): &Account) -> Result<()> {
        let Some(Addressee { email, .. }) = cx.addressee(email_token).await? else { return Ok(()) };
        let token = cx.reset_token().await?;
        let fill = |template: &str| template.replace("{{token}}", &token);
        let id = cx.envelope().map(|envelope| envelope.id.to_string()).unwrap_or_default();
        let subject = "Reset your password".to_owned();
        let mail =
            Mail { to: &email, kind: MailKind::Security, turn: Turn::First, subject, text: fill(TEXT), html: fill(HTML), id };
        let mailed = cx.mailer()?.send(&mail).await?;
        cx.log("mail", mailed.as_str());
        Ok(())
    }
}

impl Consumer for SendResetMail {
    const QUEUE: Queue = Queue::new("send-reset-mail", Feed::Events);
    type Message = PasswordResetRequested;

    async fn parts(_: &Incoming<'_, Self>, message: PasswordResetRequested) -> Result<Vec<Account>> {
        Ok(vec![Account(message.email_token)])
    }
}
