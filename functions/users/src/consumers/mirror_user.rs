//! Brings what stands for a user outside their tenant in line with their membership, and writes to them.
//!
//! What it does follows from the membership as it is now, not from what the event says: so order does not matter, nor how often it is
//! told, and what a crash has left half done the next message completes. Only mails follow from events. A mail is sent, and
//! then noted; a crash in between has one sent again, with another password, and the newest is the one that is good.

use crate::{
    domain::{InvitationResent, PasswordResetByAdmin, UserDeleted, UserDisabled, UserEnabled, UserRolesChanged, UserSignedOut},
    mail::{self, Letter},
    work::Person,
};
use common::{
    Background, CONTENDED, Condition, Consumer, Delivery, Directory, Edit, Error, Feed, Incoming, Key, Mail, MailKind, MemberPii,
    Membership, Need, Queue, Resource, Result, TemporaryPassword, Tenant, Turn, UserId, UserInvited, profile_key,
};

/// How often a user is looked at who changes meanwhile.
const TRIES: u32 = 5;

common::messages! {
    /// What this consumer hears.
    pub enum Heard {
        Invited(UserInvited),
        Resent(InvitationResent),
        Disabled(UserDisabled),
        Enabled(UserEnabled),
        Deleted(UserDeleted),
        SignedOut(UserSignedOut),
        PasswordReset(PasswordResetByAdmin),
        RolesChanged(UserRolesChanged),
    }
}

impl Heard {
    const fn user(&self) -> UserId {
        match self {
            Self::Invited(UserInvited { user_id })
            | Self::Resent(InvitationResent { user_id })
            | Self::Disabled(UserDisabled { user_id })
            | Self::Enabled(UserEnabled { user_id })
            | Self::Deleted(UserDeleted { user_id })
            | Self::SignedOut(UserSignedOut { user_id })
            | Self::PasswordReset(PasswordResetByAdmin { user_id })
            | Self::RolesChanged(UserRolesChanged { user_id }) => *user_id,
        }
    }

    /// What it has written to its user.
    const fn letter(&self) -> Option<Letter> {
        match self {
            Self::Invited(_) | Self::Resent(_) => Some(Letter::Invitation),
            Self::PasswordReset(_) => Some(Letter::PasswordReset),
            _ => None,
        }
    }

    const fn signs_out(&self) -> bool {
        matches!(self, Self::Disabled(_) | Self::SignedOut(_) | Self::PasswordReset(_))
    }
}

#[derive(Debug)]
pub struct MirrorUser;

/// A user, and why they are looked at.
#[derive(Debug)]
pub struct Told(Heard);

impl common::Part for Told {
    fn name(&self) -> String {
        self.0.user().to_string()
    }
}

impl Background for MirrorUser {
    const NAME: &'static str = "mirror_user";
    const SUMMARY: &'static str = "Keep Cognito and the directory in line with a user's membership, and mail temporary passwords";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Mail, Need::Directory, Need::Sessions];
    const WAITS: bool = false;
    type Part = Told;

    async fn handle(_: &mut Delivery<'_, Self>, _: &Told) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, Told(heard): &Told) -> Result<()> {
        let (directory, user) = (cx.directory()?, heard.user());
        let Some(standing) = bring_in_line(cx, &directory, user).await? else {
            cx.log("user", "gone");
            return directory.forget(user).await;
        };
        if standing.own && heard.signs_out() {
            directory.sign_out(user).await?;
        }
        let noted = Noted::read(cx, user).await?;
        let event = cx.envelope().ok_or(Error::internal("no envelope"))?.id.to_string();
        let wanted = match heard.letter() {
            // Ids stand in the order of time: what a later event has had written is newer than what this one would.
            Some(_) if noted.last.as_ref().is_some_and(|last| *last >= event) => None,
            Some(letter) if !standing.member.active => return noted.owe(cx, letter, &standing.member),
            Some(letter) => Some(letter),
            None if matches!(heard, Heard::Enabled(_)) && standing.member.active => noted.due(&standing.member),
            None => None,
        };
        let Some(wanted) = wanted.filter(|letter| *letter != Letter::Invitation || standing.member.invited) else {
            return Ok(());
        };
        // The owner of an e-mail that is another's here hears once that they were invited, and not each time that they are.
        let once = (matches!(heard, Heard::Invited(_)) || noted.last.is_none()).then_some(Letter::Taken);
        let letter = if standing.own { Some(wanted) } else { once };
        write(cx, &directory, standing, letter, &noted, event).await
    }
}

/// What is noted of the letters to a user: the last event that had one written, and the letter that is owed to them since they were
/// disabled when it was to be written.
#[derive(Debug)]
struct Noted {
    key: Key,
    last: Option<String>,
    owed: Option<Letter>,
}

