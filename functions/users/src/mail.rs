//! The mails to users. They contain no health information, no name except the tenant's, and a password that is valid for one
//! sign-in.

use common::capabilities::{TemporaryPassword, escaped};

/// A kind of mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    Invitation,
    PasswordReset,
    /// To the owner of an e-mail whom another tenant has invited.
    Taken,
}

impl Letter {
    /// Its name in the record of an owed mail.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::PasswordReset => "password_reset",
            Self::Taken => "taken",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Invitation, Self::PasswordReset, Self::Taken].into_iter().find(|letter| letter.name() == name)
    }

    const fn subject(self) -> &'static str {
        match self {
            Self::Invitation => "Your invitation",
            Self::PasswordReset => "Your temporary password",
            Self::Taken => "Somebody has invited you",
        }
    }

    const fn templates(self) -> [&'static str; 2] {
        match self {
            Self::Invitation => [include_str!("templates/invitation.txt"), include_str!("templates/invitation.html")],
            Self::PasswordReset => [include_str!("templates/password_reset.txt"), include_str!("templates/password_reset.html")],
            Self::Taken => [include_str!("templates/taken.txt"), include_str!("templates/taken.html")],
        }
    }
}

/// Subject, text and HTML.
pub(crate) fn letter(letter: Letter, tenant: &str, password: Option<&TemporaryPassword>) -> (String, String, String) {
    let [text, html] = letter.templates();
    let password = password.map(TemporaryPassword::expose).unwrap_or_default();
    // The password is filled in last: the tenant chooses its own name, and its text must not be used as a template.
    let fill = |template: &str, tenant: &str| match template.split_once("{{tenant}}") {
        Some((before, after)) => format!("{before}{tenant}{}", after.replace("{{password}}", password)),
        None => template.replace("{{password}}", password),
    };
    (letter.subject().to_owned(), fill(text, tenant), fill(html, &escaped(tenant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_names_the_tenant_and_contains_the_password() {
        let password = TemporaryPassword::new([7; 20]);
        for kind in [Letter::Invitation, Letter::PasswordReset] {
            let (subject, text, html) = letter(kind, "Acme & <Sons> {{password}}", Some(&password));
            assert!(!subject.is_empty());
            assert!(text.contains(password.expose()) && html.contains(password.expose()), "{text}{html}");
            assert!(
                text.contains("Acme & <Sons> {{password}}") && html.contains("Acme &amp; &lt;Sons&gt; {{password}}"),
                "{text}{html}"
            );
        }
    }

    #[test]
    fn mail_to_an_existing_account_names_no_tenant() {
        let (_, text, html) = letter(Letter::Taken, "acme-health", None);
        for whole in [text, html] {
            assert!(!whole.contains("acme") && !whole.contains("{{"), "{whole}");
        }
    }
}
