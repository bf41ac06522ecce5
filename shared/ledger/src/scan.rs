use crate::{Hash, Reason, UserAgent, Word};

/// Reads, from its beginning, a text that is known in advance except for its values.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    whole: &'a [u8],
    at: usize,
}

/// The text has another form. [`Event::parse`](crate::Event::parse) gives the reason.
#[derive(Debug)]
pub(crate) struct Refused;

type Result<T> = std::result::Result<T, Refused>;

impl<'a> Scan<'a> {
    pub(crate) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    pub(crate) fn passed(&self) -> &'a [u8] {
        self.whole.get(..self.at).unwrap_or_default()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Result<()> {
        match self.rest().first_chunk::<N>() {
            Some(found) if found == text => {
                self.at += N;
                Ok(())
            }
            _ => Err(Refused),
        }
    }

    /// One of several texts, none of which is a prefix of another.
    pub(crate) fn one_of(&mut self, texts: &[&[u8]]) -> Result<()> {
        let found = texts.iter().find(|text| self.rest().starts_with(text)).ok_or(Refused)?;
        self.at += found.len();
        Ok(())
    }

    #[inline]
    pub(crate) fn or_null(&mut self, value: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.literal(b"null").is_ok() { Ok(()) } else { value(self) }
    }

    pub(crate) fn list(&mut self, max: usize, item: impl Fn(&mut Self) -> Result<()>) -> Result<()> {
        self.literal(b"[")?;
        if self.literal(b"]").is_ok() {
            return Ok(());
        }
        for _ in 0..max {
            item(self)?;
            if self.literal(b"]").is_ok() {
                return Ok(());
            }
            self.literal(b",")?;
        }
        Err(Refused)
    }

    /// The rest of a string that is a [`Word`], including its closing quote.
    #[inline]
    pub(crate) fn word(&mut self) -> Result<&'a [u8]> {
        let rest = self.rest();
        let len = plain_prefix(rest);
        if len == 0 || len > Word::MAX_LEN || rest.get(len) != Some(&b'"') {
            return Err(Refused);
        }
        self.at += len + 1;
        rest.get(..len).ok_or(Refused)
    }

    /// A string that is a [`UserAgent`]: printable ASCII with quote and backslash escaped, no space at either end.
    pub(crate) fn user_agent(&mut self) -> Result<()> {
        self.literal(b"\"")?;
        let (mut len, mut last_is_space) = (0, true);
        loop {
            // Everything printable except space, quote and backslash.
            let plain = plain_prefix(self.rest());
            if plain > 0 {
                self.at += plain;
                len += plain;
                last_is_space = false;
            }
            let Some(byte) = self.rest().first() else { return Err(Refused) };
            match byte {
                b'"' => break,
                b' ' if len > 0 => {
                    self.at += 1;
                    last_is_space = true;
                }
                b'\\' if matches!(self.rest().get(1), Some(b'"' | b'\\')) => {
                    self.at += 2;
                    last_is_space = false;
                }
                _ => return Err(Refused),
            }
            len += 1;
        }
        self.at += 1;
        if last_is_space || len > UserAgent::MAX_LEN { Err(Refused) } else { Ok(()) }
    }

    /// The rest of a string that is base64url without padding, in its canonical form, no longer than [`Reason::Sealed`] allows.
    pub(crate) fn base64url(&mut self) -> Result<()> {
        let rest = self.rest();
        let len = rest.iter().position(|byte| base64url_digit(*byte).is_none()).ok_or(Refused)?;
        let last = len.checked_sub(1).and_then(|last| rest.get(last)).and_then(|byte| base64url_digit(*byte)).ok_or(Refused)?;
        // The bits of the last digit that do not complete a byte must be zero.
        let spare = match len % 4 {
            0 => 0,
            2 => 0b1111,
            3 => 0b11,
            _ => return Err(Refused),
        };
        if last & spare != 0 || len / 4 * 3 + len % 4 * 3 / 4 > Reason::MAX_SEALED {
            return Err(Refused);
        }
        self.at += len;
        self.literal(b"\"")
    }

    /// An integer from 0 to `max`, without leading zeros.
    pub(crate) fn integer(&mut self, max: u64) -> Result<u64> {
        let start = self.at;
        let mut value = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.whole.get(self.at) {
            value = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0'))).ok_or(Refused)?;
            self.at += 1;
        }
        let digits = self.at - start;
        let leading_zero = digits > 1 && self.whole.get(start) == Some(&b'0');
        if digits == 0 || leading_zero || value > max { Err(Refused) } else { Ok(value) }
    }

    /// A string that is a [`Hash`].
    #[inline]
    pub(crate) fn hash(&mut self) -> Result<Hash> {
        self.literal(b"\"")?;
        let digits = self.rest().first_chunk::<64>().ok_or(Refused)?;
        let hash = Hash::from_digits(digits).ok_or(Refused)?;
        self.at += 64;
        self.literal(b"\"")?;
        Ok(hash)
    }
}

const fn base64url_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// The number of leading bytes of `text` that a [`Word`] may contain: printable ASCII except space, quote and backslash. Eight at
/// a time.
#[inline]
fn plain_prefix(text: &[u8]) -> usize {
    let (chunks, rest) = text.as_chunks::<8>();
    for (n, chunk) in chunks.iter().enumerate() {
        let others = others(u64::from_le_bytes(*chunk));
        if others != 0 {
            return n * 8 + others.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &&u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    chunks.len() * 8 + rest.iter().take_while(plain).count()
}

/// Sets the high bit of each byte that a word may not contain. The result is exact up to and including the lowest such byte,
/// because only these bytes borrow.
#[inline]
const fn others(bytes: u64) -> u64 {
    const fn below(bytes: u64, limit: u8) -> u64 {
        bytes.wrapping_sub(ONES * limit as u64) & !bytes
    }
    const fn equal(bytes: u64, byte: u8) -> u64 {
        below(bytes ^ (ONES * byte as u64), 1)
    }
    // Adding one sets the high bit of 0x7f.
    let not_ascii_or_delete = bytes | bytes.wrapping_add(ONES);
    (not_ascii_or_delete | below(bytes, b'!') | equal(bytes, b'"') | equal(bytes, b'\\')) & HIGHS
}
