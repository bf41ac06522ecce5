//! One-time passwords.

/// Without characters that look alike in a terminal (0 O, 1 l I).
const ALPHABET: &[u8; 57] = b"23456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ";

const GROUPS: usize = 4;
const GROUP: usize = 5;

/// Four groups of five characters, 116 bits, that meet the pool's rules: lower and upper case, a digit, and `-` as the symbol.
pub(crate) fn temporary() -> String {
    loop {
        let password = random();
        let has = |kind: fn(&u8) -> bool| password.as_bytes().iter().any(kind);
        if has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit) {
            return password;
        }
    }
}

fn random() -> String {
    // Bytes beyond the last whole multiple would favour the first characters of the alphabet.
    let fair = |byte: &u8| usize::from(*byte) < 256 / ALPHABET.len() * ALPHABET.len();
    let mut characters = std::iter::repeat_with(common::base::random::bytes::<32>)
        .flatten()
        .filter(fair)
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    let groups: Vec<String> = (0..GROUPS).map(|_| characters.by_ref().take(GROUP).collect()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_password_meets_the_pools_rules_and_is_unique() {
        let passwords: std::collections::HashSet<String> = (0..100).map(|_| temporary()).collect();
        assert_eq!(passwords.len(), 100);
        for password in passwords {
            assert_eq!(password.len(), GROUPS * GROUP + GROUPS - 1);
            assert!(password.bytes().any(|b| b.is_ascii_lowercase()) && password.bytes().any(|b| b.is_ascii_uppercase()));
            assert!(password.bytes().any(|b| b.is_ascii_digit()) && password.contains('-'));
        }
    }
}
