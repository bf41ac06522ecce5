//! Brings a user's data outside their tenant in line with their membership, and sends their mails.
//!
//! The result depends on the current membership and not on the event, so events may arrive in any order and repeatedly, and the
//! next message completes work that a crash interrupted. Only mails depend on events. A mail is sent and then recorded. After a
//! crash in between, it is sent again with another password, and only the newest password is valid.

use crate::{
    domain::{InvitationResent, PasswordResetByAdmin, UserDeleted, UserDisabled, UserEnabled, UserRolesChanged, UserSignedOut},
    mail::{self, Letter},
    work::Person,
};
use common::{
    background::{Background, CONTENDED, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Error, Need, Result, UserId},
    capabilities::{Directory, Mail, MailKind, TemporaryPassword, Turn, UserInvited},
    identity::{MemberPii, Membership, Tenant, profile_key},
    policy::Resource,
    store::{Condition, Edit, Key},
};

/// The number of tries for a user whose membership changes meanwhile.
const TRIES: u32 = 5;

common::messages! {
    /// The events that this consumer handles.
    pub enum UserEvent {
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

impl UserEvent {
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

    /// The mail that the event asks for.
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

/// A user, and the event about them.
#[derive(Debug)]
pub struct ChangedUser(UserEvent);

impl common::background::Part for ChangedUser {
    fn name(&self) -> String {
        self.0.user().to_string()
    }
}

impl Background for MirrorUser {
    const NAME: &'static str = "mirror_user";
    const SUMMARY: &'static str = "Keep Cognito and the directory in line with a user's membership and mail temporary passwords";
    const NEEDS: &'static [Need] = &[Need::Write, Need::Seal, Need::Search, Need::Mail, Need::Directory, Need::Sessions];
    const WAITS: bool = false;
    type Part = ChangedUser;

    async fn handle(_: &mut Delivery<'_, Self>, _: &ChangedUser) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, ChangedUser(change): &ChangedUser) -> Result<()> {
        let (directory, user) = (cx.directory()?, change.user());
        let Some(standing) = bring_in_line(cx, &directory, user).await? else {
            cx.log("user", "gone");
            return directory.forget(user).await;
        };
        if standing.own && change.signs_out() {
            directory.sign_out(user).await?;
        }
        let noted = Noted::read(cx, user).await?;
        let event = cx.envelope().ok_or(Error::internal("no envelope"))?.id.to_string();
        let wanted = match change.letter() {
            // Ids are ordered by time: the mail of a later event is newer than the one that this event would send.
            Some(_) if noted.last.as_ref().is_some_and(|last| *last >= event) => None,
            Some(letter) if !standing.member.active => return noted.owe(cx, letter, &standing.member),
            Some(letter) => Some(letter),
            None if matches!(change, UserEvent::Enabled(_)) && standing.member.active => noted.due(&standing.member),
            None => None,
        };
        let Some(wanted) = wanted.filter(|letter| *letter != Letter::Invitation || standing.member.invited) else {
            return Ok(());
        };
        // If the e-mail belongs to another user, its owner gets one mail at the first invitation, and none for repeated ones.
        let once = (matches!(change, UserEvent::Invited(_)) || noted.last.is_none()).then_some(Letter::Taken);
        let letter = if standing.own { Some(wanted) } else { once };
        write(cx, &directory, standing, letter, &noted, event).await
    }
}

/// The record of a user's mails: the last event that caused one, and the mail that is owed because the user was disabled when it
/// was due.
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

    /// The mail for a user who was enabled: the owed one, or their invitation if no mail was ever sent.
    fn due(&self, member: &Membership) -> Option<Letter> {
        self.owed.or((self.last.is_none() && member.invited).then_some(Letter::Invitation))
    }

    fn edit(&self) -> Edit {
        let as_read =
            vec![Condition::as_read("event_id", self.last.as_ref()), Condition::as_read(OWED, self.owed.map(Letter::name))];
        Edit::of(self.key.clone()).when(Condition::All(as_read))
    }

    fn owe(&self, cx: &mut Delivery<'_, MirrorUser>, letter: Letter, member: &Membership) -> Result<()> {
        // An owed password reset stays owed, because the user has no password until then.
        if self.owed != Some(letter) && self.owed != Some(Letter::PasswordReset) {
            let edit = self.edit().text(OWED, letter.name());
            cx.changes().edit(edit, CONTENDED);
            // The event of a concurrent enabling may have been handled before anything was owed. The check makes this write fail
            // then.
            cx.changes().check_unchanged(member, CONTENDED);
        }
        Ok(())
    }
}

const OWED: &str = "owed";

/// A member whose data outside the tenant is in line.
struct Standing {
    member: Membership,
    email: phi::Email,
    /// Whether the e-mail belongs to this user.
    own: bool,
    /// The temporary password of a user who is new in the pool.
    password: Option<TemporaryPassword>,
}

/// `None` if the member does not exist any more.
async fn bring_in_line(cx: &Delivery<'_, MirrorUser>, directory: &Directory<'_>, user: UserId) -> Result<Option<Standing>> {
    let mut password = None;
    for _ in 0..TRIES {
        let Some(member) = cx.member(user).await? else { return Ok(None) };
        let MemberPii { email, .. } = cx.open(&Membership::place(user), &member.pii).await?;
        let own = directory.claim(user, &email).await?;
        if own {
            password = directory.bring_in_line(&member, &email, cx.now()).await?.or(password);
        }
        // The event of a concurrent change may have been handled before this point, so the version is checked again.
        match cx.member(user).await? {
            None => return Ok(None),
            Some(now) if now.version == member.version => return Ok(Some(Standing { member, email, own, password })),
            Some(_) => {}
        }
    }
    Err(CONTENDED)
}

/// Sends a mail, once for each event, and records it. It also records an event whose mail was not sent, so that the tenant's
/// audit log does not show whether an e-mail belongs to another user.
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
            // Until here the old password could open sessions.
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
    type Message = UserEvent;

    async fn parts(cx: &Incoming<'_, Self>, change: UserEvent) -> Result<Vec<ChangedUser>> {
        cx.about(Person::TYPE, change.user());
        Ok(vec![ChangedUser(change)])
    }
}
