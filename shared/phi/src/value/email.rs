use super::{InvalidValue, MASK, PhiText};

/// An e-mail address: RFC 5321's dot-string local part (no quoted form) at a host name, ASCII, at most 254 bytes. The domain is
/// stored in lower case; an internationalised domain is given in its `xn--` form.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl PhiText for Email {
    const EXPECTED: &'static str = "an e-mail address";
    const LENGTH: std::ops::RangeInclusive<usize> = 5..=254;
    const FORM: Option<(&'static str, &'static str)> = Some(("format", "email"));

    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let refused = InvalidValue(Self::EXPECTED);
        let text = text.trim();
        if !Self::LENGTH.contains(&text.len()) {
            return Err(refused);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(refused)?;
        if !is_local_part(local) || !is_host_name(domain) {
            return Err(refused);
        }
        Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

crate::phi_text!(Email);

impl Email {
    /// Lower case, including the local part: no major provider treats `Ada@` and `ada@` as different.
    pub fn normalised(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The first character and the domain: `a***@example.com`.
    pub fn masked(&self) -> String {
        let domain = self.0.split_once('@').map_or("", |(_, domain)| domain);
        format!("{}{MASK}@{domain}", &self.0[..1])
    }
}

fn is_local_part(local: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let all_digits = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    domain.contains('.') && domain.split('.').all(is_label) && !domain.rsplit('.').next().is_some_and(all_digits)
}
