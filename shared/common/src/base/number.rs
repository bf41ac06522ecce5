//! Numbers in texts.

use std::str::FromStr;

/// A number in its canonical text: decimal digits, without a sign, leading zeros or white space.
pub fn plain_number<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}