impl Noted {
    async fn read(cx: &Delivery<'_, MirrorUser>, user: UserId) -> Result<Self> {
        let key = Key::new(Membership::place(user), "LETTER");
        let row = cx.reader().get(&key).await?;
        let text = |name| row.as_ref().and_then(|row| row.maybe_text(name));
        Ok(Self { last: text("event_id").map(str::to_owned), owed: text(OWED).and_then(Letter::named), key })
    }

    /// What is written to somebody who was enabled: what is owed to them, or their invitation, where nothing ever was.
    fn due(&self, member: &Membership) -> Option<Letter> {
        self.owed.or((self.last.is_none() && member.invited).then_some(Letter::Invitation))
    }

    fn edit(&self) -> Edit {
        let as_read =
            vec![Condition::as_read("event_id", self.last.as_ref()), Condition::as_read(OWED, self.owed.map(Letter::name))];
        Edit::of(self.key.clone()).when(Condition::All(as_read))
    }

    fn owe(&self, cx: &mut Delivery<'_, MirrorUser>, letter: Letter, member: &Membership) -> Result<()> {
        // A password that was taken away is what is owed, until they have another.
        if self.owed != Some(letter) && self.owed != Some(Letter::PasswordReset) {
            let edit = self.edit().text(OWED, letter.name());
            cx.changes().edit(edit, CONTENDED);
            // Whoever has enabled them meanwhile may have been heard already, when nothing was owed.
            cx.changes().check_unchanged(member, CONTENDED);
        }
        Ok(())
    }
}

const OWED: &str = "owed";

/// A member with whom everything is in line.
struct Standing {
    member: Membership,
    email: phi::Email,
    /// Whether the e-mail is this user's.
    own: bool,
    /// Of a user whom the pool did not know.
    password: Option<TemporaryPassword>,
}

/// Nothing where there is no such member any more.
async fn bring_in_line(cx: &Delivery<'_, MirrorUser>, directory: &Directory<'_>, user: UserId) -> Result<Option<Standing>> {
    let mut password = None;
    for _ in 0..TRIES {
        let Some(member) = cx.member(user).await? else { return Ok(None) };
        let MemberPii { email, .. } = cx.open(&Membership::place(user), &member.pii).await?;
        let own = directory.claim(user, &email).await?;
        if own {
            password = directory.bring_in_line(&member, &email, cx.now()).await?.or(password);
        }
        // Whoever has changed it meanwhile may have been heard already, before this was done.
        match cx.member(user).await? {
            None => return Ok(None),
            Some(now) if now.version == member.version => return Ok(Some(Standing { member, email, own, password })),
            Some(_) => {}
        }
    }
    Err(CONTENDED)
}

/// Writes a letter, once for each event, and notes it. What is not written is noted all the same: the tenant's audit log shows no
/// difference between an e-mail that is free and one that is somebody's.
async fn write(
    cx: &mut Delivery<'_, MirrorUser>,
    directory: &Directory<'_>,
    standing: Standing,
    letter: Option<Letter>,
    noted: &Noted,
    event: String,
) -> Result<()> {
    let user = standing.member.user;
    if let Some(letter) = letter {
        let taken_away = letter == Letter::PasswordReset;
        send(cx, directory, standing, letter, &event).await?;
        if taken_away {
            // Until here the old password opened sessions.
            directory.sign_out(user).await?;
            cx.shut_out(user).await?;
        }
    }
    cx.touched(Person::TYPE, user);
    cx.changes().edit(noted.edit().text("event_id", event).remove(OWED), CONTENDED);
    Ok(())
}

async fn send(
    cx: &Delivery<'_, MirrorUser>,
    directory: &Directory<'_>,
    standing: Standing,
    letter: Letter,
    event: &str,
) -> Result<()> {
    let Standing { member, email, password, .. } = standing;
    let password = match (letter, password) {
        (Letter::Taken, _) => None,
        (_, Some(password)) => Some(password),
        (_, None) => Some(directory.reset_password(member.user).await?),
    };
    let row = cx.reader().get(&profile_key()).await?.ok_or(Error::internal("no tenant"))?;
    let (subject, text, html) = mail::letter(letter, &Tenant::from_row(&row)?.name, password.as_ref());
    let mail = Mail { to: &email, kind: MailKind::Security, turn: Turn::First, subject, text, html, id: event.to_owned() };
    let mailed = cx.mailer()?.send(&mail).await?;
    cx.log("mail", mailed.as_str());
    Ok(())
}

impl Consumer for MirrorUser {
    const QUEUE: Queue = Queue::new("mirror-user", Feed::Events);
    type Message = Heard;

    async fn parts(cx: &Incoming<'_, Self>, heard: Heard) -> Result<Vec<Told>> {
        cx.about(Person::TYPE, heard.user());
        Ok(vec![Told(heard)])
    }
}
